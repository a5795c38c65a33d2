//! A long array of zeroed words: the address space is there from the beginning, memory only where something was written.
//!
//! What can grow without ever being moved can also be found without a directory. From [`HUGE_FROM`] on the array asks for
//! huge pages, since whoever reads it all over would miss the TLB with every look; before that, pages are small, so that
//! a short array stays small. Left out on purpose: growing beyond the length it was made with.

use super::ahead;
use super::line::LINE_WORDS;
use super::pages;
use super::prefetch::prefetch_at;
use super::reservation::HUGE_FROM_BYTES;
use core::ops::{Deref, DerefMut, Range};
use core::ptr::NonNull;

/// The first word that lies on a huge page, if there are any: 4 MiB.
pub const HUGE_FROM: usize = HUGE_FROM_BYTES / size_of::<u64>();
/// Memory is best given back in pieces of this many words: a huge page.
pub const HUGE_WORDS: usize = pages::HUGE_BYTES / size_of::<u64>();

pub struct Words {
    /// `len` words from here on are mapped for us, readable and writable.
    base: NonNull<u64>,
    len: usize,
}

// SAFETY: the words are owned as those of a `Vec` are; nothing else has their address.
unsafe impl Send for Words {}
// SAFETY: as above; through a shared reference words can only be read.
unsafe impl Sync for Words {}

impl Words {
    /// At least `len` words (at least one), all zero.
    pub fn zeroed(len: usize) -> Words {
        let bytes = Words::bytes(len);
        let base = pages::reserve(bytes, true).unwrap_or_else(|| pages::no_memory(bytes)).cast::<u64>();
        let len = bytes / size_of::<u64>();
        if len > HUGE_FROM {
            // SAFETY: the range from `HUGE_FROM` to the end lies in what was just mapped.
            unsafe { pages::advise_huge(base.add(HUGE_FROM).cast(), (len - HUGE_FROM) * size_of::<u64>()) };
        }
        Words { base, len }
    }

    /// What is mapped: whole huge pages if it is long, else whole pages.
    const fn bytes(len: usize) -> usize {
        let len = if len == 0 { 1 } else { len };
        let bytes = len * size_of::<u64>();
        bytes.next_multiple_of(if len > HUGE_FROM { pages::HUGE_BYTES } else { pages::PAGE_BYTES })
    }

    /// Lets the system provide the memory of the first `len` words, none of which was written yet.
    pub fn touch(&mut self, len: usize) {
        self.iter_mut().take(len).step_by(pages::PAGE_BYTES / size_of::<u64>()).for_each(|word| *word = 0);
    }

    /// The huge page that word `at` lies on will be written soon, for the first time.
    pub fn ask_for(&self, at: usize) {
        if at >= HUGE_FROM && at < self.len {
            ahead::ask(self.base.as_ptr().wrapping_add(at / HUGE_WORDS * HUGE_WORDS).cast());
        }
    }

    /// Makes words zero by giving their memory back. Those on pages that the range does not cover stay as they are.
    pub fn release(&mut self, range: Range<usize>) {
        const PAGE_WORDS: usize = pages::PAGE_BYTES / size_of::<u64>();
        let (start, end) = (range.start.next_multiple_of(PAGE_WORDS), range.end.min(self.len) & !(PAGE_WORDS - 1));
        if start < end {
            // SAFETY: whole pages of our own mapping; zero is a value that words may take.
            unsafe { pages::discard(self.base.add(start).cast(), (end - start) * size_of::<u64>()) };
        }
    }

    /// Starts loading the cache line at word `at`, and the one behind it.
    #[inline(always)]
    pub fn prefetch_lines(&self, at: usize) {
        let line = self.base.as_ptr().wrapping_add(at);
        prefetch_at(line.cast());
        prefetch_at(line.wrapping_add(LINE_WORDS).cast());
    }
}

impl Deref for Words {
    type Target = [u64];

    #[inline(always)]
    fn deref(&self) -> &[u64] {
        // SAFETY: `len` words are mapped and zero or written since; borrowed with `self`.
        unsafe { core::slice::from_raw_parts(self.base.as_ptr(), self.len) }
    }
}

impl DerefMut for Words {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [u64] {
        // SAFETY: as in `deref`; `&mut self` makes it exclusive.
        unsafe { core::slice::from_raw_parts_mut(self.base.as_ptr(), self.len) }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: this was mapped by `zeroed` with this size, and nothing refers to it any more.
        unsafe { pages::unmap(self.base.cast(), self.len * size_of::<u64>()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_zero_until_written_and_begin_on_a_cache_line() {
        for len in [0, 1, 1000, HUGE_FROM + 5] {
            let mut words = Words::zeroed(len);
            assert!(words.len() >= len.max(1));
            assert_eq!(words.as_ptr() as usize % 64, 0);
            let last = words.len() - 1;
            assert_eq!((words[0], words[last]), (0, 0));
            words[last] = 7;
            assert_eq!((words[0], words[last]), (if last == 0 { 7 } else { 0 }, 7));
        }
    }

    #[test]
    fn what_is_released_is_zero_and_its_surroundings_stay() {
        let mut words = Words::zeroed(4096);
        words.fill(9);
        words.release(512..1030);
        assert_eq!([511, 512, 1023, 1024].map(|at| words[at]), [9, 0, 0, 9]);
        words.release(1025..1535);
        assert!(words[1024..].iter().all(|word| *word == 9), "no whole page lies in between");
        words[600] = 3;
        assert_eq!((words[599], words[600]), (0, 3));
    }
}
