//! Latencies as they come: a histogram that one worker writes and the main thread reads, without locks. Coarser than the
//! one that the report is made from (a bucket is at most 1/32 of its values wide), and small.

use serde::Serialize;
use std::sync::atomic::{AtomicU32, Ordering};

/// Buckets for each doubling, as a power of two.
const SHIFT: u32 = 5;
const EACH: u64 = 1 << SHIFT;
/// Longer is counted as this: an hour and a quarter.
const NS_MAX: u64 = (1 << 42) - 1;
const BUCKETS: usize = bucket(NS_MAX) + 1;

/// Up to 63 ns each value has a bucket of its own.
const fn bucket(ns: u64) -> usize {
    let shift = (ns | (2 * EACH - 1)).ilog2() - SHIFT;
    ((shift as usize) << SHIFT) + (ns >> shift) as usize
}

/// The largest value of a bucket.
fn top(bucket: usize) -> u64 {
    let shift = (bucket >> SHIFT).saturating_sub(1);
    ((((bucket - (shift << SHIFT)) as u64) + 1) << shift) - 1
}

/// Running totals; they may wrap, as only differences count.
#[derive(Debug)]
pub struct Buckets([AtomicU32; BUCKETS]);

impl Default for Buckets {
    fn default() -> Self {
        Buckets([const { AtomicU32::new(0) }; BUCKETS])
    }
}

impl Buckets {
    /// By the one worker whose they are.
    #[inline]
    pub fn record(&self, ns: u64) {
        let place = &self.0[bucket(ns.min(NS_MAX))];
        // Nobody else writes: a read and a write do, where an atomic addition would lock the line.
        place.store(place.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

/// The totals of some workers at some moment.
#[derive(Clone)]
pub struct Totals(Box<[u32]>);

impl Default for Totals {
    fn default() -> Self {
        Totals(vec![0; BUCKETS].into())
    }
}

impl Totals {
    pub fn read<'a>(all: impl Iterator<Item = &'a Buckets>) -> Totals {
        let mut totals = Totals::default();
        for buckets in all {
            let each = totals.0.iter_mut().zip(&buckets.0);
            each.for_each(|(sum, b)| *sum = sum.wrapping_add(b.load(Ordering::Relaxed)));
        }
        totals
    }

    /// How many there are up to each of these bounds (which rise) and above the one before it, and behind the last of them; and
    /// what all are together, to within a bucket.
    pub fn within(&self, bounds_ns: &[u64]) -> (Vec<u64>, u128) {
        let mut counts = vec![0; bounds_ns.len() + 1];
        let mut sum_ns = 0;
        for (bucket, n) in self.0.iter().enumerate().filter(|(_, n)| **n > 0) {
            counts[bounds_ns.partition_point(|bound| *bound < top(bucket))] += u64::from(*n);
            sum_ns += u128::from(top(bucket)) * u128::from(*n);
        }
        (counts, sum_ns)
    }

    /// What has come since `before`; `None` if nothing has.
    pub fn since(&self, before: &Totals) -> Option<Spread> {
        let new: Vec<u32> = self.0.iter().zip(&before.0).map(|(now, then)| now.wrapping_sub(*then)).collect();
        Spread::of(&new)
    }
}

/// How latencies of a stretch of time are spread, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Spread {
    pub count: u64,
    pub p50: u64,
    pub p90: u64,
    pub p95: u64,
    pub p99: u64,
    pub p99_9: u64,
    pub p99_99: u64,
    pub max: u64,
}

impl Spread {
    fn of(counts: &[u32]) -> Option<Spread> {
        let count: u64 = counts.iter().map(|n| u64::from(*n)).sum();
        let max = top(counts.iter().rposition(|n| *n > 0)?);
        let at = |share: f64| {
            let rank = ((count as f64 * share).ceil() as u64).max(1);
            let mut seen = 0;
            let mut reached = |n: &u32| {
                seen += u64::from(*n);
                seen >= rank
            };
            counts.iter().position(&mut reached).map_or(max, top)
        };
        let (p50, p90, p95) = (at(0.5), at(0.9), at(0.95));
        Some(Spread { count, p50, p90, p95, p99: at(0.99), p99_9: at(0.999), p99_99: at(0.9999), max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_lies_in_a_bucket_whose_top_is_at_most_a_thirty_second_above_it() {
        let mut last = 0;
        for ns in (0..4096).chain((12..42).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + (1 << (bit - 3))]))
        {
            let b = bucket(ns);
            assert!(top(b) >= ns && top(b) - ns <= ns / 32, "{ns}: {}", top(b));
            assert!(b >= last, "{ns}: buckets rise with their values");
            last = b;
        }
        assert!((1..BUCKETS).all(|b| bucket(top(b)) == b && top(b) > top(b - 1)));
    }

    #[test]
    fn quantiles_are_those_of_what_came_since_the_last_look_over_all_workers() {
        let workers = [Buckets::default(), Buckets::default()];
        (0..500).for_each(|_| workers[0].record(u64::MAX));
        let before = Totals::read(workers.iter());
        (1..=1000u64).for_each(|us| workers[us as usize % 2].record(us * 1000));
        let spread = Totals::read(workers.iter()).since(&before).expect("a thousand values");
        assert_eq!(spread.count, 1000);
        let middle = [(spread.p50, 500), (spread.p90, 900), (spread.p95, 950), (spread.p99, 990)];
        let tail = [(spread.p99_9, 999), (spread.p99_99, 1000), (spread.max, 1000)];
        for (got, us) in middle.into_iter().chain(tail) {
            assert!(got >= us * 1000 && got <= us * 1000 * 33 / 32, "{us}: {got}");
        }
        assert_eq!(Totals::read(workers.iter()).since(&Totals::read(workers.iter())), None);
    }

    #[test]
    fn each_value_counts_below_the_first_bound_that_it_does_not_exceed() {
        let worker = Buckets::default();
        [10, 20, 21, 1 << 40].into_iter().for_each(|ns| worker.record(ns));
        let (counts, sum_ns) = Totals::read([&worker].into_iter()).within(&[10, 20, 60]);
        assert_eq!(counts, [1, 1, 1, 1]);
        let exact = (1 << 40) + 51;
        assert!((exact..=exact * 33 / 32).contains(&sum_ns), "{sum_ns}");
    }

    #[test]
    fn totals_that_wrap_still_give_the_difference() {
        let (mut before, mut after) = (Totals::default(), Totals::default());
        (before.0[7], after.0[7]) = (u32::MAX, 1);
        assert_eq!(after.since(&before).map(|s| (s.count, s.max)), Some((2, 7)));
    }
}
