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
    let (measured, endless) = (load.histograms.of(limit.measure), Endless::of(load, limit.measure));
    if measured.is_empty() {
        return Some(format!("{name} was not measured, and --limit asks for its {figure}"));
    }
    let max = time(limit.max_ns);
    match found(measured, endless, limit.figure) {
        None => Some(format!(
            "the {figure} of {name} was without end, and --limit asks for {max}: {} of {} were missed or failed",
            grouped(endless.unmeasured + endless.bad),
            grouped(endless.unmeasured + measured.len())
        )),
        Some(ns) if ns > limit.max_ns => {
            Some(format!("the {figure} of {name} was {}, more than the {max} of --limit", time(ns)))
        }
        Some(_) => None,
    }
}

/// What counts as slower than everything.
#[derive(Clone, Copy)]
struct Endless {
    /// Should have been measured besides those that were.
    unmeasured: u64,
    /// Among those that were measured: responses that were errors.
    bad: u64,
}

impl Endless {
    fn of(load: &LoadSection, measure: Measure) -> Endless {
        let t = &load.measured;
        // Somebody who ends the run cuts connections himself.
        let (mut lost, mut over) = (t.lost, t.failed_total() + t.given_up);
        if !load.stopped_early {
            lost += t.cut;
            over += t.unfinished;
        }
        // A connection that is not launched makes none of its requests. A hold has requests of its own.
        let (each, missed) = match &load.hold {
            Some(hold) => (0, hold.requests_missed),
            None => (load.requests_per_connection, 0),
        };
        let launches = t.missed_total();
        let requests = launches.saturating_mul(each).saturating_add(missed);
        let (unmeasured, bad) = match measure {
            Measure::Handshake => (launches + lost.handshakes, 0),
            Measure::FirstByte => (requests.saturating_add(lost.first_bytes), t.bad_total()),
            Measure::Request => (requests.saturating_add(lost.requests), t.bad_total()),
            Measure::Response if load.hold.is_some() => (missed + lost.responses, t.bad_total()),
            Measure::Response => (launches + lost.responses, t.bad_first),
            Measure::Close | Measure::Connection => (launches + over, 0),
        };
        Endless { unmeasured, bad }
    }
}

/// `None`: without end.
fn found(measured: &Histogram<u64>, endless: Endless, figure: Figure) -> Option<u64> {
    let share = match figure {
        Figure::P50 => 0.5,
        Figure::P90 => 0.9,
        Figure::P95 => 0.95,
        Figure::P99 => 0.99,
        Figure::P99_9 => 0.999,
        Figure::P99_99 => 0.9999,
        Figure::Max => 1.0,
        Figure::Mean => return (endless.unmeasured + endless.bad == 0).then(|| measured.mean() as u64),
    };
    // Of all in a row, those without end last. Which of the measured ones were errors is not known: they count as spread evenly.
    let good = measured.len().saturating_sub(endless.bad);
    let place = share * (measured.len() + endless.unmeasured) as f64 / good as f64;
    // The histogram rounds its largest value up.
    (place <= 1.0).then(|| measured.value_at_quantile(place).min(measured.max()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::limit::limit;
    use crate::load::lost::Lost;
    use crate::load::{FailReason, Latencies, MissReason};
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
                (load.measured.started, load.measured.unfinished, load.measured.cut.handshakes) = (1010, 10, 10);
                load.stopped_early = stopped_early;
            });
            assert_eq!(got.exit_code, code, "{}", got.summary);
        }
    }

    /// A run of connections with ten requests each, of which 1 to 1,000 µs were measured, and whose fate is the test's.
    fn of_requests(text: &str, change: impl FnOnce(&mut LoadSection)) -> Outcome {
        judged(text, |report| {
            let load = report.load.as_mut().expect("a run of load");
            load.requests_per_connection = 10;
            let mut latencies = Latencies::default();
            for measure in Measure::ALL {
                (1..=1000u64).for_each(|n| latencies.record(measure, n * 1000));
            }
            load.histograms = latencies;
            load.measured.responses[2] = 1000;
            change(load);
        })
    }

    #[test]
    fn what_is_lost_with_a_connection_counts_for_each_measure_by_itself() {
        let lost = Lost { handshakes: 0, first_bytes: 6, requests: 7, responses: 1 };
        for (text, endless) in [
            ("handshake", None),
            ("first_byte", Some("6 of 1,006")),
            ("request", Some("7 of 1,007")),
            ("response", Some("1 of 1,001")),
            ("close", Some("1 of 1,001")),
            ("connection", Some("1 of 1,001")),
        ] {
            let got = of_requests(&format!("{text}.max=1h"), |load| {
                load.measured.fail(FailReason::Reset);
                load.measured.lost = lost;
            });
            match endless {
                None => assert_eq!(got.exit_code, 0, "{text}: {}", got.summary),
                Some(said) => assert!(got.summary.contains(&format!(": {said} were")), "{text}: {}", got.summary),
            }
        }
    }

    #[test]
    fn a_launch_that_is_missed_misses_all_of_its_requests() {
        for (text, endless) in [("handshake", "3 of 1,003"), ("request", "30 of 1,030"), ("response", "3 of 1,003")] {
            let got = of_requests(&format!("{text}.max=1h"), |load| load.measured.miss(MissReason::Late, 3));
            assert!(got.summary.contains(endless), "{text}: {}", got.summary);
        }
    }

    #[test]
    fn a_response_that_is_an_error_counts_once_and_as_infinitely_slow() {
        let bad = |n: u64| {
            move |load: &mut LoadSection| {
                (load.measured.responses[2], load.measured.responses[5]) = (1000 - n, n);
                (load.measured.bad_first, load.measured.failed[FailReason::BadStatus as usize]) = (n / 10, n / 10);
            }
        };
        assert_eq!(of_requests("request.p50=1ms", bad(400)).exit_code, 0);
        let half = of_requests("request.p50=1ms", bad(501)).summary;
        assert!(half.contains("501 of 1,000 were"), "{half}");
        assert!(of_requests("response.max=1h", bad(400)).summary.contains("40 of 1,000 were"));
        assert_eq!(of_requests("request.mean=1h", bad(1)).exit_code, 1);
        assert!(of_requests("request.p50=1h", bad(1000)).summary.contains("1,000 of 1,000 were"));
    }
}
