//! Fields at fixed places of fixed-size headers. The place is a constant, so a field that lies outside its
//! header does not compile, and nothing is checked at run time.

/// The `N` bytes at `AT` of a header.
#[inline(always)]
pub(super) fn get<const AT: usize, const N: usize, const M: usize>(header: &[u8; M]) -> [u8; N] {
    const { assert!(AT + N <= M, "the field lies inside the header") };
    let mut out = [0; N];
    out.copy_from_slice(&header[AT..AT + N]);
    out
}

/// The 16-bit number at `AT`.
#[inline(always)]
pub(super) fn u16_at<const AT: usize, const M: usize>(header: &[u8; M]) -> u16 {
    u16::from_be_bytes(get::<AT, 2, M>(header))
}

/// The 32-bit number at `AT`.
#[inline(always)]
pub(super) fn u32_at<const AT: usize, const M: usize>(header: &[u8; M]) -> u32 {
    u32::from_be_bytes(get::<AT, 4, M>(header))
}

/// Puts `N` bytes at `AT` of a header.
#[inline(always)]
pub(super) fn put<const AT: usize, const N: usize, const M: usize>(header: &mut [u8; M], value: [u8; N]) {
    const { assert!(AT + N <= M, "the field lies inside the header") };
    header[AT..AT + N].copy_from_slice(&value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_read_back_in_network_order() {
        let mut h = [0u8; 12];
        put::<2, 2, _>(&mut h, 0x0102u16.to_be_bytes());
        put::<8, 4, _>(&mut h, 0x0304_0506u32.to_be_bytes());
        assert_eq!(h, [0, 0, 1, 2, 0, 0, 0, 0, 3, 4, 5, 6]);
        assert_eq!((u16_at::<2, _>(&h), u32_at::<8, _>(&h)), (0x0102, 0x0304_0506));
        assert_eq!(get::<9, 3, _>(&h), [4, 5, 6]);
    }
}
