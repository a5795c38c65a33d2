//! A cache line of words, of which the upper half is a tag, looked at as a whole and without a branch: which of them it
//! is that matters is anybody's guess.
//!
//! The answers are sets of words: bit n stands for word n.

/// What one cache line holds.
pub const LINE_WORDS: usize = 8;

/// The words with this tag.
#[inline(always)]
pub fn with_tag(line: &[u64; LINE_WORDS], tag: u32) -> u32 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE2 belongs to every x86-64 CPU.
    return unsafe { sse2::with_tag(line, tag) };
    #[cfg(not(target_arch = "x86_64"))]
    return plain(line, |t| t == tag);
}

/// The words with a greater tag.
#[inline(always)]
pub fn above_tag(line: &[u64; LINE_WORDS], tag: u32) -> u32 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as above.
    return unsafe { sse2::above_tag(line, tag) };
    #[cfg(not(target_arch = "x86_64"))]
    return plain(line, |t| t > tag);
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn plain(line: &[u64; LINE_WORDS], is_in: impl Fn(u32) -> bool) -> u32 {
    line.iter().enumerate().fold(0, |set, (n, word)| set | u32::from(is_in((word >> 32) as u32)) << n)
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use super::LINE_WORDS;
    use core::arch::x86_64::*;

    /// The upper halves of four words.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn tags(words: &[u64; 4]) -> __m128i {
        let [a, b, c, d] = words.map(|word| word as i64);
        let (low, high) = (_mm_castsi128_ps(_mm_set_epi64x(b, a)), _mm_castsi128_ps(_mm_set_epi64x(d, c)));
        _mm_castps_si128(_mm_shuffle_ps::<0b11_01_11_01>(low, high))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn set(line: &[u64; LINE_WORDS], is_in: impl Fn(__m128i) -> __m128i) -> u32 {
        let [low, high] =
            [&line[..4], &line[4..]].map(|half| half.first_chunk().map_or(0, |half| bits(is_in(tags(half)))));
        low | high << 4
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn bits(lanes: __m128i) -> u32 {
        _mm_movemask_ps(_mm_castsi128_ps(lanes)) as u32
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    pub fn with_tag(line: &[u64; LINE_WORDS], tag: u32) -> u32 {
        set(line, |tags| _mm_cmpeq_epi32(tags, _mm_set1_epi32(tag as i32)))
    }

    /// The comparison is one of signed numbers: with the highest bit turned over, their order is the same.
    #[inline]
    #[target_feature(enable = "sse2")]
    pub fn above_tag(line: &[u64; LINE_WORDS], tag: u32) -> u32 {
        let highest = _mm_set1_epi32(i32::MIN);
        let tag = _mm_xor_si128(_mm_set1_epi32(tag as i32), highest);
        set(line, |tags| _mm_cmpgt_epi32(_mm_xor_si128(tags, highest), tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;

    #[test]
    fn both_ways_find_the_same_words() {
        let mut rng = Rng::new(8);
        for _ in 0..10_000 {
            let shift = rng.below(32) as u32;
            let line: [u64; LINE_WORDS] = core::array::from_fn(|_| rng.next_u64() >> shift);
            let near = (line[rng.below(8) as usize] >> 32) as u32;
            for tag in [0, near, near.wrapping_add(1), near.wrapping_sub(1), u32::MAX, rng.next_u64() as u32] {
                assert_eq!(with_tag(&line, tag), plain(&line, |t| t == tag));
                assert_eq!(above_tag(&line, tag), plain(&line, |t| t > tag));
            }
        }
    }
}
