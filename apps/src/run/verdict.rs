//! Whether a run of `synfin load` did what was asked, in a sentence and an exit code.

use crate::cli::LoadArgs;
use crate::cli::values::Allowance;
use crate::failure::EXIT_FAILED;
use crate::load::{MissReason, Tally};
use crate::report::model::Outcome;
use crate::report::number::grouped;
use std::time::Duration;

/// Launches at a rate that may be missed, unless the command line says: what is missed was never offered to the target.
const MISSED_MAX: Allowance = Allowance::Percent(0.1);

/// `is_stopped`: somebody ended the run before its time.
pub fn of(args: &LoadArgs, t: &Tally, is_stopped: bool) -> Outcome {
    let failed = |summary: String| Outcome { exit_code: EXIT_FAILED, summary };
    // A connection that could not finish in time is no success, unless somebody ended the run.
    let unfinished = t.given_up + if is_stopped { 0 } else { t.unfinished };
    let (bad, missed) = (t.failed_total(), t.missed_total());
    let started = grouped(t.started);
    if t.started == 0 && !is_stopped {
        return failed(format!("no connection was started ({} launches were missed)", grouped(missed)));
    }
    if !args.max_errors.permits(bad + unfinished, t.started) {
        let allowed = args.max_errors;
        let (bad, unfinished) = (grouped(bad), grouped(unfinished));
        let missed = if missed > 0 { format!("; {} launches missed", grouped(missed)) } else { String::new() };
        return failed(format!(
            "{bad} of {started} connections failed, {unfinished} did not finish (--max-errors {allowed}){missed}"
        ));
    }
    if t.completed == 0 && is_stopped {
        return failed(format!("stopped before any of {started} connections was completed"));
    }
    if let Some(max) = allowance(args).filter(|max| !max.permits(missed, t.started + missed)) {
        return failed(format!(
            "{} of {} launches were missed, more than --max-missed {max} allows: {}, or permit it with --max-missed",
            grouped(missed),
            grouped(t.started + missed),
            advice(t)
        ));
    }
    let cut = if is_stopped { "stopped early; " } else { "" };
    let missed = if missed > 0 { format!(", {} launches missed", grouped(missed)) } else { String::new() };
    let completed = grouped(t.completed);
    let summary = format!("{cut}{completed} of {started} connections completed, {} failed{missed}", grouped(bad));
    Outcome { exit_code: 0, summary }
}

/// A run that went well, but was over before its warm-up, has measured nothing.
pub fn unless_all_warmup(warmup: Duration, active_seconds: f64, outcome: Outcome) -> Outcome {
    if outcome.exit_code != 0 || warmup.is_zero() || active_seconds > warmup.as_secs_f64() {
        return outcome;
    }
    let warmup = warmup.as_secs_f64();
    let summary =
        format!("all of the run was warm-up: it was over after {active_seconds:.2} s, and --warmup is {warmup} s");
    Outcome { exit_code: EXIT_FAILED, summary }
}

/// Launches that may be missed; `None`: any number.
pub fn allowance(args: &LoadArgs) -> Option<Allowance> {
    let at_a_rate = args.rate.is_some() && args.hold.hold.is_none();
    args.max_missed.or(at_a_rate.then_some(MISSED_MAX))
}

/// What mends the most frequent reason for missing a launch.
fn advice(t: &Tally) -> &'static str {
    let most = MissReason::ALL.iter().max_by_key(|r| t.missed[**r as usize]);
    match most {
        Some(MissReason::NoTuple) => {
            "give more source addresses (--address A-B/LEN), shorten --time-wait, or lower --rate"
        }
        Some(MissReason::NoRoute) => "name a --gateway",
        Some(MissReason::Late | MissReason::TableFull) | None => "use more --workers, or lower --rate",
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
