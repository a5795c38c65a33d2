//! `synfin load --search`: the highest rate at which everything goes well. One run after the other, each as
//! [`load`] makes it: the rate doubles until a run fails, then the gap is halved until it is narrow.

use super::load;
use super::stop::StopRequests;
use crate::cli::LoadArgs;
use crate::cli::values::Allowance;
use crate::failure::{EXIT_FAILED, Failure};
use crate::report::Report;
use crate::report::model::{Outcome, SearchStep};
use crate::report::number::grouped;
use std::time::Duration;

/// The first rate, as a part of the highest.
const FIRST_PART: u64 = 64;
/// Found when what went well and what did not are no farther apart than this.
const PRECISION: f64 = 1.05;
/// Time for the target to recover.
const REST: Duration = Duration::from_secs(1);
/// Launches that a run may miss and still have gone well, unless the command line says.
const MISSED_MAX: Allowance = Allowance::Percent(0.1);

/// What to try next, knowing what went well.
#[derive(Clone, Debug)]
struct Bisection {
    highest: u64,
    /// The highest rate that went well, and the lowest that did not.
    good: Option<u64>,
    bad: Option<u64>,
}

impl Bisection {
    fn next(&self) -> Option<u64> {
        let rate = match (self.good, self.bad) {
            (None, None) => (self.highest / FIRST_PART).max(1),
            (Some(good), None) if good < self.highest => (good * 2).min(self.highest),
            (Some(_), None) => return None,
            (None, Some(bad)) if bad > 1 => (bad / 4).max(1),
            (None, Some(_)) => return None,
            (Some(good), Some(bad)) if bad as f64 > good as f64 * PRECISION => good + (bad - good) / 2,
            (Some(_), Some(_)) => return None,
        };
        (Some(rate) != self.good).then_some(rate)
    }

    fn tell(&mut self, rate: u64, well: bool) {
        *(if well { &mut self.good } else { &mut self.bad }) = Some(rate);
    }
}

/// Searches below `--rate`; the report is that of the best run.
pub fn run(args: &LoadArgs) -> Result<Report, Failure> {
    let mut search = Bisection { highest: args.rate.unwrap_or(1), good: None, bad: None };
    let stop = StopRequests::listen()?;
    let (mut steps, mut best, mut last) = (Vec::new(), None, None);
    while let Some(rate) = search.next() {
        if !steps.is_empty() {
            std::thread::sleep(REST);
        }
        if stop.count() > 0 {
            break;
        }
        let max_missed = args.max_missed.or(Some(MISSED_MAX));
        let report = load::run(&LoadArgs { rate: Some(rate), max_missed, ..args.clone() })?;
        if stop.count() > 0 {
            // Cut short by somebody: it says nothing about the rate.
            last = Some(report);
            break;
        }
        let well = report.outcome.exit_code == 0;
        eprintln!("synfin: {}/s {}: {}", grouped(rate), if well { "ok" } else { "failed" }, report.outcome.summary);
        steps.push(SearchStep { rate_per_second: rate, ok: well, summary: report.outcome.summary.clone() });
        search.tell(rate, well);
        *(if well { &mut best } else { &mut last }) = Some(report);
    }
    let outcome = outcome(&search, stop.count() > 0);
    let report = best.or(last).map(|report| Report { outcome, search: Some(steps), ..report });
    report.ok_or_else(|| Failure::new("no rate was tried", "Give --rate at least 1."))
}

fn outcome(search: &Bisection, interrupted: bool) -> Outcome {
    let cut = if interrupted { "stopped early; " } else { "" };
    let Some(good) = search.good else {
        let tried = search.bad.map_or("no rate was tried to its end".into(), |bad| {
            format!("no rate went well, down to {}/s", grouped(bad))
        });
        return Outcome { exit_code: EXIT_FAILED, summary: format!("{cut}{tried}") };
    };
    let limit = match search.bad {
        Some(bad) => format!("{}/s did not", grouped(bad)),
        None if interrupted => "no higher one was tried".into(),
        None => "which is all that --rate allows".into(),
    };
    Outcome { exit_code: 0, summary: format!("{cut}{}/s went well, {limit}", grouped(good)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rates tried against a target that takes so many.
    fn tried(highest: u64, takes: u64) -> (Vec<u64>, Bisection) {
        let mut search = Bisection { highest, good: None, bad: None };
        let mut rates = Vec::new();
        while let Some(rate) = search.next() {
            rates.push(rate);
            search.tell(rate, rate <= takes);
            assert!(rates.len() < 50, "{rates:?}");
        }
        (rates, search)
    }

    #[test]
    fn the_highest_rate_is_found_to_a_twentieth_from_below() {
        for takes in [1, 7, 999, 15_624, 15_625, 20_000, 123_456, 999_999] {
            let (rates, found) = tried(1_000_000, takes);
            let good = found.good.expect("a rate that went well");
            assert!(good <= takes && (takes as f64) < good as f64 * 1.06 + 1.0, "{takes}: {rates:?}");
            let worst = rates.iter().max().copied().unwrap_or(0);
            assert!(worst <= (takes * 2).max(15_625), "a target is not overrun by far: {rates:?}");
        }
    }

    #[test]
    fn a_target_that_takes_all_or_nothing_ends_the_search() {
        let (rates, all) = tried(1000, u64::MAX);
        assert_eq!((all.good, rates.last()), (Some(1000), Some(&1000)));
        assert!(outcome(&all, false).summary.contains("1,000/s went well, which is all"));
        let (_, nothing) = tried(1000, 0);
        assert_eq!((nothing.good, nothing.bad, outcome(&nothing, false).exit_code), (None, Some(1), EXIT_FAILED));
        let (rates, one) = tried(1, 1);
        assert_eq!((rates, one.good), (vec![1], Some(1)));
    }
}
