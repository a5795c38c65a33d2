//! A first-in first-out queue in chunks: growing allocates a chunk and copies no element, and chunks that have
//! been read empty are given back (one is kept, so that a queue of steady length does not allocate).
//!
//! What FIFO timers and rings of records are made of.

use super::room::{ROOM_LEN, Room};
use std::collections::VecDeque;

/// Elements per chunk.
pub const CHUNK_LEN: usize = ROOM_LEN;

#[derive(Clone, Debug)]
pub struct ChunkQueue<T> {
    /// All but the last are full; the last has room or is full. Growing the directory moves chunk headers only.
    chunks: VecDeque<Room<T>>,
    /// Elements of the first chunk that have been taken already.
    taken: usize,
    len: usize,
    spare: Option<Room<T>>,
}

impl<T> Default for ChunkQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> ChunkQueue<T> {
    pub const fn new() -> Self {
        ChunkQueue { chunks: VecDeque::new(), taken: 0, len: 0, spare: None }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The element `offset` places behind the front.
    #[inline(always)]
    pub fn get(&self, offset: usize) -> Option<&T> {
        let place = self.taken + offset;
        self.chunks.get(place / CHUNK_LEN)?.get(place % CHUNK_LEN)
    }

    /// The element at the front.
    #[inline(always)]
    pub fn front(&self) -> Option<&T> {
        self.chunks.front()?.get(self.taken)
    }

    #[inline(always)]
    pub fn get_mut(&mut self, offset: usize) -> Option<&mut T> {
        let place = self.taken + offset;
        self.chunks.get_mut(place / CHUNK_LEN)?.get_mut(place % CHUNK_LEN)
    }

    /// The element pushed last.
    #[inline(always)]
    pub fn back_mut(&mut self) -> Option<&mut T> {
        self.get_mut(self.len.checked_sub(1)?)
    }

    /// Memory held, directory included.
    pub fn memory_bytes(&self) -> usize {
        let chunks = self.chunks.len() + usize::from(self.spare.is_some());
        chunks * CHUNK_LEN * size_of::<T>() + self.chunks.capacity() * size_of::<Room<T>>()
    }
}

impl<T: Copy> ChunkQueue<T> {
    #[inline(never)]
    pub fn push_back(&mut self, value: T) {
        if self.chunks.back_mut().is_some_and(|chunk| chunk.push_again(value)) {
            self.len += 1;
        } else {
            self.push_first(value);
        }
    }

    /// As the first of a new chunk.
    #[inline(never)]
    fn push_first(&mut self, value: T) {
        if self.chunks.back().is_none_or(|c| c.len() == CHUNK_LEN) {
            let chunk = self.spare.take().unwrap_or_default();
            self.chunks.push_back(chunk);
        }
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.push(value);
            self.len += 1;
        }
    }

    pub fn pop_front(&mut self) -> Option<T> {
        let value = *self.front()?;
        self.len -= 1;
        self.taken += 1;
        if self.len == 0 {
            // The only chunk stays where it is: a queue that is mostly empty goes on in it.
            self.taken = 0;
            self.chunks.front_mut().into_iter().for_each(Room::clear);
        } else if self.taken == CHUNK_LEN {
            self.taken = 0;
            if let Some(mut chunk) = self.chunks.pop_front() {
                chunk.clear();
                self.spare = Some(chunk);
            }
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;

    #[test]
    fn behaves_like_a_deque_under_random_pushes_and_pops() {
        let mut rng = Rng::new(3);
        let (mut queue, mut oracle) = (ChunkQueue::new(), VecDeque::new());
        for round in 0..60u64 {
            let pushes = rng.below(9_000);
            for i in 0..pushes {
                queue.push_back(round << 32 | i);
                oracle.push_back(round << 32 | i);
            }
            for _ in 0..rng.below(9_600) {
                assert_eq!(queue.pop_front(), oracle.pop_front());
            }
            assert_eq!(queue.len(), oracle.len());
            let probe = rng.below(oracle.len() as u64 + 5) as usize;
            assert_eq!(queue.get(probe), oracle.get(probe));
            assert_eq!(queue.get_mut(probe), oracle.get_mut(probe));
            assert_eq!(queue.back_mut(), oracle.back_mut());
        }
    }

    #[test]
    fn memory_goes_back_when_chunks_are_read_empty() {
        let mut queue = ChunkQueue::new();
        for i in 0..100 * CHUNK_LEN {
            queue.push_back(i);
        }
        let full = queue.memory_bytes();
        while queue.pop_front().is_some() {}
        assert!(queue.memory_bytes() < full / 20);
    }
}
