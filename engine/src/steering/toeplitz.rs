//! The hash by which NICs spread packets over their queues (receive-side scaling, as Microsoft's RSS documents define it),
//! and the choice of a queue by it.
//!
//! Computed by tables, one for each half byte of the input: a v4 tuple takes 24 loads from 1.5 KiB.

use crate::wire::Addr;

/// Source and destination address and port of an IPv6 packet.
const INPUT_BYTES_MAX: usize = 36;

/// The key that Microsoft publishes with its test vectors; many drivers start with it.
pub const MICROSOFT_KEY: [u8; 40] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b,
    0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac,
    0x01, 0xfa,
];

/// A Toeplitz hash with its key.
#[derive(Clone, Debug)]
pub struct Toeplitz {
    /// For each input byte, what its upper and its lower half contribute.
    tables: Box<[[[u32; 16]; 2]; INPUT_BYTES_MAX]>,
}

impl Toeplitz {
    /// From a device's key; None when it is shorter than the 40 bytes that IPv6 needs. Longer keys (some devices have
    /// 52 bytes) are taken, their rest is not used.
    pub fn new(key: &[u8]) -> Option<Toeplitz> {
        let mut tables = Box::new([[[0u32; 16]; 2]; INPUT_BYTES_MAX]);
        for (byte, halves) in tables.iter_mut().enumerate() {
            let window = key.get(byte..byte + 5)?;
            let window = window.iter().fold(0u64, |acc, b| acc << 8 | u64::from(*b));
            for (half, table) in halves.iter_mut().enumerate() {
                for (value, entry) in table.iter_mut().enumerate() {
                    // Input bit i (from the left) adds the 32 key bits that begin at bit i.
                    for bit in (0..4).filter(|bit| value & (8 >> bit) != 0) {
                        *entry ^= (window >> (8 - (4 * half + bit))) as u32;
                    }
                }
            }
        }
        Some(Toeplitz { tables })
    }

    /// The hash of a packet from `src` to `dst`: addresses, then ports, as on the wire.
    pub fn hash(&self, src: &Addr, dst: &Addr, src_port: u16, dst_port: u16) -> u32 {
        let skip = if src.is_v4() && dst.is_v4() { 12 } else { 0 };
        let (src_port, dst_port) = (src_port.to_be_bytes(), dst_port.to_be_bytes());
        let input = src.0.iter().skip(skip).chain(dst.0.iter().skip(skip)).chain(&src_port).chain(&dst_port);
        self.tables
            .iter()
            .zip(input)
            .fold(0, |hash, ([high, low], byte)| hash ^ high[usize::from(byte >> 4)] ^ low[usize::from(byte & 15)])
    }
}

/// A device's way from packet to queue: hash and indirection table.
#[derive(Clone, Debug)]
pub struct Rss {
    hash: Toeplitz,
    indirection: Vec<u16>,
}

impl Rss {
    /// None when the key is too short or the indirection table is empty.
    pub fn new(key: &[u8], indirection: Vec<u16>) -> Option<Rss> {
        let hash = Toeplitz::new(key).filter(|_| !indirection.is_empty())?;
        Some(Rss { hash, indirection })
    }

    /// The queue on which a packet from `src` to `dst` will arrive.
    pub fn queue(&self, src: &Addr, dst: &Addr, src_port: u16, dst_port: u16) -> u16 {
        let hash = self.hash.hash(src, dst, src_port, dst_port) as usize;
        self.indirection.get(hash % self.indirection.len()).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::IpAddr;

    fn addr(s: &str) -> Addr {
        s.parse::<IpAddr>().unwrap().into()
    }

    /// The rows with TCP ports of "Verifying the RSS hash calculation" (Microsoft): destination, source, hash.
    #[test]
    fn agrees_with_microsofts_vectors() {
        let hash = Toeplitz::new(&MICROSOFT_KEY).unwrap();
        for (dst, dst_port, src, src_port, want) in [
            ("161.142.100.80", 1766, "66.9.149.187", 2794, 0x51cc_c178),
            ("65.69.140.83", 4739, "199.92.111.2", 14230, 0xc626_b0ea),
            ("12.22.207.184", 38024, "24.19.198.95", 12898, 0x5c2b_394a),
            ("209.142.163.6", 2217, "38.27.205.30", 48228, 0xafc7_327f),
            ("202.188.127.2", 1303, "153.39.163.191", 44251, 0x10e8_28a2),
            ("3ffe:2501:200:3::1", 1766, "3ffe:2501:200:1fff::7", 2794, 0x4020_7d3d),
            ("ff02::1", 4739, "3ffe:501:8::260:97ff:fe40:efab", 14230, 0xdde5_1bbf),
            ("fe80::200:f8ff:fe21:67cf", 38024, "3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251, 0x02d1_feef),
        ] {
            assert_eq!(hash.hash(&addr(src), &addr(dst), src_port, dst_port), want, "{src} to {dst}");
        }
    }

    #[test]
    fn a_key_too_short_for_ipv6_is_refused_and_a_longer_one_taken() {
        assert!(Toeplitz::new(&MICROSOFT_KEY[..39]).is_none());
        let mut long = MICROSOFT_KEY.to_vec();
        long.resize(52, 0xff);
        let (long, short) = (Toeplitz::new(&long).unwrap(), Toeplitz::new(&MICROSOFT_KEY).unwrap());
        let (a, b) = (addr("2001:2::1"), addr("2001:2::2"));
        assert_eq!(long.hash(&a, &b, 1, 2), short.hash(&a, &b, 1, 2));
    }

    #[test]
    fn the_queue_is_the_indirection_entry_of_the_hash() {
        let rss = Rss::new(&MICROSOFT_KEY, (0..128).map(|i| i % 6).collect()).unwrap();
        // The first vector: 0x51ccc178 mod 128 is 0x78 = 120, and 120 mod 6 is 0.
        assert_eq!(rss.queue(&addr("66.9.149.187"), &addr("161.142.100.80"), 2794, 1766), 0);
        // The second: 0xc626b0ea mod 128 is 0x6a = 106, and 106 mod 6 is 4.
        assert_eq!(rss.queue(&addr("199.92.111.2"), &addr("65.69.140.83"), 14230, 4739), 4);
        assert!(Rss::new(&MICROSOFT_KEY, Vec::new()).is_none());
    }
}
