//! What tells one connection of a shard from another.

use crate::wire::Addr;

/// The 4-tuple, with the local address as an index into the shard's own addresses: 24 bytes, no padding.
#[derive(Clone, Copy, Eq, Debug, Default)]
#[repr(C)]
pub struct FlowKey {
    pub remote: Addr,
    pub remote_port: u16,
    pub local_port: u16,
    /// Index of the local address in the shard.
    pub local: u16,
    /// Always 0.
    pub reserved: u16,
}

const _: () = assert!(size_of::<FlowKey>() == 24);

/// By words, without a branch: whoever compares expects them to be the same.
impl PartialEq for FlowKey {
    #[inline(always)]
    fn eq(&self, other: &FlowKey) -> bool {
        let ([a, b, c], [d, e, f]) = (self.words(), other.words());
        (a ^ d) | (b ^ e) | (c ^ f) == 0
    }
}

impl FlowKey {
    /// The key as three words, for hashing.
    #[inline(always)]
    pub const fn words(&self) -> [u64; 3] {
        let remote = u128::from_le_bytes(self.remote.0);
        let rest = self.remote_port as u64
            | (self.local_port as u64) << 16
            | (self.local as u64) << 32
            | (self.reserved as u64) << 48;
        [remote as u64, (remote >> 64) as u64, rest]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_its_own_bits_in_the_words() {
        let key = FlowKey {
            remote: Addr([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]),
            remote_port: 0x1111,
            local_port: 0x2222,
            local: 0x3333,
            reserved: 0,
        };
        assert_eq!(key.words(), [0x0807_0605_0403_0201, 0x100f_0e0d_0c0b_0a09, 0x0000_3333_2222_1111]);
    }
}
