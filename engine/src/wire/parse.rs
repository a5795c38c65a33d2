//! From a received frame to what it says.
//!
//! One pass, front to back, each header checked before the next is read: link, IP, upper layer. A frame ends in a
//! [`Packet`], or in the one reason why it does not. What is not TCP is kept out of line, so that the way of a
//! plain segment is short.

use super::field::get;
use super::{Addr, Mac, TcpSegment, arp, eth, icmp, ipv4, ipv6, tcp};
use crate::base::DropReason;

/// The link header of a received frame: what a reply needs to go back the same way.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LinkInfo {
    pub src: Mac,
    pub dst: Mac,
    pub vlan: VlanTags,
}

/// Up to two VLAN tags (802.1Q, or 802.1ad outside 802.1Q: QinQ), outermost first.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct VlanTags {
    /// How many of `ids` are there: 0, 1 or 2.
    pub count: u8,
    /// 12-bit VLAN ids; priority bits are ignored on receive and sent as 0.
    pub ids: [u16; 2],
}

/// What a frame turned out to be.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Packet {
    Tcp(TcpSegment),
    Arp(Arp),
    /// Echo request; the whole frame is needed to answer it (`emit::echo_reply_in_place`).
    EchoRequest {
        src: Addr,
        dst: Addr,
    },
    /// Any ICMP or ICMPv6 error that quotes one of our TCP segments.
    IcmpError(IcmpError),
    /// ICMPv6 neighbour solicitation or advertisement, hop limit 255 and checksum already checked.
    Ndp(Ndp),
    /// Well formed, but nothing the engine acts on: the reason to count it under.
    Other(DropReason),
}

/// RFC 826, Ethernet and IPv4.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arp {
    pub is_request: bool,
    pub sender_mac: Mac,
    pub sender: Addr,
    pub target_mac: Mac,
    pub target: Addr,
}

/// RFC 4861 4.3 and 4.4.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ndp {
    pub is_solicitation: bool,
    pub src: Addr,
    pub dst: Addr,
    pub target: Addr,
    /// Source (solicitation) or target (advertisement) link-layer address option.
    pub link_addr: Option<Mac>,
    /// Advertisement flags.
    pub solicited: bool,
    pub override_flag: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IcmpErrorKind {
    /// No way to the network, or to the host in it: soft errors (RFC 1122 4.2.3.9, RFC 5461).
    NetUnreachable,
    HostUnreachable,
    /// Nobody there takes it (protocol, port), or nobody may send it: hard errors.
    Refused,
    Prohibited,
    /// Fragmentation needed, or packet too big, with the next-hop MTU in bytes (0: not told).
    TooBig {
        mtu: u32,
    },
    /// Time exceeded, parameter problem: soft.
    Other,
}

/// An ICMP error with the addresses, ports and sequence number of the segment it quotes (as we sent it).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IcmpError {
    pub kind: IcmpErrorKind,
    pub reporter: Addr,
    pub local: Addr,
    pub remote: Addr,
    pub local_port: u16,
    pub remote_port: u16,
    pub seq: super::Seq,
    /// Length of the datagram that it quotes, IP header included, as that says.
    pub datagram_len: u16,
}

/// What is checked on receive.
#[derive(Clone, Copy, Debug)]
pub struct ParseOptions {
    /// Verify TCP and ICMP checksums (the IPv4 header checksum is always verified).
    pub verify_checksums: bool,
}

/// What [`parse`] returns. The functions that end the pass build it where the caller wants it, at once: it is
/// large, and moving it would cost more than reading the frame.
pub(super) type Parsed = Result<(LinkInfo, Packet), DropReason>;

/// Parses one Ethernet frame. Never panics, whatever the bytes. Whether the frame is for us (link address, VLAN,
/// destination address) is not asked here.
///
/// # Errors
/// The reason to count the frame under.
pub fn parse(bytes: &[u8], options: ParseOptions) -> Result<(LinkInfo, Packet), DropReason> {
    let link = eth::parse(bytes)?;
    let verify = options.verify_checksums;
    match link.ether_type {
        eth::TYPE_IPV4 => {
            let ip = ipv4::parse(link.body, 0)?;
            if ip.protocol == tcp::PROTOCOL {
                return tcp::parse(&link, &ip, verify, &[]);
            }
        }
        eth::TYPE_IPV6 => {
            let ip = ipv6::parse(link.body, 0)?;
            if ip.protocol == tcp::PROTOCOL && ip.src != Addr::UNSPECIFIED_V6 {
                return tcp::parse(&link, &ip, verify, &[]);
            }
        }
        _ => {}
    }
    other_than_tcp(link.info(), link.ether_type, link.body, verify)
}

