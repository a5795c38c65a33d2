//! The pcap file format, as far as Ethernet needs it: 24 bytes in front, then 16 bytes before each frame.
//!
//! Written with nanoseconds in little-endian order; read in both byte orders, with micro- and nanoseconds. Left
//! out on purpose: pcapng, and link types other than Ethernet.

use crate::io::copy::complete_checksum;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// Magic number of files with nanosecond timestamps.
pub const MAGIC_NANOS: u32 = 0xa1b2_3c4d;
/// Magic number of files with microsecond timestamps.
pub const MAGIC_MICROS: u32 = 0xa1b2_c3d4;
pub const LINKTYPE_ETHERNET: u32 = 1;
/// The length to which frames are cut, as the file states it: none of ours is longer.
pub const SNAP_BYTES: u32 = 65_535;
/// No honest record is longer; a larger number means that the file is broken.
const RECORD_BYTES_MAX: u32 = 1 << 20;

/// The file header.
pub fn file_header() -> [u8; 24] {
    let mut h = [0; 24];
    h[0..4].copy_from_slice(&MAGIC_NANOS.to_le_bytes());
    h[4..6].copy_from_slice(&2u16.to_le_bytes());
    h[6..8].copy_from_slice(&4u16.to_le_bytes());
    h[16..20].copy_from_slice(&SNAP_BYTES.to_le_bytes());
    h[20..24].copy_from_slice(&LINKTYPE_ETHERNET.to_le_bytes());
    h
}

/// Appends one record to `out`: the bytes of all `parts`. `wall_ns` counts from 1970; a checksum request is carried out in
/// the copy.
pub fn append_record<'a>(
    out: &mut Vec<u8>,
    wall_ns: u64,
    parts: impl Iterator<Item = &'a [u8]> + Clone,
    checksum: Option<(u16, u16)>,
) {
    let len = parts.clone().map(<[u8]>::len).sum::<usize>() as u32;
    let (seconds, nanos) = (wall_ns / 1_000_000_000, wall_ns % 1_000_000_000);
    for word in [seconds as u32, nanos as u32, len.min(SNAP_BYTES), len] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    let start = out.len();
    parts.for_each(|part| out.extend_from_slice(part));
    out.truncate(start + SNAP_BYTES as usize);
    if let (Some((at, offset)), Some(copy)) = (checksum, out.get_mut(start..)) {
        complete_checksum(copy, at, offset);
    }
}

/// One frame of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PcapRecord {
    /// Nanoseconds since 1970.
    pub wall_ns: u64,
    /// Length on the wire; `bytes` may have been cut by whoever recorded it.
    pub wire_bytes: u32,
    pub bytes: Vec<u8>,
}

/// Reads a whole file.
///
/// # Errors
/// What the file system says, or `InvalidData` with a sentence: no pcap file, not Ethernet, or cut off.
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<PcapRecord>> {
    PcapReader::new(BufReader::new(File::open(path)?))?.collect()
}

/// Reads a file record by record.
pub struct PcapReader<R: Read> {
    from: R,
    big_endian: bool,
    /// Nanoseconds in one unit of the timestamps' fraction.
    fraction_ns: u64,
}

fn invalid<T>(text: String) -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::InvalidData, text))
}

impl<R: Read> PcapReader<R> {
    /// Reads the file header.
    ///
    /// # Errors
    /// As [`read`].
    pub fn new(mut from: R) -> io::Result<PcapReader<R>> {
        let mut h = [0u8; 24];
        if !fill(&mut from, &mut h)? {
            return invalid("the file is empty: a pcap file starts with 24 bytes of header".to_owned());
        }
        let magic = u32::from_le_bytes([h[0], h[1], h[2], h[3]]);
        let (big_endian, fraction_ns) = match (magic, magic.swap_bytes()) {
            (MAGIC_NANOS, _) => (false, 1),
            (MAGIC_MICROS, _) => (false, 1000),
            (_, MAGIC_NANOS) => (true, 1),
            (_, MAGIC_MICROS) => (true, 1000),
            _ => return invalid(format!("not a pcap file (it starts with {magic:#010x}; pcapng is not read)")),
        };
        let reader = PcapReader { from, big_endian, fraction_ns };
        let link_type = reader.word(&h[20..24]) & 0xffff;
        if link_type != LINKTYPE_ETHERNET {
            return invalid(format!("the file holds frames of link type {link_type}; only Ethernet (1) is read"));
        }
        Ok(reader)
    }

