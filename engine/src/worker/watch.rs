//! Where a worker's time goes. One clock reading per turn tells busy from idle; one turn in `SAMPLE_TURNS` is
//! measured stage by stage, which makes the whole accounting cost less than a percent.

use super::clock::Clock;
use crate::base::Instant;
use crate::control::{Stage, TimeSpent};

/// Prime, so that no pattern in the turns keeps in step with the sample.
const SAMPLE_TURNS: u64 = 13;

/// A worker's stopwatch.
pub struct Watch {
    clock: Clock,
    pub time: TimeSpent,
    /// This turn is in the sample.
    sampling: bool,
    last: Instant,
    laps_ns: [u64; Stage::COUNT],
}

impl Watch {
    pub fn new(clock: Clock) -> Watch {
        let (time, last) = (TimeSpent::default(), Instant::ZERO);
        Watch { clock, time, sampling: false, last, laps_ns: [0; Stage::COUNT] }
    }

    /// A turn begins at `now`.
    #[inline]
    pub fn begin(&mut self, now: Instant) {
        self.sampling = self.time.turns.is_multiple_of(SAMPLE_TURNS);
        self.last = now;
        self.laps_ns = [0; Stage::COUNT];
    }

    /// The time since the last lap went into `stage`.
    #[inline]
    pub fn lap(&mut self, stage: Stage) {
        if self.sampling {
            let now = self.clock.now();
            self.laps_ns[stage as usize] += now.nanos_since(self.last);
            self.last = now;
        }
    }

    /// The turn, with whatever rest followed it, took `ns`.
    #[inline]
    pub fn end(&mut self, busy: bool, ns: u64) {
        self.time.turns += 1;
        if !busy {
            self.time.idle_ns += ns;
            return;
        }
        self.time.busy_turns += 1;
        self.time.busy_ns += ns;
        if self.sampling {
            self.time.sampled_ns.iter_mut().zip(self.laps_ns).for_each(|(sum, lap)| *sum += lap);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_turns_count_as_idle_and_leave_the_sample_alone() {
        let clock = Clock::start();
        let mut watch = Watch::new(clock);
        for turn in 0..SAMPLE_TURNS * 4 {
            watch.begin(clock.now());
            watch.lap(Stage::Rx);
            watch.lap(Stage::Kick);
            watch.end(turn % 2 == 0, 10);
        }
        let t = watch.time;
        assert_eq!((t.turns, t.busy_turns), (SAMPLE_TURNS * 4, SAMPLE_TURNS * 2));
        assert_eq!((t.busy_ns, t.idle_ns), (SAMPLE_TURNS * 20, SAMPLE_TURNS * 20));
        assert_eq!(t.sampled_ns[Stage::Idle as usize], 0);
    }
}
