//! When connections are due, in virtual time: by the plan alone, whatever has really happened so far.
//!
//! Several workers share one plan: launch K is made by worker K mod W, so that together they are as evenly paced as
//! one. Pure arithmetic; the caller knows the time.

const NS_PER_S: u64 = 1_000_000_000;

/// A worker's place among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    pub worker: u32,
    /// At least 1.
    pub workers: u32,
}

impl Share {
    /// This worker's part of a total; the parts of all add up to it.
    pub fn of(self, total: u64) -> u64 {
        let (worker, workers) = (u64::from(self.worker), u64::from(self.workers.max(1)));
        total / workers + u64::from(worker < total % workers)
    }
}

/// Open loop: launches at even distances, after a ramp during which the rate grows evenly from zero.
#[derive(Clone, Debug)]
pub struct OpenLoop {
    /// Number of the next launch among those of all workers.
    index: u64,
    step: u64,
    rate: u64,
    ramp_ns: u64,
    /// `index / rate` in ns, kept exactly: whole part and remainder (in units of 1/rate ns).
    even_ns: u64,
    remainder: u64,
}

impl OpenLoop {
    /// `rate` launches per second by all workers together, at least 1.
    pub fn new(rate: u64, ramp_ns: u64, share: Share) -> OpenLoop {
        let rate = rate.max(1);
        let mut it = OpenLoop { index: 0, step: 0, rate, ramp_ns, even_ns: 0, remainder: 0 };
        it.go(u64::from(share.worker));
        it.step = u64::from(share.workers.max(1));
        it
    }

    /// Number of the next launch among those of all workers.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// When the next launch is due, in nanoseconds after the start.
    pub fn due_ns(&self) -> u64 {
        // At rate r, the ramp makes up for half its length: launch k is due at ramp/2 + k/r behind it. Within it,
        // r t^2 / (2 ramp) launches are due by the time t.
        let in_ramp =
            u128::from(self.index) * 2 * u128::from(NS_PER_S) < u128::from(self.rate) * u128::from(self.ramp_ns);
        if in_ramp {
            let seconds = (2.0 * self.ramp_ns as f64 / 1e9 * self.index as f64 / self.rate as f64).sqrt();
            return (seconds * 1e9) as u64;
        }
        self.even_ns.saturating_add(self.ramp_ns / 2)
    }

    /// How many of this worker's launches are due by then, up to `max`.
    pub fn due_by(&self, elapsed_ns: u64, max: u64) -> u64 {
        let mut ahead = self.clone();
        (0..max)
            .take_while(|_| {
                let is_due = ahead.due_ns() <= elapsed_ns;
                ahead.advance();
                is_due
            })
            .count() as u64
    }

    /// Goes on to this worker's next launch.
    pub fn advance(&mut self) {
        self.go(self.step);
    }

    fn go(&mut self, launches: u64) {
        self.index += launches;
        let ns = launches * NS_PER_S;
        self.even_ns += ns / self.rate;
        self.remainder += ns % self.rate;
        if self.remainder >= self.rate {
            self.remainder -= self.rate;
            self.even_ns += 1;
        }
    }
}

/// Closed loop: how many connections may be open at a time.
#[derive(Clone, Debug)]
pub struct ClosedLoop {
    concurrency: u64,
    ramp_ns: u64,
}

impl ClosedLoop {
    /// `concurrency` of this worker alone.
    pub fn new(concurrency: u64, ramp_ns: u64) -> ClosedLoop {
        ClosedLoop { concurrency, ramp_ns }
    }

    /// How many may be open this long after the start.
    pub fn allowed(&self, elapsed_ns: u64) -> u64 {
        if elapsed_ns >= self.ramp_ns {
            return self.concurrency;
        }
        let part = u128::from(self.concurrency) * u128::from(elapsed_ns);
        part.div_ceil(u128::from(self.ramp_ns)) as u64
    }

    /// When `allowed` grows beyond `open`, in nanoseconds after the start; `None` when it never does.
    pub fn grows_beyond_ns(&self, open: u64) -> Option<u64> {
        if open >= self.concurrency {
            return None;
        }
        Some((u128::from(open) * u128::from(self.ramp_ns) / u128::from(self.concurrency)) as u64 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALONE: Share = Share { worker: 0, workers: 1 };

    fn first(n: usize, mut plan: OpenLoop) -> Vec<u64> {
        (0..n)
            .map(|_| {
                let due = plan.due_ns();
                plan.advance();
                due
            })
            .collect()
    }

    #[test]
    fn launches_are_evenly_spaced_and_do_not_drift() {
        assert_eq!(first(4, OpenLoop::new(1000, 0, ALONE)), [0, 1_000_000, 2_000_000, 3_000_000]);
        // 3 does not divide a second: after three million launches not a nanosecond is lost.
        assert_eq!(first(3_000_001, OpenLoop::new(3, 0, ALONE))[3_000_000], 1_000_000 * NS_PER_S);
    }

    #[test]
    fn workers_together_follow_the_plan_of_one() {
        let whole = first(120, OpenLoop::new(7_777, 0, ALONE));
        let ramped = first(120, OpenLoop::new(777, 100_000_000, ALONE));
        for (plan, rate, ramp) in [(whole, 7_777, 0), (ramped, 777, 100_000_000)] {
            let mut merged: Vec<u64> =
                (0..3).flat_map(|w| first(40, OpenLoop::new(rate, ramp, Share { worker: w, workers: 3 }))).collect();
            merged.sort_unstable();
            assert_eq!(merged, plan);
        }
    }

    #[test]
    fn a_ramp_grows_the_rate_evenly_and_joins_the_full_rate_without_a_jump() {
        let due = first(3000, OpenLoop::new(1000, NS_PER_S, ALONE));
        let by = |t: u64| due.iter().filter(|d| **d < t).count();
        // A quarter of the ramp's launches in its first half; half of what the full rate would make in all of it.
        assert_eq!((by(NS_PER_S / 2), by(NS_PER_S), by(2 * NS_PER_S)), (125, 500, 1500));
        assert!(due.is_sorted());
    }

    #[test]
    fn closed_loop_grows_to_its_size_and_says_when() {
        let plan = ClosedLoop::new(10, 1_000);
        assert_eq!((plan.allowed(0), plan.allowed(1), plan.allowed(500), plan.allowed(501)), (0, 1, 5, 6));
        assert_eq!((plan.allowed(1_000), plan.allowed(u64::MAX)), (10, 10));
        for open in 0..10 {
            let at = plan.grows_beyond_ns(open).unwrap();
            assert!(plan.allowed(at) > open && plan.allowed(at - 1) <= open, "{open}");
        }
        assert_eq!(plan.grows_beyond_ns(10), None);
        assert_eq!(ClosedLoop::new(5, 0).allowed(0), 5);
    }

    proptest! {
        #[test]
        fn shares_add_up_and_differ_by_at_most_one(total in 0u64..1_000_000_000, workers in 1u32..64) {
            let parts: Vec<u64> = (0..workers).map(|worker| Share { worker, workers }.of(total)).collect();
            prop_assert_eq!(parts.iter().sum::<u64>(), total);
            prop_assert!(parts.iter().max().unwrap() - parts.iter().min().unwrap() <= 1);
        }

        #[test]
        fn due_times_never_go_back(rate in 1u64..100_000_000, ramp in 0u64..10_000_000_000, workers in 1u32..8) {
            let share = Share { worker: 0, workers };
            prop_assert!(first(500, OpenLoop::new(rate, ramp, share)).is_sorted());
        }
    }
}
