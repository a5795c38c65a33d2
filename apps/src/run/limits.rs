//! Whether latencies have kept to `--limit`.
//!
//! What was to be measured and never came to it (a launch that was missed, a connection that failed, a request without a
//! response) counts as slower than everything: a limit says something about all that was asked for, not about those that
//! made it.

use crate::cli::limit::{Figure, Limit};
use crate::failure::EXIT_FAILED;
use crate::load::latency::Measure;
use crate::report::Report;
use crate::report::model::{LoadSection, Outcome};
use crate::report::number::{grouped, time};
use hdrhistogram::Histogram;

/// A run that went well, but not fast enough, has failed.
pub fn judge(limits: &[Limit], report: &mut Report) {
    let exceeded = report.load.as_ref().and_then(|load| limits.iter().find_map(|l| exceeded(l, load)));
    if let Some(summary) = exceeded.filter(|_| report.outcome.exit_code == 0) {
        report.outcome = Outcome { exit_code: EXIT_FAILED, summary };
    }
}

fn exceeded(limit: &Limit, load: &LoadSection) -> Option<String> {
    let (name, figure) = (limit.measure.name().replace('_', " "), limit.figure.name());
    let (measured, endless) = (load.histograms.of(limit.measure), endless(load, limit.measure));
    if measured.is_empty() {
        return Some(format!("{name} was not measured, and --limit asks for its {figure}"));
    }
    let max = time(limit.max_ns);
    match found(measured, endless, limit.figure) {
        None => Some(format!(
            "the {figure} of {name} was without end, and --limit asks for {max}: {} of {} were missed or failed",
            grouped(endless),
            grouped(endless + measured.len())
        )),
        Some(ns) if ns > limit.max_ns => {
            Some(format!("the {figure} of {name} was {}, more than the {max} of --limit", time(ns)))
        }
        Some(_) => None,
    }
}

/// How many there should have been besides those that were measured.
fn endless(load: &LoadSection, measure: Measure) -> u64 {
    let t = &load.measured;
    // Somebody who ends the run cuts connections himself.
    let (unfinished, excused) = if load.stopped_early { (0, t.unfinished) } else { (t.unfinished, 0) };
    // After a warm-up, more may be answered than were begun.
    let more = |a: u64, b: u64| a.saturating_sub(b).saturating_sub(excused);
    match (measure, &load.hold) {
        (Measure::Handshake, _) => t.missed_total() + more(t.started, t.established),
        (Measure::FirstByte | Measure::Request | Measure::Response, Some(hold)) => {
            hold.requests_missed + more(t.requests, t.responses_total())
        }
        _ => t.missed_total() + t.failed_total() + t.given_up + unfinished,
    }
}

/// `None`: without end.
fn found(measured: &Histogram<u64>, endless: u64, figure: Figure) -> Option<u64> {
    let share = match figure {
        Figure::P50 => 0.5,
        Figure::P90 => 0.9,
        Figure::P95 => 0.95,
        Figure::P99 => 0.99,
        Figure::P99_9 => 0.999,
        Figure::P99_99 => 0.9999,
        Figure::Max => 1.0,
        Figure::Mean => return (endless == 0).then(|| measured.mean() as u64),
    };
    // Of all in a row, those without end last.
    let place = share * (measured.len() + endless) as f64 / measured.len() as f64;
    // The histogram rounds its largest value up.
    (place <= 1.0).then(|| measured.value_at_quantile(place).min(measured.max()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::limit::limit;
    use crate::load::{FailReason, MissReason};
    use crate::report::text::tests::report;

    /// Handshakes of 1 to 1,000 µs, and nothing else measured.
    fn judged(text: &str, change: impl FnOnce(&mut Report)) -> Outcome {
        let mut report = report();
        report.outcome = Outcome { exit_code: 0, summary: "as it was".into() };
        let load = report.load.as_mut().expect("a run of load");
        (load.measured.started, load.measured.established) = (1000, 1000);
        change(&mut report);
        judge(&[limit("handshake.p50=1s").expect("a limit"), limit(text).expect("a limit")], &mut report);
        report.outcome
    }

    #[test]
    fn a_limit_that_is_exceeded_fails_the_run_and_one_that_is_kept_does_not() {
        assert_eq!(judged("handshake.p99=2ms", |_| {}).exit_code, 0);
        assert_eq!(judged("handshake.max=1.01ms", |_| {}).exit_code, 0);
        let slow = judged("handshake.p99=500us", |_| {});
        assert_eq!(slow.exit_code, 1);
        assert_eq!(slow.summary, "the p99 of handshake was 990 µs, more than the 500 µs of --limit");
        assert!(judged("request.p50=1s", |_| {}).summary.contains("was not measured"));
        let failed = judged("handshake.p99=500us", |report| report.outcome.exit_code = 1);
        assert_eq!(failed.summary, "as it was", "what failed before is said");
    }

    #[test]
    fn what_was_missed_or_failed_counts_as_infinitely_slow() {
        let missed =
            |n| move |report: &mut Report| report.load.as_mut().expect("load").measured.miss(MissReason::Late, n);
        // Of 1,050 the median is the 525th.
        let median = judged("handshake.p50=524us", missed(50)).summary;
        assert_eq!(median, "the p50 of handshake was 525 µs, more than the 524 µs of --limit");
        assert_eq!(judged("handshake.p90=1.01ms", missed(50)).exit_code, 0);
        let without_end = judged("handshake.p99=1h", missed(50)).summary;
        assert_eq!(
            without_end,
            "the p99 of handshake was without end, and --limit asks for 3,600 s: 50 of 1,050 were missed or failed"
        );
        for text in ["handshake.max=1h", "handshake.mean=1h", "handshake.p99.99=1h"] {
            assert_eq!(judged(text, missed(1)).exit_code, 1, "{text}");
        }
    }

    #[test]
    fn a_handshake_is_not_blamed_for_what_failed_later_and_a_stop_is_nobodys_fault() {
        let failed_later = judged("handshake.max=1s", |report| {
            (0..100).for_each(|_| report.load.as_mut().expect("load").measured.fail(FailReason::BadStatus));
        });
        assert_eq!(failed_later.exit_code, 0);
        for (stopped_early, code) in [(false, 1), (true, 0)] {
            let got = judged("handshake.max=1s", |report| {
                let load = report.load.as_mut().expect("load");
                (load.measured.started, load.measured.unfinished) = (1010, 10);
                load.stopped_early = stopped_early;
            });
            assert_eq!(got.exit_code, code, "{}", got.summary);
        }
    }
}
