//! The application's data of each connection, beside the control blocks and under the same slot numbers.

use crate::base::Extent;

/// Entries never move.
pub struct Users<U> {
    entries: Extent<U>,
}

impl<U: Default> Users<U> {
    /// For slots below `slots`.
    pub fn new(slots: u32) -> Self {
        Users { entries: Extent::with_limit(slots) }
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

    /// Gives the memory of the slots from `left` on back, in which no connection is left.
    pub fn truncate(&mut self, left: u32) {
        self.entries.truncate(left);
    }
}
