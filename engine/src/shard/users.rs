//! The application's data of each connection, beside the control blocks and under the same slot numbers.

use crate::base::Segmented;

/// Entries never move.
pub struct Users<U> {
    entries: Segmented<U>,
}

impl<U: Default> Users<U> {
    pub fn new() -> Self {
        Users { entries: Segmented::new() }
    }

    #[inline]
    pub fn set(&mut self, slot: u32, user: U) {
        self.entries.put(slot, user, U::default);
    }

    #[inline]
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut U> {
        self.entries.get_mut(slot)
    }

    pub fn take(&mut self, slot: u32) -> U {
        self.get_mut(slot).map(std::mem::take).unwrap_or_default()
    }

    /// Gives the memory of a segment of the slab back, in which no connection is left.
    pub fn release(&mut self, segment: u32) {
        self.entries.release(segment);
    }
}
