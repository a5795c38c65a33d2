//! REPORT.md describes every name that the JSON file has.

use super::html_tests::row;
use super::model::{HoldSection, MemorySection, Named, SearchStep, ServeSection};
use super::text::tests::report;
use serde_json::Value;

const TEXT: &str = include_str!("../../REPORT.md");
/// Objects whose names are the engine's, or are described with their parent.
const OPEN: [&str; 11] = [
    "drops",
    "events",
    "workers.io",
    "load.connections.failed_by_reason",
    "load.connections.missed_by_reason",
    "load.requests.responses_by_status",
    "serve.closed_by_reason",
    "serve.responses_by_status",
    "series.handshake_ns",
    "series.request_ns",
    "series.response_ns",
];

/// The part of the text below the heading of an object.
fn part(heading: &str) -> Option<&'static str> {
    let (_, rest) = TEXT.split_once(&format!("\n### {heading}\n"))?;
    rest.split("\n#").next()
}

fn check(path: &str, value: &Value) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| check(path, item)),
        Value::Object(fields) if !OPEN.contains(&path) && !path.starts_with("load.latency_ns.") => {
            let text = part(if path.is_empty() { "(top)" } else { path }).unwrap_or_else(|| panic!("no part {path:?}"));
            for (name, value) in fields {
                assert!(text.contains(&format!("`{name}`")), "{name:?} is not described in {path:?}");
                check(&if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, value);
            }
        }
        _ => {}
    }
}

#[test]
fn every_name_in_the_file_is_described() {
    let mut report = report();
    report.series = vec![row(1.0, 5)];
    let load = report.load.as_mut().expect("a run of load");
    load.concurrency = Some(1);
    load.hold = Some(HoldSection {
        connections: 1,
        held_peak: 1,
        broken: 0,
        at_a_time: 1,
        opening_seconds: 1.0,
        opened_per_second: 1.0,
        holding_seconds: 1.0,
        requests_per_second: 1,
        requests_missed: 0,
        closing_seconds: 1.0,
        closed_per_second: 1.0,
        resident_bytes: 1,
        bytes_per_connection: 1.0,
    });
    report.memory = MemorySection::default();
    report.search = Some(vec![SearchStep { rate_per_second: 1, ok: true, summary: String::new(), notes: Vec::new() }]);
    report.serve = Some(ServeSection {
        app: "http",
        ports: vec![80],
        active_seconds: 1.0,
        accepted: 1,
        accepted_per_second: 1.0,
        closed: 1,
        open_peak: 1,
        closed_by_reason: Named::default(),
        requests: 1,
        requests_per_second: 1.0,
        responses_by_status: Named::default(),
        received_bytes: 1,
        sent_bytes: 1,
    });
    check("", &serde_json::to_value(&report).expect("data"));
}
