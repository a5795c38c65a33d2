//! The report as data. Names and units here are those of the JSON file: times end in `_ns` or `_seconds`, sizes in
//! `_bytes`, everything else is a plain number.

use super::environment::Environment;
use crate::live::Row;
use crate::load::latency::{Latencies, Measure};
use crate::load::tally::Tally;
use hdrhistogram::Histogram;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::time::Duration;
use synfin_engine::base::{Counters, DropReason, Event};
use synfin_engine::control::{Snapshot, Stage};
use synfin_engine::io::IoStats;
use synfin_engine::io::sys::usage::{Usage, waited_by_this_thread};

/// Numbers with names, in an order of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named(pub Vec<(&'static str, u64)>);

impl Named {
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, n)| n).sum()
    }

    pub fn non_zero(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().copied().filter(|(_, n)| *n > 0)
    }
}

impl Serialize for Named {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, n) in &self.0 {
            map.serialize_entry(name, n)?;
        }
        map.end()
    }
}

/// Everything about one run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `load` or `serve`.
    pub command: &'static str,
    /// The command line.
    pub arguments: Vec<String>,
    /// Seconds since 1970 at which the run began.
    pub started_unix_seconds: u64,
    /// From the first to the last moment of the run.
    pub seconds: f64,
    pub outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<LoadSection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serve: Option<ServeSection>,
    /// With `--search`: the rates tried; everything else is about the best of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<Vec<SearchStep>>,
    pub packets: Packets,
    /// Every reason there is, zeros included.
    pub drops: Named,
    pub events: Named,
    /// With several workers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steering: Option<SteeringSection>,
    pub workers: Vec<WorkerSection>,
    pub memory: MemorySection,
    pub environment: Environment,
    /// What a person should know.
    pub notes: Vec<String>,
    /// The run over time, a row for each `--interval`.
    pub series: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    pub exit_code: u8,
    /// One sentence.
    pub summary: String,
}

/// A run of a search.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SearchStep {
    pub rate_per_second: u64,
    /// It went well.
    pub ok: bool,
    pub summary: String,
    /// What a person should know of it.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct LoadSection {
    /// `open` (a rate), `closed` (a concurrency) or `hold`.
    pub model: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_second: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u64>,
    pub app: &'static str,
    pub close: &'static str,
    pub targets: Vec<String>,
    pub requests_per_connection: u64,
    pub seed: u64,
    /// How long connections were launched.
    pub launching_seconds: f64,
    /// At the beginning, left out of rates and latencies.
    pub warmup_seconds: f64,
    /// How long load was offered: from the first launch until time was up, or until all were launched and no more than a
    /// twentieth of them open; or how long connections were held; without the warm-up. Rates are of what came in this time.
    pub active_seconds: f64,
    /// Somebody ended the run before its time: what was still open then is nobody's failure.
    pub stopped_early: bool,
    pub connections: Connections,
    pub requests: Requests,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldSection>,
    /// Bytes of the streams.
    pub received_bytes: u64,
    pub sent_bytes: u64,
    pub received_bits_per_second: f64,
    pub sent_bits_per_second: f64,
    pub latency_ns: LatencySection,
    /// Closed loop: how long connections were not replaced for want of a free address and port, over all workers.
    pub starved_seconds: f64,
    /// What `latency_ns` is taken from.
    #[serde(skip)]
    pub histograms: Latencies,
    /// What has been counted since the warm-up.
    #[serde(skip)]
    pub measured: Tally,
}

#[derive(Clone, Debug, Serialize)]
pub struct Connections {
    pub started: u64,
    pub established: u64,
    pub completed: u64,
    /// Still open at the end of the run, and reset.
    pub unfinished: u64,
    /// Reset since the engine did not take the request: the generator's own fault.
    pub given_up: u64,
    pub failed: u64,
    pub failed_by_reason: Named,
    /// Due, but never begun.
    pub missed: u64,
    pub missed_by_reason: Named,
    /// Completed, per second of `active_seconds`; of a hold, per second of closing.
    pub per_second: f64,
}

