//! The chunked transfer coding (RFC 9112 section 7.1), read where it lies: nothing is put together or kept.
//! Chunk extensions and trailers are skipped, within bounds.

/// Bytes of extensions and trailers taken before the message counts as broken.
const OVERHEAD_BYTES_MAX: u16 = 8 * 1024;

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Phase {
    #[default]
    SizeStart,
    Size,
    Extension,
    SizeCr,
    Data,
    DataEnd,
    DataCr,
    TrailerStart,
    Trailer,
    EndCr,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    More,
    End,
    Bad,
}

#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Chunked {
    left: u64,
    overhead: u16,
    phase: Phase,
}

impl Chunked {
    /// Reads until the message ends or the bytes do; returns how many it took. `data` is shown what is data, in pieces.
    pub fn feed(&mut self, bytes: &[u8], mut data: impl FnMut(&[u8])) -> (usize, Step) {
        let mut i = 0;
        while let Some(&b) = bytes.get(i) {
            if self.phase == Phase::Data {
                let n = self.left.min((bytes.len() - i) as u64);
                self.left -= n;
                data(&bytes[i..i + n as usize]);
                i += n as usize;
                if self.left == 0 {
                    self.phase = Phase::DataEnd;
                }
                continue;
            }
            i += 1;
            match self.byte(b) {
                Step::More => {}
                done => return (i, done),
            }
        }
        (i, Step::More)
    }

    fn byte(&mut self, b: u8) -> Step {
        self.phase = match (self.phase, b) {
            (Phase::SizeStart | Phase::Size, b) if b.is_ascii_hexdigit() => {
                // Fifteen digits fit; a sixteenth would be a chunk of an exabyte.
                if self.left >> 60 != 0 {
                    return Step::Bad;
                }
                self.left = self.left << 4 | u64::from((b as char).to_digit(16).unwrap_or(0));
                Phase::Size
            }
            (Phase::Size, b';' | b' ' | b'\t') => Phase::Extension,
            (Phase::Size | Phase::Extension, b'\r') => Phase::SizeCr,
            (Phase::Size | Phase::Extension | Phase::SizeCr, b'\n') => {
                if self.left == 0 {
                    Phase::TrailerStart
                } else {
                    Phase::Data
                }
            }
            (Phase::DataEnd, b'\r') => Phase::DataCr,
            (Phase::DataEnd | Phase::DataCr, b'\n') => Phase::SizeStart,
            (Phase::TrailerStart, b'\r') => Phase::EndCr,
            (Phase::TrailerStart | Phase::EndCr, b'\n') => return Step::End,
            (Phase::Trailer, b'\n') => Phase::TrailerStart,
            (Phase::Extension, _) => return self.overhead(Phase::Extension),
            (Phase::Trailer | Phase::TrailerStart, _) => return self.overhead(Phase::Trailer),
            _ => return Step::Bad,
        };
        Step::More
    }

    fn overhead(&mut self, phase: Phase) -> Step {
        self.phase = phase;
        self.overhead += 1;
        if self.overhead > OVERHEAD_BYTES_MAX { Step::Bad } else { Step::More }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_end_and_counts_the_data() {
        let table: [(&[u8], &str, Step, usize); 7] = [
            (b"5\r\nhello\r\n0\r\n\r\nNEXT", "hello", Step::End, 4),
            (b"A;x=y\r\n0123456789\r\n1\r\nz\r\n00\r\nTrailer: t\r\n\r\n", "0123456789z", Step::End, 0),
            (b"1\nx\n0\n\n", "x", Step::End, 0),
            (b"5\r\nhel", "hel", Step::More, 0),
            (b"g\r\n", "", Step::Bad, 2),
            (b"1\r\nxy", "x", Step::Bad, 0),
            (b"\r\n", "", Step::Bad, 1),
        ];
        for (bytes, data, step, left) in table {
            let mut got = Vec::new();
            let (n, s) = Chunked::default().feed(bytes, |d| got.extend_from_slice(d));
            let got = String::from_utf8_lossy(&got);
            assert_eq!((&*got, s, bytes.len() - n), (data, step, left), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn endless_sizes_extensions_and_trailers_are_refused() {
        let zeros = format!("1{}", "0".repeat(40));
        let extension = format!("1;{}", "a".repeat(10_000));
        let trailers = format!("0\r\n{}", "a: b\r\n".repeat(3_000));
        for text in [zeros, extension, trailers] {
            assert_eq!(Chunked::default().feed(text.as_bytes(), |_| {}).1, Step::Bad);
        }
    }
}
