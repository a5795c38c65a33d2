//! One constant timeout for very many connections: a ring of buckets, each a list of names.
//!
//! A connection has one entry from its launch to its end. When the entry's bucket comes round, the caller says how the
//! connection stands: gone, timed out, or on its way with a later deadline (a stage was completed meanwhile), in which
//! case the entry moves. So progress costs nothing; precision is a sixteenth of the timeout.

use synfin_engine::base::Instant;
use synfin_engine::shard::app::ConnId;

const BUCKETS_PER_TIMEOUT: u64 = 16;
const BUCKETS: usize = 32;

/// What the caller knows of a connection whose entry is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Over, or to be forgotten.
    Drop,
    /// Look again at this time.
    Later(Instant),
}

pub struct Timeouts {
    timeout_ns: u64,
    granule_ns: u64,
    buckets: [Vec<ConnId>; BUCKETS],
    /// Number, since time zero, of the bucket that is due next.
    next: u64,
    entries: usize,
}

impl Timeouts {
    pub fn new(timeout_ns: u64, now: Instant) -> Timeouts {
        let granule_ns = (timeout_ns / BUCKETS_PER_TIMEOUT).max(1);
        Timeouts { timeout_ns, granule_ns, buckets: Default::default(), next: now.as_nanos() / granule_ns, entries: 0 }
    }

    pub fn timeout_ns(&self) -> u64 {
        self.timeout_ns
    }

    /// Enters a connection whose current stage began now.
    pub fn watch(&mut self, id: ConnId, now: Instant) {
        self.enter(id, now.plus_nanos(self.timeout_ns));
    }

    fn enter(&mut self, id: ConnId, at: Instant) {
        // Never before its time: the bucket after the one that `at` falls in.
        let number = (at.as_nanos() / self.granule_ns + 1).clamp(self.next, self.next + BUCKETS as u64 - 1);
        self.buckets[(number % BUCKETS as u64) as usize].push(id);
        self.entries += 1;
    }

    /// Asks about the entries that are due, at most `budget` of them.
    pub fn expire(&mut self, now: Instant, budget: usize, mut ask: impl FnMut(ConnId) -> Verdict) {
        let mut left = budget;
        while self.next * self.granule_ns <= now.as_nanos() {
            if self.entries == 0 {
                self.next = now.as_nanos() / self.granule_ns + 1;
                return;
            }
            let bucket = (self.next % BUCKETS as u64) as usize;
            while let Some(id) = self.buckets[bucket].pop() {
                self.entries -= 1;
                if let Verdict::Later(at) = ask(id) {
                    // A time that has passed already would come back to this very bucket.
                    self.enter(id, at.max(Instant::from_nanos(self.next * self.granule_ns)));
                }
                left = left.saturating_sub(1);
                if left == 0 {
                    return;
                }
            }
            self.next += 1;
        }
    }

    /// Names every connection that may still be alive, and forgets them.
    pub fn drain(&mut self, mut each: impl FnMut(ConnId)) {
        self.buckets.iter_mut().flat_map(|b| b.drain(..)).for_each(&mut each);
        self.entries = 0;
    }

    /// When `expire` next has something to do.
    pub fn next_due(&self) -> Option<Instant> {
        (self.entries > 0).then(|| Instant::from_nanos(self.next * self.granule_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn id(slot: u32) -> ConnId {
        ConnId { slot, generation: 0 }
    }

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * MS)
    }

    #[test]
    fn nothing_times_out_early_and_everything_within_a_sixteenth_more() {
        let mut t = Timeouts::new(160 * MS, at(0));
        (0..100).for_each(|n| t.watch(id(n), at(u64::from(n))));
        let mut asked = [0u64; 100];
        for ms in 0..400 {
            t.expire(at(ms), usize::MAX, |c| {
                asked[c.slot as usize] = ms;
                Verdict::Drop
            });
        }
        for (n, ms) in asked.iter().enumerate() {
            let age = ms - n as u64;
            assert!((160..=160 + 20).contains(&age), "{n}: {age} ms");
        }
        assert_eq!(t.next_due(), None);
    }

    #[test]
    fn a_connection_that_made_progress_is_asked_about_again() {
        let mut t = Timeouts::new(160 * MS, at(0));
        t.watch(id(1), at(0));
        let mut asked = Vec::new();
        for ms in 0..1000 {
            t.expire(at(ms), usize::MAX, |_| {
                asked.push(ms);
                if asked.len() < 3 { Verdict::Later(at(ms + 160)) } else { Verdict::Drop }
            });
        }
        assert_eq!(asked.len(), 3);
        assert!(asked.windows(2).all(|w| w[1] - w[0] >= 160));
    }

    #[test]
    fn a_budget_spreads_the_work_and_a_jump_of_time_loses_nothing() {
        let mut t = Timeouts::new(16 * MS, at(0));
        (0..100).for_each(|n| t.watch(id(n), at(0)));
        let mut seen = Vec::new();
        for _ in 0..11 {
            t.expire(at(1_000_000), 10, |c| {
                seen.push(c.slot);
                Verdict::Drop
            });
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        t.watch(id(7), at(1_000_000));
        assert!(t.next_due().is_some());
        let mut left = Vec::new();
        t.drain(|c| left.push(c.slot));
        assert_eq!((left, t.next_due()), (vec![7], None));
    }
}
