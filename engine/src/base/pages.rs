//! Memory straight from the operating system: zeroed pages that are there when they are first touched, and gone at once
//! when they are given back.

use core::alloc::Layout;
use core::ptr::{self, NonNull};

/// Nodes that are told apart.
const NODES_MAX: usize = 64;
const READ_WRITE: libc::c_int = libc::PROT_READ | libc::PROT_WRITE;
pub(super) const PAGE_BYTES: usize = 4096;
/// Of a huge page. Older kernels do not align mappings to it: then the first and the last one are made of small pages.
pub(super) const HUGE_BYTES: usize = 2 << 20;

/// Maps `bytes` (not 0), readable, writable, zeroed and aligned to a page. Ends the process as a failed allocation does when
/// there is no room.
pub(super) fn map(bytes: usize) -> NonNull<u8> {
    map_with(bytes, READ_WRITE, 0).unwrap_or_else(|| no_memory(bytes))
}

/// As [`map`], without setting memory aside: for much more than is going to be touched. None when there are not so many
/// addresses. What is not open cannot be read or written until it went through [`make_writable`].
pub(super) fn reserve(bytes: usize, is_open: bool) -> Option<NonNull<u8>> {
    map_with(bytes, if is_open { READ_WRITE } else { libc::PROT_NONE }, libc::MAP_NORESERVE)
}

fn map_with(bytes: usize, access: libc::c_int, flags: libc::c_int) -> Option<NonNull<u8>> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flags;
    // SAFETY: a new private mapping without address or file touches no memory that exists.
    let pages = unsafe { libc::mmap(ptr::null_mut(), bytes, access, flags, -1, 0) };
    NonNull::new(pages.cast::<u8>()).filter(|_| pages != libc::MAP_FAILED)
}

/// Ends the process as a failed allocation does.
#[cold]
pub(super) fn no_memory(bytes: usize) -> ! {
    std::alloc::handle_alloc_error(Layout::from_size_align(bytes, 1).unwrap_or(Layout::new::<u8>()))
}

/// Gives pages back.
///
/// # Safety
/// `base` came from [`map`] with the same `bytes`, and nothing refers to the memory any more.
pub(super) unsafe fn unmap(base: NonNull<u8>, bytes: usize) {
    // SAFETY: by the caller's promise.
    unsafe { libc::munmap(base.as_ptr().cast(), bytes) };
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

/// Lets whole pages be read and written. False when the system has no memory left for them.
///
/// # Safety
/// The range lies in pages that came from [`reserve`].
pub(super) unsafe fn make_writable(start: NonNull<u8>, bytes: usize) -> bool {
    // SAFETY: by the caller's promise; whoever may refer to these pages loses nothing.
    unsafe { libc::mprotect(start.as_ptr().cast(), bytes, READ_WRITE) == 0 }
}

/// The node of the processor that runs this, in a machine where memory is nearer to some than to others.
pub(super) fn memory_node() -> usize {
    let mut node: libc::c_uint = 0;
    // SAFETY: the call writes a number of our own; where it fails, zero stays.
    unsafe { libc::syscall(libc::SYS_getcpu, ptr::null_mut::<libc::c_uint>(), &raw mut node, ptr::null_mut::<u8>()) };
    node as usize
}

/// Lets memory that this thread is the first to touch come from `node`, if it has some.
pub(super) fn prefer_node(node: usize) {
    const MPOL_PREFERRED: libc::c_int = 1;
    let nodes: libc::c_ulong = 1 << (node % NODES_MAX);
    // SAFETY: the call reads one word of bits, and changes this thread's policy alone.
    unsafe { libc::syscall(libc::SYS_set_mempolicy, MPOL_PREFERRED, &raw const nodes, NODES_MAX + 1) };
}

/// Lets the system provide the memory of the huge page at `start` now. Where it cannot (before Linux 5.14), nothing happens.
pub(super) fn provide_huge(start: usize) {
    // SAFETY: memory that is there keeps what it holds, and so nobody can tell, wherever the range lies; where nothing is mapped
    // the call fails.
    unsafe { libc::madvise(start as *mut libc::c_void, HUGE_BYTES, libc::MADV_POPULATE_WRITE) };
}
