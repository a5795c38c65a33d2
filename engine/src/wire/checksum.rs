//! The Internet checksum (RFC 1071), its incremental form (RFC 1624) and the pseudo-headers.
//!
//! Sums are kept in the byte order in which 16-bit words lie in memory: one's complement addition does not
//! care, as long as the result is stored the same way (RFC 1071 2 B), so nothing is swapped on the way.
//! Also, 2^16 ≡ 1 modulo 2^16 - 1: wide words may be added and folded at the end.
//!
//! Left out on purpose: SIMD. Headers are 20 to 60 bytes, and chains of additions with carry take payloads at
//! more than 40 bytes per nanosecond.

use super::Addr;

/// A running one's complement sum.
#[derive(Clone, Copy, Default, Debug)]
#[must_use]
pub struct Sum(u64);

impl Sum {
    /// The sum of nothing.
    pub const ZERO: Sum = Sum(0);

    /// Adds bytes that begin at an even offset of what is summed. An odd last byte counts as if a zero
    /// followed: more bytes must not be added after it. At most 2^30 bytes in all.
    #[inline(always)]
    pub fn bytes(self, bytes: &[u8]) -> Sum {
        Sum(self.0 + sum(bytes))
    }

    /// As [`Sum::bytes`], for bytes that begin `offset` bytes behind what is summed first.
    pub fn bytes_at(self, offset: usize, bytes: &[u8]) -> Sum {
        let sum = Sum(sum(bytes));
        // At an odd place each byte takes the other half of its word (RFC 1071 2 B).
        if offset.is_multiple_of(2) { self.plus(sum) } else { Sum(self.0 + u64::from(sum.fold().swap_bytes())) }
    }

    /// As [`Sum::bytes`], inlined for a length that is known.
    #[inline(always)]
    pub(super) fn header<const N: usize>(self, header: &[u8; N]) -> Sum {
        Sum(self.0 + halve(add_words(0, header)) + last_word(header))
    }

    /// As [`Sum::bytes`], inlined for segments that are nothing but a header of a usual length.
    #[inline(always)]
    pub(super) fn segment(self, bytes: &[u8]) -> Sum {
        if let Ok(with_timestamps) = <&[u8; 32]>::try_from(bytes) {
            self.header(with_timestamps)
        } else if let Ok(of_syn) = <&[u8; 40]>::try_from(bytes) {
            self.header(of_syn)
        } else {
            self.bytes(bytes)
        }
    }

    /// Adds a 32-bit number as it stands in a header.
    #[inline(always)]
    pub fn u32(self, value: u32) -> Sum {
        Sum(self.0 + u64::from(value.to_be()))
    }

    /// Adds a 16-bit number as it stands in a header.
    #[inline(always)]
    pub fn u16(self, value: u16) -> Sum {
        Sum(self.0 + u64::from(value.to_be()))
    }

    /// Adds what another sum has counted.
    #[inline(always)]
    pub fn plus(self, other: Sum) -> Sum {
        Sum(self.0 + other.0)
    }

    /// The sum as 16 bits in memory order. Adding a number to itself with its halves swapped puts their sum, carry
    /// included, into the upper half.
    #[inline(always)]
    fn fold(self) -> u16 {
        let s = (self.0.wrapping_add(self.0.rotate_left(32)) >> 32) as u32;
        (s.wrapping_add(s.rotate_left(16)) >> 16) as u16
    }

    /// True when the summed bytes, their checksum field included, are undamaged.
    #[inline(always)]
    pub fn is_valid(self) -> bool {
        self.fold() == 0xffff
    }

    /// The checksum, as the two bytes to store in the checksum field (which was summed as 0).
    #[inline(always)]
    pub fn finish(self) -> [u8; 2] {
        (!self.fold()).to_ne_bytes()
    }

    /// The sum itself, not complemented, as bytes to store: what a device that completes the checksum wants to
    /// find in the field.
    #[inline(always)]
    pub fn unfinished(self) -> [u8; 2] {
        self.fold().to_ne_bytes()
    }
}

/// The checksum of `bytes`, as the number that a big-endian field holds.
pub fn checksum(bytes: &[u8]) -> u16 {
    u16::from_be_bytes(Sum::ZERO.bytes(bytes).finish())
}

