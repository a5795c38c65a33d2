//! The one place where the engine asks what time it is.

use crate::base::Instant;
use crate::io::tap::ClockFn;
use std::time::{SystemTime, UNIX_EPOCH};

/// CLOCK_MONOTONIC counted from the start of the run. Copied into every worker, so that all parts of a run share
/// one time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: std::time::Instant,
    /// Nanoseconds since 1970 at the start.
    start_wall_ns: u64,
}

impl Clock {
    /// The run starts now.
    pub fn start() -> Clock {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { start: std::time::Instant::now(), start_wall_ns: u64::try_from(wall.as_nanos()).unwrap_or(0) }
    }

    /// About 25 ns: no system call (vDSO).
    #[inline]
    pub fn now(&self) -> Instant {
        let elapsed = self.start.elapsed();
        Instant::from_nanos(elapsed.as_secs() * 1_000_000_000 + u64::from(elapsed.subsec_nanos()))
    }

    /// Added to an [`Instant`]'s nanoseconds it gives nanoseconds since 1970. Fixed at the start, so a step of the
    /// wall clock does not disturb a recording.
    pub fn wall_offset_ns(&self) -> u64 {
        self.start_wall_ns
    }

    /// This clock for a tap.
    pub fn for_tap(&self) -> ClockFn {
        let clock = *self;
        Box::new(move || clock.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_share_one_time_that_never_runs_backwards() {
        let clock = Clock::start();
        let tap = clock.for_tap();
        let mut last = clock.now();
        for _ in 0..1000 {
            let (a, b) = (tap(), clock.now());
            assert!(last <= a && a <= b);
            last = b;
        }
    }
}
