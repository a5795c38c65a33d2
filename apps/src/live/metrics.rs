//! The figures of a run as Prometheus reads them: OpenMetrics text, of the moment at which it is asked for.

use super::board::{Board, Figures};
use super::buckets::{Buckets, Totals};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::sync::Arc;

/// What the text is, as HTTP says it.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper ends of the histograms' buckets in nanoseconds: 1, 2 and 5 of each power of ten, from a microsecond to fifty
/// seconds.
const BOUNDS_NS: [u64; 24] = {
    let mut bounds = [0; 24];
    let (mut i, mut decade) = (0, 1000);
    while i < bounds.len() {
        bounds[i] = [1, 2, 5][i % 3] * decade;
        decade *= if i % 3 == 2 { 10 } else { 1 };
        i += 1;
    }
    bounds
};

/// The latencies of one kind on a board.
type Measure = fn(&Board) -> &Buckets;

/// Reads the boards each time that it is asked.
pub struct Exposition(Registry);

impl Exposition {
    pub fn new(boards: Vec<Arc<Board>>) -> Exposition {
        let mut registry = Registry::with_prefix("synfin");
        registry.register_collector(Box::new(Figured(boards)));
        Exposition(registry)
    }

    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing into memory does not fail.
        let _ = text::encode(&mut out, &self.0);
        out
    }
}

#[derive(Debug)]
struct Figured(Vec<Arc<Board>>);

impl Collector for Figured {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Figures { started, established, completed, failed, missed, requests, requests_missed, responses, open } =
            self.0.iter().fold(Figures::default(), |sum, b| sum.plus(&b.read()));
        let counters = [
            ("connections_started", "Connections begun (load) or accepted (serve)", started),
            ("connections_established", "Connections established", established),
            ("connections_completed", "Connections that ended as they should", completed),
            ("connections_failed", "Connections that did not", failed),
            ("launches_missed", "Connections that were due and not begun", missed),
            ("requests", "Requests sent (load) or received (serve)", requests),
            ("requests_missed", "Requests that were due and not sent", requests_missed),
            ("responses", "Responses received (load) or sent (serve)", responses),
        ];
        for (name, help, value) in counters {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value).encode(metric)?;
        }
        let metric = encoder.encode_descriptor("connections_open", "Connections, now", None, MetricType::Gauge)?;
        ConstGauge::new(open as i64).encode(metric)?;
        let latencies: [(_, _, Measure); 3] = [
            ("handshake", "From when a connection was due until it was established", |b| &b.handshakes),
            ("request", "From sending a request to the last byte of its response", |b| &b.requests),
            ("response", "From when a connection was due to the last byte of its first response", |b| &b.responses),
        ];
        for (name, help, of) in latencies {
            self.encode_latency(&mut encoder, name, help, of)?;
        }
        Ok(())
    }
}

impl Figured {
    fn encode_latency(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, of: Measure) -> fmt::Result {
        let totals = Totals::read(self.0.iter().map(|b| of(b)));
        let (counts, sum_ns) = totals.within(&BOUNDS_NS);
        let ends = BOUNDS_NS.iter().map(|ns| *ns as f64 / 1e9).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = ends.zip(counts).collect();
        let count = buckets.iter().map(|(_, n)| n).sum();
        let mut metric = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(sum_ns as f64 / 1e9, count, &buckets, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_the_figures_and_latencies_of_all_workers_at_that_moment() {
        let boards: Vec<Arc<Board>> = (0..2).map(|_| Arc::default()).collect();
        let exposition = Exposition::new(boards.clone());
        assert!(exposition.text().contains("\nsynfin_connections_started_total 0\n"));
        for board in &boards {
            board.publish(&Figures { started: 10, failed: 1, responses: 8, open: 3, ..Figures::default() });
            board.handshakes.record(3_000);
            board.handshakes.record(40_000_000);
        }
        let text = exposition.text();
        for line in [
            "# TYPE synfin_connections_started counter",
            "synfin_connections_started_total 20",
            "synfin_connections_failed_total 2",
            "synfin_responses_total 16",
            "# TYPE synfin_connections_open gauge",
            "synfin_connections_open 6",
            "# TYPE synfin_handshake_seconds histogram",
            "# UNIT synfin_handshake_seconds seconds",
            "synfin_handshake_seconds_count 4",
            "synfin_handshake_seconds_bucket{le=\"0.000002\"} 0",
            "synfin_handshake_seconds_bucket{le=\"0.000005\"} 2",
            "synfin_handshake_seconds_bucket{le=\"0.05\"} 4",
            "synfin_handshake_seconds_bucket{le=\"+Inf\"} 4",
            "synfin_response_seconds_count 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn each_metric_is_described() {
        let described = include_str!("../../REPORT.md");
        let text = Exposition::new(Vec::new()).text();
        let types = text.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split_once(' '));
        let names: Vec<String> = types
            .map(|(name, kind)| if kind == "counter" { format!("`{name}_total`") } else { format!("`{name}`") })
            .collect();
        assert_eq!(names.len(), 12);
        assert_eq!(names.iter().find(|n| !described.contains(*n)), None);
    }

    #[test]
    fn bounds_rise_from_a_microsecond_to_fifty_seconds() {
        assert!(BOUNDS_NS.is_sorted());
        assert_eq!((BOUNDS_NS[0], BOUNDS_NS[3], BOUNDS_NS[23]), (1_000, 10_000, 50_000_000_000));
    }
}
