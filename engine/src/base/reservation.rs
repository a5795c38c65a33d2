//! A range of addresses that is set aside once and filled with memory bit by bit: whoever lies in it never moves.
//!
//! Setting aside costs no memory. Where the system counts every writable page as used (overcommit_memory = 2), a range that
//! is too long for that is made writable bit by bit as well. Left out on purpose: growing beyond the length it was made
//! with.

use super::ahead;
use super::pages::{self, HUGE_BYTES, PAGE_BYTES};
use core::ptr::NonNull;

/// Where huge pages begin: what is shorter stays small.
pub(super) const HUGE_FROM_BYTES: usize = 4 << 20;
/// Before that, memory comes and goes in pieces of this size; from there on in huge pages.
const STEP_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Reservation {
    /// `bytes` are mapped for us from here on, unless that is 0; the first `writable` of them can be used.
    base: NonNull<u8>,
    bytes: usize,
    writable: usize,
    /// Behind this there never was memory: so far it was opened, or asked for.
    reached: usize,
}

// SAFETY: nothing else has the address of these pages, and nothing here reads or writes them.
unsafe impl Send for Reservation {}
// SAFETY: as above.
unsafe impl Sync for Reservation {}

/// The end of the piece of memory in which the byte before `bytes` lies.
pub(super) const fn piece_end(bytes: usize) -> usize {
    bytes.next_multiple_of(if bytes > HUGE_FROM_BYTES { HUGE_BYTES } else { STEP_BYTES })
}

/// Whether the process could set so many addresses aside now.
pub fn can_set_aside(bytes: u64) -> bool {
    usize::try_from(bytes).ok().filter(|bytes| *bytes <= isize::MAX as usize).and_then(Reservation::closed).is_some()
}

impl Reservation {
    /// None when there are not so many addresses: the process has been given a limit, or no machine has as many.
    pub fn new(bytes: usize) -> Option<Reservation> {
        Self::mapped(bytes, true).or_else(|| Self::closed(bytes))
    }

    /// Each part has to be opened before it can be used.
    pub fn closed(bytes: usize) -> Option<Reservation> {
        Self::mapped(bytes, false)
    }

    fn mapped(bytes: usize, is_open: bool) -> Option<Reservation> {
        if bytes == 0 {
            return Some(Reservation { base: NonNull::dangling(), bytes: 0, writable: 0, reached: 0 });
        }
        // Whole huge pages if it is long, else whole pages.
        let bytes = bytes.next_multiple_of(if bytes > HUGE_FROM_BYTES { HUGE_BYTES } else { PAGE_BYTES });
        let base = pages::reserve(bytes, is_open)?;
        if bytes > HUGE_FROM_BYTES {
            // SAFETY: from `HUGE_FROM_BYTES` to the end lies in what was just mapped.
            unsafe { pages::advise_huge(base.add(HUGE_FROM_BYTES), bytes - HUGE_FROM_BYTES) };
        }
        Some(Reservation { base, bytes, writable: if is_open { bytes } else { 0 }, reached: 0 })
    }

    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Bytes that can be used.
    pub fn writable(&self) -> usize {
        self.writable
    }

    /// As [`discard`](Self::discard), from `start` to the end of all that was ever opened. What somebody was asked to make
    /// ready may come late, and be there though nobody has come so far again.
    ///
    /// # Safety
    /// As for `discard`.
    pub unsafe fn discard_from(&mut self, start: usize) {
        // SAFETY: by the caller's promise.
        unsafe { self.discard(start, self.reached) };
    }

    /// Sees to it that memory can be used up to `end`. False when the system has none left.
    pub fn open(&mut self, end: usize) -> bool {
        let end = end.min(self.bytes).next_multiple_of(PAGE_BYTES);
        if end > self.writable {
            // SAFETY: whole pages of our own mapping, which nobody refers to yet.
            if !unsafe { pages::make_writable(self.base.add(self.writable), end - self.writable) } {
                return false;
            }
            self.writable = end;
        }
        self.reached = self.reached.max(end);
        true
    }

    /// As [`open`](Self::open), up to `end`, that of a piece. Where pieces are huge pages, the next one is asked for as well.
    /// Returns how far there will be memory. Ends the process, as a failed allocation does, when the system has none left.
    pub fn fill(&mut self, end: usize) -> usize {
        if !self.open(end) {
            pages::no_memory(end);
        }
        let next = piece_end(end + 1);
        if end < HUGE_FROM_BYTES || end >= self.bytes || !self.open(next) {
            return end;
        }
        ahead::ask(self.base.as_ptr().wrapping_add(end));
        next
    }

    /// Gives the memory of whole pages back; they are zero afterwards.
    ///
    /// # Safety
    /// What lies there is not needed any more.
    pub unsafe fn discard(&mut self, start: usize, end: usize) {
        let (start, end) = (start.next_multiple_of(PAGE_BYTES), end.min(self.bytes));
        if start < end {
            // SAFETY: whole pages of our own mapping (its end is that of a page), by the caller's promise not needed.
            unsafe { pages::discard(self.base.add(start), end - start) };
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes > 0 {
            // SAFETY: this was mapped with this size, and whoever used it is gone.
            unsafe { pages::unmap(self.base, self.bytes) };
        }
    }
}
