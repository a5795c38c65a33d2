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
