use super::*;
use crate::report::text::tests::report;
use std::cell::{Cell, RefCell};

/// The report of a run at a rate, of which the target takes so many.
fn ran(rate: u64, takes: u64) -> Report {
    let mut report = report();
    let exit_code = u8::from(rate > takes);
    report.outcome = Outcome { exit_code, summary: if rate > takes { "too much".into() } else { "well".into() } };
    report.notes = vec![format!("a note at {rate}")];
    report.load.as_mut().expect("a run of load").rate_per_second = Some(rate);
    report
}

fn searched(
    highest: u64,
    run: impl Fn(u64) -> Result<Report, Failure>,
    wait_for_link: impl Fn(),
    is_stopped: impl Fn() -> bool,
) -> Result<Report, Failure> {
    Search::new(highest).finish(Runs { run, rest: || {}, wait_for_link, is_stopped })
}

fn tried(report: &Report) -> Vec<u64> {
    report.search.iter().flatten().map(|s| s.rate_per_second).collect()
}

#[test]
fn the_report_is_that_of_the_rate_found_and_says_what_stood_in_the_way_of_more() {
    let report = searched(6400, |rate| Ok(ran(rate, 1700)), || {}, || false).expect("a report");
    let rate = report.load.as_ref().and_then(|l| l.rate_per_second).expect("a rate");
    assert!((1620..=1700).contains(&rate), "{rate}");
    let said = &report.outcome.summary;
    assert!(said.starts_with(&format!("{}/s went well, 1,7", grouped(rate))) && said.ends_with("/s did not: too much"));
    let steps = report.search.as_ref().expect("steps");
    assert!(steps.iter().all(|s| s.notes == [format!("a note at {}", s.rate_per_second)]));
    assert_eq!(steps.last().map(|s| (s.rate_per_second, s.ok)), Some((rate, true)), "it was tried once more");
}

#[test]
fn a_run_that_cannot_be_made_is_tried_again_once_the_link_is_back() {
    let (failures, waits) = (Cell::new(1), Cell::new(0));
    let run = |rate| match (rate, failures.get()) {
        (400, 1..) => {
            failures.set(failures.get() - 1);
            Err(Failure::new("v0 has no carrier", "Plug it in."))
        }
        _ => Ok(ran(rate, 10_000)),
    };
    let report = searched(6400, run, || waits.set(waits.get() + 1), || false).expect("a report");
    assert_eq!((report.outcome.exit_code, waits.get()), (0, 1));
    assert_eq!(tried(&report), [100, 200, 400, 800, 1600, 3200, 6400, 6400]);
}

#[test]
fn a_search_that_cannot_go_on_keeps_what_it_has_found() {
    let run = |rate| if rate < 400 { Ok(ran(rate, 10_000)) } else { Err(Failure::new("v0 has no carrier", "")) };
    let report = searched(6400, run, || {}, || false).expect("a report");
    assert_eq!(report.load.as_ref().and_then(|l| l.rate_per_second), Some(200));
    assert_eq!(report.outcome.exit_code, EXIT_FAILED);
    assert_eq!(report.outcome.summary, "200/s went well, and then the search broke off: v0 has no carrier");
    let last = report.search.as_ref().and_then(|s| s.last()).expect("steps");
    assert_eq!((last.rate_per_second, &*last.summary), (400, "could not be tried: v0 has no carrier"));
    let first = searched(6400, |_| Err(Failure::new("v0 has no carrier", "")), || {}, || false);
    assert_eq!(first.map(|r| r.command), Err(Failure::new("v0 has no carrier", "")), "nothing was found");
}

#[test]
fn a_search_that_is_stopped_reports_what_it_has_found_and_not_the_run_that_was_cut() {
    let rates = RefCell::new(Vec::new());
    let run = |rate| {
        rates.borrow_mut().push(rate);
        Ok(ran(rate, 10_000))
    };
    let report = searched(6400, run, || {}, || rates.borrow().len() >= 3).expect("a report");
    assert_eq!(tried(&report), [100, 200]);
    assert_eq!(report.outcome.summary, "stopped early; 200/s went well, no higher one was tried");
    assert_eq!(report.load.as_ref().and_then(|l| l.rate_per_second), Some(200));
}

#[test]
fn nothing_that_goes_well_is_said_with_its_reason() {
    let report = searched(64, |rate| Ok(ran(rate, 0)), || {}, || false).expect("a report");
    assert_eq!(report.outcome, Outcome { exit_code: 1, summary: "no rate went well, down to 1/s: too much".into() });
}
