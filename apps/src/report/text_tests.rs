use super::*;
use crate::load::latency::{Latencies, Measure};
use crate::load::tally::Tally;
use crate::report::environment::Environment;
use crate::report::json::Place;
use crate::report::model::{
    Connections, Cost, HoldSection, LatencySection, MemorySection, Outcome, Requests, by_status, drops, events,
};
use std::time::Duration;
use synfin_engine::base::{Counters, Event};
use synfin_engine::control::Snapshot;
use synfin_engine::io::sys::Usage;

fn load_section(latencies: &Latencies) -> LoadSection {
    let connections = Connections {
        started: 1000,
        established: 999,
        completed: 990,
        unfinished: 1,
        given_up: 0,
        failed: 9,
        failed_by_reason: Named(vec![("refused", 0), ("reset", 9)]),
        missed: 7,
        missed_by_reason: Named(vec![("late", 7)]),
        per_second: 499.5,
    };
    let requests = Requests {
        sent: 999,
        responses: 990,
        responses_by_status: by_status(&[0, 0, 985, 0, 5, 0]),
        failed: 5,
        cut_short: 0,
        per_second: 495.0,
    };
    LoadSection {
        model: "open",
        rate_per_second: Some(500),
        concurrency: None,
        app: "http",
        close: "fin",
        targets: vec!["198.18.0.2:80".into()],
        requests_per_connection: 1,
        seed: 1,
        launching_seconds: 2.0,
        warmup_seconds: 0.5,
        active_seconds: 2.0,
        stopped_early: false,
        connections,
        requests,
        hold: None,
        received_bytes: 250_000,
        sent_bytes: 100,
        received_bits_per_second: 1_000_000.0,
        sent_bits_per_second: 400.0,
        latency_ns: LatencySection::of(latencies),
        starved_seconds: 0.0,
        histograms: latencies.clone(),
        measured: Tally::default(),
    }
}

pub fn report() -> Report {
    let mut latencies = Latencies::default();
    (1..=1000u64).for_each(|n| latencies.record(Measure::Handshake, n * 1000));
    let mut counters = Counters::default();
    counters.add(Event::SegmentsOut, 5000);
    counters.add(Event::SegmentsIn, 4000);
    counters.add(Event::Retransmits, 50);
    counters.drop(DropReason::TcpChecksumBad);
    Report {
        command: "load",
        arguments: vec!["synfin".into(), "load".into()],
        started_unix_seconds: 1,
        seconds: 2.5,
        outcome: Outcome { exit_code: 1, summary: "9 of 1,000 connections failed".into() },
        load: Some(load_section(&latencies)),
        serve: None,
        search: None,
        packets: Packets::of(&counters, 1000, 2.5),
        drops: drops(&counters),
        events: events(&counters),
        steering: Some(steering()),
        workers: vec![WorkerSection::of(
            0,
            "xsk veth0#0 skb copy, rings rx 4096".into(),
            &Snapshot::default(),
            Cost {
                usage: Usage { user: Duration::from_millis(1500), system: Duration::from_millis(250) },
                waited: Duration::from_millis(125),
            },
        )],
        memory: MemorySection { resident_before_bytes: 10 << 20, resident_peak_bytes: 1034 << 20 },
        environment: Environment::new("veth0".into(), "veth".into(), 1500, "xsk", "skb".into()),
        notes: vec!["something to know".into()],
        series: Vec::new(),
    }
}

fn steering() -> SteeringSection {
    let mut total = Snapshot::default();
    total.io.rx_frames = 1000;
    total.counters.add(Event::HandoffOut, 53);
    total.counters.add(Event::HandoffCopies, 5);
    (0..2).for_each(|_| total.counters.drop(DropReason::HandoffFull));
    SteeringSection::of("hash", "the device has no RSS".into(), &total)
}

