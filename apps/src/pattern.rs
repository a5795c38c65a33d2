//! The bytes that are sent when any will do: lines of fifteen hexadecimal digits, counting up from a seed.
//!
//! Every byte depends on its place only, so a lost, doubled or displaced stretch shows; and people can read it.

/// Bytes per line, the newline included.
const LINE: u64 = 16;

/// Writes the bytes at `offset..offset + out.len()` of the stream with this seed (an `engine` generator).
pub fn fill(seed: u64, offset: u64, out: &mut [u8]) {
    let mut at = offset;
    let mut out = out;
    while !out.is_empty() {
        let line = line(seed.wrapping_add(at / LINE));
        let skip = (at % LINE) as usize;
        let n = out.len().min(line.len() - skip);
        let (now, later) = out.split_at_mut(n);
        now.copy_from_slice(&line[skip..skip + n]);
        at += n as u64;
        out = later;
    }
}

/// Whether `bytes` are those at `offset` of the stream with this seed.
pub fn matches(seed: u64, offset: u64, bytes: &[u8]) -> bool {
    let mut want = [0u8; 512];
    bytes.chunks(want.len()).zip(0u64..).all(|(chunk, i)| {
        let want = &mut want[..chunk.len()];
        fill(seed, offset + i * 512, want);
        want == chunk
    })
}

fn line(number: u64) -> [u8; LINE as usize] {
    let mut out = [b'\n'; LINE as usize];
    for (i, byte) in out.iter_mut().take(15).enumerate() {
        let digit = (number >> (56 - 4 * i)) as u8 & 15;
        *byte = if digit < 10 { b'0' + digit } else { b'a' - 10 + digit };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_stretch_equals_the_same_place_in_the_whole() {
        let mut whole = vec![0; 4000];
        fill(7, 0, &mut whole);
        assert_eq!(&whole[..32], b"000000000000007\n000000000000008\n");
        for (offset, len) in [(0, 0), (1, 15), (15, 1), (16, 100), (17, 3000), (3999, 1)] {
            let mut part = vec![0; len];
            fill(7, offset as u64, &mut part);
            assert_eq!(part, whole[offset..offset + len]);
            assert!(matches(7, offset as u64, &part));
        }
    }

    #[test]
    fn displaced_or_altered_bytes_do_not_match() {
        let mut bytes = vec![0; 2000];
        fill(7, 0, &mut bytes);
        assert!(!matches(8, 0, &bytes));
        assert!(!matches(7, 16, &bytes));
        bytes[1999] ^= 1;
        assert!(!matches(7, 0, &bytes));
    }
}
