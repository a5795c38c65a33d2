//! ICMP (RFC 792) and ICMPv6 (RFC 4443) as far as a TCP host needs them: echo requests, and errors about its own
//! segments. Echo replies are made by turning the request round in its frame.
//!
//! Left out on purpose: source quench (RFC 6633 forbids heeding it), redirects (a neighbour's word on routing),
//! timestamps and multicast listener messages, which are counted as ignored; sending errors; and echo replies to
//! requests with IP options or extension headers, which would have to be turned round as well (RFC 1122 3.2.2.6).

use super::checksum::{Sum, update};
use super::field::{get, put, u16_at, u32_at};
use super::ipv6::Datagram;
use super::parse::{IcmpError, IcmpErrorKind, Packet};
use super::{Addr, Seq, emit, eth, ipv4, ipv6, ndp, tcp};
use crate::base::{DropReason, Frame};

pub(super) const PROTOCOL_V4: u8 = 1;
pub(super) const PROTOCOL_V6: u8 = 58;

/// Type, code, checksum and four bytes that depend on the type.
const HEADER_LEN: usize = 8;
const V4_ECHO_REPLY: u8 = 0;
const V4_UNREACHABLE: u8 = 3;
const V4_ECHO_REQUEST: u8 = 8;
const V4_TIME_EXCEEDED: u8 = 11;
const V4_PARAMETER_PROBLEM: u8 = 12;
const V6_UNREACHABLE: u8 = 1;
const V6_TOO_BIG: u8 = 2;
const V6_TIME_EXCEEDED: u8 = 3;
const V6_PARAMETER_PROBLEM: u8 = 4;
const V6_ECHO_REQUEST: u8 = 128;
const V6_ECHO_REPLY: u8 = 129;

/// Reads an ICMP message.
///
/// # Errors
/// `IcmpBad`.
pub(super) fn parse_v4(ip: &Datagram<'_>, verify: bool) -> Result<Packet, DropReason> {
    let (h, quote) = ip.body.split_first_chunk::<HEADER_LEN>().ok_or(DropReason::IcmpBad)?;
    if verify && !Sum::ZERO.bytes(ip.body).is_valid() {
        return Err(DropReason::IcmpBad);
    }
    let kind = match h[0] {
        V4_ECHO_REQUEST if h[1] == 0 => return Ok(Packet::EchoRequest { src: ip.src, dst: ip.dst }),
        V4_UNREACHABLE => unreachable_v4(h[1], u16_at::<6, _>(h)),
        V4_TIME_EXCEEDED | V4_PARAMETER_PROBLEM => IcmpErrorKind::Other,
        _ => return Ok(Packet::Other(DropReason::IcmpIgnored)),
    };
    error(ip, kind, quote_v4(quote)?)
}

/// RFC 1122 4.2.3.9 with the codes of RFC 1812 5.2.7.1 sorted in.
fn unreachable_v4(code: u8, next_hop_mtu: u16) -> IcmpErrorKind {
    match code {
        // Protocol, port.
        2 | 3 => IcmpErrorKind::Refused,
        // Network, host, communication administratively prohibited.
        9 | 10 | 13 => IcmpErrorKind::Prohibited,
        // RFC 1191 4: routers that do not know it leave the field 0.
        4 => IcmpErrorKind::TooBig { mtu: u32::from(next_hop_mtu) },
        // Network unreachable, unknown, unreachable for this type of service.
        0 | 6 | 11 => IcmpErrorKind::NetUnreachable,
        _ => IcmpErrorKind::HostUnreachable,
    }
}

