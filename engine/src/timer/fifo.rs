//! Timers that all wait equally long: a queue is all they need.
//!
//! Cancelling is left out on purpose: whoever pops an entry checks whether it still means something.

use crate::base::ChunkQueue;
use crate::base::time::Tick;

#[derive(Debug)]
pub struct Fifo<T> {
    queue: ChunkQueue<(Tick, T)>,
    limit: u32,
}

impl<T: Copy> Fifo<T> {
    /// A queue for at most `limit` entries. Allocates nothing yet.
    pub const fn new(limit: u32) -> Fifo<T> {
        Fifo { queue: ChunkQueue::new(), limit }
    }

    /// Appends an entry that is due at `at`, which is not before that of the entry pushed last (if it is, it waits
    /// for that one). False when the limit is reached.
    pub fn push(&mut self, at: Tick, value: T) -> bool {
        if self.len() >= self.limit {
            return false;
        }
        self.queue.push_back((at, value));
        true
    }

    /// Takes the first entry if it is due.
    pub fn pop_due(&mut self, now: Tick) -> Option<T> {
        let (at, _) = self.queue.get(0)?;
        if !at.is_due(now) {
            return None;
        }
        self.queue.pop_front().map(|(_, value)| value)
    }

    /// When the first entry is due.
    pub fn next_deadline(&self) -> Option<Tick> {
        self.queue.get(0).map(|(at, _)| *at)
    }

    pub fn len(&self) -> u32 {
        self.queue.len() as u32
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub fn memory_bytes(&self) -> usize {
        self.queue.memory_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_in_order_and_never_early_even_when_ticks_wrap() {
        let mut fifo = Fifo::new(100_000);
        let start = Tick(u32::MAX - 3_000);
        for i in 0..6_000u32 {
            assert!(fifo.push(start.plus(i), i));
        }
        for i in 0..6_000u32 {
            assert_eq!(fifo.next_deadline(), Some(start.plus(i)));
            assert_eq!(fifo.pop_due(start.plus(i).plus(u32::MAX)), None, "one tick before");
            assert_eq!(fifo.pop_due(start.plus(i)), Some(i));
        }
        assert_eq!(fifo.next_deadline(), None);
        assert_eq!(fifo.pop_due(start), None);
    }

    #[test]
    fn an_entry_pushed_out_of_order_waits_for_the_one_before_it() {
        let mut fifo = Fifo::new(10);
        fifo.push(Tick(100), 'a');
        fifo.push(Tick(50), 'b');
        assert_eq!(fifo.pop_due(Tick(99)), None);
        assert_eq!(fifo.pop_due(Tick(100)), Some('a'));
        assert_eq!(fifo.pop_due(Tick(100)), Some('b'));
    }

    #[test]
    fn stops_at_its_limit() {
        let mut fifo = Fifo::new(1);
        assert!(fifo.push(Tick(1), ()));
        assert!(!fifo.push(Tick(2), ()));
        assert_eq!(fifo.len(), 1);
    }
}
