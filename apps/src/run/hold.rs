//! `synfin load --hold`: what it asks of the machine beforehand, and what it reports.

use super::load::{Limits, Order, PATIENCE, Part, launch, nanos, tuples};
use super::memory;
use super::section::{self, Measured};
use super::watch::End;
use crate::cli::LoadArgs;
use crate::failure::{EXIT_FAILED, Failure};
use crate::live::Signals;
use crate::load::hold::{HoldConfig, Holder, Outcome, Pace};
use crate::load::protocol::Protocol;
use crate::report::Report;
use crate::report::model::{self, HoldSection, ratio};
use crate::report::number::{bytes, grouped};
use std::time::Duration;

/// What an open connection takes here, all in, rounded up; to see beforehand whether a number of them will fit.
const BYTES_PER_CONNECTION: u64 = 256;
/// Slower than any closing: a thousand connections a second.
const CLOSING_PER_CONNECTION: Duration = Duration::from_millis(1);

/// Opens, holds, closes, measures, reports.
pub(super) fn run<P>(order: &Order, connections: u64, protocol: impl Fn() -> P) -> Result<Report, Failure>
where
    P: Protocol + Send + 'static,
    P::State: Send,
{
    let args = order.args;
    enough_tuples(order, connections)?;
    enough_memory(connections, memory::available_bytes())?;
    let limits = Limits {
        duration: None,
        grace: args.timeout + PATIENCE + CLOSING_PER_CONNECTION * connections as u32,
        connections: connections.div_ceil(u64::from(args.net.machine.workers)),
        is_exact: true,
    };
    let mut memory = Memory::default();
    let workers = u32::from(args.net.machine.workers);
    let ran = launch(
        order,
        &limits,
        |signals, before_bytes| memory.look(signals, workers, before_bytes),
        |part| holder(args, connections, protocol(), part),
    )?;
    let mut outcome = Outcome::default();
    ran.apps.into_iter().for_each(|app| outcome.merge(&app.into_outcome()));
    let is_stopped = ran.end == End::Interrupted && outcome.stopped;
    let verdict = verdict(args, connections, &outcome, is_stopped);
    let d = &outcome.durations;
    let seconds = (ran.seconds, d.whole_ns as f64 / 1e9);
    let mut report = ran.facts.report("load", seconds, outcome.tally.started, verdict);
    let holding_seconds = d.holding_ns as f64 / 1e9;
    let (tally, latencies) = (&outcome.tally, &outcome.latencies);
    let measured = Measured { tally, latencies, offered: tally, active_seconds: holding_seconds };
    let mut section = section::of(order, "hold", &outcome.tally, &measured);
    section.launching_seconds = d.opening_ns as f64 / 1e9;
    section.stopped_early = is_stopped;
    let hold = hold_section(args, connections, &outcome, &memory);
    // They end after the hold, which is what the other rates are of.
    section.connections.per_second = hold.closed_per_second;
    section.hold = Some(hold);
    report.load = Some(section);
    Ok(report)
}

fn holder<P: Protocol>(args: &LoadArgs, connections: u64, protocol: P, part: Part) -> Holder<P> {
    let (share, hold) = (part.share, &args.hold);
    let config = HoldConfig {
        connections: share.of(connections),
        share,
        pace: Pace::new(args.rate, nanos(args.ramp), share),
        at_a_time: share.of(hold.at_a_time),
        hold_ns: nanos(hold.hold_time),
        requests: (hold.hold_requests > 0).then(|| Pace::new(Some(hold.hold_requests), 0, share)),
        max_lateness_ns: nanos(args.max_lateness),
        timeout_ns: nanos(args.timeout),
        failures_max: args.max_errors.out_of(connections),
        close: args.close,
        seed: part.seed,
    };
    Holder::new(protocol, config, part.tuples, part.steer, part.board, part.signals)
}

/// Every connection needs an address and a port of its own towards its target.
fn enough_tuples(order: &Order, connections: u64) -> Result<(), Failure> {
    let targets = order.targets.len() as u64;
    // Which of them are whose is left to chance: a worker may find a little less than its share.
    let spare = if order.args.net.machine.workers > 1 { 51 } else { 50 };
    let needed = (connections.div_ceil(targets) * spare).div_ceil(50);
    let ports = u64::from(order.ports.count());
    let tuples = tuples(order);
    let Some(short) = (0..targets).find(|&t| tuples.of_target(t as usize) < needed) else { return Ok(()) };
    let target = &order.args.target[short as usize];
    let family = if order.targets[short as usize].0.is_v4() { "IPv4" } else { "IPv6" };
    Err(Failure::new(
        format!(
            "holding {} connections takes {} source addresses and ports towards {target}, and there are {}",
            grouped(connections),
            grouped(needed),
            grouped(tuples.of_target(short as usize))
        ),
        format!(
            "Give {} {family} addresses (--address A-B/LEN, {} ports each), more targets (ports of the server count), or a \
             lower --hold.",
            grouped(needed.div_ceil(ports)),
            grouped(ports)
        ),
    ))
}

