//! From what is to be said to a frame.
//!
//! Each function writes a whole frame, link header first, straight into its chunk; those named `_in_place` turn
//! a received frame into its answer. Nothing is padded to Ethernet's minimum: the device does that.

use super::parse::VlanTags;
use super::{Addr, Mac, Seq, TcpFlags, TcpOptions, eth, ipv4, ipv6, options, tcp};
use crate::base::Frame;
use crate::base::frame::TX_HEADROOM_BYTES;

pub use super::arp::{arp_reply, arp_reply_in_place, arp_request};
pub use super::icmp::echo_reply_in_place;
pub use super::ndp::{ndp_advertisement, ndp_reply, ndp_solicitation};
pub use super::options::options_len;

/// How checksums of sent segments come about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ChecksumMode {
    /// Computed here.
    #[default]
    Full,
    /// Only the pseudo-header sum is written; the device is asked to do the rest (`Frame::request_checksum`).
    Offload,
}

/// Link header of a frame to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkOut {
    pub src: Mac,
    pub dst: Mac,
    pub vlan: VlanTags,
}

impl LinkOut {
    /// To all stations: where ARP requests go.
    pub fn broadcast(src: Mac, vlan: VlanTags) -> LinkOut {
        LinkOut { src, dst: Mac::BROADCAST, vlan }
    }

    /// To the group in which an IPv6 address listens for neighbour solicitations.
    pub fn solicited_node(src: Mac, vlan: VlanTags, target: &Addr) -> LinkOut {
        LinkOut { src, dst: Mac::for_ipv6_group(&target.solicited_node()), vlan }
    }
}

/// A segment to send.
#[derive(Clone, Copy, Debug)]
pub struct SegmentOut<'a> {
    pub src: Addr,
    pub dst: Addr,
    pub src_port: u16,
    pub dst_port: u16,
    pub seq: Seq,
    pub ack: Seq,
    pub flags: TcpFlags,
    /// The window field as it goes into the header.
    pub window: u16,
    pub options: &'a TcpOptions,
    pub payload_len: u16,
    /// The two ECN bits of the IP header (RFC 3168).
    pub ecn: u8,
    pub checksum: ChecksumMode,
}

/// Writes headers and payload of a segment into `frame`, replacing what it held. `payload` is called once, with
/// exactly `payload_len` bytes to fill. Returns false (frame emptied) when the chunk is too small, when the
/// datagram would exceed 65,535 bytes, or when the addresses are of different families.
///
/// IPv4: DF set, identification 0 (atomic datagram, RFC 6864), TTL 64. IPv6: flow label 0, hop limit 64.
#[must_use]
#[inline]
pub fn tcp(frame: &mut Frame, link: &LinkOut, segment: &SegmentOut<'_>, payload: impl FnOnce(&mut [u8])) -> bool {
    let v4 = segment.src.is_v4();
    let link_len = eth::header_len(link.vlan);
    let ip_len = if v4 { ipv4::HEADER_LEN } else { ipv6::HEADER_LEN };
    let header_len = tcp::HEADER_LEN + options::options_len(segment.options);
    let tcp_len = header_len + usize::from(segment.payload_len);
    if v4 != segment.dst.is_v4() {
        frame.reset();
        return false;
    }
    if !room_for(frame, link_len + ip_len + tcp_len) {
        return false;
    }
    let ether_type = if v4 { eth::TYPE_IPV4 } else { eth::TYPE_IPV6 };
    let body = eth::write(frame.bytes_mut(), link, ether_type).and_then(|out| match v4 {
        true => ipv4::write(out, &segment.src, &segment.dst, tcp::PROTOCOL, tcp_len, segment.ecn),
        false => ipv6::write(out, &segment.src, &segment.dst, tcp::PROTOCOL, tcp_len, (ipv6::HOP_LIMIT, segment.ecn)),
    });
    let written = body.and_then(|(out, addresses)| {
        let pseudo = addresses.u32(tcp_len as u32).u16(u16::from(tcp::PROTOCOL));
        tcp::write(out, segment, header_len, pseudo, payload)
    });
    if written.is_some() && segment.checksum == ChecksumMode::Offload {
        frame.request_checksum((link_len + ip_len) as u16, tcp::CHECKSUM_OFFSET as u16);
    }
    written.is_some()
}

/// Makes `frame` one of `len` bytes without a checksum request, for writing it anew. A received frame keeps its
/// place in the chunk, which is in the cache, as long as it has the room. Returns false (frame emptied) when
/// the chunk is too small.
#[must_use]
#[inline]
pub(super) fn room_for(frame: &mut Frame, len: usize) -> bool {
    if frame.start() < TX_HEADROOM_BYTES || frame.room_bytes() < len {
        frame.reset();
    }
    frame.request_checksum(0, 0);
    if frame.set_len(len) {
        return true;
    }
    frame.reset();
    false
}
