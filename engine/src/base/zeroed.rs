//! An array of elements that exist from the beginning, with all bytes zero: as the system provides memory, so nothing has to
//! be filled in, and what nobody writes takes none. For what only some have that could have it.
//!
//! Otherwise like `extent`: one range of addresses, one comparison and one multiplication for an element, huge pages where
//! it is long.

use super::pages::no_memory;
use super::reservation::{Reservation, piece_end};
use core::marker::PhantomData;

/// What may consist of zeroes. Without padding: the bytes of `ZERO` are looked at, all of them, when this is compiled.
pub trait Zeroed: Copy {
    const ZERO: Self;
}

/// Every byte is zero. (To read one that is not initialised is an error of compilation.)
const fn is_zero<T: Zeroed>() -> bool {
    let zero = T::ZERO;
    let bytes = (&raw const zero).cast::<u8>();
    let mut at = 0;
    while at < size_of::<T>() {
        // SAFETY: the byte lies in `zero`.
        if unsafe { *bytes.add(at) } != 0 {
            return false;
        }
        at += 1;
    }
    true
}

#[derive(Debug)]
pub struct ZeroedExtent<T> {
    memory: Reservation,
    /// Elements below can be reached: their memory is open, and zero where nothing was written.
    len: usize,
    limit: usize,
    elements: PhantomData<T>,
}

impl<T: Zeroed> ZeroedExtent<T> {
    /// For at most `limit` elements. Ends the process, as a failed allocation does, when there are not so many addresses.
    pub fn with_limit(limit: u32) -> ZeroedExtent<T> {
        const { assert!(is_zero::<T>() && size_of::<T>() > 0 && align_of::<T>() <= 4096) };
        let bytes = limit as usize * size_of::<T>();
        let memory = Reservation::new(bytes).unwrap_or_else(|| no_memory(bytes));
        ZeroedExtent { memory, len: 0, limit: limit as usize, elements: PhantomData }
    }

    /// One more than the highest index reached.
    pub fn len(&self) -> u32 {
        self.len as u32
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// None when nobody has reached so far yet.
    #[inline(always)]
    pub fn get(&self, index: u32) -> Option<&T> {
        // SAFETY: below `len` lies memory of ours that holds `T::ZERO`, which may be copied, or what was written.
        ((index as usize) < self.len).then(|| unsafe { self.memory.base().cast::<T>().add(index as usize).as_ref() })
    }

    /// As [`ZeroedExtent::get`].
    #[inline(always)]
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        // SAFETY: as in `get`; `&mut self` makes it exclusive.
        ((index as usize) < self.len).then(|| unsafe { self.memory.base().cast::<T>().add(index as usize).as_mut() })
    }

    /// As [`ZeroedExtent::get_mut`], but None at the limit only.
    #[inline]
    pub fn reach(&mut self, index: u32) -> Option<&mut T> {
        if index as usize >= self.len && !self.extend_to(index) {
            return None;
        }
        self.get_mut(index)
    }

    /// False beyond the limit.
    #[inline(never)]
    fn extend_to(&mut self, index: u32) -> bool {
        if index as usize >= self.limit {
            return false;
        }
        let before = piece_end(self.len * size_of::<T>());
        self.len = index as usize + 1;
        let end = piece_end(self.len * size_of::<T>());
        if end > before {
            self.memory.fill(end);
        }
        true
    }

    /// Makes all elements from `len` on zero. Their memory goes back, except for a piece or two.
    pub fn truncate(&mut self, len: u32) {
        let len = len as usize;
        if len >= self.len {
            return;
        }
        let kept_bytes = piece_end(piece_end(len * size_of::<T>()) + 1);
        // What begins behind that goes back as a whole, and is not touched for it.
        for index in len..self.len.min(kept_bytes.div_ceil(size_of::<T>())) {
            // SAFETY: as in `get_mut`.
            unsafe { self.memory.base().cast::<T>().add(index).write(T::ZERO) };
        }
        // SAFETY: what lies there is not reached any more, and zero when it is again.
        unsafe { self.memory.discard_from(kept_bytes) };
        self.len = len;
    }

    /// Bytes held at the most.
    pub fn memory_bytes(&self) -> usize {
        self.len * size_of::<T>()
    }
}

#[cfg(test)]
mod tests {
    use super::super::ahead;
    use super::*;

    impl Zeroed for u64 {
        const ZERO: u64 = 0;
    }

    #[test]
    fn what_nobody_wrote_is_zero_and_is_again_after_it_was_given_back() {
        let mut extent = ZeroedExtent::<u64>::with_limit(2_000_000);
        assert_eq!((extent.get(0), extent.is_empty()), (None, true));
        for _ in 0..2 {
            *extent.reach(1_999_999).unwrap() = 7;
            *extent.reach(3).unwrap() = 5;
            assert_eq!([0, 3, 1_000_000, 1_999_999].map(|at| *extent.get(at).unwrap()), [0, 5, 0, 7]);
            assert!(extent.reach(2_000_000).is_none());
            extent.truncate(2);
            assert_eq!((extent.get(1), extent.get(2), extent.len()), (Some(&0), None, 2));
        }
    }

    #[test]
    fn what_nobody_wrote_is_not_touched_in_order_to_be_given_back() {
        let faults = || {
            // SAFETY: all zero is a value of this struct of numbers, and the call fills it in.
            let mut usage: libc::rusage = unsafe { core::mem::zeroed() };
            // SAFETY: the call writes to a struct of our own.
            assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) }, 0);
            usage.ru_minflt
        };
        let mut extent = ZeroedExtent::<u64>::with_limit(500_000);
        assert!(extent.reach(499_999).is_some());
        let before = faults();
        extent.truncate(1);
        assert!(faults() - before < 100, "{} of 977 pages were touched", faults() - before);
    }

    #[test]
    fn a_helper_changes_nothing_that_was_written() {
        ahead::start();
        let mut extent = ZeroedExtent::<u64>::with_limit(2_000_000);
        // Whether help comes in time or not at all, this is what it always is.
        (0..2_000_000).for_each(|at| *extent.reach(at).unwrap() = u64::from(at));
        assert!((0..2_000_000).all(|at| extent.get(at) == Some(&u64::from(at))));
    }
}
