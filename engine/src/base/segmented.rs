//! An array in segments. Growing allocates one more segment and moves nothing, so there is no moment at which
//! millions of records are copied; a segment's memory is first touched when its elements are written.
//!
//! For what has no limit, and for what few of many connections have, scattered: who is dense is better off in an `Extent`. Left out
//! on purpose: removal of single elements, iteration.

use super::room::{ROOM_LEN, Room};

/// Elements per segment.
pub const SEGMENT_LEN: usize = ROOM_LEN;
const SHIFT: u32 = SEGMENT_LEN.trailing_zeros();
const MASK: usize = SEGMENT_LEN - 1;

/// The segment in which an element lies.
#[inline(always)]
const fn segment_of(index: u32) -> u32 {
    index >> SHIFT
}

#[derive(Clone, Debug)]
pub struct Segmented<T> {
    /// Each holds its elements up to the highest that was written; one without any holds no memory.
    segments: Vec<Room<T>>,
    len: usize,
}

impl<T> Default for Segmented<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Segmented<T> {
    pub const fn new() -> Self {
        Segmented { segments: Vec::new(), len: 0 }
    }

    /// One more than the highest index ever written.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// None when nothing was written there.
    #[inline(always)]
    pub fn get(&self, index: u32) -> Option<&T> {
        self.segments.get(segment_of(index) as usize)?.get(index as usize & MASK)
    }

    /// As [`Segmented::get`].
    #[inline(always)]
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.segments.get_mut(segment_of(index) as usize)?.get_mut(index as usize & MASK)
    }

    /// Writes an element. Those before it in its segment that were never written get the value of `fill`.
    #[inline]
    pub fn put(&mut self, index: u32, value: T, fill: impl FnMut() -> T) {
        match self.get_mut(index) {
            Some(element) => *element = value,
            None => self.extend_to(index, value, fill),
        }
    }

    #[inline(never)]
    fn extend_to(&mut self, index: u32, value: T, mut fill: impl FnMut() -> T) {
        if let Some(segment) = self.room_for(index) {
            while segment.len() < index as usize & MASK {
                segment.push(fill());
            }
            segment.push(value);
            self.len = self.len.max(index as usize + 1);
        }
    }

    /// The segment of `index`.
    fn room_for(&mut self, index: u32) -> Option<&mut Room<T>> {
        let at = segment_of(index) as usize;
        while self.segments.len() <= at {
            self.segments.push(Room::new());
        }
        self.segments.get_mut(at)
    }

    /// Appends an element behind all others.
    pub fn push(&mut self, value: T) {
        if let Some(segment) = self.room_for(self.len as u32) {
            segment.push(value);
            self.len += 1;
        }
    }

    /// Takes the last element away. A segment that has become empty is given back once the
    /// one before it is half empty too, so that going to and fro over the border does not allocate each time.
    pub fn pop(&mut self) -> Option<T> {
        let last = self.len.checked_sub(1)?;
        let value = self.segments.get_mut(last >> SHIFT)?.pop()?;
        self.len = last;
        if last & MASK <= SEGMENT_LEN / 2 {
            self.segments.truncate((last >> SHIFT) + 1);
        }
        Some(value)
    }

    /// Drops the elements from `len` on and gives the memory of their segments back.
    pub fn truncate(&mut self, len: u32) {
        self.segments.truncate((len as usize).div_ceil(SEGMENT_LEN));
        if let Some(last) = self.segments.get_mut(segment_of(len) as usize) {
            while last.len() > len as usize & MASK {
                last.pop();
            }
        }
        self.len = self.len.min(len as usize);
    }

    /// Bytes held, directory included.
    pub fn memory_bytes(&self) -> usize {
        let held: usize = self.segments.iter().map(Room::memory_bytes).sum();
        held + self.segments.capacity() * size_of::<Room<T>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_keep_their_address_while_it_grows() {
        let mut s = Segmented::new();
        s.push(7u64);
        let first: *const u64 = s.get(0).unwrap();
        for i in 1..100_000u64 {
            s.push(i);
        }
        assert!(core::ptr::eq(first, s.get(0).unwrap()));
        assert_eq!(s.get(99_999), Some(&99_999));
        assert_eq!(s.get(100_000), None);
        assert_eq!(s.get(u32::MAX), None);
    }

    #[test]
    fn popping_gives_elements_back_in_turn_and_memory_with_them() {
        let mut s = Segmented::new();
        (0..3 * SEGMENT_LEN as u32).for_each(|i| s.push(i));
        let full = s.memory_bytes();
        for i in (0..3 * SEGMENT_LEN as u32).rev() {
            assert_eq!(s.pop(), Some(i));
        }
        assert_eq!((s.pop(), s.is_empty()), (None, true));
        assert_eq!(full - s.memory_bytes(), 2 * SEGMENT_LEN * size_of::<u32>());
        s.push(7);
        assert_eq!((s.len(), s.get(0)), (1, Some(&7)));
    }

    #[test]
    fn writing_ahead_fills_what_lies_before_in_the_same_segment_only() {
        let mut s = Segmented::new();
        let first = 2 * SEGMENT_LEN as u32;
        let written = |s: &Segmented<u32>| [0, 1, 2, 3, 4].map(|n| s.get(first + n).copied());
        s.put(first + 3, 7, || 1);
        assert_eq!(written(&s), [Some(1), Some(1), Some(1), Some(7), None]);
        assert_eq!(s.get(0), None);
        s.put(first + 1, 5, || 9);
        assert_eq!(written(&s), [Some(1), Some(5), Some(1), Some(7), None]);
    }

    #[test]
    fn what_is_cut_off_holds_no_memory_and_can_be_written_again() {
        let mut s = Segmented::new();
        (0..3 * SEGMENT_LEN as u32).for_each(|i| s.push(i));
        let full = s.memory_bytes();
        let left = SEGMENT_LEN as u32 + 5;
        s.truncate(left);
        assert_eq!(full - s.memory_bytes(), SEGMENT_LEN * size_of::<u32>());
        assert_eq!((s.get(left - 1), s.get(left), s.len()), (Some(&(left - 1)), None, left as usize));
        s.put(left + 1, 7, || 0);
        assert_eq!((s.get(left), s.get(left + 1)), (Some(&0), Some(&7)));
        s.truncate(0);
        assert_eq!((s.is_empty(), s.get(0)), (true, None));
    }
}
