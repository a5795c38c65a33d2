//! SipHash-1-3 over 24 bytes: the keyed hash of flow tables, ISNs (RFC 6528) and timestamp offsets.
//! Keyed, so that nobody outside can choose tuples that collide.

#[derive(Clone, Copy, Debug)]
pub struct SipKey {
    pub k0: u64,
    pub k1: u64,
}

#[inline(always)]
fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[2] = v[2].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[1]);
    v[0] = v[0].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].rotate_left(32);
}

#[inline(always)]
fn start(key: SipKey) -> [u64; 4] {
    [
        key.k0 ^ 0x736f_6d65_7073_6575,
        key.k1 ^ 0x646f_7261_6e64_6f6d,
        key.k0 ^ 0x6c79_6765_6e65_7261,
        key.k1 ^ 0x7465_6462_7974_6573,
    ]
}

/// SipHash-1-3 of the little-endian bytes of `words`.
#[inline(always)]
pub fn siphash13(key: SipKey, words: [u64; 3]) -> u64 {
    let mut v = start(key);
    for m in words {
        v[3] ^= m;
        round(&mut v);
        v[0] ^= m;
    }
    let tail = 24u64 << 56;
    v[3] ^= tail;
    round(&mut v);
    v[0] ^= tail;
    v[2] ^= 0xff;
    round(&mut v);
    round(&mut v);
    round(&mut v);
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

/// SipHash-2-4 of the little-endian bytes of `words`, for what others have to compute alike.
pub fn siphash24(key: SipKey, words: &[u64]) -> u64 {
    let mut v = start(key);
    let tail = (8 * words.len() as u64) << 56;
    for &m in words.iter().chain([&tail]) {
        v[3] ^= m;
        (0..2).for_each(|_| round(&mut v));
        v[0] ^= m;
    }
    v[2] ^= 0xff;
    (0..4).for_each(|_| round(&mut v));
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::hash::Hasher;

    #[test]
    #[allow(deprecated)]
    fn differs_with_key_and_with_each_word() {
        // The standard library's deprecated SipHasher is 2-4, so only structure is checked here.
        let k = SipKey { k0: 1, k1: 2 };
        let base = siphash13(k, [1, 2, 3]);
        assert_ne!(base, siphash13(SipKey { k0: 1, k1: 3 }, [1, 2, 3]));
        for i in 0..3 {
            let mut w = [1u64, 2, 3];
            w[i] ^= 1 << 40;
            assert_ne!(base, siphash13(k, w));
        }
    }

    #[test]
    #[allow(deprecated)]
    fn siphash24_equals_the_standard_librarys_whatever_the_length() {
        let key = SipKey { k0: 0x0706_0504_0302_0100, k1: 0x0f0e_0d0c_0b0a_0908 };
        let words = [0x0123_4567_89ab_cdef_u64, 42, u64::MAX, 7];
        for len in 0..=words.len() {
            let mut h = core::hash::SipHasher::new_with_keys(key.k0, key.k1);
            words[..len].iter().for_each(|w| h.write(&w.to_le_bytes()));
            assert_eq!(h.finish(), siphash24(key, &words[..len]), "{len} words");
        }
    }

    #[test]
    fn equals_the_standard_librarys_siphash13_with_zero_key() {
        // DefaultHasher::new() is SipHash-1-3 with keys (0, 0).
        let mut h = std::collections::hash_map::DefaultHasher::new();
        let words = [0x0123_4567_89ab_cdef_u64, 42, u64::MAX];
        for w in words {
            h.write(&w.to_le_bytes());
        }
        assert_eq!(h.finish(), siphash13(SipKey { k0: 0, k1: 0 }, words));
    }
}
