//! Real loss: one segment in a hundred, or one in ten, never gets into or out of the peer's kernel, and every byte arrives
//! all the same. `SYNFIN_LOSS_REQUESTS` sets how many requests are made each way at each rate.

use crate::clients::fetch_many;
use crate::nginx::Nginx;
use crate::{KERNEL_V4, KERNEL_V6, SERVE_V4, SERVE_V6, Stage, all_completed, number, stop};
use serde_json::Value;
use std::env;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use synfin_tests::netns::Side;
use synfin_tests::programs::{PATIENCE, run};
use synfin_tests::skip::skip;

/// Few enough for every run of the tests.
const REQUESTS: u64 = 100;
const BODY_BYTES: usize = 100_000;
/// Pages fetched by one curl.
const BATCH: u64 = 2_000;
/// For clients: a transfer may take long when its last segments are lost again and again.
const PATIENT: &str = "--timeout 300s --drain 600s --time-wait 5s";

fn requests() -> u64 {
    let asked = env::var("SYNFIN_LOSS_REQUESTS").ok();
    asked.map_or(REQUESTS, |n| n.parse().expect("SYNFIN_LOSS_REQUESTS is a number"))
}

/// A tenth of a second for each request, beside the usual.
fn limit() -> Duration {
    4 * PATIENCE + Duration::from_millis(100 * requests())
}

/// Loses this share of TCP segments on their way into and out of the side's kernel; `false`, with the reason printed, if
/// this kernel cannot.
///
/// Out of it, they go astray (to `lo`, which takes nothing with another's link address) rather than being dropped: of
/// a drop in its own host the kernel's TCP is told, and then acts unlike after a loss: it forgets a half-open
/// connection whose repeated SYN-ACK failed, and answers what follows with RST.
fn lose_segments(stage: &Stage, side: Side, percent: u64) -> bool {
    let dev = side.interface();
    // Segments leave the kernel's TCP one by one, and are lost one by one, not by the dozen.
    stage.lab.run(side, &format!("ip link set dev {dev} gso_max_segs 1"));
    let rules = format!(
        "table inet loss {{
            chain input {{
                type filter hook input priority 0
                meta l4proto tcp numgen random mod 100 < {percent} counter drop
            }}
        }}
        table netdev loss {{
            chain output {{
                type filter hook egress device {dev} priority 0
                meta l4proto tcp numgen random mod 100 < {percent} counter fwd to lo
            }}
        }}"
    );
    let file = stage.dir.write("loss.nft", rules);
    let made = run(&mut stage.lab.command(side, &format!("nft -f {}", file.display())), PATIENCE);
    assert!(!made.stderr.contains("syntax error"), "{}", made.stderr);
    if !made.status.success() {
        skip(format_args!("nft cannot lose segments here: {}", made.stderr.trim()));
    }
    made.status.success()
}

/// Segments lost coming in and going out.
fn lost(stage: &Stage, side: Side) -> [u64; 2] {
    let text = stage.lab.run(side, "nft list ruleset");
    let mut counters = text.split("counter packets ").skip(1).map(|rest| {
        rest.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("no counter in {text}"))
    });
    [(); 2].map(|()| counters.next().expect("two counters"))
}

/// The loss was real, and in both directions.
#[track_caller]
fn segments_were_lost(stage: &Stage, side: Side, what: &str) {
    let lost = lost(stage, side);
    println!("{what}: {} segments lost on their way in, {} out", lost[0], lost[1]);
    assert!(lost[0] > 0 && lost[1] > 0, "{what}");
}

fn told(report: &Value, what: &str) {
    let n = |path| number(report, path);
    println!(
        "{what}: {} connections, {} segments sent, {} received, {} retransmitted, {:.1} s",
        n("load/connections/completed"),
        n("packets/segments_sent"),
        n("packets/segments_received"),
        n("packets/retransmitted"),
        report["seconds"].as_f64().unwrap_or_default()
    );
}

fn nginx_s_pages_arrive_unharmed(percent: u64) {
    let Some(stage) = Stage::up(1, &["nginx", "nft"]) else { return };
    let nginx = Nginx::start(&stage);
    if !lose_segments(&stage, Side::B, percent) {
        return;
    }
    let connections = requests() / 4;
    let words = format!(
        "-a 198.18.0.10/24 -a 2001:2::10/64 -t {KERNEL_V4}:80 -t {KERNEL_V6}:80 --path /large --expect-body {} \
         --requests-per-connection 4 --concurrency 64 -n {connections} {PATIENT}",
        stage.dir.path("nginx/www/large").display()
    );
    let (report, accepted) = nginx.accepted_during(|| stage.load_within(limit(), &words));
    told(&report, &format!("from nginx, {percent} % lost"));
    all_completed(&report, connections);
    assert_eq!(number(&report, "load/requests/responses_by_status/2xx"), 4 * connections);
    assert_eq!(accepted, connections);
    segments_were_lost(&stage, Side::B, "nginx's kernel");
}

