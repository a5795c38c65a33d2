//! The keyed hash of 24-byte tuples, by the CPU's AES rounds where it has them, by SipHash-1-3 elsewhere.
//!
//! Both are keyed from the same secret, so that nobody outside can choose tuples that collide. Four AES rounds with
//! secret round keys between and behind the two blocks bound the chance of any chosen pair to collide far below what a
//! 64-bit table hash needs (after four rounds no difference survives with more than about 2^-113: J. Daemen, V. Rijmen,
//! "The Pelican MAC function", 2005); [`TupleHasher::strong`], whose output is shown to others, ends with AES-128's ten.

use super::hash::{SipKey, siphash13};

/// Rounds between the blocks and, for the weak form, behind the last one.
const ROUNDS: usize = 4;
/// Rounds behind the last block of what outsiders see.
const STRONG_ROUNDS: usize = 10;

#[derive(Clone, Debug)]
pub struct TupleHasher {
    sip: SipKey,
    #[cfg(target_arch = "x86_64")]
    aes: Option<aes::Keys>,
}

impl TupleHasher {
    pub fn new(key: SipKey) -> TupleHasher {
        TupleHasher {
            sip: key,
            #[cfg(target_arch = "x86_64")]
            aes: aes::Keys::new(key),
        }
    }

    /// For tables: uniform, and unpredictable as long as nobody sees its values.
    #[inline(always)]
    pub fn hash(&self, words: [u64; 3]) -> u64 {
        #[cfg(target_arch = "x86_64")]
        if let Some(keys) = &self.aes {
            return keys.hash::<ROUNDS>(words);
        }
        siphash13(self.sip, words)
    }

    /// For values that are sent (ISNs, timestamp offsets): a pseudo-random function.
    #[inline]
    pub fn strong(&self, words: [u64; 3]) -> u64 {
        #[cfg(target_arch = "x86_64")]
        if let Some(keys) = &self.aes {
            return keys.hash::<STRONG_ROUNDS>(words);
        }
        siphash13(self.sip, words)
    }
}

#[cfg(target_arch = "x86_64")]
mod aes {
    use super::{ROUNDS, STRONG_ROUNDS, SipKey, siphash13};
    use core::arch::x86_64::{__m128i, _mm_aesenc_si128, _mm_cvtsi128_si64, _mm_set_epi64x, _mm_xor_si128};

    const KEYS: usize = 1 + ROUNDS + STRONG_ROUNDS;

    /// Round keys. Exists only where the CPU has the instructions.
    #[derive(Clone, Debug)]
    pub struct Keys([__m128i; KEYS]);

    impl Keys {
        /// `None`: this CPU has no AES instructions.
        pub fn new(key: SipKey) -> Option<Keys> {
            let word = |i: usize| siphash13(key, [i as u64, 0, 0]) as i64;
            let keys = || {
                core::array::from_fn(|i| {
                    // SAFETY: SSE2 belongs to every x86-64 CPU.
                    unsafe { _mm_set_epi64x(word(2 * i), word(2 * i + 1)) }
                })
            };
            std::is_x86_feature_detected!("aes").then(|| Keys(keys()))
        }

        #[inline(always)]
        pub fn hash<const LAST: usize>(&self, words: [u64; 3]) -> u64 {
            // SAFETY: a `Keys` exists only where `new` has found the AES instructions.
            unsafe { hash::<LAST>(&self.0, words[0], words[1], words[2]) }
        }
    }

    #[target_feature(enable = "aes,sse2")]
    fn hash<const LAST: usize>(keys: &[__m128i; KEYS], a: u64, b: u64, c: u64) -> u64 {
        let mut x = _mm_xor_si128(_mm_set_epi64x(b as i64, a as i64), keys[0]);
        for key in &keys[1..=ROUNDS] {
            x = _mm_aesenc_si128(x, *key);
        }
        x = _mm_xor_si128(x, _mm_set_epi64x(0, c as i64));
        for key in &keys[1 + ROUNDS..][..LAST] {
            x = _mm_aesenc_si128(x, *key);
        }
        _mm_cvtsi128_si64(x) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: SipKey = SipKey { k0: 1, k1: 2 };

    /// Both ways of a hasher on this machine: as it is, and without the CPU's help.
    fn hashers(key: SipKey) -> Vec<TupleHasher> {
        let hasher = TupleHasher::new(key);
        #[cfg(target_arch = "x86_64")]
        let plain = TupleHasher { aes: None, ..hasher.clone() };
        #[cfg(not(target_arch = "x86_64"))]
        let plain = hasher.clone();
        vec![hasher, plain]
    }

    #[test]
    fn every_bit_of_the_tuple_and_of_the_key_changes_about_half_of_the_hash() {
        for hasher in hashers(KEY) {
            for hash in [TupleHasher::hash, TupleHasher::strong] {
                let words = [0x0123_4567_89ab_cdef, 42, 7];
                let base = hash(&hasher, words);
                for bit in 0..192 {
                    let mut other = words;
                    other[bit / 64] ^= 1 << (bit % 64);
                    let changed = (base ^ hash(&hasher, other)).count_ones();
                    assert!((12..=52).contains(&changed), "bit {bit}: {changed} bits changed");
                }
                for other in hashers(SipKey { k0: 1, k1: 3 }) {
                    assert_ne!(base, hash(&other, words));
                }
            }
        }
    }

    #[test]
    fn tuples_that_differ_in_the_port_only_spread_evenly_over_buckets() {
        for hasher in hashers(KEY) {
            for shift in [0, 32] {
                let mut buckets = [0u32; 64];
                for port in 0..65_536u64 {
                    let hash = hasher.hash([0x1112_0000_ffff, 0, port << 16 | 80]);
                    buckets[(hash >> shift) as usize % 64] += 1;
                }
                assert!(buckets.iter().all(|n| (850..1200).contains(n)), "{buckets:?}");
            }
        }
    }
}
