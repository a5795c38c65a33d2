//! IPv6 headers and extension headers (RFC 8200), and the form in which both families go on.
//!
//! Hop-by-hop, routing and destination options headers are skipped, as RFC 8200 4 tells a host that knows none
//! of their options: an option that asks to be discarded when unknown, or a routing header with segments left,
//! ends the datagram. A fragment header is skipped if the datagram is whole all the same (an "atomic fragment",
//! RFC 6946). Left out: jumbograms, authentication headers, and the ICMP messages that RFC 8200 would send.

use super::checksum::{Sum, addresses};
use super::emit::IpFields;
use super::field::{get, put, u16_at, u32_at};
use super::{Addr, tcp};
use crate::base::DropReason;

pub(super) const HEADER_LEN: usize = 40;
/// More extension headers than this are taken for an attack.
pub(super) const EXTENSIONS_MAX: usize = 8;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;

/// A datagram of either family: what the header said, and the upper-layer bytes.
pub(super) struct Datagram<'a> {
    pub src: Addr,
    pub dst: Addr,
    /// Both addresses, for the pseudo-header.
    pub addresses: Sum,
    pub protocol: u8,
    pub ecn: u8,
    pub hop_limit: u8,
    /// All headers in front of `body`, extension headers included.
    pub header_len: usize,
    pub body: &'a [u8],
    /// Bytes of the datagram that follow `body` elsewhere: none, unless the frame is in parts.
    pub missing: usize,
}

impl Datagram<'_> {
    /// Whether the checksum over pseudo-header and body is right (TCP, and ICMPv6). `behind`: where the missing bytes are.
    #[inline(always)]
    pub fn transport_checksum_is_valid(&self, behind: &[&[u8]]) -> bool {
        let pseudo = self.addresses.u32((self.body.len() + self.missing) as u32).u16(u16::from(self.protocol));
        let (mut sum, mut at) = (pseudo.bytes(self.body), self.body.len());
        for part in behind {
            let left = self.body.len() + self.missing - at;
            let part = part.get(..left).unwrap_or(part);
            sum = sum.bytes_at(at, part);
            at += part.len();
        }
        sum.is_valid()
    }
}

/// How much of a datagram of `len` bytes stands behind the `here` bytes at hand, if there are `behind` more at most.
#[inline(always)]
pub(super) fn missing(len: usize, here: usize, behind: usize) -> usize {
    len.saturating_sub(here).min(behind)
}

/// Reads a header with its extension headers, and cuts off what follows the datagram. `behind`: so many
/// bytes more of the frame stand elsewhere. The source may be
/// unspecified: the upper layer decides, because duplicate address detection sends so (RFC 4862 5.4.2).
///
/// # Errors
/// `FrameTooShort`, `IpVersionBad`, `IpSourceBad`, `IpNotForUs` (a v4-mapped destination), `IpFragment`,
/// `Ipv6ExtensionBad`.
#[inline(always)]
pub(super) fn parse(bytes: &[u8], behind: usize) -> Result<Datagram<'_>, DropReason> {
    let (h, rest) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(DropReason::FrameTooShort)?;
    if h[0] >> 4 != 6 {
        return Err(DropReason::IpVersionBad);
    }
    let payload_len = usize::from(u16_at::<4, _>(h));
    let missing = missing(payload_len, rest.len(), behind);
    let body = rest.get(..payload_len - missing).ok_or(DropReason::FrameTooShort)?;
    let (src, dst) = (Addr(get::<8, 16, _>(h)), Addr(get::<24, 16, _>(h)));
    let (src_high, dst_high) = (u32_at::<8, _>(h), u32_at::<24, _>(h));
    if src_high >= 0xff00_0000 {
        return Err(DropReason::IpSourceBad);
    }
    // All special addresses begin with zeros.
    if src_high == 0 || dst_high == 0 {
        check_special(&src, &dst)?;
    }
    let (protocol, body) = if is_extension(h[6]) { skip_extensions(h[6], body)? } else { (h[6], body) };
    let header_len = HEADER_LEN + payload_len - missing - body.len();
    let ecn = (u32_at::<0, _>(h) >> 20 & 3) as u8;
    Ok(Datagram {
        src,
        dst,
        addresses: addresses(&src, &dst),
        protocol,
        ecn,
        hop_limit: h[7],
        header_len,
        body,
        missing,
    })
}