/// Reads an ICMPv6 message; neighbour discovery goes on to `ndp`.
///
/// # Errors
/// `IcmpBad`, `NdpBad`; `IpSourceBad` for an unspecified source where none may be.
pub(super) fn parse_v6(ip: &Datagram<'_>, verify: bool) -> Result<Packet, DropReason> {
    let (h, quote) = ip.body.split_first_chunk::<HEADER_LEN>().ok_or(DropReason::IcmpBad)?;
    if matches!(h[0], ndp::SOLICITATION | ndp::ADVERTISEMENT) {
        return ndp::parse(ip).map(Packet::Ndp);
    }
    if verify && !ip.transport_checksum_is_valid(&[]) {
        return Err(DropReason::IcmpBad);
    }
    let kind = match h[0] {
        _ if ip.src == Addr::UNSPECIFIED_V6 => return Err(DropReason::IpSourceBad),
        V6_ECHO_REQUEST if h[1] == 0 => return Ok(Packet::EchoRequest { src: ip.src, dst: ip.dst }),
        V6_UNREACHABLE => unreachable_v6(h[1]),
        V6_TOO_BIG => IcmpErrorKind::TooBig { mtu: u32_at::<4, _>(h) },
        V6_TIME_EXCEEDED | V6_PARAMETER_PROBLEM => IcmpErrorKind::Other,
        _ => return Ok(Packet::Other(DropReason::IcmpIgnored)),
    };
    error(ip, kind, quote_v6(quote)?)
}

/// RFC 4443 3.1, sorted as RFC 5461 2.1 sorts it.
fn unreachable_v6(code: u8) -> IcmpErrorKind {
    match code {
        // No route.
        0 => IcmpErrorKind::NetUnreachable,
        // Port.
        4 => IcmpErrorKind::Refused,
        // Administratively prohibited, and its two refinements: source policy, reject route.
        1 | 5 | 6 => IcmpErrorKind::Prohibited,
        _ => IcmpErrorKind::HostUnreachable,
    }
}

/// Addresses of a quoted datagram, and the first bytes of the TCP segment in it.
struct Quote {
    local: Addr,
    remote: Addr,
    len: u16,
    tcp: [u8; 8],
}

/// What an error quotes, if it is one of our TCP segments. The quoted header checksum is not verified: the
/// datagram was changed on its way.
///
/// # Errors
/// `IcmpBad`.
fn quote_v4(bytes: &[u8]) -> Result<Option<Quote>, DropReason> {
    let h = bytes.first_chunk::<{ ipv4::HEADER_LEN }>().ok_or(DropReason::IcmpBad)?;
    let header_len = usize::from(h[0] & 15) * 4;
    if h[0] >> 4 != 4 || header_len < ipv4::HEADER_LEN {
        return Err(DropReason::IcmpBad);
    }
    if h[9] != tcp::PROTOCOL || u16_at::<6, _>(h) & ipv4::FRAGMENT_OFFSET_MASK != 0 {
        return Ok(None);
    }
    let tcp = bytes.get(header_len..).and_then(|rest| rest.first_chunk::<8>()).ok_or(DropReason::IcmpBad)?;
    let (local, remote) = (Addr::v4(get::<12, 4, _>(h)), Addr::v4(get::<16, 4, _>(h)));
    Ok(Some(Quote { local, remote, len: u16_at::<2, _>(h), tcp: *tcp }))
}

/// As [`quote_v4`]. We send no extension headers, so TCP follows at once or it is not ours.
fn quote_v6(bytes: &[u8]) -> Result<Option<Quote>, DropReason> {
    let (h, rest) = bytes.split_first_chunk::<{ ipv6::HEADER_LEN }>().ok_or(DropReason::IcmpBad)?;
    let (local, remote) = (Addr(get::<8, 16, _>(h)), Addr(get::<24, 16, _>(h)));
    if h[0] >> 4 != 6 || local.is_v4() || remote.is_v4() {
        return Err(DropReason::IcmpBad);
    }
    if h[6] != tcp::PROTOCOL {
        return Ok(None);
    }
    let tcp = rest.first_chunk::<8>().ok_or(DropReason::IcmpBad)?;
    let len = u16_at::<4, _>(h).saturating_add(ipv6::HEADER_LEN as u16);
    Ok(Some(Quote { local, remote, len, tcp: *tcp }))
}

fn error(ip: &Datagram<'_>, kind: IcmpErrorKind, quote: Option<Quote>) -> Result<Packet, DropReason> {
    let Some(quote) = quote else { return Ok(Packet::Other(DropReason::IcmpIgnored)) };
    Ok(Packet::IcmpError(IcmpError {
        kind,
        reporter: ip.src,
        local: quote.local,
        remote: quote.remote,
        local_port: u16_at::<0, _>(&quote.tcp),
        remote_port: u16_at::<2, _>(&quote.tcp),
        seq: Seq(u32_at::<4, _>(&quote.tcp)),
        datagram_len: quote.len,
    }))
}