/// The pseudo-header of TCP over IPv4 (RFC 9293 3.1) and of everything over IPv6 (RFC 8200 8.1). `len` is the
/// length of the upper-layer header and its data in bytes.
///
/// One way for both families: the v4-mapped prefix `::ffff` adds 0xffff, which is zero in one's complement.
#[inline(always)]
pub fn pseudo_header(src: &Addr, dst: &Addr, protocol: u8, len: u32) -> Sum {
    addresses(src, dst).u32(len).u16(u16::from(protocol))
}

/// The addresses' part of the pseudo-header.
#[inline(always)]
pub(super) fn addresses(src: &Addr, dst: &Addr) -> Sum {
    Sum::ZERO.header(&src.0).header(&dst.0)
}

/// The checksum after one 16-bit word under it has changed (RFC 1624, equation 3). Numbers as they stand in the
/// header.
pub fn update(checksum: u16, old: u16, new: u16) -> u16 {
    let s = u32::from(!checksum) + u32::from(!old) + u32::from(new);
    let s = (s & 0xffff) + (s >> 16);
    !((s & 0xffff) + (s >> 16)) as u16
}

/// The sum of `bytes` in memory order, less than 2^33. Two sums at a time, because each addition has to wait for
/// the carry of the one before it.
#[inline(never)]
fn sum(bytes: &[u8]) -> u64 {
    let (mut a, mut b) = (0, 0);
    let (blocks, mut rest) = bytes.as_chunks::<64>();
    for block in blocks {
        let (first, second) = block.split_at(32);
        a = add_words(a, first);
        b = add_words(b, second);
    }
    if let Some((block, behind)) = rest.split_first_chunk::<32>() {
        a = add_words(a, block);
        rest = behind;
    }
    if let Some((block, behind)) = rest.split_first_chunk::<16>() {
        b = add_words(b, block);
        rest = behind;
    }
    if let Some((block, _)) = rest.split_first_chunk::<8>() {
        a = add_words(a, block);
    }
    let (sum, carry) = a.overflowing_add(b);
    halve(sum) + last_word(bytes) + u64::from(carry)
}

/// Adds whole eight-byte words, the carry of each to the next, and the last carry to the lowest bit:
/// 2^64 ≡ 1 modulo 2^16 - 1. The length is a constant wherever this is called, so no loop is left.
#[inline(always)]
fn add_words(sum: u64, bytes: &[u8]) -> u64 {
    let (mut sum, mut carry) = (sum, false);
    for word in bytes.as_chunks::<8>().0 {
        let (s, c1) = sum.overflowing_add(u64::from_ne_bytes(*word));
        let (s, c2) = s.overflowing_add(u64::from(carry));
        (sum, carry) = (s, c1 | c2);
    }
    // A sum that has just wrapped is not all ones, so this does not wrap again.
    sum + u64::from(carry)
}

/// 2^32 ≡ 1 modulo 2^16 - 1.
#[inline(always)]
fn halve(sum: u64) -> u64 {
    (sum & 0xffff_ffff) + (sum >> 32)
}

