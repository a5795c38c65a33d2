//! Memory straight from the operating system: zeroed pages that are there when they are first touched, and gone at once
//! when they are given back.

use core::alloc::Layout;
use core::ptr::{self, NonNull};

/// Maps `bytes` (not 0), readable, writable, zeroed and aligned to a page. Ends the process as a failed allocation does when
/// there is no room.
pub(super) fn map(bytes: usize) -> NonNull<u8> {
    // SAFETY: a new private mapping without address or file touches no memory that exists.
    let pages = unsafe {
        libc::mmap(
            ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    let mapped = NonNull::new(pages.cast::<u8>()).filter(|_| pages != libc::MAP_FAILED);
    mapped.unwrap_or_else(|| {
        std::alloc::handle_alloc_error(Layout::from_size_align(bytes, 4096).unwrap_or(Layout::new::<[u8; 4096]>()))
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
