//! How long turns took.

use hdrhistogram::Histogram;
use std::time::{Duration, Instant};

/// Durations of turns, by two clocks.
pub struct Pauses {
    cpu_ns: Histogram<u64>,
    wall_ns: Histogram<u64>,
}

/// Longer ones count as this long.
const LONGEST_NS: u64 = 60_000_000_000;

/// The quantiles that are reported; the maximum goes with them.
pub const QUANTILES: [f64; 3] = [0.5, 0.99, 0.999];

impl Default for Pauses {
    fn default() -> Pauses {
        let histogram = || Histogram::new_with_max(LONGEST_NS, 3).expect("these bounds are allowed");
        Pauses { cpu_ns: histogram(), wall_ns: histogram() }
    }
}

impl Pauses {
    /// Times one turn.
    pub fn time<R>(&mut self, turn: impl FnOnce() -> R) -> R {
        let (cpu, wall) = (thread_cpu_time(), Instant::now());
        let result = turn();
        let wall = wall.elapsed();
        let cpu = thread_cpu_time().saturating_sub(cpu);
        self.cpu_ns.saturating_record(cpu.as_nanos() as u64);
        self.wall_ns.saturating_record(wall.as_nanos() as u64);
        result
    }

    pub fn turns(&self) -> u64 {
        self.cpu_ns.len()
    }

    /// [`QUANTILES`] and the maximum in microseconds: by the thread's CPU time, and by the wall clock.
    pub fn quantiles_us(&self) -> [[f64; 4]; 2] {
        [&self.cpu_ns, &self.wall_ns].map(|histogram| {
            let [half, p99, p999] = QUANTILES.map(|q| histogram.value_at_quantile(q) as f64 / 1e3);
            [half, p99, p999, histogram.max() as f64 / 1e3]
        })
    }
}

/// CPU time of this thread so far.
pub fn thread_cpu_time() -> Duration {
    let mut at = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `at` is a timespec of our own that the call may write.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut at) } != 0;
    if failed { Duration::ZERO } else { Duration::new(at.tv_sec as u64, at.tv_nsec as u32) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeping_takes_wall_time_and_hardly_any_cpu_time() {
        let mut pauses = Pauses::default();
        pauses.time(|| std::thread::sleep(Duration::from_millis(20)));
        let [cpu, wall] = pauses.quantiles_us();
        assert!(wall[3] >= 19_900.0 && cpu[3] < wall[3] / 2.0, "{cpu:?} {wall:?}");
        assert_eq!(pauses.turns(), 1);
    }
}