/// A v4-mapped address would pass for an IPv4 connection (RFC 4291 2.5.5.2 keeps them off the wire), and
/// loopback must not come from outside (2.5.3).
#[cold]
fn check_special(src: &Addr, dst: &Addr) -> Result<(), DropReason> {
    const LOOPBACK: Addr = Addr([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    match src.is_v4() || *src == LOOPBACK {
        true => Err(DropReason::IpSourceBad),
        false if dst.is_v4() => Err(DropReason::IpNotForUs),
        false => Ok(()),
    }
}

#[inline(always)]
fn is_extension(next_header: u8) -> bool {
    matches!(next_header, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION)
}

/// Returns the upper-layer protocol and its bytes.
///
/// # Errors
/// `Ipv6ExtensionBad` or `IpFragment`.
#[inline(never)]
pub(super) fn skip_extensions(first: u8, body: &[u8]) -> Result<(u8, &[u8]), DropReason> {
    let (mut kind, mut body) = (first, body);
    for place in 0..=EXTENSIONS_MAX {
        if !is_extension(kind) {
            return Ok((kind, body));
        }
        let h = body.first_chunk::<8>().ok_or(DropReason::Ipv6ExtensionBad)?;
        let len = if kind == FRAGMENT { 8 } else { 8 + usize::from(h[1]) * 8 };
        let (header, rest) = body.split_at_checked(len).ok_or(DropReason::Ipv6ExtensionBad)?;
        let acceptable = match kind {
            // The offset (upper 13 bits) and the "more" flag (lowest bit) of an atomic fragment are 0.
            FRAGMENT if u16_at::<2, _>(h) & 0xfff9 != 0 => return Err(DropReason::IpFragment),
            FRAGMENT => true,
            ROUTING => h[3] == 0,
            HOP_BY_HOP => place == 0 && options_may_be_skipped(header),
            _ => options_may_be_skipped(header),
        };
        if !acceptable {
            return Err(DropReason::Ipv6ExtensionBad);
        }
        (kind, body) = (h[0], rest);
    }
    Err(DropReason::Ipv6ExtensionBad)
}

/// RFC 8200 4.2: the two highest bits of an option's type say what to do when it is not known; 00 is "skip".
fn options_may_be_skipped(header: &[u8]) -> bool {
    const PAD1: u8 = 0;
    let mut options = header.get(2..).unwrap_or_default();
    while let Some((&kind, rest)) = options.split_first() {
        if kind == PAD1 {
            options = rest;
            continue;
        }
        let Some((&len, rest)) = rest.split_first() else { return false };
        let Some(rest) = rest.get(usize::from(len)..) else { return false };
        if kind & 0xc0 != 0 {
            return false;
        }
        options = rest;
    }
    true
}

/// Addresses, and what follows all headers, if that is TCP and no fragment.
pub(super) fn peek_tcp(bytes: &[u8]) -> Option<(Addr, Addr, &[u8])> {
    let (h, rest) = bytes.split_first_chunk::<HEADER_LEN>()?;
    let (src, dst) = (Addr(get::<8, 16, _>(h)), Addr(get::<24, 16, _>(h)));
    if h[0] >> 4 != 6 || src.is_v4() || dst.is_v4() {
        return None;
    }
    let (protocol, body) = if is_extension(h[6]) { skip_extensions(h[6], rest).ok()? } else { (h[6], rest) };
    (protocol == tcp::PROTOCOL).then_some((src, dst, body))
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
    let [len_high, len_low] = (body_len as u16).to_be_bytes();
    let [class_high, class_low] = (u16::from(ip.diffserv) << 4).to_be_bytes();
    put::<0, 8, _>(h, [0x60 | class_high, class_low, 0, 0, len_high, len_low, protocol, ip.hop_limit]);
    put::<8, 16, _>(h, src.0);
    put::<24, 16, _>(h, dst.0);
    Some((rest, addresses(src, dst)))
}