fn enough_memory(connections: u64, available: Option<u64>) -> Result<(), Failure> {
    let needed = connections * BYTES_PER_CONNECTION;
    match available.filter(|there| *there < needed) {
        Some(there) => Err(Failure::new(
            format!(
                "holding {} connections takes about {} of memory, and {} are available",
                grouped(connections),
                bytes(needed),
                bytes(there)
            ),
            "Lower --hold, or free memory.",
        )),
        None => Ok(()),
    }
}

/// Resident memory before the first connection and with all of them.
#[derive(Default)]
struct Memory {
    before_bytes: u64,
    held_bytes: Option<u64>,
}

impl Memory {
    fn look(&mut self, signals: &Signals, workers: u32, before_bytes: u64) {
        self.before_bytes = before_bytes;
        if self.held_bytes.is_none() && signals.opened() >= workers {
            self.held_bytes = Some(memory::resident_bytes());
        }
    }
}

fn hold_section(args: &LoadArgs, connections: u64, outcome: &Outcome, memory: &Memory) -> HoldSection {
    let (t, d) = (&outcome.tally, &outcome.durations);
    let [opening, holding, closing] = [d.opening_ns, d.holding_ns, d.closing_ns].map(|ns| ns as f64 / 1e9);
    let held = memory.held_bytes.unwrap_or_else(memory::resident_bytes);
    HoldSection {
        connections,
        held_peak: outcome.held_peak,
        broken: outcome.broken,
        at_a_time: args.hold.at_a_time,
        opening_seconds: opening,
        opened_per_second: ratio(t.established as f64, opening),
        holding_seconds: holding,
        requests_per_second: args.hold.hold_requests,
        requests_missed: outcome.requests_missed,
        closing_seconds: closing,
        closed_per_second: ratio(t.completed as f64, closing),
        resident_bytes: held,
        bytes_per_connection: ratio(held.saturating_sub(memory.before_bytes) as f64, outcome.held_peak as f64),
    }
}

/// `is_stopped`: somebody ended the run before the hold was over.
fn verdict(args: &LoadArgs, connections: u64, outcome: &Outcome, is_stopped: bool) -> model::Outcome {
    let t = &outcome.tally;
    // Somebody who ends the run cuts connections himself.
    let unfinished = if is_stopped { 0 } else { t.unfinished };
    let bad = t.failed_total() + t.given_up + unfinished;
    let missing = connections.saturating_sub(outcome.held_peak);
    let asked = grouped(connections);
    let failed = |summary: String| model::Outcome { exit_code: EXIT_FAILED, summary };
    let cut = if is_stopped { "stopped early; " } else { "" };
    if missing > args.max_errors.out_of(connections) && !is_stopped {
        return failed(format!(
            "{} of {asked} connections were held at a time, {} could not be established",
            grouped(outcome.held_peak),
            grouped(missing)
        ));
    }
    if !args.max_errors.permits(bad, connections) {
        return failed(format!(
            "{cut}{} of {asked} connections were held, {} of them broke, {} failed in all, {} did not finish \
             (--max-errors {})",
            grouped(outcome.held_peak),
            grouped(outcome.broken),
            grouped(t.failed_total()),
            grouped(unfinished + t.given_up),
            args.max_errors
        ));
    }
    if outcome.held_peak == 0 {
        return failed(format!("{cut}none of {asked} connections was held"));
    }
    if args.max_missed.is_some_and(|max| !max.permits(outcome.requests_missed, t.requests + outcome.requests_missed)) {
        return failed(format!(
            "{} requests were missed, more than --max-missed allows",
            grouped(outcome.requests_missed)
        ));
    }
    let summary = format!(
        "{cut}{} of {asked} connections held for {:.1} s, {} failed, {} closed",
        grouped(outcome.held_peak),
        outcome.durations.holding_ns as f64 / 1e9,
        grouped(t.failed_total()),
        grouped(t.completed)
    );
    model::Outcome { exit_code: 0, summary }
}

#[cfg(test)]
#[path = "hold_tests.rs"]
mod tests;
