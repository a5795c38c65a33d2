//! IPv4 headers (RFC 791, RFC 1122 3.2.1).
//!
//! Read: any header length, options skipped unread (source routes among them: the engine is no router and
//! answers to the source address). Written: 20 bytes, DF set, identification 0 (an atomic datagram, RFC 6864).

use super::checksum::Sum;
use super::emit::IpFields;
use super::field::{get, put, u16_at, u32_at};
use super::ipv6::{Datagram, missing};
use super::{Addr, tcp};
use crate::base::DropReason;

pub(super) const HEADER_LEN: usize = 20;
pub(super) const DONT_FRAGMENT: u16 = 0x4000;
/// The "more fragments" bit and the fragment offset.
pub(super) const FRAGMENT_MASK: u16 = 0x3fff;
pub(super) const FRAGMENT_OFFSET_MASK: u16 = 0x1fff;

/// Reads a header and cuts off what follows the datagram (padding of short Ethernet frames). `behind`: so many bytes
/// more of the frame stand elsewhere.
///
/// # Errors
/// One of the `Ip*` reasons, or `FrameTooShort`.
#[inline(always)]
pub(super) fn parse(bytes: &[u8], behind: usize) -> Result<Datagram<'_>, DropReason> {
    let h = bytes.first_chunk::<HEADER_LEN>().ok_or(DropReason::FrameTooShort)?;
    // The fast way: version 4, no options.
    let header_len = if h[0] == 0x45 { HEADER_LEN } else { long_header_len(h[0])? };
    let sum = if header_len == HEADER_LEN {
        Sum::ZERO.header(h)
    } else {
        Sum::ZERO.bytes(bytes.get(..header_len).ok_or(DropReason::FrameTooShort)?)
    };
    if !sum.is_valid() {
        return Err(DropReason::IpChecksumBad);
    }
    let total_len = usize::from(u16_at::<2, _>(h));
    if total_len < header_len {
        return Err(DropReason::IpHeaderBad);
    }
    let missing = missing(total_len, bytes.len(), behind);
    let body = bytes.get(header_len..total_len - missing).ok_or(DropReason::FrameTooShort)?;
    if u16_at::<6, _>(h) & FRAGMENT_MASK != 0 {
        return Err(DropReason::IpFragment);
    }
    if !source_is_possible(h[12]) {
        return Err(DropReason::IpSourceBad);
    }
    let (src, dst) = (Addr::v4(get::<12, 4, _>(h)), Addr::v4(get::<16, 4, _>(h)));
    let addresses = Sum::ZERO.u32(u32_at::<12, _>(h)).u32(u32_at::<16, _>(h));
    Ok(Datagram { src, dst, addresses, protocol: h[9], ecn: h[1] & 3, hop_limit: h[8], header_len, body, missing })
}

#[cold]
fn long_header_len(version_and_length: u8) -> Result<usize, DropReason> {
    if version_and_length >> 4 != 4 {
        return Err(DropReason::IpVersionBad);
    }
    match usize::from(version_and_length & 15) * 4 {
        len @ HEADER_LEN.. => Ok(len),
        _ => Err(DropReason::IpHeaderBad),
    }
}

/// By the first byte of the address: not this network (0), loopback (127), multicast, reserved or broadcast
/// (224 and above): RFC 1122 3.2.1.3.
#[inline(always)]
pub(super) fn source_is_possible(first: u8) -> bool {
    (1..224).contains(&first) && first != 127
}

/// Addresses, and what follows the header, if that is TCP and no fragment.
pub(super) fn peek_tcp(bytes: &[u8]) -> Option<(Addr, Addr, &[u8])> {
    let h = bytes.first_chunk::<HEADER_LEN>()?;
    let header_len = usize::from(h[0] & 15) * 4;
    let plain = h[0] >> 4 == 4 && header_len >= HEADER_LEN && u16_at::<6, _>(h) & FRAGMENT_MASK == 0;
    if !plain || h[9] != tcp::PROTOCOL {
        return None;
    }
    Some((Addr::v4(get::<12, 4, _>(h)), Addr::v4(get::<16, 4, _>(h)), bytes.get(header_len..)?))
}

/// Writes a header for `body_len` bytes of `protocol`; returns what follows it, and the sum of both addresses.
/// `None` if it does not fit.
#[inline(always)]
pub(super) fn write<'a>(
    out: &'a mut [u8],
    src: &Addr,
    dst: &Addr,
    protocol: u8,
    body_len: usize,
    ip: IpFields,
) -> Option<(&'a mut [u8], Sum)> {
    let (h, rest) = out.split_first_chunk_mut::<HEADER_LEN>()?;
    let total_len = (HEADER_LEN + body_len) as u32;
    let addresses = Sum::ZERO.u32(u32::from_be_bytes(src.v4_bytes())).u32(u32::from_be_bytes(dst.v4_bytes()));
    let words = [
        0x4500_0000 | u32::from(ip.diffserv) << 16 | total_len,
        u32::from(DONT_FRAGMENT),
        u32::from(ip.hop_limit) << 24 | u32::from(protocol) << 16,
    ];
    let sum = words.iter().fold(addresses, |sum, w| sum.u32(*w));
    put::<0, 4, _>(h, words[0].to_be_bytes());
    put::<4, 4, _>(h, words[1].to_be_bytes());
    put::<8, 2, _>(h, [ip.hop_limit, protocol]);
    put::<10, 2, _>(h, sum.finish());
    put::<12, 4, _>(h, src.v4_bytes());
    put::<16, 4, _>(h, dst.v4_bytes());
    Some((rest, addresses))
}
