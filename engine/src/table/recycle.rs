//! Side blocks that keep their buffers when they are given back, so that taking one costs no allocation once the
//! pool has grown to what is needed.

use super::Slab;

pub struct Recycler<T> {
    slots: Slab<T>,
    free: Vec<u32>,
}

impl<T: Default> Recycler<T> {
    pub fn with_limit(limit: u32) -> Self {
        Recycler { slots: Slab::with_limit(limit), free: Vec::new() }
    }

    /// A block in whatever condition it was given back; `None` at the limit.
    #[inline]
    pub fn take(&mut self) -> Option<u32> {
        match self.free.pop() {
            Some(index) => Some(index),
            None => self.make(),
        }
    }

    #[inline(never)]
    fn make(&mut self) -> Option<u32> {
        self.slots.take()
    }

    /// Whether [`Recycler::take`] will give a block.
    pub fn has_room(&self) -> bool {
        !self.free.is_empty() || self.slots.len() < self.slots.limit()
    }

    pub fn give_back(&mut self, index: u32) {
        self.free.push(index);
    }

    #[inline]
    pub fn get(&self, index: u32) -> Option<&T> {
        self.slots.get(index)
    }

    #[inline]
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slots.get_mut(index)
    }

    pub fn in_use(&self) -> usize {
        self.slots.len() as usize - self.free.len()
    }
}