fn curl_s_pages_arrive_unharmed(percent: u64) {
    let Some(stage) = Stage::up(1, &["curl", "nft"]) else { return };
    let server = stage.serve_own("");
    if !lose_segments(&stage, Side::A, percent) {
        return;
    }
    for (batch, start) in (0..requests()).step_by(BATCH as usize).enumerate() {
        let host = if batch % 2 == 0 { SERVE_V4 } else { SERVE_V6 };
        let count = BATCH.min(requests() - start);
        // Half of the pages over connections of their own.
        for (count, close) in [(count / 2, ""), (count - count / 2, "-H Connection:close")] {
            let options = format!("--parallel --parallel-max 200 --max-time 600 {close}");
            fetch_many(&stage, host, BODY_BYTES, count, &options);
        }
    }
    let report = stop(server);
    let (sent, again) = (number(&report, "packets/segments_sent"), number(&report, "packets/retransmitted"));
    println!("to curl, {percent} % lost: {sent} segments sent, {again} retransmitted");
    assert_eq!(number(&report, "serve/responses_by_status/2xx"), requests());
    assert!(again > 0);
    segments_were_lost(&stage, Side::A, "curl's kernel");
}

/// Sends back what comes until the peer closes.
fn echo(mut stream: TcpStream) {
    let mut bytes = [0; 65_536];
    while let Ok(n @ 1..) = stream.read(&mut bytes) {
        if stream.write_all(&bytes[..n]).is_err() {
            return;
        }
    }
}

/// An echo server on the side's kernel for as long as `body` runs.
pub fn with_kernel_echo<R>(stage: &Stage, side: Side, port: u16, body: impl FnOnce() -> R) -> R {
    /// Lets the server see that it is over, also when `body` panics.
    struct Over(Arc<AtomicBool>);
    impl Drop for Over {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let listener = stage.lab.inside(side, || TcpListener::bind(("::", port))).expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    let over = Over(Arc::default());
    let is_over = over.0.clone();
    thread::spawn(move || {
        while !is_over.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).expect("a socket");
                    stream.set_read_timeout(Some(4 * PATIENCE)).expect("a limit");
                    thread::spawn(move || echo(stream));
                }
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        }
    });
    body()
}

fn echoes_arrive_unharmed(percent: u64) {
    let Some(stage) = Stage::up(1, &["nft"]) else { return };
    if !lose_segments(&stage, Side::B, percent) {
        return;
    }
    let connections = requests() / 2;
    let words = format!(
        "-a 198.18.0.10/24 -a 2001:2::10/64 -t {KERNEL_V4}:7 -t {KERNEL_V6}:7 --app echo --message-bytes {BODY_BYTES} \
         --requests-per-connection 2 --concurrency 64 -n {connections} {PATIENT}"
    );
    let report = with_kernel_echo(&stage, Side::B, 7, || stage.load_within(limit(), &words));
    told(&report, &format!("echoed, {percent} % lost"));
    all_completed(&report, connections);
    assert_eq!(number(&report, "load/received_bytes"), connections * 2 * BODY_BYTES as u64);
    assert!(number(&report, "packets/retransmitted") > 0);
    segments_were_lost(&stage, Side::B, "the echoing kernel");
}

/// One stream each way at once, of `SYNFIN_LOSS_MB` megabytes.
#[test]
fn a_large_stream_to_and_from_a_kernel_arrives_unharmed_when_one_segment_in_a_hundred_is_lost() {
    let Some(stage) = Stage::up(1, &["nft"]) else { return };
    if !lose_segments(&stage, Side::B, 1) {
        return;
    }
    let megabytes: u64 = env::var("SYNFIN_LOSS_MB").map_or(20, |n| n.parse().expect("SYNFIN_LOSS_MB is a number"));
    let bytes = megabytes * 1_000_000;
    let words =
        format!("-a 198.18.0.10/24 -t {KERNEL_V4}:7 --app echo --message-bytes {bytes} --concurrency 1 -n 1 {PATIENT}");
    let limit = 4 * PATIENCE + Duration::from_secs(megabytes);
    let report = with_kernel_echo(&stage, Side::B, 7, || stage.load_within(limit, &words));
    told(&report, &format!("{megabytes} MB each way, 1 % lost"));
    all_completed(&report, 1);
    assert_eq!(number(&report, "load/received_bytes"), bytes);
    segments_were_lost(&stage, Side::B, "the echoing kernel");
}

#[test]
fn pages_from_nginx_arrive_unharmed_when_one_segment_in_a_hundred_is_lost() {
    nginx_s_pages_arrive_unharmed(1);
}

#[test]
fn pages_from_nginx_arrive_unharmed_when_one_segment_in_ten_is_lost() {
    nginx_s_pages_arrive_unharmed(10);
}

#[test]
fn pages_for_curl_arrive_unharmed_when_one_segment_in_a_hundred_is_lost() {
    curl_s_pages_arrive_unharmed(1);
}

#[test]
fn pages_for_curl_arrive_unharmed_when_one_segment_in_ten_is_lost() {
    curl_s_pages_arrive_unharmed(10);
}

#[test]
fn echoes_from_a_kernel_arrive_unharmed_when_one_segment_in_a_hundred_is_lost() {
    echoes_arrive_unharmed(1);
}

#[test]
fn echoes_from_a_kernel_arrive_unharmed_when_one_segment_in_ten_is_lost() {
    echoes_arrive_unharmed(10);
}
