//! From what is to be said to a frame.
//!
//! Each function writes a whole frame, link header first, straight into its chunk; those named `_in_place` turn
//! a received frame into its answer. Nothing is padded to Ethernet's minimum: the device does that.

use super::checksum::Sum;
use super::parse::VlanTags;
use super::{Addr, Mac, Seq, TcpFlags, TcpOptions, eth, ipv4, ipv6, options, plain_out, tcp};
use crate::base::Frame;
use crate::base::frame::TX_HEADROOM_BYTES;

pub use super::arp::{arp_reply, arp_reply_in_place, arp_request};
pub use super::icmp::echo_reply_in_place;
pub use super::ndp::{ndp_advertisement, ndp_reply, ndp_solicitation};
pub use super::options::{UsualSyn, options_len};
pub use super::plain_out::{
    PlainIp, PlainOut, PlainTcp, begin_plain, end_plain, payload_of_plain, plain, timestamp_words,
};

/// Of whatever does not say otherwise.
pub(super) const HOP_LIMIT: u8 = 64;

/// The longest headers: Ethernet with two VLAN tags, IPv6, TCP with all its options.
pub const HEADERS_BYTES_MAX: usize = 14 + 8 + 40 + 60;

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

/// What a sender can choose of the IP header (RFC 9293 3.9.1.9, 3.9.2; RFC 3168).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IpFields {
    /// The byte that was once called type of service, or traffic class. Its two low bits are ECN's.
    pub diffserv: u8,
    /// TTL, or hop limit.
    pub hop_limit: u8,
}

impl Default for IpFields {
    fn default() -> Self {
        IpFields { diffserv: 0, hop_limit: HOP_LIMIT }
    }
}

impl IpFields {
    /// The same with these two ECN bits.
    #[inline(always)]
    #[must_use]
    pub fn with_ecn(self, ecn: u8) -> IpFields {
        IpFields { diffserv: self.diffserv & !3 | ecn & 3, ..self }
    }
}

/// Options of a segment to send.
#[derive(Clone, Copy, Debug)]
pub enum OptionsOut<'a> {
    None,
    /// Timestamps alone (TSval, TSecr): what nearly every segment carries.
    Timestamp(u32, u32),
    Any(&'a TcpOptions),
}

impl OptionsOut<'_> {
    /// As they will be received, apart from SACK blocks that find no room.
    pub fn to_options(self) -> TcpOptions {
        match self {
            OptionsOut::None => TcpOptions::NONE,
            OptionsOut::Timestamp(val, echo) => TcpOptions { timestamp: Some((val, echo)), ..TcpOptions::NONE },
            OptionsOut::Any(options) => *options,
        }
    }

    /// Bytes that they take in a TCP header, padding included (a multiple of 4, at most 40). SACK blocks that find no room
    /// are left out, last first.
    #[inline(always)]
    pub fn len_bytes(self) -> usize {
        match self {
            OptionsOut::None => 0,
            OptionsOut::Timestamp(..) => options::TIMESTAMP_BYTES,
            OptionsOut::Any(options) => options::options_len(options),
        }
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
    pub options: OptionsOut<'a>,
    pub payload_len: u16,
    pub ip: IpFields,
    pub checksum: ChecksumMode,
}

/// Writes headers and payload of a segment into `frame`, replacing what it held. `payload` is called with exactly
/// `payload_len` bytes to fill: once, or never if that is none. Returns false (frame emptied) when the chunk is too small,
/// when the datagram would exceed 65,535 bytes, or when the addresses are of different families.
///
/// IPv4: DF set, identification 0 (atomic datagram, RFC 6864). IPv6: flow label 0.
#[must_use]
#[inline(always)]
pub fn tcp(frame: &mut Frame, link: &LinkOut, segment: &SegmentOut<'_>, payload: impl FnOnce(&mut [u8])) -> bool {
    let mut payload = Some(payload);
    tcp_with(frame, link, segment, &mut |out| {
        if let Some(payload) = payload.take() {
            payload(out);
        }
    })
}

/// One piece of code for all who send: whatever they had in registers would not stay there anyway.
#[inline(never)]
fn tcp_with(frame: &mut Frame, link: &LinkOut, segment: &SegmentOut<'_>, payload: &mut dyn FnMut(&mut [u8])) -> bool {
    let is_v4 = (segment.src.is_v4(), segment.dst.is_v4());
    if is_v4.0 == is_v4.1
        && let Some(written) = plain_out::usual_syn(frame, link, segment)
    {
        return written;
    }
    let written = match is_v4 {
        (true, true) => write_whole(frame, link, segment, true, payload),
        (false, false) => write_whole(frame, link, segment, false, payload),
        _ => None,
    };
    written.is_some() || empty(frame)
}

#[inline(always)]
fn write_whole(
    frame: &mut Frame,
    link: &LinkOut,
    segment: &SegmentOut<'_>,
    v4: bool,
    payload: &mut dyn FnMut(&mut [u8]),
) -> Option<()> {
    let lens = Lens::of(link, segment, v4);
    let has_room = room_for(frame, lens.headers() + usize::from(segment.payload_len));
    has_room.then(|| write(frame, link, segment, &lens, Sum::ZERO, payload)).flatten()
}

