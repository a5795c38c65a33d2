//! What the tests of this floor share: addresses, a frame pool of one, and valid frames of every kind.

use super::emit::{self, ChecksumMode, IpFields, LinkOut, OptionsOut, SegmentOut};
use super::parse::{LinkInfo, Packet, ParseOptions, VlanTags, parse};
use super::segment::SackBlock;
use super::{Addr, Mac, Seq, TcpFlags, TcpOptions, TcpSegment};
use crate::base::{DropReason, Frame, FramePool};

pub const US: Mac = Mac([2, 0, 0, 0, 0, 1]);
pub const PEER: Mac = Mac([2, 0, 0, 0, 0, 2]);
pub const US_V4: Addr = Addr::v4([198, 18, 0, 1]);
pub const PEER_V4: Addr = Addr::v4([198, 18, 0, 2]);
pub const US_V6: Addr = Addr([0x20, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
pub const PEER_V6: Addr = Addr([0x20, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
pub const VERIFY: ParseOptions = ParseOptions { verify_checksums: true };
pub const TRUST: ParseOptions = ParseOptions { verify_checksums: false };
pub const NO_VLAN: VlanTags = VlanTags { count: 0, ids: [0, 0] };
/// The link header of frames from the peer to us.
pub const TO_US: LinkOut = LinkOut { src: PEER, dst: US, vlan: NO_VLAN };

/// Runs `f` on a fresh frame and returns the bytes that it leaves.
pub fn frame_bytes(f: impl FnOnce(&mut Frame)) -> Vec<u8> {
    let mut pool = FramePool::heap(1, 70_000);
    let mut frame = pool.alloc().expect("a pool of one frame has one");
    f(&mut frame);
    let bytes = frame.bytes().to_vec();
    pool.free(frame);
    bytes
}

/// A frame that holds `bytes`, given to `f`; returns what is left in it.
pub fn with_received(bytes: &[u8], f: impl FnOnce(&mut Frame)) -> Vec<u8> {
    frame_bytes(|frame| {
        assert!(frame.set_len(bytes.len()));
        frame.bytes_mut().copy_from_slice(bytes);
        f(frame);
    })
}

/// The segment from the peer to us that the tests vary.
pub fn segment(v6: bool, options: &TcpOptions, payload_len: u16) -> SegmentOut<'_> {
    let (src, dst) = if v6 { (PEER_V6, US_V6) } else { (PEER_V4, US_V4) };
    SegmentOut {
        src,
        dst,
        src_port: 40_000,
        dst_port: 80,
        seq: Seq(0xdead_beef),
        ack: Seq(0x0102_0304),
        flags: TcpFlags::ACK | TcpFlags::PSH,
        window: 501,
        options: OptionsOut::Any(options),
        payload_len,
        ip: IpFields::default(),
        checksum: ChecksumMode::Full,
    }
}

/// The bytes of a segment whose payload counts 1, 2, 3 …
pub fn tcp_frame(link: &LinkOut, segment: &SegmentOut<'_>) -> Vec<u8> {
    frame_bytes(|frame| {
        assert!(emit::tcp(frame, link, segment, |out| {
            assert_eq!(out.len(), usize::from(segment.payload_len));
            out.iter_mut().enumerate().for_each(|(i, b)| *b = (i as u8).wrapping_add(1));
        }));
    })
}

/// Parses what must be a segment.
pub fn parse_tcp(bytes: &[u8], options: ParseOptions) -> (LinkInfo, TcpSegment) {
    match parse(bytes, options) {
        Ok((info, Packet::Tcp(segment))) => (info, segment),
        other => panic!("not a segment: {other:?}\n{bytes:02x?}"),
    }
}

/// Why `bytes` has no effect, by an error or as a packet that nobody acts on.
pub fn reason(bytes: &[u8]) -> Option<DropReason> {
    match parse(bytes, VERIFY) {
        Ok((_, Packet::Other(reason))) | Err(reason) => Some(reason),
        Ok(_) => None,
    }
}

pub fn syn_options() -> TcpOptions {
    TcpOptions {
        mss: Some(1460),
        window_scale: Some(7),
        sack_permitted: true,
        timestamp: Some((0x1122_3344, 0)),
        ..TcpOptions::default()
    }
}

pub fn timestamps() -> TcpOptions {
    TcpOptions { timestamp: Some((0x1122_3344, 0x5566_7788)), ..TcpOptions::default() }
}

pub fn timestamps_and_sack(blocks: u8) -> TcpOptions {
    let block = |i: u32| SackBlock { start: Seq(i * 1000), end: Seq(i * 1000 + 500) };
    TcpOptions { sack: [block(1), block(2), block(3), block(4)], sack_len: blocks, ..timestamps() }
}

/// An IPv4 datagram from the peer to us in a frame, header checksum right.
pub fn ipv4_frame(protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut f = vec![];
    f.extend_from_slice(&US.0);
    f.extend_from_slice(&PEER.0);
    f.extend_from_slice(&[8, 0, 0x45, 0]);
    f.extend_from_slice(&(20 + body.len() as u16).to_be_bytes());
    f.extend_from_slice(&[0, 0, 0x40, 0, 64, protocol, 0, 0]);
    f.extend_from_slice(&PEER_V4.v4_bytes());
    f.extend_from_slice(&US_V4.v4_bytes());
    f.extend_from_slice(body);
    fix_ipv4_checksum(&mut f);
    f
}

/// Makes the header checksum of an untagged IPv4 frame right again, header length as it says.
pub fn fix_ipv4_checksum(frame: &mut [u8]) {
    let end = 14 + usize::from(frame[14] & 15) * 4;
    frame[24..26].fill(0);
    let sum = super::checksum::checksum(&frame[14..end]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
}

/// An IPv6 datagram from the peer to us in a frame.
pub fn ipv6_frame(next_header: u8, hop_limit: u8, body: &[u8]) -> Vec<u8> {
    let mut f = vec![];
    f.extend_from_slice(&US.0);
    f.extend_from_slice(&PEER.0);
    f.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0]);
    f.extend_from_slice(&(body.len() as u16).to_be_bytes());
    f.extend_from_slice(&[next_header, hop_limit]);
    f.extend_from_slice(&PEER_V6.0);
    f.extend_from_slice(&US_V6.0);
    f.extend_from_slice(body);
    f
}

/// An ICMP message (checksum made right) from the peer to us.
pub fn icmp_frame(message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    let sum = super::checksum::checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    ipv4_frame(1, &message)
}

/// An ICMPv6 message (checksum made right) from the peer to us.
pub fn icmpv6_frame(hop_limit: u8, message: &[u8]) -> Vec<u8> {
    let mut f = ipv6_frame(58, hop_limit, message);
    fix_icmpv6_checksum(&mut f);
    f
}

/// Makes the checksum of an untagged ICMPv6 frame without extension headers right again.
pub fn fix_icmpv6_checksum(frame: &mut [u8]) {
    frame[56..58].fill(0);
    let len = (frame.len() - 54) as u32;
    let sum = super::checksum::Sum::ZERO.bytes(&frame[22..54]).u32(len).u16(58).bytes(&frame[54..]);
    frame[56..58].copy_from_slice(&sum.finish());
}

/// The first bytes of the frame that `segment` makes from its IP header on: what an ICMP error quotes.
pub fn quote_of(v6: bool) -> Vec<u8> {
    let options = timestamps();
    let sent = SegmentOut {
        src: if v6 { US_V6 } else { US_V4 },
        dst: if v6 { PEER_V6 } else { PEER_V4 },
        ..segment(v6, &options, 100)
    };
    let ip_len = if v6 { 40 } else { 20 };
    tcp_frame(&TO_US, &sent)[14..14 + ip_len + 8].to_vec()
}

/// Valid frames of every kind the parser knows, with a name each.
pub fn every_kind() -> Vec<(&'static str, Vec<u8>)> {
    let (none, syn, ts, sack) = (TcpOptions::default(), syn_options(), timestamps(), timestamps_and_sack(3));
    let tagged = |count| LinkOut { vlan: VlanTags { count, ids: [100, if count == 2 { 7 } else { 0 }] }, ..TO_US };
    let mut frames = vec![
        ("arp request", frame_bytes(|f| assert!(emit::arp_request(f, &TO_US, PEER_V4, US_V4)))),
        ("arp reply", frame_bytes(|f| assert!(emit::arp_reply(f, &TO_US, PEER_V4, US_V4)))),
        ("echo", icmp_frame(&[8, 0, 0, 0, 1, 2, 0, 1, 9, 9, 9])),
        ("echo v6", icmpv6_frame(64, &[128, 0, 0, 0, 1, 2, 0, 1, 9, 9, 9])),
        ("unreachable", icmp_frame(&[&[3, 3, 0, 0, 0, 0, 0, 0][..], &quote_of(false)].concat())),
        ("unreachable v6", icmpv6_frame(64, &[&[1, 4, 0, 0, 0, 0, 0, 0][..], &quote_of(true)].concat())),
        ("too big", icmpv6_frame(64, &[&[2, 0, 0, 0, 0, 0, 5, 0][..], &quote_of(true)].concat())),
        ("solicitation", frame_bytes(|f| assert!(emit::ndp_solicitation(f, &TO_US, PEER_V6, US_V6)))),
        ("advertisement", frame_bytes(|f| assert!(emit::ndp_advertisement(f, &TO_US, PEER_V6, US_V6)))),
        ("with extensions", with_extensions(&[(0, &[0, 0, 5, 2, 0, 0, 1, 0]), (60, &[0, 0, 1, 4, 0, 0, 0, 0])])),
    ];
    for v6 in [false, true] {
        frames.extend([
            ("segment", tcp_frame(&TO_US, &segment(v6, &none, 11))),
            ("segment with timestamps", tcp_frame(&tagged(1), &segment(v6, &ts, 64))),
            ("segment with sack", tcp_frame(&tagged(2), &segment(v6, &sack, 0))),
            ("syn", tcp_frame(&TO_US, &SegmentOut { flags: TcpFlags::SYN, ..segment(v6, &syn, 0) })),
        ]);
    }
    frames
}

/// An IPv6 segment with extension headers (kind, bytes; the next-header byte is filled in) in front of TCP.
pub fn with_extensions(headers: &[(u8, &[u8])]) -> Vec<u8> {
    let plain = tcp_frame(&TO_US, &segment(true, &timestamps(), 5));
    let mut f = plain[..54].to_vec();
    let mut next_header_at = 20;
    for (kind, bytes) in headers {
        f[next_header_at] = *kind;
        next_header_at = f.len();
        f.extend_from_slice(bytes);
    }
    f[next_header_at] = 6;
    f.extend_from_slice(&plain[54..]);
    let payload_len = (f.len() - 54) as u16;
    f[18..20].copy_from_slice(&payload_len.to_be_bytes());
    f
}
