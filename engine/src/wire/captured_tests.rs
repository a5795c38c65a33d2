//! Frames captured between two Linux 6.18 hosts (tcpdump over a veth pair, checksum offload off): the kernel's
//! bytes are understood, and what we would have sent in its place is the same, byte for byte, but for the
//! identification of IPv4 and the flow label of IPv6.

use super::emit::{self, IpFields, LinkOut, OptionsOut, SegmentOut};
use super::parse::{Arp, IcmpErrorKind, Packet, parse};
use super::segment::SackBlock;
use super::test_frames::*;
use super::{Mac, Seq, TcpFlags, TcpOptions, TcpSegment};
use crate::base::DropReason;

/// 198.18.0.1:41244 opens to 198.18.0.2:80, which answers; the client sends "world".
const SYN: &str = "02000000000202000000000108004500003ca249400040060c4bc6120001c6120002a11c00505407547800000000\
    a002faf019750000020405b40402080a1d3b4048000000000103030a";
const SYN_ACK: &str = "02000000000102000000000208004500003c000040004006ae94c6120002c61200010050a11cc9a6011d54075479\
    a012fe883bcc0000020405b40402080a30aade911d3b40480103030a";
const DATA: &str = "020000000002020000000001080045000039a24b400040060c4cc6120001c6120002a11c005054075479c9a6011e\
    8018003f1afc00000101080a1d3b404830aade91776f726c64";
const FIN: &str = "020000000002020000000001080045000034a24d400040060c4fc6120001c6120002a11c00505407547ec9a60129\
    8011003f68d100000101080a1d3b404b30aade91";
/// An acknowledgement after three losses.
const SACK: &str = "0200000000010200000000020800450000507739400040063747c6120002c6120001005298a2f77651734254\
    92c0f010004bac6700000101080a38d87bc6cbfa87c80101051a4254cb504254d0f84254ba584254c5a84254a9604254b4b0";
/// The same opening from [2001:2::1]:48286 to [2001:2::2]:80.
const SYN_V6: &str = "02000000000202000000000186dd600b750900280640200100020000000000000000000000012001000200000000\
    0000000000000002bc9e005011ddaf7200000000a002fd200f170000020405a00402080a4f892e09000000000103030a";
const SYN_ACK_V6: &str = "02000000000102000000000286dd6001c392002806402001000200000000000000000000000220010002000000\
    0000000000000000010050bc9e7e4574fb11ddaf73a012fb04b6ec0000020405a00402080a4488226c4f892e090103030a";
const DATA_V6: &str = "02000000000202000000000186dd600b750900250640200100020000000000000000000000012001000200000000\
    0000000000000002bc9e005011ddaf737e4574fc80180040928300000101080a4f892e094488226c776f726c64";
const ARP_REQUEST: &str = "ffffffffffff02000000000108060001080006040001020000000001c6120001000000000000c6120002";
const ARP_REPLY: &str = "02000000000102000000000208060001080006040002020000000002c6120002020000000001c6120001";
const SOLICITATION: &str = "3333ff00000202000000000186dd6000000000203aff20010002000000000000000000000001ff0200000000\
    000000000001ff0000028700379300000000200100020000000000000000000000020101020000000001";
const ADVERTISEMENT: &str = "02000000000102000000000286dd6000000000203aff200100020000000000000000000000022001000200\
    00000000000000000000018800b39360000000200100020000000000000000000000020201020000000002";
const PING: &str = "020000000002020000000001080045000054472640004001675bc6120001c61200020800891248b7000130ce026b00000000\
    27290d0000000000101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637";
const PONG: &str = "02000000000102000000000208004500005411fc00004001dc85c6120002c61200010000911248b7000130ce026b00000000\
    27290d0000000000101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637";
const PING_V6: &str = "02000000000202000000000186dd600336ed00403a40200100020000000000000000000000012001000200000000\
    00000000000000028000184d48b8000130ce026b00000000df690d0000000000101112131415161718191a1b1c1d1e1f20212223242526\
    2728292a2b2c2d2e2f3031323334353637";
