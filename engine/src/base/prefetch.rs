//! Telling the processor what will be needed soon.

/// Starts loading the cache lines of `record`. Reads nothing, so it can be called for any reference.
#[inline(always)]
pub fn prefetch<T>(record: &T) {
    let start = core::ptr::from_ref(record).cast::<u8>();
    let mut at = 0;
    while at < size_of::<T>() {
        prefetch_at(start.wrapping_add(at));
        at += 64;
    }
}

/// Starts loading the cache line at `address`, whether or not there is any memory.
#[inline(always)]
pub fn prefetch_at(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: prefetching is a hint without effect on memory, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Starts loading the first cache lines of a packet: two for its headers, whatever protocol of ours it is, and up to three for
/// what else there is of it. Who reads on sees the processor fetch what follows of its own accord.
#[inline(always)]
pub fn prefetch_start(bytes: &[u8]) {
    prefetch_at(bytes.as_ptr());
    prefetch_at(bytes.as_ptr().wrapping_add(64));
    if bytes.len() > 128 {
        prefetch_at(bytes.as_ptr().wrapping_add(128));
        if bytes.len() > 192 {
            prefetch_at(bytes.as_ptr().wrapping_add(192));
            prefetch_at(bytes.as_ptr().wrapping_add(256));
        }
    }
}
