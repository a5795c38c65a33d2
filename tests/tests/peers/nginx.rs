//! nginx on side B, and synfin's connections in nginx's own count.

use crate::{KERNEL_V4, KERNEL_V6, Stage, all_completed, number, page};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use synfin_tests::netns::Side;
use synfin_tests::programs::{PATIENCE, Program};

/// A server of files and of its own figures.
pub struct Nginx<'a> {
    stage: &'a Stage,
    _program: Program,
}

impl Nginx<'_> {
    /// Serves `/small` (200 bytes) and `/large` (100,000) on port 80.
    pub fn start(stage: &Stage) -> Nginx<'_> {
        let dir = stage.dir.path("nginx");
        fs::create_dir_all(dir.join("www")).expect("a directory");
        fs::write(dir.join("www/small"), page(200)).expect("a page");
        fs::write(dir.join("www/large"), page(100_000)).expect("a page");
        // One process, as whom it is started: there is no other one to be left behind.
        let config = format!(
            "daemon off; master_process off; pid nginx.pid; error_log error.log warn;
             events {{ worker_connections 8192; }}
             http {{
                 access_log off;
                 client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
                 uwsgi_temp_path uwsgi; scgi_temp_path scgi;
                 server {{
                     listen {KERNEL_V4}:80 backlog=4096; listen {KERNEL_V6}:80 backlog=4096;
                     root {}/www; keepalive_requests 1000000;
                 }}
                 server {{ listen 127.0.0.1:8080; location = /count {{ stub_status; }} }}
             }}",
            dir.display()
        );
        fs::write(dir.join("nginx.conf"), config).expect("a configuration");
        let dir = dir.display();
        let words = format!("nginx -p {dir}/ -c {dir}/nginx.conf -e {dir}/error.log");
        let mut program = Program::start(&mut stage.lab.command(Side::B, &words));
        program.until("listening", |_| stage.lab.inside(Side::B, || TcpStream::connect("127.0.0.1:8080").is_ok()));
        Nginx { stage, _program: program }
    }

    /// Connections that nginx has accepted so far, this question's own included.
    fn accepted(&self) -> u64 {
        let text = self.stage.lab.inside(Side::B, || {
            let mut stream = TcpStream::connect("127.0.0.1:8080").expect("nginx listens");
            stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
            stream.write_all(b"GET /count HTTP/1.0\r\n\r\n").expect("sent");
            let mut text = String::new();
            stream.read_to_string(&mut text).expect("an answer");
            text
        });
        // "server accepts handled requests", and the three numbers on the next line.
        let numbers = text.lines().skip_while(|l| !l.contains("accepts")).nth(1).unwrap_or_default();
        numbers.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("no figures in {text}"))
    }

    /// Connections that nginx accepted while `body` ran.
    pub fn accepted_during<R>(&self, body: impl FnOnce() -> R) -> (R, u64) {
        let before = self.accepted();
        let result = body();
        (result, self.accepted() - before - 1)
    }
}

fn every_connection_is_in_nginx_s_count(stage: &Stage, backend: &str, own: &str, target: &str) {
    const CONNECTIONS: u64 = 5_000;
    let nginx = Nginx::start(stage);
    let words = format!(
        "-a {own} -t {target}:80 --path /small --expect-body {} --backend {backend} --concurrency 64 -n {CONNECTIONS}",
        stage.dir.path("nginx/www/small").display()
    );
    let (report, accepted) = nginx.accepted_during(|| stage.load(&words));
    all_completed(&report, CONNECTIONS);
    assert_eq!(number(&report, "load/requests/responses_by_status/2xx"), CONNECTIONS);
    assert_eq!(accepted, CONNECTIONS);
    assert_eq!(report["environment"]["backend"], backend);
}

#[test]
fn nginx_counts_exactly_our_connections_over_ipv4() {
    let Some(stage) = Stage::up(1, &["nginx"]) else { return };
    every_connection_is_in_nginx_s_count(&stage, "xsk", "198.18.0.10/24", KERNEL_V4);
}

#[test]
fn nginx_counts_exactly_our_connections_over_ipv6() {
    let Some(stage) = Stage::up(1, &["nginx"]) else { return };
    every_connection_is_in_nginx_s_count(&stage, "xsk", "2001:2::10/64", KERNEL_V6);
}

#[test]
fn nginx_counts_exactly_our_connections_from_an_address_that_the_kernel_has_too() {
    let Some(stage) = Stage::up(1, &["nginx"]) else { return };
    every_connection_is_in_nginx_s_count(&stage, "xsk", "198.18.0.1/24", KERNEL_V4);
}

#[test]
fn nginx_counts_exactly_our_connections_through_the_afxdp_crate_over_ipv4() {
    let Some(stage) = Stage::up(1, &["nginx"]) else { return };
    if stage.has_afxdp() {
        every_connection_is_in_nginx_s_count(&stage, "afxdp", "198.18.0.10/24", KERNEL_V4);
    }
}

#[test]
fn nginx_counts_exactly_our_connections_through_the_afxdp_crate_over_ipv6() {
    let Some(stage) = Stage::up(1, &["nginx"]) else { return };
    if stage.has_afxdp() {
        every_connection_is_in_nginx_s_count(&stage, "afxdp", "2001:2::10/64", KERNEL_V6);
    }
}

#[test]
fn a_body_that_is_not_the_expected_one_is_told() {
    let Some(stage) = Stage::up(1, &["nginx"]) else { return };
    let _nginx = Nginx::start(&stage);
    let mut other = page(100_000);
    other[77_777] ^= 1;
    let file = stage.dir.write("other", other);
    let words = format!(
        "-a 198.18.0.10/24 -t {KERNEL_V4}:80 --path /large --expect-body {} --concurrency 2 -n 10 --max-errors 10",
        file.display()
    );
    assert_eq!(number(&stage.load(&words), "load/connections/failed_by_reason/mismatch"), 10);
}

/// 40 connections of 25 requests each for `page`, over both families.
fn many_requests_go_over_each_connection(page: &str, close: &str) {
    let Some(stage) = Stage::up(1, &["nginx"]) else { return };
    let nginx = Nginx::start(&stage);
    let words = format!(
        "-a 198.18.0.10/24 -a 2001:2::10/64 -t {KERNEL_V4}:80 -t {KERNEL_V6}:80 --path /{page} --expect-body {} \
         --concurrency 8 -n 40 --requests-per-connection 25 --close {close}",
        stage.dir.path(&format!("nginx/www/{page}")).display()
    );
    let (report, accepted) = nginx.accepted_during(|| stage.load(&words));
    all_completed(&report, 40);
    assert_eq!((number(&report, "load/requests/responses_by_status/2xx"), accepted), (1_000, 40));
}

#[test]
fn many_requests_go_over_each_connection_to_nginx() {
    many_requests_go_over_each_connection("large", "fin");
}

/// A small page: while nginx still waits for room to send the rest of a large one, it takes the client's FIN for a
/// hang-up and cuts the page short.
#[test]
fn connections_that_are_half_closed_after_the_last_request_get_their_response_from_nginx() {
    many_requests_go_over_each_connection("small", "half-close");
}
