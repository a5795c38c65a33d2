//! Room for a fixed number of elements, straight from the operating system.
//!
//! An allocator rounds sizes up to its classes and keeps what is freed for a while. With millions of records both show:
//! pages that are mapped for one purpose take what they hold and no more, are touched only when elements are
//! written, and go back at once. Left out on purpose: growing.

use super::pages;
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};

/// Elements that find room.
pub const ROOM_LEN: usize = 4096;

/// At most [`ROOM_LEN`] elements; without memory until the first one comes.
pub struct Room<T> {
    /// `ROOM_LEN` elements from here on are mapped for us, unless it is dangling; the first `len` are initialised.
    base: NonNull<T>,
    len: usize,
}

// SAFETY: a room owns its elements, as a `Vec` does; nothing else has the address of its pages.
unsafe impl<T: Send> Send for Room<T> {}
// SAFETY: as above; through a shared reference elements can only be read.
unsafe impl<T: Sync> Sync for Room<T> {}

impl<T> Default for Room<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Room<T> {
    const BYTES: usize = ROOM_LEN * size_of::<T>();

    pub const fn new() -> Self {
        // Pages are aligned for every type that is not aligned more strictly than they are.
        const { assert!(align_of::<T>() <= 4096) };
        Room { base: NonNull::dangling(), len: 0 }
    }

    /// Appends an element, which is dropped when there is no room for it.
    #[inline]
    pub fn push(&mut self, value: T) {
        debug_assert!(self.len < ROOM_LEN);
        if self.len < ROOM_LEN {
            if !self.is_mapped() {
                self.map();
            }
            // SAFETY: `len` is below `ROOM_LEN`, so the element lies in our pages; it is not initialised, so nothing has
            // to be dropped. (Elements of no size have no pages and need none.)
            unsafe { self.base.add(self.len).write(value) };
            self.len += 1;
        }
    }

    /// Appends an element where there have been others before. False: there were none, or there is no room.
    #[inline(always)]
    pub fn push_again(&mut self, value: T) -> bool
    where
        T: Copy,
    {
        let fits = self.is_mapped() && self.len < ROOM_LEN;
        if fits {
            // SAFETY: as in `push`; pages are mapped.
            unsafe { self.base.add(self.len).write(value) };
            self.len += 1;
        }
        fits
    }

    /// Takes the last element away.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        // SAFETY: the element was initialised, and nobody reaches it any more, since it lies at `len`.
        Some(unsafe { self.base.add(self.len).read() })
    }

    #[cold]
    fn map(&mut self) {
        if Self::BYTES > 0 {
            self.base = pages::map(Self::BYTES).cast();
        }
    }

    /// Elements of no size never are.
    #[inline]
    fn is_mapped(&self) -> bool {
        self.base != NonNull::dangling()
    }

    /// Drops all elements and keeps the memory.
    pub fn clear(&mut self) {
        let elements: *mut [T] = &raw mut **self;
        self.len = 0;
        // SAFETY: the elements were initialised, and nobody reaches them any more, since `len` is 0.
        unsafe { ptr::drop_in_place(elements) };
    }

    /// Bytes mapped.
    pub fn memory_bytes(&self) -> usize {
        if self.is_mapped() { Self::BYTES } else { 0 }
    }
}

impl<T> Deref for Room<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: the first `len` elements are initialised (none when nothing is mapped), and borrowed with `self`.
        unsafe { core::slice::from_raw_parts(self.base.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for Room<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`; `&mut self` makes it exclusive.
        unsafe { core::slice::from_raw_parts_mut(self.base.as_ptr(), self.len) }
    }
}

impl<T> Drop for Room<T> {
    fn drop(&mut self) {
        self.clear();
        if self.is_mapped() {
            // SAFETY: these pages were mapped by `map` with this size, and nothing refers to them any more.
            unsafe { pages::unmap(self.base.cast(), Self::BYTES) };
        }
    }
}

impl<T: Clone> Clone for Room<T> {
    fn clone(&self) -> Self {
        let mut room = Room::new();
        self.iter().cloned().for_each(|element| room.push(element));
        room
    }
}

impl<T: core::fmt::Debug> core::fmt::Debug for Room<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn what_was_pushed_last_is_popped_first_and_dropped_once() {
        let mut room = Room::new();
        let kept = Rc::new(());
        (0..3).for_each(|i| room.push((i, kept.clone())));
        assert_eq!(room.pop().map(|(i, _)| i), Some(2));
        assert_eq!(Rc::strong_count(&kept), 3);
        assert_eq!(room.pop().map(|(i, _)| i), Some(1));
        drop(room);
        assert_eq!(Rc::strong_count(&kept), 1);
        assert_eq!(Room::<u32>::new().pop(), None);
    }

    #[test]
    fn holds_what_was_pushed_and_takes_memory_only_then() {
        let mut room = Room::new();
        assert_eq!((room.len(), room.memory_bytes()), (0, 0));
        for i in 0..ROOM_LEN {
            room.push(i as u64);
        }
        room[7] += 1000;
        assert_eq!((room[0], room[7], room[ROOM_LEN - 1]), (0, 1007, ROOM_LEN as u64 - 1));
        assert_eq!(room.clone()[..], room[..]);
        assert_eq!(room.memory_bytes(), 8 * ROOM_LEN);
    }

    #[test]
    fn every_element_is_dropped_once() {
        let witness = Rc::new(());
        let mut room = Room::new();
        for _ in 0..10 {
            room.push(Rc::clone(&witness));
        }
        drop(room.pop());
        assert_eq!(Rc::strong_count(&witness), 10);
        room.clear();
        assert_eq!((Rc::strong_count(&witness), room.pop()), (1, None));
        room.push(Rc::clone(&witness));
        drop(room);
        assert_eq!(Rc::strong_count(&witness), 1);
    }

    #[test]
    fn elements_of_no_size_need_no_memory() {
        let mut room = Room::new();
        (0..ROOM_LEN).for_each(|_| room.push(()));
        assert_eq!((room.len(), room.memory_bytes()), (ROOM_LEN, 0));
    }
}
