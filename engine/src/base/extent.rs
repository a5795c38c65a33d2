//! An array in one range of addresses, set aside at the beginning for as many elements as there may ever be. Growing moves
//! nothing, and an element is found by its index alone: one comparison, one multiplication.
//!
//! Elements up to the last one exist, so what is given back is what lies at the end. A short array consists of small pages,
//! so that it stays small; from `HUGE_FROM_BYTES` on it asks for huge ones, since whoever reads it all over would miss the TLB
//! with every look, and for each to be ready before it is needed (`ahead`). Left out on purpose: iteration.

use super::pages::no_memory;
use super::reservation::{Reservation, piece_end};
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

#[derive(Debug)]
pub struct Extent<T> {
    /// Of the reservation; the first `len` elements are initialised.
    base: NonNull<T>,
    len: usize,
    /// Elements up to here can be written, `len` at least.
    room: usize,
    limit: usize,
    /// Behind this there is no memory, bar what is being made ready.
    touched_bytes: usize,
    memory: Reservation,
    elements: PhantomData<T>,
}

// SAFETY: an extent owns its elements, as a `Vec` does; nothing else has the address of its pages.
unsafe impl<T: Send> Send for Extent<T> {}
// SAFETY: as above; through a shared reference elements can only be read.
unsafe impl<T: Sync> Sync for Extent<T> {}

impl<T> Extent<T> {
    /// For at most `limit` elements. Ends the process, as a failed allocation does, when there are not so many addresses.
    pub fn with_limit(limit: u32) -> Extent<T> {
        Extent::try_with_limit(limit).unwrap_or_else(|| no_memory(limit as usize * size_of::<T>()))
    }

    /// As [`Extent::with_limit`]. None when there are not so many addresses.
    pub fn try_with_limit(limit: u32) -> Option<Extent<T>> {
        Reservation::new((limit as usize).checked_mul(size_of::<T>())?).map(|memory| Extent::on(memory, limit))
    }

    /// `memory` is long enough for `limit` elements.
    fn on(memory: Reservation, limit: u32) -> Extent<T> {
        // Pages are aligned for every type that is not aligned more strictly than they are.
        const { assert!(align_of::<T>() <= 4096) };
        let base = if size_of::<T>() == 0 { NonNull::dangling() } else { memory.base().cast() };
        Extent { base, len: 0, room: 0, limit: limit as usize, touched_bytes: 0, memory, elements: PhantomData }
    }

    pub fn len(&self) -> u32 {
        self.len as u32
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn limit(&self) -> u32 {
        self.limit as u32
    }

    #[inline(always)]
    pub fn get(&self, index: u32) -> Option<&T> {
        // SAFETY: elements below `len` are initialised, and borrowed with `self`.
        ((index as usize) < self.len).then(|| unsafe { self.base.add(index as usize).as_ref() })
    }

    #[inline(always)]
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        // SAFETY: as in `get`; `&mut self` makes it exclusive.
        ((index as usize) < self.len).then(|| unsafe { self.base.add(index as usize).as_mut() })
    }

    /// The elements from `start` on.
    pub fn tail(&self, start: u32) -> &[T] {
        let start = (start as usize).min(self.len);
        // SAFETY: as in `get`, for all from `start` to the last.
        unsafe { core::slice::from_raw_parts(self.base.add(start).as_ptr(), self.len - start) }
    }

    /// Appends an element. False, and the element is dropped, at the limit.
    #[inline]
    pub fn push(&mut self, value: T) -> bool {
        if self.len == self.room && !self.grow() {
            return false;
        }
        // SAFETY: `len` is below `room`, so the element lies in memory of ours that can be written; it is not initialised, so
        // nothing has to be dropped. (Elements of no size have no memory and need none.)
        unsafe { self.base.add(self.len).write(value) };
        self.len += 1;
        true
    }

    /// Writes an element. Those before it that do not exist yet get the value of `fill`. False beyond the limit.
    #[inline]
    pub fn put(&mut self, index: u32, value: T, fill: impl FnMut() -> T) -> bool {
        match self.get_mut(index) {
            Some(element) => {
                *element = value;
                true
            }
            None => self.extend_to(index, value, fill),
        }
    }

    #[inline(never)]
    fn extend_to(&mut self, index: u32, value: T, mut fill: impl FnMut() -> T) -> bool {
        if index as usize >= self.limit {
            return false;
        }
        while self.len < index as usize {
            self.push(fill());
        }
        self.push(value)
    }

    /// Room for some more elements. False at the limit.
    #[cold]
    fn grow(&mut self) -> bool {
        if self.len == self.limit {
            return false;
        }
        if size_of::<T>() == 0 {
            self.room = self.limit;
            return true;
        }
        // To the end of the piece in which the next element ends.
        let end = piece_end((self.len + 1) * size_of::<T>());
        self.room = (end / size_of::<T>()).min(self.limit);
        self.touched_bytes = self.touched_bytes.max(self.memory.fill(end));
        true
    }

    /// Drops the elements from `len` on. Their memory goes back, except for a piece or two, so that going to and fro over a
    /// border does not give back and take each time.
    pub fn truncate(&mut self, len: u32) {
        let (kept, before) = ((len as usize).min(self.len), self.len);
        self.len = kept;
        // SAFETY: these elements were initialised, and nobody reaches them any more, since they lie behind `len`.
        unsafe { ptr::slice_from_raw_parts_mut(self.base.add(kept).as_ptr(), before - kept).drop_in_place() };
        let end = piece_end(piece_end(kept * size_of::<T>()) + 1);
        if end < self.touched_bytes && size_of::<T>() > 0 {
            // SAFETY: behind `len` there are no elements.
            unsafe { self.memory.discard_from(end) };
            self.touched_bytes = end;
            self.room = self.room.min(end / size_of::<T>());
        }
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.touched_bytes.min(self.limit * size_of::<T>())
    }
}

impl<T> Drop for Extent<T> {
    fn drop(&mut self) {
        let elements = ptr::slice_from_raw_parts_mut(self.base.as_ptr(), self.len);
        // SAFETY: these elements were initialised; the reservation, which is dropped after this, still has their memory.
        unsafe { elements.drop_in_place() };
    }
}

#[cfg(test)]
#[path = "extent_tests.rs"]
mod tests;
