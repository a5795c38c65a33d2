//! The first part of a run, which rates and percentiles leave out: a target whose caches are cold says little about it.

use super::latency::Latencies;
use super::tally::Tally;

pub struct Warmup {
    /// Until so long after the start; `None`: it is over.
    left_ns: Option<u64>,
    /// What had been counted by its end.
    before: Tally,
}

impl Warmup {
    pub fn new(ns: u64) -> Warmup {
        Warmup { left_ns: (ns > 0).then_some(ns), before: Tally::default() }
    }

    /// Called all the time.
    pub fn tick(&mut self, elapsed_ns: u64, tally: &Tally, latencies: &mut Latencies) {
        if self.left_ns.is_some_and(|left| elapsed_ns >= left) {
            self.end(tally, latencies);
        }
    }

    #[cold]
    fn end(&mut self, tally: &Tally, latencies: &mut Latencies) {
        self.left_ns = None;
        self.before = tally.clone();
        latencies.forget();
    }

    /// What has been counted since. Nothing, if the run did not last so long.
    pub fn finish(mut self, tally: &Tally, latencies: &mut Latencies) -> Tally {
        if self.left_ns.is_some() {
            self.end(tally, latencies);
        }
        tally.since(&self.before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::latency::Measure;

    fn counted(completed: u64) -> Tally {
        Tally { completed, responses: [0, 0, completed, 0, 0, 0], ..Tally::default() }
    }

    #[test]
    fn what_comes_before_its_end_is_in_no_percentile_and_no_rate() {
        let mut latencies = Latencies::default();
        let mut warmup = Warmup::new(100);
        latencies.record(Measure::Request, 7_000);
        warmup.tick(99, &counted(3), &mut latencies);
        assert_eq!(latencies.of(Measure::Request).len(), 1);
        warmup.tick(105, &counted(5), &mut latencies);
        assert_eq!(latencies.of(Measure::Request).len(), 0);
        latencies.record(Measure::Request, 500);
        warmup.tick(200, &counted(9), &mut latencies);
        assert_eq!(warmup.finish(&counted(25), &mut latencies), counted(20));
        assert_eq!((latencies.of(Measure::Request).len(), latencies.of(Measure::Request).max()), (1, 500));
    }

    #[test]
    fn a_run_that_ends_within_it_has_measured_nothing_and_one_without_it_everything() {
        let mut latencies = Latencies::default();
        latencies.record(Measure::Request, 500);
        assert_eq!(Warmup::new(0).finish(&counted(4), &mut latencies), counted(4));
        assert_eq!(latencies.of(Measure::Request).len(), 1);
        assert_eq!(Warmup::new(100).finish(&counted(4), &mut latencies), counted(0));
        assert!(latencies.of(Measure::Request).is_empty());
    }
}
