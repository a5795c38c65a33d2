//! Timers that all wait equally long: a queue of slot numbers is all they need.
//!
//! With each goes a coarse stamp of when it was queued, by which the owner of the slot tells whether the entry still
//! means the slot's tenant. Entries with the same stamp share it, so that an entry takes 4 bytes and hardly more.
//!
//! Cancelling is left out on purpose: whoever pops an entry checks whether it still means something.

use crate::base::ChunkQueue;

/// Marks an element of the queue as a stamp: it is that of the entries which follow.
const STAMP: u32 = 1 << 31;

#[derive(Debug)]
pub struct Fifo {
    /// Entries and stamps.
    queue: ChunkQueue<u32>,
    limit: u32,
    /// Stamps of the entries at the front and at the back.
    front: u32,
    back: u32,
}

impl Fifo {
    /// A queue for about `limit` entries. Allocates nothing yet.
    pub const fn new(limit: u32) -> Fifo {
        Fifo { queue: ChunkQueue::new(), limit, front: 0, back: 0 }
    }

    /// Appends an entry. Stamp and slot are below 2^31. False when the limit is reached.
    pub fn push(&mut self, stamp: u32, slot: u32) -> bool {
        if self.queue.len() >= self.limit as usize {
            return false;
        }
        if self.queue.is_empty() {
            self.front = stamp;
        } else if stamp != self.back {
            self.queue.push_back(STAMP | stamp);
        }
        self.back = stamp;
        self.queue.push_back(slot & !STAMP);
        true
    }

    /// The first entry, with its stamp.
    pub fn front(&self) -> Option<(u32, u32)> {
        self.queue.front().map(|&slot| (self.front, slot))
    }

    /// Takes the first entry away.
    pub fn pop(&mut self) {
        self.queue.pop_front();
        while let Some(&element) = self.queue.front()
            && element & STAMP != 0
        {
            self.front = element & !STAMP;
            self.queue.pop_front();
        }
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
    use crate::base::Rng;
    use std::collections::VecDeque;

    #[test]
    fn entries_come_in_order_each_with_its_stamp() {
        let mut rng = Rng::new(3);
        let (mut fifo, mut oracle) = (Fifo::new(u32::MAX), VecDeque::new());
        let mut stamp = 5;
        for slot in 0..100_000 {
            stamp += u32::from(rng.chance(0.1));
            if rng.chance(0.51) {
                assert!(fifo.push(stamp, slot));
                oracle.push_back((stamp, slot));
            } else {
                assert_eq!(fifo.front(), oracle.pop_front());
                fifo.pop();
            }
            assert_eq!(fifo.is_empty(), oracle.is_empty());
        }
    }

    #[test]
    fn many_entries_of_one_time_take_four_bytes_each() {
        let mut fifo = Fifo::new(u32::MAX);
        for slot in 0..1_000_000 {
            fifo.push(slot / 1_000, slot);
        }
        assert!(fifo.memory_bytes() < 4_100_000, "{} bytes", fifo.memory_bytes());
    }

    #[test]
    fn stops_at_its_limit() {
        let mut fifo = Fifo::new(1);
        assert!(fifo.push(1, 1));
        assert!(!fifo.push(1, 2));
        fifo.pop();
        assert!(fifo.push(2, 3));
        assert_eq!(fifo.front(), Some((2, 3)));
    }
}
