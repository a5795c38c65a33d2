//! A queue whose elements have names: records that leave in the order in which they came, yet are looked up in
//! between.
//!
//! An element's index counts up from 0 modulo 2^32. An element cannot be taken out of the middle: the owner marks
//! it as empty and skips it at the front.

use crate::base::ChunkQueue;

#[derive(Debug)]
pub(super) struct Ring<T> {
    queue: ChunkQueue<T>,
    /// Index of the front element (of the next one to come, when empty).
    head: u32,
    limit: u32,
}

impl<T: Copy> Ring<T> {
    /// A ring for at most `limit` elements. Allocates nothing yet.
    pub const fn new(limit: u32) -> Ring<T> {
        Ring { queue: ChunkQueue::new(), head: 0, limit }
    }

    /// Appends and returns the new element's index; None at the limit.
    pub fn push_back(&mut self, value: T) -> Option<u32> {
        let len = self.len();
        if len >= self.limit {
            return None;
        }
        self.queue.push_back(value);
        Some(self.head.wrapping_add(len))
    }

    /// The oldest element and its index.
    pub fn front(&self) -> Option<(u32, &T)> {
        self.queue.front().map(|v| (self.head, v))
    }

    /// The element `offset` places behind the oldest.
    #[inline(always)]
    pub fn nth(&self, offset: u32) -> Option<&T> {
        self.queue.get(offset as usize)
    }

    /// Takes the oldest element out; its index, too.
    #[inline]
    pub fn pop_front(&mut self) -> Option<(u32, T)> {
        let value = self.queue.pop_front()?;
        let index = self.head;
        self.head = index.wrapping_add(1);
        Some((index, value))
    }

    /// How far behind element `from` element `to` is.
    #[inline(always)]
    pub const fn distance(from: u32, to: u32) -> u32 {
        to.wrapping_sub(from)
    }

    /// None when the element has left (or never was).
    #[inline(always)]
    pub fn get(&self, index: u32) -> Option<&T> {
        self.queue.get(Self::distance(self.head, index) as usize)
    }

    #[inline(always)]
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.queue.get_mut(Self::distance(self.head, index) as usize)
    }

    pub fn len(&self) -> u32 {
        self.queue.len() as u32
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
            assert_eq!(ring.pop_front().map(|(_, v)| v), Some(i * 3));
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
    fn the_index_wraps() {
        let mut ring = Ring::new(100);
        ring.head = u32::MAX - 1;
        let indices: Vec<_> = (0..4).map(|i| ring.push_back(i).unwrap()).collect();
        assert_eq!(indices, [u32::MAX - 1, u32::MAX, 0, 1]);
        for (value, index) in indices.iter().enumerate() {
            assert_eq!(ring.get(*index), Some(&value));
        }
        for index in indices {
            assert_eq!(ring.front().unwrap().0, index);
            ring.pop_front();
        }
        assert_eq!(ring.len(), 0);
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
