//! A long array of zeroed words: the address space is there from the beginning, memory only where something was written.
//!
//! What can grow without ever being moved can also be found without a directory. From [`HUGE_FROM`] on the array asks for
//! huge pages, since whoever reads it all over would miss the TLB with every look; before that, pages are small, so that
//! a short array stays small. Left out on purpose: growing beyond the length it was made with.

use super::ahead;
use super::line::LINE_WORDS;
use super::pages;
use super::prefetch::prefetch_at;
use super::reservation::{HUGE_FROM_BYTES, Reservation, piece_end};
use core::ops::{Deref, DerefMut, Range};

/// The first word that lies on a huge page, if there are any: 4 MiB.
pub const HUGE_FROM: usize = HUGE_FROM_BYTES / size_of::<u64>();
/// Memory is best given back in pieces of this many words: a huge page.
pub const HUGE_WORDS: usize = pages::HUGE_BYTES / size_of::<u64>();

pub struct Words {
    memory: Reservation,
    /// Words from the beginning of `memory` on that can be read and written.
    len: usize,
}

impl Words {
    /// At most `limit` words (at least one), all zero, of which the first `first` can be used at once. Ends the process, as a failed
    /// allocation does, when there are not so many addresses.
    pub fn with_limit(limit: usize, first: usize) -> Words {
        let bytes = limit.max(1) * size_of::<u64>();
        Words::on(Reservation::new(bytes).unwrap_or_else(|| pages::no_memory(bytes)), first)
    }

    fn on(memory: Reservation, first: usize) -> Words {
        let mut words = Words { len: memory.writable() / size_of::<u64>(), memory };
        if !words.open(first) {
            pages::no_memory(first * size_of::<u64>());
        }
        words
    }

    /// As [`Words::with_limit`] where the system counts every page that can be written: all have to be opened first.
    #[cfg(test)]
    pub fn closed(limit: usize, first: usize) -> Words {
        Words::on(Reservation::closed(limit.max(1) * size_of::<u64>()).expect("addresses"), first)
    }

    /// Sees to it that there are `len` words, which mostly are there from the beginning. False beyond the limit, or when the
    /// system has no memory left.
    pub fn open(&mut self, len: usize) -> bool {
        if len > self.len && self.memory.open(piece_end(len * size_of::<u64>())) {
            self.len = self.memory.writable() / size_of::<u64>();
        }
        len <= self.len
    }

    /// Lets the system provide the memory of the first `len` words, none of which was written yet.
    pub fn touch(&mut self, len: usize) {
        self.iter_mut().take(len).step_by(pages::PAGE_BYTES / size_of::<u64>()).for_each(|word| *word = 0);
    }

    /// The huge page that word `at` lies on will be written soon, for the first time.
    pub fn ask_for(&self, at: usize) {
        if at >= HUGE_FROM && at < self.len {
            ahead::ask(self.as_ptr().wrapping_add(at / HUGE_WORDS * HUGE_WORDS).cast());
        }
    }

    /// Makes words zero by giving their memory back. Those on pages that the range does not cover stay as they are.
    pub fn release(&mut self, range: Range<usize>) {
        let (start, end) = (range.start * size_of::<u64>(), range.end.min(self.len) * size_of::<u64>());
        // SAFETY: zero is a value that words may take; the last page is not given back unless all of it is.
        unsafe { self.memory.discard(start, end & !(pages::PAGE_BYTES - 1)) };
    }

    /// Starts loading the cache line at word `at`, and the one behind it.
    #[inline(always)]
    pub fn prefetch_lines(&self, at: usize) {
        let line = self.memory.base().cast::<u64>().as_ptr().wrapping_add(at);
        prefetch_at(line.cast());
        prefetch_at(line.wrapping_add(LINE_WORDS).cast());
    }
}

impl Deref for Words {
    type Target = [u64];

    #[inline(always)]
    fn deref(&self) -> &[u64] {
        // SAFETY: `len` words are open, and zero or written since; borrowed with `self`.
        unsafe { core::slice::from_raw_parts(self.memory.base().cast().as_ptr(), self.len) }
    }
}

impl DerefMut for Words {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [u64] {
        // SAFETY: as in `deref`; `&mut self` makes it exclusive.
        unsafe { core::slice::from_raw_parts_mut(self.memory.base().cast().as_ptr(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_zero_until_written_and_begin_on_a_cache_line() {
        for len in [0, 1, 1000, HUGE_FROM + 5] {
            let mut words = Words::with_limit(len, 0);
            assert!(words.len() >= len.max(1));
            assert_eq!(words.as_ptr() as usize % 64, 0);
            let last = words.len() - 1;
            assert_eq!((words[0], words[last]), (0, 0));
            words[last] = 7;
            assert_eq!((words[0], words[last]), (if last == 0 { 7 } else { 0 }, 7));
        }
    }

    #[test]
    fn where_every_writable_page_counts_words_are_there_when_they_were_opened() {
        let mut words = Words::closed(HUGE_FROM + 5, 1);
        assert!(words.len() < 70_000);
        for len in [1, 70_000, HUGE_FROM + 5] {
            assert!(words.open(len) && words.len() >= len);
            assert_eq!(words[len - 1], 0);
            words[len - 1] = 7;
        }
        assert_eq!([0, 69_999].map(|at| words[at]), [7, 7]);
        assert!(!words.open(words.len() + 1));
    }

    #[test]
    fn what_is_released_is_zero_and_its_surroundings_stay() {
        let mut words = Words::with_limit(4096, 0);
        words.fill(9);
        words.release(512..1030);
        assert_eq!([511, 512, 1023, 1024].map(|at| words[at]), [9, 0, 0, 9]);
        words.release(1025..1535);
        assert!(words[1024..].iter().all(|word| *word == 9), "no whole page lies in between");
        words[600] = 3;
        assert_eq!((words[599], words[600]), (0, 3));
    }
}
