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
    /// Each turn by the wall clock, if they are kept.
    turns_ns: Option<Vec<u64>>,
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
        Pauses {
            cpu_ns: histogram(),
            wall_ns: histogram(),
            undisturbed_ns: histogram(),
            page_faults: 0,
            turns_ns: None,
        }
    }
}

impl Pauses {
    /// Keeps each turn.
    pub fn keeping_turns() -> Pauses {
        Pauses { turns_ns: Some(Vec::new()), ..Pauses::default() }
    }

    /// Another run of the same, turn by turn: what counts of each turn is the shorter time.
    pub fn keep_shorter(&mut self, again: &Pauses) {
        if let (Some(turns), Some(again)) = (&mut self.turns_ns, &again.turns_ns) {
            assert_eq!(turns.len(), again.len(), "a run in virtual time repeats itself");
            turns.iter_mut().zip(again).for_each(|(turn, again)| *turn = (*turn).min(*again));
        }
    }

    /// As [`Pauses::quantiles_us`], of the turns that were kept; and how many took longer than `limit`.
    pub fn kept_us(&self, limit: Duration) -> ([f64; 4], usize) {
        let mut histogram = Histogram::new_with_max(LONGEST_NS, 3).expect("these bounds are allowed");
        let turns = self.turns_ns.as_deref().unwrap_or(&[]);
        turns.iter().for_each(|&ns| histogram.saturating_record(ns));
        (quantiles_us(&histogram), turns.iter().filter(|&&ns| u128::from(ns) > limit.as_nanos()).count())
    }

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
        if let Some(turns) = &mut self.turns_ns {
            turns.push(wall);
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
        [&self.cpu_ns, &self.wall_ns, &self.undisturbed_ns].map(quantiles_us)
    }
}

fn quantiles_us(histogram: &Histogram<u64>) -> [f64; 4] {
    let [half, p99, p999] = QUANTILES.map(|q| histogram.value_at_quantile(q) as f64 / 1e3);
    [half, p99, p999, histogram.max() as f64 / 1e3]
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
    fn of_two_runs_the_shorter_time_of_each_turn_is_kept() {
        let run = |turns_ns: [u64; 3]| Pauses { turns_ns: Some(turns_ns.to_vec()), ..Pauses::default() };
        let mut shortest = run([1_000, 40_000, 7_000]);
        shortest.keep_shorter(&run([30_000, 1_000, 8_000]));
        let ([half, _, _, max], long) = shortest.kept_us(Duration::from_micros(5));
        assert_eq!((half.round(), max.round(), long), (1.0, 7.0, 1));
    }

    #[test]
    fn pages_that_a_turn_touches_first_are_counted() {
        let mut pauses = Pauses::default();
        pauses.time(|| drop(std::hint::black_box(vec![1u8; 64 << 20])));
        assert!(pauses.page_faults() >= 32, "{} faults, of at most a huge page each", pauses.page_faults());
        assert!(pauses.disturbed() <= 1);
    }
}
