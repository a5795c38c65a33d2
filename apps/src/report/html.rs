//! The report as one page for a browser, without anything that has to be fetched: charts of the run over time, and the
//! text below.

use super::chart::{Chart, Line};
use super::model::{LoadSection, Report, ratio};
use super::number::{grouped, time};
use super::paint::Paint;
use super::text;
use crate::live::buckets::Spread;
use crate::live::{Figures, Row};

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;max-width:1000px;margin:2em auto;padding:0 1em;color:#222}\
    h1{font-size:1.3em}.ok{color:#16702f}.failed{color:#b3261e}svg{display:block;max-width:100%;height:auto;margin:1em 0}\
    pre{font-size:12.5px;background:#f6f6f4;padding:1em;overflow-x:auto}code{overflow-wrap:anywhere}";

pub fn render(report: &Report) -> String {
    let title = format!("synfin {}", report.command);
    let outcome = &report.outcome;
    let class = if outcome.exit_code == 0 { "ok" } else { "failed" };
    let drawn: Vec<String> = charts(report).iter().filter_map(Chart::svg).collect();
    let charts = if drawn.is_empty() {
        "<p>The run was too short for charts: --interval sets the distance of their points.</p>".to_owned()
    } else {
        drawn.join("\n")
    };
    let text = escaped(&text::render(report, Paint::PLAIN));
    let line = escaped(&report.arguments.join(" "));
    let summary = escaped(&outcome.summary);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style></head>\n\
         <body><h1>{title}: <span class=\"{class}\">{summary}</span></h1>\n<p><code>{line}</code></p>\n{charts}\n\
         <pre>{text}</pre></body></html>\n"
    )
}

/// What the text could be taken for a tag or a character name by.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn charts(report: &Report) -> Vec<Chart> {
    let rows = whole(&report.series);
    let mut charts = vec![rates(report, rows)];
    charts.push(Chart {
        title: "connections open".into(),
        lines: vec![("open", over(rows, |r| r.figures.open as f64))],
        label: count,
        logarithmic: false,
    });
    charts.push(latencies("response latency, from when its connection was due", rows, |r| r.response_ns));
    charts.push(latencies("request latency", rows, |r| r.request_ns));
    charts.push(latencies("handshake latency", rows, |r| r.handshake_ns));
    charts
}

/// Without the last one if it is the rest of an interval: little happens there.
fn whole(rows: &[Row]) -> &[Row] {
    match rows {
        [rest @ .., last] if rest.first().is_some_and(|first| last.seconds < first.seconds / 2.0) => rest,
        _ => rows,
    }
}

fn rates(report: &Report, rows: &[Row]) -> Chart {
    let rate = |count: fn(&Figures) -> u64| over(rows, move |r| ratio(count(&r.figures) as f64, r.seconds));
    let is_load = report.load.is_some();
    let mut lines: Vec<Line> = vec![
        (if is_load { "established" } else { "accepted" }, rate(|f| f.established)),
        ("completed", rate(|f| f.completed)),
        ("responses", rate(|f| f.responses)),
    ];
    // Those that are nought all the time would only lie on the axis.
    let faults: [Line; 2] = [("failed", rate(|f| f.failed)), ("missed", rate(|f| f.missed + f.requests_missed))];
    lines.extend(faults.into_iter().filter(|(_, points)| points.iter().any(|p| p.1 > 0.0)));
    let asked = report.load.as_ref().and_then(asked);
    Chart { title: format!("per second{}", asked.unwrap_or_default()), lines, label: count, logarithmic: false }
}

fn asked(load: &LoadSection) -> Option<String> {
    let rate = load.rate_per_second.map(|n| format!(", {} connections asked for", grouped(n)));
    rate.or_else(|| load.concurrency.map(|n| format!(", {} connections at a time", grouped(n))))
}

fn latencies(title: &str, rows: &[Row], of: fn(&Row) -> Option<Spread>) -> Chart {
    let line = |at: fn(&Spread) -> u64| over(rows, move |r| of(r).map_or(f64::NAN, |s| at(&s) as f64));
    let lines = vec![
        ("p50", line(|s| s.p50)),
        ("p90", line(|s| s.p90)),
        ("p99", line(|s| s.p99)),
        ("p99.9", line(|s| s.p99_9)),
        ("p99.99", line(|s| s.p99_99)),
        ("max", line(|s| s.max)),
    ];
    Chart { title: format!("{title} (logarithmic)"), lines, label: |ns| time(ns as u64), logarithmic: true }
}

fn over(rows: &[Row], value: impl Fn(&Row) -> f64) -> Vec<(f64, f64)> {
    rows.iter().map(|r| (r.at_seconds, value(r))).collect()
}

fn count(n: f64) -> String {
    grouped(n.round() as u64)
}