/// The sum of the bytes behind the last whole eight, less than 2^33.
#[inline(always)]
fn last_word(bytes: &[u8]) -> u64 {
    let len = bytes.len() % 8;
    if len == 0 {
        return 0;
    }
    if let Some(last) = bytes.last_chunk::<8>() {
        // The last eight bytes, without those that were counted before.
        let counted_bits = 64 - 8 * len as u32;
        return halve((u64::from_le_bytes(*last) >> counted_bits).to_le());
    }
    let word = bytes.iter().rev().fold(0, |word, b| word << 8 | u64::from(*b));
    halve(word.to_le())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 1071, word for word: add 16-bit words, fold, complement.
    fn naive(bytes: &[u8]) -> u16 {
        let mut s = 0u32;
        for pair in bytes.chunks(2) {
            s += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&b| u32::from(b));
            s = (s & 0xffff) + (s >> 16);
        }
        !(s as u16)
    }

    /// In one's complement 0 and 0xffff are the same number.
    fn same(a: u16, b: u16) -> bool {
        a == b || (a == 0 && b == 0xffff) || (a == 0xffff && b == 0)
    }

    #[test]
    fn agrees_with_the_example_of_rfc_1071() {
        let s = Sum::ZERO.bytes(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(s.unfinished(), [0xdd, 0xf2]);
        assert_eq!(s.finish(), [0x22, 0x0d]);
    }

    #[test]
    fn folds_the_largest_sums_without_losing_a_carry() {
        for len in 0..200 {
            assert_eq!(checksum(&vec![0xff; len]), naive(&vec![0xff; len]), "{len} bytes of 0xff");
        }
        assert_eq!(checksum(&vec![0xff; 65_535]), naive(&vec![0xff; 65_535]));
        for sum in
            [0xffff_ffff_ffff_ffff, 0xffff_ffff_0000_ffff, 0x1_0000, 0xffff, 0x1_ffff, 0xffff_0001, 0x1_0000_0000]
        {
            assert_eq!(u64::from(Sum(sum).fold()) % 0xffff, sum % 0xffff, "{sum:#x}");
            assert_ne!(Sum(sum).fold(), 0, "only nothing sums up to 0: {sum:#x}");
        }
    }

    #[test]
    fn both_families_share_one_pseudo_header() {
        let (src, dst) = (Addr::v4([198, 18, 0, 1]), Addr::v4([198, 19, 255, 254]));
        let mut v4 = vec![198, 18, 0, 1, 198, 19, 255, 254, 0, 6];
        v4.extend_from_slice(&1234u16.to_be_bytes());
        assert_eq!(u16::from_be_bytes(pseudo_header(&src, &dst, 6, 1234).finish()), naive(&v4));
        let (src, dst) = (Addr([0xfe; 16]), Addr([0x13; 16]));
        let mut v6 = [src.0, dst.0].concat();
        v6.extend_from_slice(&[0, 1, 0x12, 0x34, 0, 0, 0, 58]);
        assert_eq!(u16::from_be_bytes(pseudo_header(&src, &dst, 58, 0x1_1234).finish()), naive(&v6));
    }

    #[test]
    fn incremental_update_agrees_with_the_example_of_rfc_1624() {
        assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
        assert_eq!(update(0x0000, 0x0000, 0x0001), 0xfffe, "folded twice");
    }

    proptest! {
        #[test]
        fn equals_the_naive_sum_at_any_length_and_alignment(
            bytes in proptest::collection::vec(any::<u8>(), 0..300), skip in 0usize..9,
        ) {
            let part = &bytes[skip.min(bytes.len())..];
            prop_assert_eq!(checksum(part), naive(part));
        }

        #[test]
        fn parts_may_be_added_in_any_order_and_width(
            bytes in proptest::collection::vec(any::<u8>(), 0..200), words in any::<[u32; 3]>(), half: u16,
        ) {
            let mut whole: Vec<u8> = words.iter().flat_map(|w| w.to_be_bytes()).collect();
            whole.extend_from_slice(&half.to_be_bytes());
            let numbers = Sum::ZERO.u16(half).u32(words[2]).u32(words[0]).u32(words[1]);
            whole.extend_from_slice(&bytes);
            let parts = Sum::ZERO.bytes(&bytes).plus(numbers);
            prop_assert_eq!(u16::from_be_bytes(parts.finish()), naive(&whole));
        }

        #[test]
        fn pieces_of_any_length_add_up_to_the_whole(
            bytes in proptest::collection::vec(any::<u8>(), 1..300), cuts in any::<[usize; 3]>(),
        ) {
            let mut cuts = cuts.map(|c| c % (bytes.len() + 1));
            cuts.sort_unstable();
            let pieces = [0..cuts[0], cuts[0]..cuts[1], cuts[1]..cuts[2], cuts[2]..bytes.len()];
            let sum = pieces.into_iter().fold(Sum::ZERO, |sum, p| sum.bytes_at(p.start, &bytes[p]));
            prop_assert!(same(u16::from_be_bytes(sum.finish()), naive(&bytes)));
        }

        #[test]
        fn a_stored_checksum_verifies_and_any_single_change_is_found(
            mut bytes in proptest::collection::vec(any::<u8>(), 4..200), at: usize, bit in 0u8..8,
        ) {
            bytes[2..4].fill(0);
            let field = Sum::ZERO.bytes(&bytes).finish();
            bytes[2..4].copy_from_slice(&field);
            prop_assert!(Sum::ZERO.bytes(&bytes).is_valid());
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert!(!Sum::ZERO.bytes(&bytes).is_valid());
        }

        #[test]
        fn incremental_update_equals_a_new_sum(
            mut bytes in proptest::collection::vec(any::<u8>(), 2..100), at: usize, new: u16,
        ) {
            let at = at % (bytes.len() / 2) * 2;
            let before = checksum(&bytes);
            let old = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
            bytes[at..at + 2].copy_from_slice(&new.to_be_bytes());
            prop_assert!(same(update(before, old, new), checksum(&bytes)));
        }
    }
}
