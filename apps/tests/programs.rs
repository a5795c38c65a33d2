//! `synfin serve` and `synfin load` against each other and against the kernel's TCP, over a veth pair. Without privileges
//! each test says why it is skipped.

mod common;

use common::{Running, load, number, temporary};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;
use synfin_tests::netns::{Lab, Side};

/// Everything that was begun was finished, on both sides alike.
fn all_went_well(load: &serde_json::Value, connections: u64) {
    for (path, want) in [("started", connections), ("established", connections), ("completed", connections)] {
        assert_eq!(number(load, &format!("load/connections/{path}")), want, "{path}");
    }
    for path in ["failed", "missed", "unfinished"] {
        assert_eq!(number(load, &format!("load/connections/{path}")), 0, "{path}");
    }
}

#[test]
fn load_and_serve_agree_on_every_connection_over_ipv4_and_ipv6_in_each_way_of_closing() {
    let Some(lab) = Lab::up(1) else { return };
    let server = Running::serve(&lab, "-a 198.18.0.20/24 -a 2001:2::20/64 --listen 80,81");
    let both =
        "-a 198.18.0.10-198.18.0.12/24 -a 2001:2::10/64 -t 198.18.0.20:80 -t [2001:2::20]:81 --concurrency 20 -n 300";
    for (more, requests) in
        [("", 300), ("--requests-per-connection 4", 1200), ("--close half-close", 300), ("--close rst", 300)]
    {
        let (code, report) = load(&lab, &format!("{both} {more}"));
        assert_eq!(code, 0, "{more}");
        all_went_well(&report, 300);
        assert_eq!(number(&report, "load/requests/responses_by_status/2xx"), requests);
        assert_eq!(number(&report, "load/latency_ns/request/count"), requests);
        assert_eq!(number(&report, "load/latency_ns/handshake/count"), 300);
    }
    let (code, report) = server.stop();
    assert_eq!(code, 0);
    assert_eq!(number(&report, "serve/accepted"), 1200);
    assert_eq!(number(&report, "serve/closed_by_reason/graceful"), 900);
    assert_eq!(number(&report, "serve/closed_by_reason/reset"), 300);
    assert_eq!(number(&report, "serve/requests"), 2100);
}

#[test]
fn a_connection_with_one_request_takes_seven_segments() {
    let Some(lab) = Lab::up(1) else { return };
    let _server = Running::serve(&lab, "-a 198.18.0.20/24 --listen 80");
    let (_, report) = load(&lab, "-a 198.18.0.10/24 -t 198.18.0.20:80 --concurrency 5 -n 200");
    all_went_well(&report, 200);
    let segments = number(&report, "packets/segments_received") + number(&report, "packets/segments_sent");
    assert_eq!(segments - number(&report, "packets/retransmitted"), 7 * 200);
}

#[test]
fn echoes_come_back_unharmed_through_loss_duplication_and_reordering() {
    let Some(lab) = Lab::up(1) else { return };
    let _server = Running::serve(&lab, "-a 198.18.0.20/24 --listen 7 --app echo");
    let (code, report) = load(
        &lab,
        "-a 198.18.0.10/24 -t 198.18.0.20:7 --app echo --message-bytes 20000 --requests-per-connection 3 \
         --concurrency 10 -n 50 --fault loss=1%,dup=1%,reorder=1% --seed 3",
    );
    assert_eq!(code, 0);
    all_went_well(&report, 50);
    assert_eq!(number(&report, "load/received_bytes"), 50 * 3 * 20_000);
    assert!(number(&report, "drops/fault_injected") > 0);
    assert!(number(&report, "packets/retransmitted") > 0);
}