/// Turns the received echo request in `frame` into its reply, IPv4 or IPv6: addresses swapped, TTL or hop limit 64,
/// type and checksum changed, everything else as it came (a damaged payload goes back damaged).
///
/// Returns false, the frame unchanged, when it holds no echo request, when the request was sent to a group (a
/// reply needs a source address of ours), or when it has IP options or extension headers.
#[must_use]
pub fn echo_reply_in_place(frame: &mut Frame) -> bool {
    let Ok(link) = eth::parse(frame.bytes()) else { return false };
    let (at, info) = (link.len, link.info());
    let (parsed, v4) = match link.ether_type {
        eth::TYPE_IPV4 => (ipv4::parse(link.body, 0), true),
        eth::TYPE_IPV6 => (ipv6::parse(link.body, 0), false),
        _ => return false,
    };
    let (protocol, header_len, request) = match v4 {
        true => (PROTOCOL_V4, ipv4::HEADER_LEN, V4_ECHO_REQUEST),
        false => (PROTOCOL_V6, ipv6::HEADER_LEN, V6_ECHO_REQUEST),
    };
    let Ok(ip) = parsed else { return false };
    let plain = ip.protocol == protocol && ip.header_len == header_len && ip.body.len() >= HEADER_LEN;
    let is_request = plain && ip.body.starts_with(&[request, 0]) && ip.dst.is_unicast() && ip.src.is_unicast();
    let len = at + header_len + ip.body.len();
    if !is_request || info.dst.is_group() || !frame.set_len(len) {
        return false;
    }
    eth::put_addresses(frame.bytes_mut(), info.src, info.dst);
    let Some(datagram) = frame.bytes_mut().get_mut(at..) else { return false };
    let done = if v4 { turn_v4(datagram) } else { turn_v6(datagram) };
    done.is_some()
}

fn turn_v4(datagram: &mut [u8]) -> Option<()> {
    let (h, body) = datagram.split_first_chunk_mut::<{ ipv4::HEADER_LEN }>()?;
    let (src, dst) = (get::<12, 4, _>(h), get::<16, 4, _>(h));
    // The service class stays, the ECN bits do not: the reply says nothing about congestion.
    h[1] &= !3;
    put::<4, 4, _>(h, u32::from(ipv4::DONT_FRAGMENT).to_be_bytes());
    put::<8, 2, _>(h, [emit::HOP_LIMIT, PROTOCOL_V4]);
    put::<10, 2, _>(h, [0, 0]);
    put::<12, 4, _>(h, dst);
    put::<16, 4, _>(h, src);
    let sum = Sum::ZERO.bytes(h).finish();
    put::<10, 2, _>(h, sum);
    turn_message(body, V4_ECHO_REPLY)
}

fn turn_v6(datagram: &mut [u8]) -> Option<()> {
    let (h, body) = datagram.split_first_chunk_mut::<{ ipv6::HEADER_LEN }>()?;
    let (src, dst) = (get::<8, 16, _>(h), get::<24, 16, _>(h));
    // Version 6, the service class kept without its ECN bits, flow label 0.
    let class = u32_at::<0, _>(h) >> 20 & 0xfc;
    put::<0, 4, _>(h, (6 << 28 | class << 20).to_be_bytes());
    h[7] = emit::HOP_LIMIT;
    put::<8, 16, _>(h, dst);
    put::<24, 16, _>(h, src);
    turn_message(body, V6_ECHO_REPLY)
}

/// Only the type changes; the pseudo-header of ICMPv6 has the same sum with its addresses swapped.
fn turn_message(message: &mut [u8], reply: u8) -> Option<()> {
    let h = message.first_chunk_mut::<HEADER_LEN>()?;
    let old = u16_at::<0, _>(h);
    let new = u16::from_be_bytes([reply, 0]);
    let sum = update(u16_at::<2, _>(h), old, new);
    put::<0, 2, _>(h, new.to_be_bytes());
    put::<2, 2, _>(h, sum.to_be_bytes());
    Some(())
}
