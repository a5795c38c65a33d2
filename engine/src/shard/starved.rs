//! Connections that found no buffer for `send_copy` while they had nothing under way: who waits longest has the first one
//! that comes free.
//!
//! A connection that ends is not looked for in here; its place in the line is left to the slot's next tenant. So a slot stands
//! in it once at the most, however many connections come and go while there is no buffer.

use crate::base::{ChunkQueue, Segmented};

#[derive(Default)]
pub struct Starved {
    line: ChunkQueue<u32>,
    /// A bit for each slot that stands in line.
    waiting: Segmented<u64>,
}

/// Where the bit of a slot is: word and mask.
const fn place(slot: u32) -> (u32, u64) {
    (slot / u64::BITS, 1 << (slot % u64::BITS))
}

impl Starved {
    pub fn len(&self) -> usize {
        self.line.len()
    }

    pub fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    pub fn push(&mut self, slot: u32) {
        let (word, bit) = place(slot);
        match self.waiting.get_mut(word) {
            Some(bits) if *bits & bit != 0 => return,
            Some(bits) => *bits |= bit,
            None => self.waiting.put(word, bit, || 0),
        }
        self.line.push_back(slot);
    }

    pub fn pop(&mut self) -> Option<u32> {
        let slot = self.line.pop_front()?;
        let (word, bit) = place(slot);
        if let Some(bits) = self.waiting.get_mut(word) {
            *bits &= !bit;
        }
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slot_stands_in_line_once_however_often_it_asks_and_again_when_it_had_its_turn() {
        let mut starved = Starved::default();
        for _ in 0..3 {
            [7, 200_000, 7, 8].into_iter().for_each(|slot| starved.push(slot));
            assert_eq!(starved.len(), 3);
        }
        assert_eq!(starved.pop(), Some(7));
        starved.push(7);
        starved.push(8);
        let order: Vec<u32> = core::iter::from_fn(|| starved.pop()).collect();
        assert_eq!((order, starved.is_empty()), (vec![200_000, 8, 7], true));
    }
}