/// Parses a frame in parts: one with all headers, and those `behind` it with more of the payload. Only TCP comes so large.
/// The segment's payload begins in the first part and goes on in the others.
///
/// # Errors
/// As [`parse`], or `PartsNotTcp`.
#[cold]
pub fn parse_parts(first: &[u8], behind: &[&[u8]], options: ParseOptions) -> Result<(LinkInfo, Packet), DropReason> {
    let link = eth::parse(first)?;
    let more = behind.iter().map(|part| part.len()).sum();
    let ip = match link.ether_type {
        eth::TYPE_IPV4 => ipv4::parse(link.body, more)?,
        eth::TYPE_IPV6 => ipv6::parse(link.body, more)?,
        _ => return Err(DropReason::PartsNotTcp),
    };
    if ip.protocol != tcp::PROTOCOL || ip.src == Addr::UNSPECIFIED_V6 {
        return Err(DropReason::PartsNotTcp);
    }
    tcp::parse(&link, &ip, options.verify_checksums, behind)
}

/// The rest of the pass for everything but TCP. It reads the IP header again, so that the way of a segment need
/// not keep it in memory.
#[inline(never)]
fn other_than_tcp(info: LinkInfo, ether_type: u16, body: &[u8], verify: bool) -> Parsed {
    let packet = match ether_type {
        eth::TYPE_IPV4 => {
            let ip = ipv4::parse(body, 0)?;
            match ip.protocol {
                icmp::PROTOCOL_V4 => icmp::parse_v4(&ip, verify)?,
                _ => Packet::Other(DropReason::IpProtocolUnknown),
            }
        }
        eth::TYPE_IPV6 => {
            let ip = ipv6::parse(body, 0)?;
            match ip.protocol {
                icmp::PROTOCOL_V6 => icmp::parse_v6(&ip, verify)?,
                _ if ip.src == Addr::UNSPECIFIED_V6 => return Err(DropReason::IpSourceBad),
                _ => Packet::Other(DropReason::IpProtocolUnknown),
            }
        }
        eth::TYPE_ARP => Packet::Arp(arp::parse(body)?),
        _ => return Err(DropReason::EtherTypeUnknown),
    };
    Ok((info, packet))
}

/// Just the TCP 4-tuple of a frame as (src, dst, src_port, dst_port), for steering; `None` if it is not
/// plainly unfragmented TCP. Reads no further than the ports and verifies nothing: where [`parse`] finds a
/// segment, this finds the same tuple.
pub fn peek_tuple(bytes: &[u8]) -> Option<(Addr, Addr, u16, u16)> {
    let link = eth::parse(bytes).ok()?;
    let (src, dst, tcp) = match link.ether_type {
        eth::TYPE_IPV4 => ipv4::peek_tcp(link.body)?,
        eth::TYPE_IPV6 => ipv6::peek_tcp(link.body)?,
        _ => return None,
    };
    let (src_port, dst_port) = tcp::peek_ports(tcp)?;
    Some((src, dst, src_port, dst_port))
}

/// The urgent pointer of a frame that [`parse`] found to be a segment. Hardly any segment has one that means anything, so
/// [`TcpSegment`] leaves it out.
#[cold]
pub fn peek_urgent(bytes: &[u8]) -> Option<u16> {
    let link = eth::parse(bytes).ok()?;
    tcp::peek_urgent(match link.ether_type {
        eth::TYPE_IPV4 => ipv4::peek_tcp(link.body)?.2,
        eth::TYPE_IPV6 => ipv6::peek_tcp(link.body)?.2,
        _ => return None,
    })
}

/// The link address that a frame came from.
#[inline]
pub fn link_source(bytes: &[u8]) -> Option<Mac> {
    Some(Mac(get::<6, 6, _>(bytes.first_chunk::<12>()?)))
}