#[test]
fn two_workers_share_the_work_and_hand_over_what_is_not_theirs() {
    let Some(lab) = Lab::up(2) else { return };
    let _server = Running::serve(&lab, "-a 198.18.0.20/24 --listen 80 --workers 2");
    let (code, report) = load(&lab, "-a 198.18.0.10/24 -t 198.18.0.20:80 --workers 2 --concurrency 20 -n 1001");
    assert_eq!(code, 0);
    all_went_well(&report, 1001);
    assert_eq!(report["workers"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_kernel_server_sees_exactly_our_connections() {
    let Some(lab) = Lab::up(1) else { return };
    let listener = lab.inside(Side::B, || TcpListener::bind("[::]:80")).expect("a free port");
    let server = thread::spawn(move || {
        let mut requests = 0;
        // One after the other is enough here: the last of them says so.
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).expect("a request") > 0 {
                head.push(byte[0]);
            }
            if head.starts_with(b"GET /last") {
                return requests;
            }
            requests += 1;
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end").expect("sent");
        }
        requests
    });
    // An address that only synfin has, and one that it shares with the kernel.
    for own in ["198.18.0.10/24", "198.18.0.1/24"] {
        let (code, report) = load(&lab, &format!("-a {own} -t 198.18.0.2:80 --concurrency 4 -n 100"));
        assert_eq!(code, 0, "{report:#}");
        all_went_well(&report, 100);
    }
    let (code, report) = load(&lab, "-a 2001:2::10/64 -t [2001:2::2]:80 --rate 500 -n 100 --max-lateness 1m");
    assert_eq!(code, 0);
    all_went_well(&report, 100);
    lab.inside(Side::A, || TcpStream::connect("198.18.0.2:80").and_then(|mut s| s.write_all(b"GET /last\r\n\r\n")))
        .expect("the kernel's own TCP");
    assert_eq!(server.join().expect("no panic"), 300);
}

#[test]
fn a_kernel_client_gets_its_pages_pipelined_in_pieces_and_half_closed() {
    let Some(lab) = Lab::up(1) else { return };
    let server = Running::serve(&lab, "-a 198.18.0.20/24 -a 2001:2::20/64 --listen 80 --body-bytes 5000");
    for address in ["198.18.0.20:80", "[2001:2::20]:80"] {
        let text = lab.inside(Side::A, || {
            let mut stream = TcpStream::connect(address).expect("a connection");
            stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
            let requests =
                b"GET / HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\n\r\nGET /bytes/300000 HTTP/1.1\r\n\r\n";
            for piece in requests.chunks(13) {
                stream.write_all(piece).expect("sent");
                stream.flush().expect("sent");
            }
            stream.shutdown(Shutdown::Write).expect("half closed");
            let mut text = String::new();
            stream.read_to_string(&mut text).expect("everything, then the FIN");
            text
        });
        assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 3);
        assert!(text.ends_with(&format!("{:015x}\n", 300_000 / 16 - 1)), "{address}");
    }
    let ping = lab.run(Side::A, "ping -c 2 -i 0.2 -W 5 198.18.0.20");
    assert!(ping.contains(" 0% packet loss"), "{ping}");
    let (code, report) = server.stop();
    assert_eq!((code, number(&report, "serve/requests")), (0, 6));
}

#[test]
fn failures_are_counted_by_reason_and_end_with_exit_code_1() {
    let Some(lab) = Lab::up(1) else { return };
    let _server = Running::serve(&lab, "-a 198.18.0.20/24 --listen 80,9 --keepalive off");
    let cases = [
        ("-t 198.18.0.20:81", "refused"),
        ("-t 198.18.0.2:9", "refused"),
        ("-t 198.18.0.20:80 --path /nowhere", "bad_status"),
        ("-t 198.18.0.20:80 --app echo", "mismatch"),
    ];
    for (what, reason) in cases {
        let (code, report) = load(&lab, &format!("-a 198.18.0.10/24 {what} --concurrency 2 -n 10"));
        assert_eq!(code, 1, "{what}");
        assert_eq!(number(&report, &format!("load/connections/failed_by_reason/{reason}")), 10, "{what}: {report:#}");
        let (code, _) = load(&lab, &format!("-a 198.18.0.10/24 {what} --concurrency 2 -n 10 --max-errors 10"));
        assert_eq!(code, 0, "{what}");
    }
}