/// How opening, holding and closing went.
#[derive(Clone, Debug, Serialize)]
pub struct HoldSection {
    /// Asked for.
    pub connections: u64,
    /// The most that were established at a time.
    pub held_peak: u64,
    /// Established, but failed before they were to be closed.
    pub broken: u64,
    /// Bound on handshakes, and closes, under way.
    pub at_a_time: u64,
    /// Until the last handshake was complete.
    pub opening_seconds: f64,
    pub opened_per_second: f64,
    pub holding_seconds: f64,
    /// Asked for.
    pub requests_per_second: u64,
    /// Due, but not sent: too late, or every connection drawn was busy.
    pub requests_missed: u64,
    /// Until the last connection had come to an orderly end.
    pub closing_seconds: f64,
    pub closed_per_second: f64,
    /// Of the process, with all connections open.
    pub resident_bytes: u64,
    /// What was added since before the first, for each.
    pub bytes_per_connection: f64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Requests {
    pub sent: u64,
    pub responses: u64,
    pub responses_by_status: Named,
    /// Responses with a status of 400 or more.
    pub failed: u64,
    /// Not made, since the target announced that it would close.
    pub cut_short: u64,
    /// Responses per second of `active_seconds`.
    pub per_second: f64,
}

#[derive(Clone, Debug, Serialize)]
pub struct LatencySection {
    pub handshake: Percentiles,
    pub first_byte: Percentiles,
    pub request: Percentiles,
    pub response: Percentiles,
    pub close: Percentiles,
    pub connection: Percentiles,
}

impl LatencySection {
    pub fn of(latencies: &Latencies) -> LatencySection {
        let of = |m| Percentiles::of(latencies.of(m));
        LatencySection {
            handshake: of(Measure::Handshake),
            first_byte: of(Measure::FirstByte),
            request: of(Measure::Request),
            response: of(Measure::Response),
            close: of(Measure::Close),
            connection: of(Measure::Connection),
        }
    }

