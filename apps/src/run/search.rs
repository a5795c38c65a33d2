//! `synfin load --search`: the highest rate at which everything goes well. One run after the other, each as
//! [`load`] makes it, at rates that [`Bisection`] chooses.

use super::bisection::Bisection;
use super::inputs::Inputs;
use super::load;
use super::stop::StopRequests;
use crate::cli::LoadArgs;
use crate::failure::{EXIT_FAILED, Failure};
use crate::report::Report;
use crate::report::model::{Outcome, SearchStep};
use crate::report::number::grouped;
use std::time::Duration;
use synfin_engine::io::sys;

/// Time for the target to recover.
const REST: Duration = Duration::from_secs(1);
/// Some drivers lose the link when an XDP program comes or goes; so long it may take to come back.
const LINK_WAIT: Duration = Duration::from_secs(15);
const LINK_LOOK: Duration = Duration::from_millis(100);

/// Searches below `--rate`; the report is that of the last good run at the rate found.
pub fn run(args: &LoadArgs, inputs: &Inputs) -> Result<Report, Failure> {
    let stop = StopRequests::listen()?;
    let runs = Runs {
        run: |rate| load::run(&LoadArgs { rate: Some(rate), ..args.clone() }, inputs),
        rest: || std::thread::sleep(REST),
        wait_for_link: || wait_for_link(&args.net.interface),
        is_stopped: || stop.count() > 0,
    };
    Search::new(args.rate.unwrap_or(1)).finish(runs)
}

fn wait_for_link(interface: &str) {
    let looks = LINK_WAIT.as_millis() / LINK_LOOK.as_millis();
    for _ in 0..looks {
        std::thread::sleep(LINK_LOOK);
        if sys::interface(interface).is_ok_and(|i| i.running) {
            return;
        }
    }
}

/// How runs are made, and what lies between them.
struct Runs<R, T, W, S> {
    run: R,
    rest: T,
    wait_for_link: W,
    is_stopped: S,
}

struct Search {
    rates: Bisection,
    steps: Vec<SearchStep>,
    /// The last run at the highest rate that went well.
    best: Option<(u64, Report)>,
    last: Option<Report>,
    /// A run could not be made, and that ended the search.
    broke_off: Option<String>,
}

impl Search {
    fn new(highest: u64) -> Search {
        let rates = Bisection::new(highest);
        Search { rates, steps: Vec::new(), best: None, last: None, broke_off: None }
    }

    fn finish<R, T, W, S>(mut self, runs: Runs<R, T, W, S>) -> Result<Report, Failure>
    where
        R: Fn(u64) -> Result<Report, Failure>,
        T: Fn(),
        W: Fn(),
        S: Fn() -> bool,
    {
        while let Some(rate) = self.rates.next() {
            if !self.steps.is_empty() {
                (runs.rest)();
            }
            if (runs.is_stopped)() {
                break;
            }
            let mut made = (runs.run)(rate);
            if made.is_err() && !self.steps.is_empty() && !(runs.is_stopped)() {
                // What was possible before is likely to be so again.
                (runs.wait_for_link)();
                made = (runs.run)(rate);
            }
            match made {
                // Cut short by somebody: it says nothing about the rate.
                Ok(report) if (runs.is_stopped)() => self.last = Some(report),
                Ok(report) => self.add(rate, report),
                Err(failure) if self.steps.is_empty() => return Err(failure),
                Err(failure) => {
                    self.break_off(rate, failure);
                    break;
                }
            }
        }
        self.into_report((runs.is_stopped)())
    }

    fn add(&mut self, rate: u64, report: Report) {
        let ok = report.outcome.exit_code == 0;
        let summary = report.outcome.summary.clone();
        eprintln!("synfin: {}/s {}: {summary}", grouped(rate), if ok { "ok" } else { "failed" });
        self.rates.tell(rate, ok);
        if ok {
            self.best = Some((rate, report.clone()));
        }
        self.steps.push(SearchStep { rate_per_second: rate, ok, summary, notes: report.notes.clone() });
        self.last = Some(report);
    }

    fn break_off(&mut self, rate: u64, failure: Failure) {
        eprintln!("synfin: {}/s could not be tried: {failure}", grouped(rate));
        self.broke_off = Some(failure.what.clone());
        let summary = format!("could not be tried: {}", failure.what);
        self.steps.push(SearchStep { rate_per_second: rate, ok: false, summary, notes: Vec::new() });
    }

    fn into_report(self, is_stopped: bool) -> Result<Report, Failure> {
        let outcome = self.outcome(is_stopped);
        let found = self.rates.good();
        let best = self.best.filter(|(rate, _)| Some(*rate) == found).map(|(_, report)| report);
        let report = best.or(self.last).map(|report| Report { outcome, search: Some(self.steps), ..report });
        report.ok_or_else(|| Failure::new("stopped before any rate was tried", ""))
    }

    /// Why a rate did not go well, the last time that it did not.
    fn reason(&self, rate: u64) -> &str {
        let failed = self.steps.iter().rfind(|step| !step.ok && step.rate_per_second == rate);
        failed.map_or("", |step| &step.summary)
    }

    fn outcome(&self, is_stopped: bool) -> Outcome {
        let cut = if is_stopped { "stopped early; " } else { "" };
        let Some(good) = self.rates.good() else {
            let tried = self.rates.bad().map_or("no rate was tried to its end".into(), |bad| {
                format!("no rate went well, down to {}/s: {}", grouped(bad), self.reason(bad))
            });
            return Outcome { exit_code: EXIT_FAILED, summary: format!("{cut}{tried}") };
        };
        if let Some(why) = &self.broke_off {
            let summary = format!("{}/s went well, and then the search broke off: {why}", grouped(good));
            return Outcome { exit_code: EXIT_FAILED, summary };
        }
        let limit = match self.rates.bad() {
            Some(bad) => format!("{}/s did not: {}", grouped(bad), self.reason(bad)),
            None if is_stopped => "no higher one was tried".into(),
            None => "which is all that --rate allows".into(),
        };
        Outcome { exit_code: 0, summary: format!("{cut}{}/s went well, {limit}", grouped(good)) }
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
