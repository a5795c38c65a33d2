//! What a load run has found out, as the report has it.

use super::load::Order;
use crate::load::{FailReason, Latencies, MissReason, Tally};
use crate::report::model::{Connections, LatencySection, LoadSection, Named, Requests, by_status, ratio};

/// What is measured: all of the run, but for its warm-up.
pub(super) struct Measured<'a> {
    pub tally: &'a Tally,
    pub latencies: &'a Latencies,
    /// What rates are of: what came while load was offered, and how long that was.
    pub offered: &'a Tally,
    pub active_seconds: f64,
}

/// What all models have in common. Counts are of the whole run.
pub(super) fn of(order: &Order, model: &'static str, whole: &Tally, measured: &Measured) -> LoadSection {
    let (args, seconds) = (order.args, measured.active_seconds);
    let rate = |n: u64| ratio(n as f64, seconds);
    LoadSection {
        model,
        rate_per_second: args.rate,
        concurrency: args.concurrency,
        app: args.app.name(),
        close: args.close.name(),
        targets: args.target.iter().map(ToString::to_string).collect(),
        requests_per_connection: args.requests_per_connection,
        seed: order.seed,
        launching_seconds: 0.0,
        warmup_seconds: args.warmup.as_secs_f64(),
        active_seconds: seconds,
        stopped_early: false,
        connections: connections(whole, rate(measured.offered.completed)),
        requests: Requests {
            sent: whole.requests,
            responses: whole.responses_total(),
            responses_by_status: by_status(&whole.responses),
            failed: whole.responses[4] + whole.responses[5],
            cut_short: whole.cut_short,
            per_second: rate(measured.offered.responses_total()),
        },
        hold: None,
        received_bytes: whole.bytes_in,
        sent_bytes: whole.bytes_out,
        received_bits_per_second: rate(measured.offered.bytes_in * 8),
        sent_bits_per_second: rate(measured.offered.bytes_out * 8),
        latency_ns: LatencySection::of(measured.latencies),
        starved_seconds: 0.0,
        histograms: measured.latencies.clone(),
        measured: measured.tally.clone(),
    }
}

fn connections(t: &Tally, per_second: f64) -> Connections {
    let failed = FailReason::ALL.iter().map(|r| (r.name(), t.failed[*r as usize]));
    let missed = MissReason::ALL.iter().map(|r| (r.name(), t.missed[*r as usize]));
    Connections {
        started: t.started,
        established: t.established,
        completed: t.completed,
        unfinished: t.unfinished,
        given_up: t.given_up,
        failed: t.failed_total(),
        failed_by_reason: Named(failed.collect()),
        missed: t.missed_total(),
        missed_by_reason: Named(missed.collect()),
        per_second,
    }
}