const PONG_V6: &str = "02000000000102000000000286dd600c645800403a40200100020000000000000000000000022001000200000000\
    00000000000000018100174d48b8000130ce026b00000000df690d0000000000101112131415161718191a1b1c1d1e1f20212223242526\
    2728292a2b2c2d2e2f3031323334353637";
/// A SYN to port 81, rejected by a packet filter with "port unreachable".
const UNREACHABLE: &str = "020000000001020000000002080045c0005812a600004001db17c6120002c61200010303895300000000450000\
    3cd91640004006d57dc6120001c6120002a74a0051f560312a00000000a002faf07b8f0000020405b40402080a2bda4b5400000000\
    0103030a";
const UNREACHABLE_V6: &str = "02000000000102000000000286dd600fd76500583a4020010002000000000000000000000002200100020000\
    00000000000000000001010494e2000000006002c34100280640200100020000000000000000000000012001000200000000000000000000\
    000296f4005182e4984d00000000a002fd20f5cd0000020405a00402080a3a27287b000000000103030a";
/// A multicast listener report, behind a hop-by-hop header with a router alert.
const LISTENER_REPORT: &str = "33330000001602000000000286dd6000000000240001fe80000000000000000000fffe000002ff020000000000\
    0000000000000000163a000502000001008f0072050000000104000000ff0200000000000000000001ff000002";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().map(|c| c.to_digit(16).expect("hexadecimal") as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// The kernel's frame as we would have sent it: identification 0 and DF in IPv4, flow label 0 in IPv6.
fn as_ours(hex: &str) -> Vec<u8> {
    let mut b = bytes(hex);
    match b[12..14] {
        [8, 0] => {
            b[18..22].copy_from_slice(&[0, 0, 0x40, 0]);
            fix_ipv4_checksum(&mut b);
        }
        _ => b[15..18].copy_from_slice(&[0; 3]),
    }
    b
}

fn segment_of(hex: &str) -> TcpSegment {
    parse_tcp(&bytes(hex), VERIFY).1
}

#[test]
fn the_kernels_handshake_says_what_tcpdump_says() {
    let syn = segment_of(SYN);
    assert_eq!((syn.src, syn.dst, syn.src_port, syn.dst_port), (US_V4, PEER_V4, 41_244, 80));
    assert_eq!((syn.seq, syn.ack, syn.window, syn.payload_len), (Seq(0x5407_5478), Seq(0), 64_240, 0));
    assert_eq!(syn.flags, TcpFlags::SYN);
    let options = TcpOptions {
        mss: Some(1460),
        window_scale: Some(10),
        sack_permitted: true,
        timestamp: Some((0x1d3b_4048, 0)),
        ..TcpOptions::default()
    };
    assert_eq!(syn.options, options);
    assert_eq!(segment_of(SYN_ACK).flags, TcpFlags::SYN | TcpFlags::ACK);
    assert_eq!(segment_of(SYN_ACK).ack, syn.end());
    assert_eq!((segment_of(FIN).flags, segment_of(FIN).seq_len()), (TcpFlags::FIN | TcpFlags::ACK, 1));

    let syn = segment_of(SYN_V6);
    assert_eq!((syn.src, syn.dst, syn.src_port, syn.dst_port), (US_V6, PEER_V6, 48_286, 80));
    let timestamp = Some((0x4f89_2e09, 0));
    assert_eq!(syn.options, TcpOptions { mss: Some(1440), timestamp, ..options });
    assert_eq!(segment_of(SYN_ACK_V6).ack, syn.end());
}

#[test]
fn the_kernels_data_lies_where_the_segment_says() {
    for hex in [DATA, DATA_V6] {
        let (b, s) = (bytes(hex), segment_of(hex));
        assert_eq!(&b[usize::from(s.payload_start)..][..usize::from(s.payload_len)], b"world");
        assert_eq!(s.flags, TcpFlags::PSH | TcpFlags::ACK);
    }
}

#[test]
fn the_kernels_sack_blocks_are_read() {
    let block = |start, end| SackBlock { start: Seq(start), end: Seq(end) };
    let want = [block(0x4254_cb50, 0x4254_d0f8), block(0x4254_ba58, 0x4254_c5a8), block(0x4254_a960, 0x4254_b4b0)];
    assert_eq!(segment_of(SACK).options.sack_blocks(), want);
}

#[test]
fn our_segments_are_the_kernels_bytes() {
    for hex in [SYN, SYN_ACK, DATA, FIN, SACK, SYN_V6, SYN_ACK_V6, DATA_V6] {
        let (info, s) = parse_tcp(&bytes(hex), VERIFY);
        let out = SegmentOut {
            src: s.src,
            dst: s.dst,
            src_port: s.src_port,
            dst_port: s.dst_port,
            seq: s.seq,
            ack: s.ack,
            flags: s.flags,
            window: s.window,
            options: OptionsOut::Any(&s.options),
            payload_len: s.payload_len,
            ip: IpFields::default(),
            checksum: emit::ChecksumMode::Full,
        };
        let link = LinkOut { src: info.src, dst: info.dst, vlan: info.vlan };
        let ours = frame_bytes(|f| {
            assert!(emit::tcp(f, &link, &out, |p| p.copy_from_slice(&b"world"[..usize::from(s.payload_len)])))
        });
        assert_eq!(ours, as_ours(hex));
    }
}

#[test]
fn our_arp_is_the_kernels_bytes() {
    let want = Arp { is_request: true, sender_mac: US, sender: US_V4, target_mac: Mac::ZERO, target: PEER_V4 };
    assert_eq!(parse(&bytes(ARP_REQUEST), VERIFY).map(|p| p.1), Ok(Packet::Arp(want)));
    let ours = frame_bytes(|f| assert!(emit::arp_request(f, &LinkOut::broadcast(US, NO_VLAN), US_V4, PEER_V4)));
    assert_eq!(ours, bytes(ARP_REQUEST));
    let reply = with_received(&ours, |f| assert!(emit::arp_reply_in_place(f, PEER)));
    assert_eq!(reply, bytes(ARP_REPLY));
}

#[test]
fn our_neighbour_discovery_is_the_kernels_bytes() {
    let link = LinkOut::solicited_node(US, NO_VLAN, &PEER_V6);
    let ours = frame_bytes(|f| assert!(emit::ndp_solicitation(f, &link, US_V6, PEER_V6)));
    assert_eq!(ours, bytes(SOLICITATION));
    let Ok((info, Packet::Ndp(asked))) = parse(&ours, VERIFY) else { panic!("not NDP") };
    let answer = frame_bytes(|f| assert!(emit::ndp_reply(f, &info, PEER, &asked)));
    assert_eq!(answer, bytes(ADVERTISEMENT));
}

#[test]
fn our_echo_replies_are_the_kernels_bytes() {
    for (ping, pong) in [(PING, PONG), (PING_V6, PONG_V6)] {
        let reply = with_received(&bytes(ping), |f| assert!(emit::echo_reply_in_place(f)));
        assert_eq!(reply, as_ours(pong));
    }
}

#[test]
fn the_kernels_icmp_errors_name_the_rejected_segment() {
    for (hex, local, remote, port, seq) in [
        (UNREACHABLE, US_V4, PEER_V4, 42_826, Seq(0xf560_312a)),
        (UNREACHABLE_V6, US_V6, PEER_V6, 38_644, Seq(0x82e4_984d)),
    ] {
        let Ok((_, Packet::IcmpError(e))) = parse(&bytes(hex), VERIFY) else { panic!("not an error: {hex}") };
        assert_eq!((e.kind, e.reporter, e.local, e.remote), (IcmpErrorKind::Refused, remote, local, remote));
        assert_eq!((e.local_port, e.remote_port, e.seq), (port, 81, seq));
    }
}

#[test]
fn the_kernels_listener_reports_are_ignored() {
    assert_eq!(reason(&bytes(LISTENER_REPORT)), Some(DropReason::IcmpIgnored));
}
