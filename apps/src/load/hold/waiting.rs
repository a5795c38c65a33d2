//! One constant timeout for the few connections that wait for the peer, among very many that do not: a queue in the
//! order in which they began to wait. Whoever has got what it waited for is dropped when the front comes to it, so
//! the queue is about as long as the slowest answer is late, however many connections there are.
//!
//! What counts is when they began to wait, not when they should have: the pace may be far behind its plan.

use synfin_engine::base::{ChunkQueue, Instant};
use synfin_engine::shard::app::ConnId;

#[derive(Default)]
pub struct Waiting {
    /// Each with the time from which on it has waited.
    queue: ChunkQueue<(ConnId, Instant)>,
    /// When the one at the front has to be looked at.
    front_due: Instant,
}

impl Waiting {
    /// This one waits from now on.
    pub fn watch(&mut self, id: ConnId, now: Instant) {
        self.queue.push_back((id, now));
    }

    /// Goes through those at the front, at most `budget` of them. `ask` is told since when each waits, ends the wait of those
    /// that have waited too long, and says of one that goes on waiting until when it may.
    pub fn expire(&mut self, budget: usize, mut ask: impl FnMut(ConnId, Instant) -> Option<Instant>) {
        for _ in 0..budget {
            let Some(&(id, since)) = self.queue.get(0) else { return };
            if let Some(deadline) = ask(id, since) {
                self.front_due = deadline;
                return;
            }
            self.front_due = Instant::ZERO;
            self.queue.pop_front();
        }
    }

    /// When `expire` next has to end somebody, or to look who is at the front.
    pub fn next_due(&self) -> Option<Instant> {
        (!self.queue.is_empty()).then_some(self.front_due)
    }
}

/// Closes that were begun since one last came to its end.
#[derive(Default)]
pub struct Unanswered {
    count: u64,
    first: Instant,
    last_end: Instant,
}

impl Unanswered {
    pub fn begun(&mut self, now: Instant, last_end: Instant) {
        if self.count == 0 || last_end > self.last_end {
            (self.count, self.first, self.last_end) = (0, now, last_end);
        }
        self.count += 1;
    }

    /// Since when nobody answers, if so many closes were begun meanwhile that it means something.
    pub fn since(&self, last_end: Instant, enough: u64) -> Option<Instant> {
        (self.count >= enough && last_end <= self.last_end).then_some(self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(slot: u32) -> ConnId {
        ConnId { slot, generation: 0 }
    }

    #[test]
    fn those_who_wait_too_long_are_found_in_time_and_the_others_leave_no_trace() {
        let mut w = Waiting::default();
        let mut since: Vec<Option<u64>> = Vec::new();
        let mut ended = Vec::new();
        for now in 0..1000u64 {
            if now < 500 {
                since.push(Some(now));
                w.watch(id(now as u32), Instant::from_nanos(now));
            }
            // One in fifty gets no answer; the others' comes after 3.
            for (n, s) in since.iter_mut().enumerate() {
                if n % 50 != 0 && s.is_some_and(|s| now >= s + 3) {
                    *s = None;
                }
            }
            assert!(w.next_due().is_none_or(|at| at.as_nanos() <= now + 100));
            w.expire(1000, |id, began| {
                let s = &mut since[id.slot as usize];
                let deadline = (*s)? + 100;
                assert_eq!(began.as_nanos() + 100, deadline);
                if deadline > now {
                    return Some(Instant::from_nanos(deadline));
                }
                *s = None;
                ended.push((id.slot, now));
                None
            });
        }
        assert_eq!(ended, (0..10).map(|n| (n * 50, u64::from(n) * 50 + 100)).collect::<Vec<_>>());
        assert_eq!(w.next_due(), None);
    }
}
