use super::html::render;
use super::text::tests::report;
use crate::live::buckets::Spread;
use crate::live::{Figures, Row};

pub fn row(at_seconds: f64, n: u64) -> Row {
    let spread =
        Spread { count: n, p50: 1000, p90: 2000, p95: 2500, p99: 3000, p99_9: 4000, p99_99: 5000, max: 1_000_000 };
    Row {
        at_seconds,
        seconds: 1.0,
        figures: Figures {
            started: n,
            established: n,
            completed: n,
            requests: n,
            responses: n,
            open: 3,
            ..Figures::default()
        },
        handshake_ns: Some(spread),
        request_ns: None,
        response_ns: Some(spread),
    }
}

#[test]
fn the_page_has_the_verdict_the_charts_and_the_text_and_fetches_nothing() {
    let mut report = report();
    report.arguments = vec!["synfin".into(), "load".into(), "--path".into(), "/<b>&".into()];
    report.series = vec![row(1.0, 100), row(2.0, 120), row(3.0, 90)];
    let page = render(&report);
    for want in [
        "<!doctype html>",
        "<span class=\"failed\">9 of 1,000 connections failed</span>",
        "/&lt;b&gt;&amp;",
        "per second, 500 connections asked for",
        "handshake latency (logarithmic)",
        "response latency, from when its connection was due (logarithmic)",
        "p99.9",
        "connections   started 1,000",
    ] {
        assert!(page.contains(want), "{want:?} is not in:\n{page}");
    }
    assert_eq!(page.matches("<svg").count(), 4, "no chart of requests, whose latency was not measured");
    let addresses = page.matches("http").count() - page.matches("http://www.w3.org/2000/svg").count();
    assert_eq!(addresses, 0, "a page that is sent by mail or kept for years must not need the network");
}

#[test]
fn a_run_without_rows_says_why_there_is_no_chart() {
    assert!(render(&report()).contains("too short for charts"));
}