/// Gives the segment just written into `frame`, which has URG, its urgent pointer.
#[cold]
pub fn set_urgent(frame: &mut Frame, link: &LinkOut, segment: &SegmentOut<'_>, pointer: u16) {
    let at = Lens::of(link, segment, segment.src.is_v4()).lower;
    tcp::set_urgent(frame.bytes_mut().get_mut(at..).unwrap_or_default(), pointer, segment.checksum);
}

/// As [`tcp`], over `frame` and the frames behind it, fresh from the pool. The first leaves room for the longest headers, and
/// all take an even number of bytes but the last; there must be as many frames as that takes. `payload` is called for each,
/// with the number of bytes before it, for the first one last.
#[must_use]
#[cold]
pub fn tcp_in_parts(
    frame: &mut Frame,
    link: &LinkOut,
    segment: &SegmentOut<'_>,
    mut payload: impl FnMut(usize, &mut [u8]),
) -> bool {
    let lens = Lens::of(link, segment, segment.src.is_v4());
    if segment.src.is_v4() != segment.dst.is_v4() || !room_for(frame, lens.headers()) {
        return empty(frame);
    }
    let mut left = usize::from(segment.payload_len);
    let here = left.min(frame.capacity_bytes().saturating_sub(HEADERS_BYTES_MAX) & !1);
    let (mut at, mut sum) = (here, Sum::ZERO);
    left -= here;
    let mut rest = frame.rest_mut();
    while let Some(part) = rest {
        let len = left.min(part.room_bytes() & !1);
        if !part.set_len(len) {
            break;
        }
        payload(at, part.bytes_mut());
        if segment.checksum == ChecksumMode::Full {
            sum = sum.bytes(part.bytes());
        }
        (at, left) = (at + len, left - len);
        rest = part.rest_mut();
    }
    left == 0
        && frame.set_len(lens.headers() + here)
        && write(frame, link, segment, &lens, sum, &mut |out| payload(0, out)).is_some()
        || empty(frame)
}

/// Lengths of a segment's headers in bytes, and which they are.
struct Lens {
    /// Link and network header.
    lower: usize,
    /// TCP header, options included.
    tcp: usize,
    v4: bool,
}

impl Lens {
    #[inline(always)]
    fn of(link: &LinkOut, segment: &SegmentOut<'_>, v4: bool) -> Lens {
        let ip_len = if v4 { ipv4::HEADER_LEN } else { ipv6::HEADER_LEN };
        Lens { lower: eth::header_len(link.vlan) + ip_len, tcp: tcp::HEADER_LEN + segment.options.len_bytes(), v4 }
    }

    #[inline(always)]
    fn headers(&self) -> usize {
        self.lower + self.tcp
    }
}

/// Writes headers, and payload over the rest of `frame`. `behind` is the sum of what follows elsewhere. `None` if the lengths
/// do not fit.
#[inline(always)]
fn write(
    frame: &mut Frame,
    link: &LinkOut,
    segment: &SegmentOut<'_>,
    lens: &Lens,
    behind: Sum,
    payload: &mut dyn FnMut(&mut [u8]),
) -> Option<()> {
    let tcp_len = lens.tcp + usize::from(segment.payload_len);
    let (out, addresses) = if lens.v4 {
        let out = eth::write(frame.bytes_mut(), link, eth::TYPE_IPV4)?;
        ipv4::write(out, &segment.src, &segment.dst, tcp::PROTOCOL, tcp_len, segment.ip)?
    } else {
        let out = eth::write(frame.bytes_mut(), link, eth::TYPE_IPV6)?;
        ipv6::write(out, &segment.src, &segment.dst, tcp::PROTOCOL, tcp_len, segment.ip)?
    };
    let pseudo = addresses.u32(tcp_len as u32).u16(u16::from(tcp::PROTOCOL));
    tcp::write(out, segment, lens.tcp, pseudo, behind, payload)?;
    if segment.checksum == ChecksumMode::Offload {
        frame.request_checksum(lens.lower as u16, tcp::CHECKSUM_OFFSET as u16);
    }
    Some(())
}

/// False, with the frame emptied.
#[cold]
fn empty(frame: &mut Frame) -> bool {
    frame.reset();
    false
}

/// Makes `frame` one of `len` bytes without a checksum request, for writing it anew. A received frame keeps its
/// place in the chunk, which is in the cache, as long as it has the room. Returns false (frame emptied) when
/// the chunk is too small.
#[must_use]
#[inline(always)]
pub(super) fn room_for(frame: &mut Frame, len: usize) -> bool {
    frame.request_checksum(0, 0);
    (frame.start() >= TX_HEADROOM_BYTES && frame.set_len(len)) || room_elsewhere(frame, len)
}

/// At the standard place.
#[cold]
fn room_elsewhere(frame: &mut Frame, len: usize) -> bool {
    frame.reset();
    frame.set_len(len) || empty(frame)
}