#[test]
fn a_silent_server_times_out() {
    let Some(lab) = Lab::up(1) else { return };
    let _server = Running::serve(&lab, "-a 198.18.0.20/24 --listen 9 --app discard");
    let (code, report) = load(&lab, "-a 198.18.0.10/24 -t 198.18.0.20:9 --concurrency 3 -n 3 --timeout 300ms");
    assert_eq!((code, number(&report, "load/connections/failed_by_reason/response_timeout")), (1, 3));
}

#[test]
fn ctrl_c_ends_a_run_with_its_report_and_kill_9_leaves_nothing_behind() {
    let Some(lab) = Lab::up(1) else { return };
    let mut server = Running::serve(&lab, "-a 198.18.0.20/24 --listen 80");
    // A busy machine may launch late, which is not the matter here.
    let client = "load -i veth-a --sleep -a 198.18.0.30-198.18.0.99/24 -t 198.18.0.20:80 --rate 200 --duration 10m \
                  --max-missed 100%";
    let client = Running::start(&lab, Side::A, client);
    thread::sleep(Duration::from_secs(2));
    let (code, report) = client.stop();
    assert_eq!(code, 0);
    let started = number(&report, "load/connections/started");
    assert!(started > 0);
    assert_eq!(number(&report, "load/connections/completed"), started);
    server.signal("KILL");
    assert_eq!(server.wait(), None);
    let link = lab.run(Side::B, "ip -d link show dev veth-b");
    assert!(!link.contains("xdp"), "{link}");
    let (code, _) = Running::serve(&lab, "-a 198.18.0.20/24 --listen 80").stop();
    assert_eq!(code, 0);
}

#[test]
fn a_request_arrives_as_it_was_asked_for() {
    let Some(lab) = Lab::up(1) else { return };
    let body = temporary("body");
    std::fs::write(&body, "a=1&b=2").expect("a file");
    let listener = lab.inside(Side::B, || TcpListener::bind("198.18.0.2:80")).expect("a free port");
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"b=2") && stream.read(&mut byte).expect("a request") > 0 {
            request.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").expect("sent");
        String::from_utf8(request).expect("ASCII")
    });
    let line = format!(
        "-a 198.18.0.10/24 -t 198.18.0.2:80 --concurrency 1 -n 1 --path /api --method PUT -H Host:api.example -H X-A:1 \
         -H X-A:2 --body-file {}",
        body.display()
    );
    let (code, report) = load(&lab, &line);
    assert_eq!((code, number(&report, "load/requests/responses_by_status/2xx")), (0, 1));
    assert_eq!(
        server.join().expect("no panic"),
        "PUT /api HTTP/1.1\r\nUser-Agent: synfin\r\nAccept: */*\r\nContent-Length: 7\r\nHost: api.example\r\nX-A: 1\r\nX-A: 2\r\n\
         \r\na=1&b=2"
    );
    std::fs::remove_file(body).expect("the file");
}

#[test]
fn connections_that_keep_requesting_end_with_the_time_and_what_warms_up_is_left_out() {
    let Some(lab) = Lab::up(1) else { return };
    let _server = Running::serve(&lab, "-a 198.18.0.20/24 --listen 80");
    let hdr = temporary("run.hlog");
    let line = "-a 198.18.0.10/24 -t 198.18.0.20:80 --concurrency 5 --requests-per-connection 1M --duration 1500ms";
    let (code, report) = load(&lab, &format!("{line} --warmup 500ms --hdr {}", hdr.display()));
    assert_eq!(code, 0, "{:#}", report["outcome"]);
    all_went_well(&report, 5);
    let (sent, measured) = (number(&report, "load/requests/sent"), number(&report, "load/latency_ns/request/count"));
    assert_eq!(number(&report, "load/requests/responses"), sent);
    assert!(measured > 0 && measured < sent, "{measured} of {sent}");
    let seconds = report["load"]["active_seconds"].as_f64().expect("a number");
    let rate = report["load"]["requests"]["per_second"].as_f64().expect("a number");
    // The last response of each of the five connections comes after the time is up.
    assert!((rate * seconds - measured as f64).abs() < 6.0, "{rate} for {seconds} s, and {measured} were measured");
    let log = std::fs::read_to_string(&hdr).expect("a log");
    assert!(log.contains("\nTag=request,0.500,"), "{log}");
    std::fs::remove_file(hdr).expect("the log");
}

