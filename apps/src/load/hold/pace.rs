//! When the next step may be taken: at even distances, or at once.

use crate::load::schedule::{OpenLoop, Share};
use synfin_engine::base::Instant;

/// Steps at a rate, or as fast as they can be made.
#[derive(Clone, Debug)]
pub struct Pace {
    rate: Option<u64>,
    share: Share,
    plan: OpenLoop,
}

impl Pace {
    /// `rate` steps per second by all workers together, after a ramp during which it grows evenly; `None`: at once.
    pub fn new(rate: Option<u64>, ramp_ns: u64, share: Share) -> Pace {
        Pace { rate, share, plan: OpenLoop::new(rate.unwrap_or(1), ramp_ns, share) }
    }

    /// From the first step again, without a ramp.
    pub fn restart(&mut self) {
        *self = Pace::new(self.rate, 0, self.share);
    }

    /// The number of the next step among those of all workers and when it was due, if that is by now. It counts as taken.
    pub fn next(&mut self, since: Instant, now: Instant) -> Option<(u64, Instant)> {
        let due = if self.rate.is_some() { self.due(since) } else { now };
        if due > now {
            return None;
        }
        let index = self.plan.index();
        self.plan.advance();
        Some((index, due))
    }

    /// How many times in a row `next` would give something, up to `max`.
    pub fn due_now(&self, since: Instant, now: Instant, max: u64) -> u64 {
        if self.rate.is_some() { self.plan.due_by(now.nanos_since(since), max) } else { max }
    }

    /// When `next` will give something.
    pub fn due(&self, since: Instant) -> Instant {
        if self.rate.is_some() { since.plus_nanos(self.plan.due_ns()) } else { Instant::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_come_at_their_rate_or_at_once() {
        let share = Share { worker: 1, workers: 2 };
        let at = Instant::from_nanos;
        let mut even = Pace::new(Some(1000), 0, share);
        assert_eq!([0, 2, 5_000].map(|us| even.due_now(at(0), at(us * 1_000), 2)), [0, 0, 2]);
        assert_eq!((even.next(at(0), at(999_999)), even.due(at(0))), (None, at(1_000_000)));
        assert_eq!(even.next(at(0), at(5_000_000)), Some((1, at(1_000_000))));
        assert_eq!(even.next(at(0), at(5_000_000)), Some((3, at(3_000_000))));
        even.restart();
        assert_eq!(even.next(at(0), at(5_000_000)), Some((1, at(1_000_000))));
        let mut fast = Pace::new(None, 0, share);
        assert_eq!((fast.next(at(0), at(7)), fast.next(at(0), at(7))), (Some((1, at(7))), Some((3, at(7)))));
        assert!(fast.due(at(0)) <= at(0));
    }
}
