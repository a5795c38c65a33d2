//! A queue whose elements have names: records that leave in the order in which they came, yet are looked up in
//! between. TIME-WAIT records live here: all wait equally long, so the oldest is always the first to go.
//!
//! An element's index counts up from 0 modulo 2^30, so that it fits a [`super::FlowRef`]; it is not reused until
//! 2^30 more elements have passed. An element cannot be taken out of the middle: the owner marks it as dead and skips
//! it at the front.

use crate::base::ChunkQueue;

const INDEX_MASK: u32 = (1 << 30) - 1;

#[derive(Debug)]
pub struct Ring<T> {
    queue: ChunkQueue<T>,
    /// Index of the front element (of the next one to come, when empty).
    head: u32,
    limit: u32,
}

impl<T: Copy> Ring<T> {
    /// A ring for at most `limit` elements (at most 2^30 - 1). Allocates nothing yet.
    pub const fn new(limit: u32) -> Ring<T> {
        let limit = if limit < INDEX_MASK { limit } else { INDEX_MASK };
        Ring { queue: ChunkQueue::new(), head: 0, limit }
    }

    /// Appends and returns the new element's index; None at the limit.
    pub fn push_back(&mut self, value: T) -> Option<u32> {
        let len = self.len();
        if len >= self.limit {
            return None;
        }
        self.queue.push_back(value);
        Some(self.head.wrapping_add(len) & INDEX_MASK)
    }

    /// The oldest element and its index.
    pub fn front(&self) -> Option<(u32, &T)> {
        self.queue.get(0).map(|v| (self.head, v))
    }

    pub fn pop_front(&mut self) -> Option<T> {
        let value = self.queue.pop_front()?;
        self.head = (self.head + 1) & INDEX_MASK;
        Some(value)
    }

    /// None when the element has left (or never was).
    #[inline(always)]
    pub fn get(&self, index: u32) -> Option<&T> {
        self.queue.get((index.wrapping_sub(self.head) & INDEX_MASK) as usize)
    }

    #[inline(always)]
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.queue.get_mut((index.wrapping_sub(self.head) & INDEX_MASK) as usize)
    }

    pub fn len(&self) -> u32 {
        self.queue.len() as u32
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub fn limit(&self) -> u32 {
        self.limit
    }

    pub fn memory_bytes(&self) -> usize {
        self.queue.memory_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_by_their_index_until_they_leave() {
        let mut ring = Ring::new(10_000);
        for i in 0..5_000u32 {
            assert_eq!(ring.push_back(i * 3), Some(i));
        }
        for i in 0..2_500 {
            assert_eq!(ring.front(), Some((i, &(i * 3))));
            assert_eq!(ring.pop_front(), Some(i * 3));
            assert_eq!(ring.get(i), None);
        }
        for i in 2_500..5_000 {
            *ring.get_mut(i).unwrap() += 1;
            assert_eq!(ring.get(i), Some(&(i * 3 + 1)));
        }
        assert_eq!(ring.get(5_000), None);
    }

    #[test]
    fn stops_at_its_limit() {
        let mut ring = Ring::new(2);
        assert_eq!(ring.push_back('a'), Some(0));
        assert_eq!(ring.push_back('b'), Some(1));
        assert_eq!(ring.push_back('c'), None);
        ring.pop_front();
        assert_eq!(ring.push_back('c'), Some(2));
        assert_eq!(ring.len(), 2);
    }

    #[test]
    fn the_index_wraps_at_2_to_the_30() {
        let mut ring = Ring::new(100);
        ring.head = INDEX_MASK - 1;
        let indices: Vec<_> = (0..4).map(|i| ring.push_back(i).unwrap()).collect();
        assert_eq!(indices, [INDEX_MASK - 1, INDEX_MASK, 0, 1]);
        for (value, index) in indices.iter().enumerate() {
            assert_eq!(ring.get(*index), Some(&value));
        }
        for index in indices {
            assert_eq!(ring.front().unwrap().0, index);
            ring.pop_front();
        }
        assert!(ring.is_empty());
    }

    #[test]
    fn an_empty_ring_goes_on_counting() {
        let mut ring = Ring::new(100);
        for i in 0..5_000 {
            assert_eq!(ring.push_back(()), Some(i));
            ring.pop_front();
        }
    }
}
