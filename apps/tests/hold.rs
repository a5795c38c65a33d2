//! `synfin load --hold` against `synfin serve` and against the kernel's TCP, over a veth pair. Without privileges each
//! test says why it is skipped.

mod common;

use common::{Running, load, number};
use serde_json::Value;
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};
use synfin_tests::netns::{Lab, Side};

const SERVER: &str = "-a 198.18.0.20/24 -a 2001:2::20/64 --listen 80,81";

fn connections(report: &Value) -> [u64; 6] {
    ["started", "established", "completed", "failed", "unfinished", "missed"]
        .map(|name| number(report, &format!("load/connections/{name}")))
}

/// At the server's interface.
fn frames_arrived(lab: &Lab) -> u64 {
    let counter = lab.run(Side::B, "cat /sys/class/net/veth-b/statistics/rx_packets");
    counter.trim().parse().expect("a number")
}

#[test]
fn thirty_thousand_connections_are_opened_held_asked_and_closed_without_a_failure() {
    let Some(lab) = Lab::up(1) else { return };
    let server = Running::serve(&lab, SERVER);
    // Every pair of address and port towards one of the targets is needed; the last are found as fast as the first.
    let (code, report) = load(
        &lab,
        "-a 198.18.0.100-198.18.0.109/24 -a 2001:2::100-2001:2::109/64 -t 198.18.0.20:80 -t [2001:2::20]:81 \
         --source-ports 20001-21500 --hold 30k --hold-time 2s --hold-requests 500",
    );
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(connections(&report), [30_000, 30_000, 30_000, 0, 0, 0]);
    assert_eq!((number(&report, "load/hold/held_peak"), number(&report, "load/hold/broken")), (30_000, 0));
    let requests = number(&report, "load/requests/sent");
    assert_eq!(requests + number(&report, "load/hold/requests_missed"), 1000);
    assert_eq!(number(&report, "load/requests/responses_by_status/2xx"), requests);
    assert_eq!(number(&report, "load/latency_ns/close/count"), 30_000);
    assert!(number(&report, "load/hold/resident_bytes") > number(&report, "memory/resident_before_bytes"));
    let (_, report) = server.stop();
    assert_eq!(
        (number(&report, "serve/open_peak"), number(&report, "serve/closed_by_reason/graceful")),
        (30_000, 30_000)
    );
    assert_eq!(number(&report, "serve/requests"), requests);
}

#[test]
fn two_workers_hold_together_and_close_in_each_way() {
    let Some(lab) = Lab::up(2) else { return };
    let server = Running::serve(&lab, &format!("{SERVER} --workers 2"));
    for close in ["fin", "half-close", "rst"] {
        let line =
            "-a 198.18.0.100-198.18.0.103/24 -t 198.18.0.20:80 --workers 2 --hold 3001 --hold-time 500ms --rate 20k";
        let (code, report) = load(&lab, &format!("{line} --close {close}"));
        assert_eq!(code, 0, "{close}: {report:#}");
        assert_eq!(connections(&report), [3001, 3001, 3001, 0, 0, 0], "{close}");
        assert_eq!(number(&report, "load/hold/held_peak"), 3001, "{close}");
    }
    let (_, report) = server.stop();
    assert_eq!(number(&report, "serve/accepted"), 3 * 3001);
}

#[test]
fn ctrl_c_while_holding_closes_everything_and_reports_it() {
    let Some(lab) = Lab::up(1) else { return };
    let server = Running::serve(&lab, SERVER);
    let line = "load -i veth-a --sleep -a 198.18.0.100/24 -t 198.18.0.20:80 --hold 2000 --hold-time 10m";
    let client = Running::start(&lab, Side::A, line);
    // Both handshakes' segments of each, and some requests: it holds.
    let begun = Instant::now();
    while frames_arrived(&lab) < 2 * 2000 + 100 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the connections are not opened");
        thread::sleep(Duration::from_millis(50));
    }
    let (code, report) = client.stop();
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(connections(&report), [2000, 2000, 2000, 0, 0, 0]);
    assert!(report["outcome"]["summary"].as_str().is_some_and(|s| s.starts_with("stopped early; 2,000 of 2,000")));
    assert_eq!(server.stop().0, 0);
}

#[test]
fn a_target_that_refuses_is_told_from_one_that_breaks_what_it_took() {
    let Some(lab) = Lab::up(1) else { return };
    let server = Running::serve(&lab, SERVER);
    let (code, report) = load(&lab, "-a 198.18.0.100/24 -t 198.18.0.20:82 --hold 600 --at-a-time 50");
    let said = report["outcome"]["summary"].as_str().expect("a sentence");
    assert_eq!((code, said), (1, "0 of 600 connections were held at a time, 600 could not be established"));
    let started = number(&report, "load/connections/started");
    assert!(started < 600, "after the first failure there was no point in going on");
    let refused = number(&report, "load/connections/failed_by_reason/refused");
    assert!(refused > 0 && refused + number(&report, "load/connections/unfinished") == started, "{report:#}");
    assert_eq!(server.stop().0, 0);

    // This one accepts, keeps them for a moment and hangs up.
    let listener = lab.inside(Side::B, || TcpListener::bind("198.18.0.2:82")).expect("a free port");
    let server = thread::spawn(move || {
        let kept: Vec<TcpStream> = listener.incoming().take(20).filter_map(Result::ok).collect();
        thread::sleep(Duration::from_millis(500));
        drop(kept);
    });
    let line = "-a 198.18.0.100/24 -t 198.18.0.2:82 --hold 20 --hold-time 2s --hold-requests 0";
    let (code, report) = load(&lab, line);
    assert_eq!((code, number(&report, "load/hold/held_peak"), number(&report, "load/hold/broken")), (1, 20, 20));
    assert_eq!(number(&report, "load/connections/failed_by_reason/closed_early"), 20);
    server.join().expect("no panic");
}