#[test]
fn the_text_says_what_happened_and_leaves_out_what_did_not() {
    let text = render(&report(), Paint::PLAIN);
    for want in [
        "connections   started 1,000 · established 999 · completed 990 · failed 9 · missed 7 · unfinished 1\n",
        "              500/s completed over 2.00 s (500 asked for), after 0.50 s of warm-up\n",
        "              failed 9 reset: the target reset the connection\n",
        "              missed 7 late: ",
        "requests      sent 999 · responses 990 (2xx 985, 4xx 5) · 495/s\n",
        "streams       received 244 KiB (1.00 Mbit/s) · sent 100 B (400 bit/s)\n",
        "  handshake        500 µs     900 µs     950 µs     990 µs     999 µs    1.00 ms    1.00 ms      1,000\n",
        "retransmitted 50 (1.00 %) · 9.00 segments per connection\n",
        "drops                 1  tcp_checksum_bad: TCP checksum wrong\n",
        "steering      by hash: the device has no RSS\n",
        "              50 of the frames (5.00 %) arrived on another worker's queue\n",
        "note          something to know\n",
        "failed: 9 of 1,000 connections failed\n",
    ] {
        assert!(text.contains(want), "{want:?} is not in:\n{text}");
    }
    for absent in ["refused", "first byte", "rings", "\x1b["] {
        assert!(!text.contains(absent), "{absent:?} is in:\n{text}");
    }
    assert!(text.lines().all(|l| l.trim_end() == l && l.chars().count() <= 120), "{text}");
}

#[test]
fn a_hold_is_told_in_its_three_parts_with_its_memory() {
    let mut report = report();
    let load = report.load.as_mut().unwrap();
    (load.model, load.rate_per_second) = ("hold", None);
    load.connections.given_up = 2;
    load.hold = Some(HoldSection {
        connections: 1000,
        held_peak: 990,
        broken: 3,
        at_a_time: 512,
        opening_seconds: 0.5,
        opened_per_second: 1980.0,
        holding_seconds: 2.0,
        requests_per_second: 500,
        requests_missed: 4,
        closing_seconds: 0.25,
        closed_per_second: 3960.0,
        resident_bytes: 1 << 30,
        bytes_per_connection: 180.4,
    });
    let text = render(&report, Paint::PLAIN);
    for want in [
        "hold          990 of 1,000 held at a time · broken 3\n",
        "              opened in 0.50 s (1,980/s) · held for 2.00 s · closed in 0.25 s (3,960/s)\n",
        "              1.00 GiB resident, 180 B per connection\n",
        "              given up 2: the engine did not take the request, which is no fault of the target's\n",
        "              4 missed of 500/s asked for\n",
    ] {
        assert!(text.contains(want), "{want:?} is not in:\n{text}");
    }
    assert!(!text.contains("completed over"), "{text}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["load"]["hold"]["held_peak"], 990);
}

#[test]
fn the_json_names_every_drop_and_every_measure() {
    let json: serde_json::Value = serde_json::to_value(report()).unwrap();
    assert_eq!(json["drops"].as_object().unwrap().len(), DropReason::COUNT);
    assert_eq!(json["load"]["connections"]["failed_by_reason"]["reset"], 9);
    assert_eq!(json["load"]["requests"]["responses_by_status"]["4xx"], 5);
    for measure in Measure::ALL {
        let latency = &json["load"]["latency_ns"][measure.name()];
        assert!(["p95", "p99_9", "p99_99"].iter().all(|p| latency[p].is_u64()), "{}", measure.name());
    }
    assert_eq!(json["load"]["latency_ns"]["handshake"]["count"], 1000);
    assert_eq!(json["outcome"]["exit_code"], 1);
    assert_eq!(json["workers"][0]["user_seconds"], 1.5);
    assert_eq!(json["workers"][0]["waited_seconds"], 0.125);
    assert!(json["packets"]["sent_bits_per_second"].is_f64() && json["memory"]["resident_peak_bytes"].is_u64());
}

#[test]
fn a_report_file_replaces_the_old_one_whole_and_leaves_nothing_beside_it() {
    let dir = std::env::temp_dir().join(format!("synfin-report-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("run.json");
    std::fs::write(&path, "old").unwrap();
    let place = Place::reserve(&path).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
    place.write(&report()).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
    assert!(Place::reserve(&dir).is_err() && Place::reserve(&dir.join("no/such/place.json")).is_err());
    std::fs::remove_dir_all(&dir).unwrap();
}