    pub fn all(&self) -> [(Measure, &Percentiles); Measure::ALL.len()] {
        [
            (Measure::Handshake, &self.handshake),
            (Measure::FirstByte, &self.first_byte),
            (Measure::Request, &self.request),
            (Measure::Response, &self.response),
            (Measure::Close, &self.close),
            (Measure::Connection, &self.connection),
        ]
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    pub count: u64,
    pub min: u64,
    pub mean: f64,
    pub p50: u64,
    pub p90: u64,
    pub p95: u64,
    pub p99: u64,
    pub p99_9: u64,
    pub p99_99: u64,
    pub max: u64,
}

impl Percentiles {
    fn of(h: &Histogram<u64>) -> Percentiles {
        if h.is_empty() {
            return Percentiles::default();
        }
        // The histogram knows the largest value to three digits only, and rounds it up: no quantile lies beyond it.
        let at = |q| h.value_at_quantile(q).min(h.max());
        Percentiles {
            count: h.len(),
            min: h.min(),
            mean: h.mean(),
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: h.max(),
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct ServeSection {
    pub app: &'static str,
    pub ports: Vec<u16>,
    /// From the first connection until the last had gone; rates are per second of this.
    pub active_seconds: f64,
    pub accepted: u64,
    pub accepted_per_second: f64,
    pub closed: u64,
    /// The most that were open at a time, of all workers' peaks together.
    pub open_peak: u64,
    pub closed_by_reason: Named,
    pub requests: u64,
    pub requests_per_second: f64,
    pub responses_by_status: Named,
    /// Bytes of the streams.
    pub received_bytes: u64,
    pub sent_bytes: u64,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Packets {
    pub received: u64,
    pub sent: u64,
    pub received_bytes: u64,
    pub sent_bytes: u64,
    /// From the first connection to the end of the last; rates are per second of this.
    pub active_seconds: f64,
    pub received_per_second: f64,
    pub sent_per_second: f64,
    pub received_bits_per_second: f64,
    pub sent_bits_per_second: f64,
    pub segments_received: u64,
    pub segments_sent: u64,
    pub retransmitted: u64,
    /// SYNs sent with data, those of them whose data were taken at once, and connections accepted so (RFC 7413).
    pub fast_opens_sent: u64,
    pub fast_opens_taken: u64,
    pub fast_opens_accepted: u64,
    /// Connections that agreed on it, marks received, windows reduced (RFC 3168).
    pub ecn_agreed: u64,
    pub congestion_marks: u64,
    pub congestion_echoes: u64,
    /// Segments, both ways, for each connection begun or accepted.
    pub segments_per_connection: f64,
}

impl Packets {
    pub fn of(counters: &Counters, connections: u64, active_seconds: f64) -> Packets {
        let n = |e| counters.count(e);
        let (segments_received, segments_sent) = (n(Event::SegmentsIn), n(Event::SegmentsOut));
        Packets {
            received: n(Event::FramesIn),
            sent: n(Event::FramesOut),
            received_bytes: n(Event::BytesIn),
            sent_bytes: n(Event::BytesOut),
            active_seconds,
            received_per_second: ratio(n(Event::FramesIn) as f64, active_seconds),
            sent_per_second: ratio(n(Event::FramesOut) as f64, active_seconds),
            received_bits_per_second: ratio(n(Event::BytesIn) as f64 * 8.0, active_seconds),
            sent_bits_per_second: ratio(n(Event::BytesOut) as f64 * 8.0, active_seconds),
            segments_received,
            segments_sent,
            retransmitted: n(Event::Retransmits) + n(Event::SynRetransmits),
            fast_opens_sent: n(Event::FastOpensSent),
            fast_opens_taken: n(Event::FastOpensAcked),
            fast_opens_accepted: n(Event::FastOpensAccepted),
            ecn_agreed: n(Event::EcnAgreed),
            congestion_marks: n(Event::CongestionMarksIn),
            congestion_echoes: n(Event::CongestionEchoes),
            segments_per_connection: ratio((segments_received + segments_sent) as f64, connections as f64),
        }
    }
}

/// `a / b`, and 0 for nothing divided by nothing.
pub fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

/// How frames found the worker that owned their connection.
#[derive(Clone, Debug, Serialize)]
pub struct SteeringSection {
    /// `queue`, `rss` or `hash`.
    pub policy: &'static str,
    pub reason: String,
    /// Frames that arrived on another worker's queue than their owner's.
    pub strays: u64,
    /// Their share of all frames received.
    pub strays_percent: f64,
}

impl SteeringSection {
    pub fn of(policy: &'static str, reason: String, total: &Snapshot) -> SteeringSection {
        let n = |e| total.counters.count(e);
        let handed = n(Event::HandoffOut) + total.counters.dropped(DropReason::HandoffFull);
        let strays = handed.saturating_sub(n(Event::HandoffCopies));
        let strays_percent = ratio(strays as f64 * 100.0, total.io.rx_frames as f64);
        SteeringSection { policy, reason, strays, strays_percent }
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct WorkerSection {
    pub worker: usize,
    /// What its queue is and how it runs.
    pub queue: String,
    pub turns: u64,
    pub busy_turns: u64,
    /// CPU time of the worker's thread.
    pub user_seconds: f64,
    pub system_seconds: f64,
    /// How long it was ready to run and did not, because others ran on its processor.
    pub waited_seconds: f64,
    /// Shares of the worker's whole time, in percent.
    pub time_percent: TimePercent,
    pub io: Named,
    pub handoff_in: u64,
    pub handoff_out: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct TimePercent {
    pub rx: f64,
    pub shard: f64,
    pub app: f64,
    pub tx: f64,
    pub kick: f64,
    pub idle: f64,
}

/// Memory of the process that was resident.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct MemorySection {
    /// With everything set up, before the first connection.
    pub resident_before_bytes: u64,
    pub resident_peak_bytes: u64,
}

/// What a worker's thread has used of the machine, and what it was kept waiting for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    pub usage: Usage,
    pub waited: Duration,
}

impl Cost {
    /// Of the calling thread so far.
    pub fn of_this_thread() -> Cost {
        Cost { usage: Usage::of_this_thread(), waited: waited_by_this_thread() }
    }
}

impl WorkerSection {
    pub fn of(worker: usize, queue: String, s: &Snapshot, cost: Cost) -> WorkerSection {
        let percent = |stage| s.time.share(stage).map_or(0.0, |share| (share * 10_000.0).round() / 100.0);
        WorkerSection {
            worker,
            queue,
            turns: s.time.turns,
            busy_turns: s.time.busy_turns,
            user_seconds: cost.usage.user.as_secs_f64(),
            system_seconds: cost.usage.system.as_secs_f64(),
            waited_seconds: cost.waited.as_secs_f64(),
            time_percent: TimePercent {
                rx: percent(Stage::Rx),
                shard: percent(Stage::Shard),
                app: percent(Stage::App),
                tx: percent(Stage::Tx),
                kick: percent(Stage::Kick),
                idle: percent(Stage::Idle),
            },
            io: Named(IoStats::NAMES.iter().copied().zip(s.io.to_words()).collect()),
            handoff_in: s.counters.count(Event::HandoffIn),
            handoff_out: s.counters.count(Event::HandoffOut),
        }
    }
}

pub fn drops(counters: &Counters) -> Named {
    Named(DropReason::ALL.iter().map(|r| (r.name(), counters.dropped(*r))).collect())
}

pub fn events(counters: &Counters) -> Named {
    Named(Event::ALL.iter().map(|e| (e.name(), counters.count(*e))).collect())
}

/// Responses by status class.
pub fn by_status(responses: &[u64; 6]) -> Named {
    const NAMES: [&str; 6] = ["other", "1xx", "2xx", "3xx", "4xx", "5xx"];
    Named(NAMES.into_iter().zip(*responses).collect())
}