    fn word(&self, b: &[u8]) -> u32 {
        let b: [u8; 4] = b.try_into().unwrap_or_default();
        if self.big_endian { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) }
    }

    fn next_record(&mut self) -> io::Result<Option<PcapRecord>> {
        let mut h = [0u8; 16];
        if !fill(&mut self.from, &mut h)? {
            return Ok(None);
        }
        let [seconds, fraction, captured, wire_bytes] = [0, 4, 8, 12].map(|at| self.word(&h[at..at + 4]));
        if captured > RECORD_BYTES_MAX {
            return invalid(format!("a record claims {captured} bytes: the file is broken"));
        }
        let wall_ns = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * self.fraction_ns;
        let mut bytes = vec![0; captured as usize];
        if captured > 0 && !fill(&mut self.from, &mut bytes)? {
            return invalid("the file ends in the middle of a record".to_owned());
        }
        Ok(Some(PcapRecord { wall_ns, wire_bytes, bytes }))
    }
}

impl<R: Read> Iterator for PcapReader<R> {
    type Item = io::Result<PcapRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_record().transpose()
    }
}

/// Fills `out`; false when the input ended right before it.
fn fill(from: &mut impl Read, out: &mut [u8]) -> io::Result<bool> {
    let mut have = 0;
    while have < out.len() {
        match from.read(&mut out[have..]) {
            Ok(0) if have == 0 => return Ok(false),
            Ok(0) => return invalid("the file ends in the middle of a record".to_owned()),
            Ok(n) => have += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(file: &[u8]) -> io::Result<Vec<PcapRecord>> {
        PcapReader::new(file)?.collect()
    }

    #[test]
    fn the_bytes_of_a_file_are_these() {
        let mut file = file_header().to_vec();
        append_record(&mut file, 0x6000_0000 * 1_000_000_000 + 5, [&[0xaa, 0xbb, 0xcc][..]].into_iter(), None);
        #[rustfmt::skip]
        let golden = [
            0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0,
            0, 0, 0, 0x60, 5, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 0xaa, 0xbb, 0xcc,
        ];
        assert_eq!(file, golden);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut file = file_header().to_vec();
        let want: Vec<PcapRecord> = (0..5u64)
            .map(|i| PcapRecord {
                wall_ns: 1_700_000_000_123_456_789 + i,
                wire_bytes: 10 * i as u32,
                bytes: vec![i as u8; 10 * i as usize],
            })
            .collect();
        want.iter().for_each(|r| append_record(&mut file, r.wall_ns, [&r.bytes[..]].into_iter(), None));
        assert_eq!(records(&file).unwrap(), want);
    }

    #[test]
    fn big_endian_files_with_microseconds_are_read_too() {
        let mut file = Vec::new();
        for word in [MAGIC_MICROS, 0x0002_0004, 0, 0, 65_535, 1, 7, 9, 2, 60] {
            file.extend_from_slice(&u32::to_be_bytes(word));
        }
        file.extend_from_slice(&[1, 2]);
        let want = PcapRecord { wall_ns: 7_000_009_000, wire_bytes: 60, bytes: vec![1, 2] };
        assert_eq!(records(&file).unwrap(), [want]);
    }

    #[test]
    fn broken_files_are_refused_with_a_sentence() {
        let mut good = file_header().to_vec();
        append_record(&mut good, 0, [&[1, 2, 3][..]].into_iter(), None);
        let mut wifi = good.clone();
        wifi[20] = 105;
        let mut huge = good.clone();
        huge[35] = 0x7f;
        let cases: [(&[u8], &str); 7] = [
            (&[], "is empty"),
            (&good[..10], "ends in the middle"),
            (&[7; 24], "not a pcap file"),
            (&wifi, "link type 105"),
            (&good[..good.len() - 1], "ends in the middle"),
            (&good[..30], "ends in the middle"),
            (&huge, "is broken"),
        ];
        for (file, sentence) in cases {
            let e = records(file).expect_err(sentence).to_string();
            assert!(e.contains(sentence), "{e}");
        }
    }
}
