//! Whether latencies have kept to `--limit`.

use crate::cli::limit::{Figure, Limit};
use crate::failure::EXIT_FAILED;
use crate::report::Report;
use crate::report::model::{LatencySection, Outcome, Percentiles};
use crate::report::number::time;

/// A run that went well, but not fast enough, has failed.
pub fn judge(limits: &[Limit], report: &mut Report) {
    let exceeded = report.load.as_ref().and_then(|load| limits.iter().find_map(|l| exceeded(l, &load.latency_ns)));
    if let Some(summary) = exceeded.filter(|_| report.outcome.exit_code == 0) {
        report.outcome = Outcome { exit_code: EXIT_FAILED, summary };
    }
}

fn exceeded(limit: &Limit, latencies: &LatencySection) -> Option<String> {
    let (measure, percentiles) = latencies.all().into_iter().find(|(measure, _)| *measure == limit.measure)?;
    let (name, figure) = (measure.name().replace('_', " "), limit.figure.name());
    if percentiles.count == 0 {
        return Some(format!("{name} was not measured, and --limit asks for its {figure}"));
    }
    let found = of(percentiles, limit.figure);
    (found > limit.max_ns)
        .then(|| format!("the {figure} of {name} was {}, more than the {} of --limit", time(found), time(limit.max_ns)))
}

fn of(p: &Percentiles, figure: Figure) -> u64 {
    match figure {
        Figure::P50 => p.p50,
        Figure::P90 => p.p90,
        Figure::P99 => p.p99,
        Figure::P99_9 => p.p99_9,
        Figure::Max => p.max,
        Figure::Mean => p.mean as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::limit::limit;
    use crate::report::text::tests::report;

    /// Handshakes of 1 to 1,000 µs, and nothing else measured.
    fn judged(text: &str, exit_code: u8) -> Outcome {
        let mut report = report();
        report.outcome = Outcome { exit_code, summary: "as it was".into() };
        judge(&[limit("handshake.max=1s").expect("a limit"), limit(text).expect("a limit")], &mut report);
        report.outcome
    }

    #[test]
    fn a_limit_that_is_exceeded_fails_the_run_and_one_that_is_kept_does_not() {
        assert_eq!(judged("handshake.p99=2ms", 0).exit_code, 0);
        let slow = judged("handshake.p99=500us", 0);
        assert_eq!(slow.exit_code, 1);
        assert_eq!(slow.summary, "the p99 of handshake was 990 µs, more than the 500 µs of --limit");
        assert!(judged("request.p50=1s", 0).summary.contains("was not measured"));
        assert_eq!(judged("handshake.p99=500us", 1).summary, "as it was", "what failed before is said");
    }
}