#[test]
fn a_run_that_is_ended_before_anything_was_completed_has_failed() {
    let Some(lab) = Lab::up(1) else { return };
    let _server = Running::serve(&lab, "-a 198.18.0.20/24 --listen 9 --app discard");
    let line = "load -i veth-a --sleep -a 198.18.0.30/24 -t 198.18.0.20:9 --rate 50 --duration 10m --drain 100ms";
    let client = Running::start(&lab, Side::A, line);
    thread::sleep(Duration::from_secs(2));
    let (code, report) = client.stop();
    let said = report["outcome"]["summary"].as_str().expect("a sentence");
    assert!(code == 1 && said.starts_with("stopped before any of "), "{code}: {said}");
}

#[test]
fn a_hang_up_is_no_reason_to_end_for_a_run_that_was_told_to_ignore_it() {
    let Some(lab) = Lab::up(1) else { return };
    let line = "serve -i veth-b --sleep -a 198.18.0.20/24 --listen 80";
    let mut server = Running::start_with(&lab, Side::B, &["nohup"], line);
    thread::sleep(Duration::from_secs(1));
    server.signal("HUP");
    let (code, report) = load(&lab, "-a 198.18.0.10/24 -t 198.18.0.20:80 --concurrency 1 -n 10");
    assert_eq!(code, 0, "it still serves");
    all_went_well(&report, 10);
    server.signal("INT");
    assert_eq!(server.wait(), Some(0));
    assert_eq!(number(&server.report(), "serve/accepted"), 10);
}

#[test]
fn a_recording_holds_every_frame_and_a_trace_every_segment() {
    let Some(lab) = Lab::up(1) else { return };
    let _server = Running::serve(&lab, "-a 198.18.0.20/24 --listen 80");
    let pcap = temporary("run.pcap");
    let line = format!("-a 198.18.0.10/24 -t 198.18.0.20:80 --concurrency 1 -n 3 --trace --pcap {}", pcap.display());
    let out = common::synfin(&lab, Side::A, &format!("load -i veth-a --sleep {line}"));
    assert_eq!(out.status.code(), Some(0));
    let trace = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(trace.lines().filter(|l| l.contains(": Flags [")).count(), 3 * 7, "{trace}");
    for want in ["Flags [S], seq ", "SYN-SENT -> ESTABLISHED", "-> FIN-WAIT-1", "TIME-WAIT"] {
        assert!(trace.contains(want), "{want} is not in {trace}");
    }
    let frames = synfin_engine::io::tap::read(&pcap).expect("a recording");
    // The question for the target's link address and its answer come first.
    assert_eq!(frames.len(), 3 * 7 + 2);
    std::fs::remove_file(pcap).expect("the recording");
}

#[cfg(feature = "afxdp")]
#[test]
fn the_afxdp_backend_carries_the_same_traffic_on_either_side() {
    let Some(lab) = Lab::up(1) else { return };
    for (serving, loading) in [("afxdp", "xsk"), ("xsk", "afxdp")] {
        let server =
            Running::serve(&lab, &format!("-a 198.18.0.20/24 -a 2001:2::20/64 --listen 80 --backend {serving}"));
        let (code, report) = load(
            &lab,
            &format!(
                "-a 198.18.0.10/24 -a 2001:2::10/64 -t 198.18.0.20:80 -t [2001:2::20]:80 --concurrency 10 -n 200 \
                 --backend {loading}"
            ),
        );
        assert_eq!((code, report["environment"]["backend"].as_str()), (0, Some(loading)));
        all_went_well(&report, 200);
        let (code, report) = server.stop();
        assert_eq!((code, number(&report, "serve/accepted")), (0, 200));
    }
}
