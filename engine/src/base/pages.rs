//! Memory straight from the operating system: zeroed pages that are there when they are first touched, and gone at once
//! when they are given back.

use core::alloc::Layout;
use core::ptr::{self, NonNull};

pub(super) const PAGE_BYTES: usize = 4096;
/// Of a huge page. Older kernels do not align mappings to it: then the first and the last one are made of small pages.
pub(super) const HUGE_BYTES: usize = 2 << 20;

/// Maps `bytes` (not 0), readable, writable, zeroed and aligned to a page. Ends the process as a failed allocation does when
/// there is no room.
pub(super) fn map(bytes: usize) -> NonNull<u8> {
    map_with(bytes, 0)
}

/// As [`map`], without setting memory aside: for much more than is going to be touched.
pub(super) fn reserve(bytes: usize) -> NonNull<u8> {
    map_with(bytes, libc::MAP_NORESERVE)
}

fn map_with(bytes: usize, flags: libc::c_int) -> NonNull<u8> {
    // SAFETY: a new private mapping without address or file touches no memory that exists.
    let pages = unsafe {
        libc::mmap(
            ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flags,
            -1,
            0,
        )
    };
    let mapped = NonNull::new(pages.cast::<u8>()).filter(|_| pages != libc::MAP_FAILED);
    mapped.unwrap_or_else(|| {
        std::alloc::handle_alloc_error(Layout::from_size_align(bytes, PAGE_BYTES).unwrap_or(Layout::new::<u8>()))
    })
}

/// Gives pages back.
///
/// # Safety
/// `base` came from [`map`] with the same `bytes`, and nothing refers to the memory any more.
pub(super) unsafe fn unmap(base: NonNull<u8>, bytes: usize) {
    // SAFETY: by the caller's promise.
    unsafe { libc::munmap(base.as_ptr().cast(), bytes) };
}

/// Pages that nobody needs any more, on their way back: giving back many at once takes its time.
#[derive(Debug)]
pub struct Leaving {
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: nothing else has the address of these pages, and nothing reads or writes them.
unsafe impl Send for Leaving {}
// SAFETY: as above.
unsafe impl Sync for Leaving {}

impl Leaving {
    /// # Safety
    /// As for [`unmap`].
    pub(super) unsafe fn new(base: NonNull<u8>, bytes: usize) -> Leaving {
        Leaving { base, bytes }
    }

    /// Gives some pages back. False when these were the last.
    pub fn give_back(&mut self, pages: usize) -> bool {
        let rest = self.bytes.saturating_sub(pages * PAGE_BYTES) & !(PAGE_BYTES - 1);
        if self.bytes > rest {
            // SAFETY: what lies from `rest` on is ours by the promise given to `new`, and is forgotten here.
            unsafe { unmap(self.base.add(rest), self.bytes - rest) };
        }
        self.bytes = rest;
        rest > 0
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.give_back(usize::MAX / PAGE_BYTES);
    }
}

/// Asks for huge pages; where there are none, pages stay small.
///
/// # Safety
/// The range lies in pages that came from [`map`] or [`reserve`].
pub(super) unsafe fn advise_huge(start: NonNull<u8>, bytes: usize) {
    // SAFETY: by the caller's promise; the advice changes nothing that the pages hold.
    unsafe { libc::madvise(start.as_ptr().cast(), bytes, libc::MADV_HUGEPAGE) };
}

/// Gives the memory of whole pages back and keeps the address space: they are zero afterwards.
///
/// # Safety
/// The range lies in pages that came from [`map`] or [`reserve`], what they hold is not needed, and zeroes are fine there.
pub(super) unsafe fn discard(start: NonNull<u8>, bytes: usize) {
    // SAFETY: by the caller's promise.
    unsafe { libc::madvise(start.as_ptr().cast(), bytes, libc::MADV_DONTNEED) };
}
