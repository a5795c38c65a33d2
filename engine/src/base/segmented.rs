//! A growable array in segments. Growing allocates one more segment and moves nothing, so there is no moment at
//! which millions of records are copied; a segment's memory is first touched when its elements are pushed.
//!
//! What slabs, free lists and timer nodes are made of. Left out on purpose: removal from the middle, iteration.

/// Elements per segment.
pub const SEGMENT_LEN: usize = 4096;
const SHIFT: u32 = SEGMENT_LEN.trailing_zeros();
const MASK: usize = SEGMENT_LEN - 1;

#[derive(Clone, Debug)]
pub struct Segmented<T> {
    /// All full, then at most one that is partly full, then empty ones.
    segments: Vec<Vec<T>>,
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

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline(always)]
    pub fn get(&self, index: u32) -> Option<&T> {
        self.segments.get((index >> SHIFT) as usize)?.get(index as usize & MASK)
    }

    #[inline(always)]
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.segments.get_mut((index >> SHIFT) as usize)?.get_mut(index as usize & MASK)
    }

    pub fn push(&mut self, value: T) {
        let at = self.len >> SHIFT;
        if at == self.segments.len() {
            self.segments.push(Vec::with_capacity(SEGMENT_LEN));
        }
        if let Some(segment) = self.segments.get_mut(at) {
            segment.push(value);
            self.len += 1;
        }
    }

    /// Takes the last element away. A segment that has become empty is given back once the one before it is
    /// half empty too, so that going to and fro over the border does not allocate each time.
    pub fn pop(&mut self) -> Option<T> {
        let last = self.len.checked_sub(1)?;
        let value = self.segments.get_mut(last >> SHIFT)?.pop()?;
        self.len = last;
        if last & MASK <= SEGMENT_LEN / 2 {
            self.segments.truncate((last >> SHIFT) + 1);
        }
        Some(value)
    }

    /// Bytes held, directory included.
    pub fn memory_bytes(&self) -> usize {
        self.segments.len() * SEGMENT_LEN * size_of::<T>() + self.segments.capacity() * size_of::<Vec<T>>()
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
    fn popping_gives_back_what_was_pushed_and_then_the_memory() {
        let mut s = Segmented::new();
        for i in 0..3 * SEGMENT_LEN {
            s.push(i);
        }
        let full = s.memory_bytes();
        for i in (0..3 * SEGMENT_LEN).rev() {
            assert_eq!(s.pop(), Some(i));
        }
        assert_eq!(s.pop(), None);
        assert!(s.memory_bytes() < full / 2);
    }

    #[test]
    fn crossing_a_segment_border_to_and_fro_keeps_the_segment() {
        let mut s = Segmented::new();
        for i in 0..=SEGMENT_LEN {
            s.push(i);
        }
        let before = s.memory_bytes();
        for _ in 0..10 {
            assert_eq!(s.pop(), Some(SEGMENT_LEN));
            assert_eq!(s.pop(), Some(SEGMENT_LEN - 1));
            assert_eq!(s.memory_bytes(), before);
            s.push(SEGMENT_LEN - 1);
            s.push(SEGMENT_LEN);
        }
        assert_eq!(s.len(), SEGMENT_LEN + 1);
    }
}
