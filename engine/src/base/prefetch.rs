//! Telling the processor what will be needed soon.

/// Starts loading the cache lines of `record`. Reads nothing, so it can be called for any reference.
#[inline(always)]
pub fn prefetch<T>(record: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let start: *const i8 = core::ptr::from_ref(record).cast();
        let mut at = 0;
        while at < size_of::<T>() {
            // SAFETY: prefetching is a hint without effect on memory; the address lies inside `record`.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.add(at)) };
            at += 64;
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = record;
}

/// Starts loading the first 128 bytes of a packet: its headers, for every protocol we speak.
#[inline(always)]
pub fn prefetch_start(bytes: &[u8]) {
    if let Some(headers) = bytes.first_chunk::<128>() {
        prefetch(headers);
    } else if let Some(first) = bytes.first() {
        prefetch(first);
    }
}
