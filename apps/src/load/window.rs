//! The part of a run that rates are of: from the end of the warm-up for as long as load is offered. A target whose caches are
//! cold says little about it, and what comes after the end, a connection that lags behind all others most of all, would only
//! lengthen the time. Counts are of the whole run, latencies of all that comes after the warm-up.

use super::latency::Latencies;
use super::tally::Tally;

pub struct Window {
    /// The warm-up lasts until so long after the start; `None`: it is over.
    warmup_ns: Option<u64>,
    /// What had been counted by its end.
    before: Tally,
    /// When the load was over, and what had been counted by then.
    end: Option<(u64, Tally)>,
}

/// What a run has counted, in parts.
pub struct Measured {
    /// Since the warm-up.
    pub all: Tally,
    /// Of that, while load was offered.
    pub offered: Tally,
    /// From the start until the load was over.
    pub active_ns: u64,
}

impl Window {
    pub fn new(warmup_ns: u64) -> Window {
        Window { warmup_ns: (warmup_ns > 0).then_some(warmup_ns), before: Tally::default(), end: None }
    }

    /// Called all the time.
    pub fn tick(&mut self, elapsed_ns: u64, tally: &Tally, latencies: &mut Latencies) {
        if self.warmup_ns.is_some_and(|warmup| elapsed_ns >= warmup) {
            self.end_warmup(tally, latencies);
        }
    }

    #[cold]
    fn end_warmup(&mut self, tally: &Tally, latencies: &mut Latencies) {
        self.warmup_ns = None;
        self.before = tally.clone();
        latencies.forget();
    }

    pub fn is_closed(&self) -> bool {
        self.end.is_some()
    }

    /// The load was over so long after the start.
    #[cold]
    pub fn close(&mut self, active_ns: u64, tally: &Tally) {
        self.end = Some((active_ns, tally.clone()));
    }

    /// Nothing is measured if the run did not last longer than the warm-up. `active_ns`: unless it was closed before.
    pub fn finish(mut self, active_ns: u64, tally: &Tally, latencies: &mut Latencies) -> Measured {
        if self.warmup_ns.is_some() {
            self.end_warmup(tally, latencies);
        }
        let (active_ns, by_end) = self.end.as_ref().map_or((active_ns, tally), |(ns, tally)| (*ns, tally));
        Measured { all: tally.since(&self.before), offered: by_end.since(&self.before), active_ns }
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
    fn what_comes_before_the_end_of_the_warm_up_is_in_no_percentile_and_no_rate() {
        let mut latencies = Latencies::default();
        let mut window = Window::new(100);
        latencies.record(Measure::Request, 7_000);
        window.tick(99, &counted(3), &mut latencies);
        assert_eq!(latencies.of(Measure::Request).len(), 1);
        window.tick(105, &counted(5), &mut latencies);
        assert_eq!(latencies.of(Measure::Request).len(), 0);
        latencies.record(Measure::Request, 500);
        window.tick(200, &counted(9), &mut latencies);
        let measured = window.finish(300, &counted(25), &mut latencies);
        assert_eq!((measured.all, measured.offered, measured.active_ns), (counted(20), counted(20), 300));
        assert_eq!((latencies.of(Measure::Request).len(), latencies.of(Measure::Request).max()), (1, 500));
    }

    #[test]
    fn a_run_that_ends_within_the_warm_up_has_measured_nothing_and_one_without_it_everything() {
        let mut latencies = Latencies::default();
        latencies.record(Measure::Request, 500);
        assert_eq!(Window::new(0).finish(1, &counted(4), &mut latencies).all, counted(4));
        assert_eq!(latencies.of(Measure::Request).len(), 1);
        let nothing = Window::new(100).finish(1, &counted(4), &mut latencies);
        assert_eq!((nothing.all, nothing.offered), (counted(0), counted(0)));
        assert!(latencies.of(Measure::Request).is_empty());
    }

    #[test]
    fn what_comes_after_the_load_is_measured_but_in_no_rate() {
        let mut latencies = Latencies::default();
        let mut window = Window::new(100);
        window.tick(100, &counted(5), &mut latencies);
        window.close(200, &counted(9));
        latencies.record(Measure::Request, 500);
        let measured = window.finish(5_000, &counted(12), &mut latencies);
        assert_eq!((measured.all, measured.offered, measured.active_ns), (counted(7), counted(4), 200));
        assert_eq!(latencies.of(Measure::Request).len(), 1);
    }
}
