//! How long turns took, and which of them the machine's other users had a hand in.

use hdrhistogram::Histogram;
use std::time::{Duration, Instant};

/// Durations of turns.
pub struct Pauses {
    /// By the thread's CPU clock and by the wall clock.
    cpu_ns: Histogram<u64>,
    wall_ns: Histogram<u64>,
    /// By the wall clock, of turns during which the thread was never made to wait for another one.
    undisturbed_ns: Histogram<u64>,
    page_faults: u64,
}

/// Longer ones count as this long.
const LONGEST_NS: u64 = 60_000_000_000;

/// The quantiles that are reported; the maximum goes with them.
pub const QUANTILES: [f64; 3] = [0.5, 0.99, 0.999];
/// What the durations are told apart by.
pub const CLOCKS: [&str; 3] = ["cpu", "wall", "wall, undisturbed"];

impl Default for Pauses {
    fn default() -> Pauses {
        let histogram = || Histogram::new_with_max(LONGEST_NS, 3).expect("these bounds are allowed");
        Pauses { cpu_ns: histogram(), wall_ns: histogram(), undisturbed_ns: histogram(), page_faults: 0 }
    }
}

impl Pauses {
    /// Times one turn.
    pub fn time<R>(&mut self, turn: impl FnOnce() -> R) -> R {
        let before = Usage::so_far();
        let (cpu, wall) = (thread_cpu_time(), Instant::now());
        let result = turn();
        let wall = wall.elapsed().as_nanos() as u64;
        let cpu = thread_cpu_time().saturating_sub(cpu).as_nanos() as u64;
        let after = Usage::so_far();
        self.cpu_ns.saturating_record(cpu);
        self.wall_ns.saturating_record(wall);
        if after.switches == before.switches {
            self.undisturbed_ns.saturating_record(wall);
        }
        self.page_faults += after.page_faults - before.page_faults;
        result
    }

    pub fn turns(&self) -> u64 {
        self.cpu_ns.len()
    }

    /// Turns in which the thread had to wait for another one.
    pub fn disturbed(&self) -> u64 {
        self.turns() - self.undisturbed_ns.len()
    }

    pub fn page_faults(&self) -> u64 {
        self.page_faults
    }

    /// [`QUANTILES`] and the maximum in microseconds, by [`CLOCKS`].
    pub fn quantiles_us(&self) -> [[f64; 4]; 3] {
        [&self.cpu_ns, &self.wall_ns, &self.undisturbed_ns].map(|histogram| {
            let [half, p99, p999] = QUANTILES.map(|q| histogram.value_at_quantile(q) as f64 / 1e3);
            [half, p99, p999, histogram.max() as f64 / 1e3]
        })
    }
}

/// What happened to this thread.
struct Usage {
    /// Times that another one had the core, or something in the system that this one had to wait for.
    switches: u64,
    /// Pages that the system had to provide.
    page_faults: u64,
}

impl Usage {
    fn so_far() -> Usage {
        // SAFETY: a structure of numbers, for which zeroes are fine.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: `usage` is our own and the call may write it. Should it fail, the zeroes stay.
        unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
        Usage { switches: (usage.ru_nivcsw + usage.ru_nvcsw) as u64, page_faults: usage.ru_minflt as u64 }
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
        let [cpu, wall, _] = pauses.quantiles_us();
        assert!(wall[3] >= 19_900.0 && cpu[3] < wall[3] / 2.0, "{cpu:?} {wall:?}");
        assert_eq!(pauses.turns(), 1);
    }

    #[test]
    fn pages_that_a_turn_touches_first_are_counted() {
        let mut pauses = Pauses::default();
        pauses.time(|| drop(std::hint::black_box(vec![1u8; 64 << 20])));
        assert!(pauses.page_faults() >= 32, "{} faults, of at most a huge page each", pauses.page_faults());
        assert!(pauses.disturbed() <= 1);
    }
}
