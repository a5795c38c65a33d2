//! What is emitted is parsed back as what was meant.

use super::emit::{self, ChecksumMode, IpFields, LinkOut, OptionsOut, SegmentOut, options_len};
use super::parse::{LinkInfo, Ndp, Packet, VlanTags, parse, peek_tuple};
use super::segment::SackBlock;
use super::test_frames::*;
use super::{Addr, FastOpenCookie, Mac, Seq, TcpFlags, TcpOptions, TcpSegment};
use crate::base::{Frame, FramePool};
use proptest::prelude::*;

fn any_options(syn: bool) -> impl Strategy<Value = TcpOptions> {
    (
        any::<Option<u16>>(),
        any::<Option<u8>>(),
        any::<bool>(),
        any::<Option<(u32, u32)>>(),
        any::<[(u32, u32); 4]>(),
        0u8..=4,
    )
        .prop_map(move |(mss, window_scale, permitted, timestamp, sack, sack_len)| {
            let block = |i: usize| match i < usize::from(sack_len) {
                true => SackBlock { start: Seq(sack[i].0), end: Seq(sack[i].1) },
                false => SackBlock::default(),
            };
            TcpOptions {
                mss: mss.filter(|_| syn),
                window_scale: window_scale.filter(|_| syn),
                sack_permitted: permitted && syn,
                timestamp,
                sack: [block(0), block(1), block(2), block(3)],
                sack_len,
                fast_open: None,
            }
        })
}

fn any_address(v6: bool) -> BoxedStrategy<Addr> {
    if v6 {
        any::<[u8; 15]>()
            .prop_map(|b| {
                let mut a = [0x20; 16];
                a[1..].copy_from_slice(&b);
                Addr(a)
            })
            .boxed()
    } else {
        (0x0100_0000u32..0x7f00_0000).prop_map(|a| Addr::v4(a.to_be_bytes())).boxed()
    }
}

fn any_vlan() -> impl Strategy<Value = VlanTags> {
    (0u8..=2, 1u16..0xfff, 1u16..0xfff).prop_map(|(count, a, b)| match count {
        0 => NO_VLAN,
        1 => VlanTags { count, ids: [a, 0] },
        _ => VlanTags { count, ids: [a, b] },
    })
}

/// A segment as the parser should report it (its options not yet cut to the room), with its link header.
fn any_segment() -> impl Strategy<Value = (LinkOut, TcpSegment)> {
    let ends = any::<bool>().prop_flat_map(|v6| (any_address(v6), any_address(v6), 1u16.., 1u16..));
    let flags = any::<u8>().prop_flat_map(|flags| (Just(TcpFlags(flags)), any_options(TcpFlags(flags).syn())));
    let numbers = any::<(u32, u32, u16)>();
    let payload_len = prop_oneof![0u16..80, 0u16..1500];
    let link = (any::<([u8; 6], [u8; 6])>(), any_vlan());
    (ends, flags, numbers, payload_len, link).prop_map(|(ends, (flags, options), numbers, payload_len, link)| {
        let (src, dst, src_port, dst_port) = ends;
        let (seq, ack, window) = (Seq(numbers.0), Seq(numbers.1), numbers.2);
        let ((src_mac, dst_mac), vlan) = link;
        let link = LinkOut { src: Mac(src_mac), dst: Mac(dst_mac), vlan };
        let segment = TcpSegment {
            src,
            dst,
            src_port,
            dst_port,
            seq,
            ack,
            flags,
            window,
            options,
            payload_start: 0,
            payload_len,
            ecn: 0,
        };
        (link, segment)
    })
}

fn out_of(s: &TcpSegment, checksum: ChecksumMode) -> SegmentOut<'_> {
    SegmentOut {
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
        checksum,
    }
}

/// What a receiver sees of `options`: SACK blocks without room are gone.
fn as_received(options: &TcpOptions) -> TcpOptions {
    let mut fixed = *options;
    fixed.sack_len = 0;
    let room = (40usize.saturating_sub(options_len(&fixed) + 4) / 8).min(4) as u8;
    fixed.sack_len = options.sack_len.min(room);
    for block in &mut fixed.sack[usize::from(fixed.sack_len)..] {
        *block = SackBlock::default();
    }
    fixed
}

/// Does the device's part of checksum offloading.
fn complete_checksum(frame: &mut Frame) {
    let (start, offset) = frame.checksum_request().expect("offload asks the device");
    let (start, field) = (usize::from(start), usize::from(start + offset));
    let sum = super::checksum::checksum(&frame.bytes()[start..]);
    frame.bytes_mut()[field..field + 2].copy_from_slice(&sum.to_be_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_segment_comes_back_as_it_was_meant((link, mut segment) in any_segment()) {
        let mut bytes = tcp_frame(&link, &out_of(&segment, ChecksumMode::Full));
        segment.options = as_received(&segment.options);
        segment.payload_start = (bytes.len() - usize::from(segment.payload_len)) as u16;
        let (info, got) = parse_tcp(&bytes, VERIFY);
        prop_assert_eq!(got, segment);
        prop_assert_eq!((info.src, info.dst, info.vlan), (link.src, link.dst, link.vlan));
        prop_assert_eq!(peek_tuple(&bytes), Some((segment.src, segment.dst, segment.src_port, segment.dst_port)));
        let payload = &bytes[usize::from(got.payload_start)..][..usize::from(got.payload_len)];
        prop_assert!(payload.iter().enumerate().all(|(i, &b)| b == (i as u8).wrapping_add(1)));
        // Padding of short frames, and whatever else trails the datagram, is not payload.
        bytes.extend_from_slice(&[0xaa; 9]);
        prop_assert_eq!(parse_tcp(&bytes, VERIFY).1, segment);
    }

    #[test]
    fn a_device_completes_the_checksum_to_the_same_bytes((link, segment) in any_segment()) {
        let full = tcp_frame(&link, &out_of(&segment, ChecksumMode::Full));
        let offloaded = frame_bytes(|frame| {
            let out = out_of(&segment, ChecksumMode::Offload);
            assert!(emit::tcp(frame, &link, &out, |p| p.iter_mut().enumerate().for_each(|(i, b)| *b = (i as u8).wrapping_add(1))));
            complete_checksum(frame);
        });
        prop_assert_eq!(full, offloaded);
    }

    #[test]
    fn a_neighbour_solicitation_and_its_answer_come_back(
        src in any_address(true), target in any_address(true), vlan in any_vlan(), unicast: bool,
    ) {
        let link = match unicast {
            true => LinkOut { src: PEER, dst: US, vlan },
            false => LinkOut::solicited_node(PEER, vlan, &target),
        };
        let bytes = frame_bytes(|f| assert!(emit::ndp_solicitation(f, &link, src, target)));
        let Ok((info, Packet::Ndp(ndp))) = parse(&bytes, VERIFY) else { panic!("not NDP: {bytes:02x?}") };
        prop_assert_eq!((ndp.is_solicitation, ndp.src, ndp.target, ndp.link_addr), (true, src, target, Some(PEER)));
        prop_assert_eq!(ndp.dst, if unicast { target } else { target.solicited_node() });
        let answer = frame_bytes(|f| assert!(emit::ndp_reply(f, &info, US, &ndp)));
        let Ok((info, Packet::Ndp(ndp))) = parse(&answer, VERIFY) else { panic!("not NDP: {answer:02x?}") };
        prop_assert_eq!((info.src, info.dst, info.vlan), (US, PEER, vlan));
        prop_assert_eq!((ndp.is_solicitation, ndp.solicited, ndp.override_flag), (false, true, true));
        prop_assert_eq!((ndp.src, ndp.dst, ndp.target, ndp.link_addr), (target, src, target, Some(US)));
    }
}

#[test]
fn a_probe_for_duplicates_is_answered_to_all_nodes() {
    let link = LinkOut::solicited_node(PEER, NO_VLAN, &US_V6);
    assert_eq!(link.dst, Mac([0x33, 0x33, 0xff, 0, 0, 1]));
    let probe = frame_bytes(|f| assert!(emit::ndp_solicitation(f, &link, Addr::UNSPECIFIED_V6, US_V6)));
    let Ok((info, Packet::Ndp(ndp))) = parse(&probe, VERIFY) else { panic!("not NDP: {probe:02x?}") };
    assert_eq!((ndp.src, ndp.dst, ndp.link_addr), (Addr::UNSPECIFIED_V6, US_V6.solicited_node(), None));
    let answer = frame_bytes(|f| assert!(emit::ndp_reply(f, &info, US, &ndp)));
    let Ok((info, Packet::Ndp(ndp))) = parse(&answer, VERIFY) else { panic!("not NDP: {answer:02x?}") };
    assert_eq!(info.dst, Mac([0x33, 0x33, 0, 0, 0, 1]));
    assert_eq!((ndp.solicited, ndp.link_addr), (false, Some(US)));
    assert_eq!(ndp.dst.to_ip().to_string(), "ff02::1");
}

#[test]
fn a_solicitation_is_answered_to_the_address_it_names_or_else_to_its_sender() {
    let named = Mac([2, 9, 9, 9, 9, 9]);
    for (link_addr, want) in [(Some(named), named), (None, PEER)] {
        let asked = Ndp {
            is_solicitation: true,
            src: PEER_V6,
            dst: US_V6,
            target: US_V6,
            link_addr,
            solicited: false,
            override_flag: false,
        };
        let info = LinkInfo { src: PEER, dst: US, vlan: NO_VLAN };
        let answer = frame_bytes(|f| assert!(emit::ndp_reply(f, &info, US, &asked)));
        assert_eq!(answer[..12], [want.0, US.0].concat());
    }
}

#[test]
fn options_stand_in_the_order_of_linux() {
    let bytes = |options: &TcpOptions| {
        let f = tcp_frame(&TO_US, &SegmentOut { flags: TcpFlags::SYN, ..segment(false, options, 0) });
        assert_eq!(f.len(), 54 + options_len(options));
        f[54..].to_vec()
    };
    let syn = syn_options();
    assert_eq!(bytes(&syn), [2, 4, 5, 180, 4, 2, 8, 10, 0x11, 0x22, 0x33, 0x44, 0, 0, 0, 0, 1, 3, 3, 7]);
    assert_eq!(bytes(&TcpOptions { timestamp: None, ..syn }), [2, 4, 5, 180, 1, 1, 4, 2, 1, 3, 3, 7]);
    let bare = TcpOptions { sack_permitted: false, window_scale: None, ..syn };
    assert_eq!(bytes(&bare), [2, 4, 5, 180, 1, 1, 8, 10, 0x11, 0x22, 0x33, 0x44, 0, 0, 0, 0]);
    let sack = TcpOptions { timestamp: None, ..timestamps_and_sack(1) };
    assert_eq!(bytes(&sack), [1, 1, 5, 10, 0, 0, 3, 232, 0, 0, 5, 220]);
    assert_eq!(bytes(&TcpOptions::default()), []);
    assert_eq!(TcpOptions::NONE, TcpOptions::default());
}

#[test]
fn fast_open_cookies_come_back_as_they_were_beside_all_other_options_of_a_syn() {
    for experimental in [false, true] {
        for len in [0, 4, 6, 8, 10, 12, 14, 16] {
            let cookie: Vec<u8> = (1..=len).collect();
            let fast_open = FastOpenCookie::new(&cookie, experimental);
            for options in [TcpOptions::default(), syn_options(), TcpOptions { timestamp: None, ..syn_options() }] {
                let options = TcpOptions { fast_open, ..options };
                let f = tcp_frame(&TO_US, &SegmentOut { flags: TcpFlags::SYN, ..segment(false, &options, 5) });
                let (_, got) = parse_tcp(&f, VERIFY);
                assert_eq!((got.options, got.payload_len), (options, 5));
                // Where there is no SYN it means nothing.
                let f = tcp_frame(&TO_US, &segment(false, &options, 5));
                assert_eq!(parse_tcp(&f, VERIFY).1.options.fast_open, None);
            }
        }
    }
}

#[test]
fn diffserv_and_hop_limit_are_written_and_change_nothing_else() {
    let ip = IpFields { diffserv: 0xb8, hop_limit: 7 };
    for v6 in [false, true] {
        let options = timestamps();
        let usual = segment(v6, &options, 10);
        let marked = tcp_frame(&TO_US, &SegmentOut { ip, ..usual });
        assert_eq!(parse_tcp(&marked, VERIFY), parse_tcp(&tcp_frame(&TO_US, &usual), VERIFY), "IPv6 {v6}");
        let (class, hops) = match v6 {
            false => (marked[15], marked[22]),
            true => (marked[14] << 4 | marked[15] >> 4, marked[21]),
        };
        assert_eq!((class, hops), (0xb8, 7));
    }
}

#[test]
fn ecn_bits_come_back_as_they_were_and_congestion_marks_keep_the_frame_whole() {
    for v6 in [false, true] {
        for ecn in 0..4 {
            let options = timestamps();
            let mut f =
                tcp_frame(&TO_US, &SegmentOut { ip: IpFields::default().with_ecn(ecn), ..segment(v6, &options, 77) });
            assert_eq!(parse_tcp(&f, VERIFY).1.ecn, ecn);
            let marked = crate::io::sim::mark::mark(&mut f);
            assert_eq!(marked, ecn == 1 || ecn == 2);
            assert_eq!(parse_tcp(&f, VERIFY).1.ecn, if ecn == 0 { 0 } else { 3 });
        }
    }
}

#[test]
fn sack_blocks_without_room_are_left_out() {
    assert_eq!(options_len(&timestamps_and_sack(4)), 40);
    assert_eq!(options_len(&TcpOptions { timestamp: None, ..timestamps_and_sack(4) }), 36);
    let f = tcp_frame(&TO_US, &segment(true, &timestamps_and_sack(4), 1));
    let (_, got) = parse_tcp(&f, VERIFY);
    assert_eq!(got.options.sack_blocks(), timestamps_and_sack(3).sack_blocks());
    assert_eq!(got.payload_len, 1);
    let crowded = TcpOptions { sack: timestamps_and_sack(4).sack, sack_len: 200, ..syn_options() };
    assert_eq!(options_len(&crowded), 40);
    let f = tcp_frame(&TO_US, &SegmentOut { flags: TcpFlags::SYN, ..segment(false, &crowded, 0) });
    assert_eq!(parse_tcp(&f, VERIFY).1.options.sack_len, 2);
}

#[test]
fn the_fixed_fields_are_as_documented() {
    let f = tcp_frame(&TO_US, &segment(false, &TcpOptions::default(), 3));
    assert_eq!(f[14..24], [0x45, 0, 0, 43, 0, 0, 0x40, 0, 64, 6]);
    let f = tcp_frame(&TO_US, &segment(true, &TcpOptions::default(), 3));
    assert_eq!(f[14..22], [0x60, 0, 0, 0, 0, 23, 6, 64]);
}

#[test]
fn what_does_not_fit_leaves_an_empty_frame() {
    let mut pool = FramePool::heap(1, 64 + 14 + 20 + 32 + 10);
    let mut frame = pool.alloc().expect("a pool of one frame has one");
    let options = timestamps();
    assert!(emit::tcp(&mut frame, &TO_US, &segment(false, &options, 10), |out| out.fill(1)));
    assert!(!emit::tcp(&mut frame, &TO_US, &segment(false, &options, 11), |_| panic!("no room to fill")));
    assert!(frame.is_empty());
    let mixed = SegmentOut { dst: US_V6, ..segment(false, &options, 0) };
    assert!(!emit::tcp(&mut frame, &TO_US, &mixed, |_| panic!("families differ")));
    assert!(frame.is_empty());
    pool.free(frame);
    let mut pool = FramePool::heap(1, 80_000);
    let mut frame = pool.alloc().expect("a pool of one frame has one");
    for v6 in [false, true] {
        assert!(!emit::tcp(&mut frame, &TO_US, &segment(v6, &options, 65_500), |_| panic!("too long for IP")));
        assert!(frame.is_empty());
    }
    pool.free(frame);
}

#[test]
fn a_frame_written_anew_keeps_no_checksum_request_of_before() {
    let options = timestamps();
    frame_bytes(|frame| {
        let offload = SegmentOut { checksum: ChecksumMode::Offload, ..segment(false, &options, 0) };
        assert!(emit::tcp(frame, &TO_US, &offload, |_| ()));
        assert_eq!(frame.checksum_request(), Some((34, 16)));
        assert!(emit::tcp(frame, &TO_US, &segment(false, &options, 0), |_| ()));
        assert_eq!(frame.checksum_request(), None);
    });
}

#[test]
fn a_received_frame_keeps_its_place_unless_room_runs_out_in_front_or_behind() {
    let options = timestamps();
    let mut pool = FramePool::heap(1, 2048);
    for (start, payload_len, want) in [(256, 1448, 256), (256, 1800, 64), (64, 1448, 64), (63, 0, 64), (0, 0, 64)] {
        let mut frame = pool.alloc_at(start).expect("a pool of one frame has one");
        assert!(emit::tcp(&mut frame, &TO_US, &segment(false, &options, payload_len), |out| out.fill(7)));
        assert_eq!(frame.start(), want, "start {start}, {payload_len} bytes");
        assert_eq!(parse_tcp(frame.bytes(), VERIFY).1.payload_len, payload_len);
        pool.free(frame);
    }
}

#[test]
fn an_echo_request_is_answered_in_place_in_both_families() {
    for (name, request) in [
        ("v4", icmp_frame(&[8, 0, 0, 0, 1, 2, 0, 1, 9, 9, 9])),
        ("v6", icmpv6_frame(255, &[128, 0, 0, 0, 1, 2, 0, 1, 9, 9, 9])),
    ] {
        let padded = [&request[..], &[0xaa; 20]].concat();
        let reply = with_received(&padded, |f| assert!(emit::echo_reply_in_place(f)));
        assert_eq!(reply.len(), request.len(), "{name}: padding is not sent back");
        let v4 = name == "v4";
        let (swapped, kind, body) = match v4 {
            true => (ipv4_frame(1, &[]), 0, 34),
            false => (ipv6_frame(58, 64, &[]), 129, 54),
        };
        assert_eq!(reply[..12], [PEER.0, US.0].concat(), "{name}");
        assert_eq!(reply[body..body + 2], [kind, 0], "{name}");
        assert_eq!(reply[body + 4..], request[body + 4..], "{name}: identifier, number and data as they came");
        let (addresses, len) = if v4 { (26, 4) } else { (22, 16) };
        assert_eq!(reply[addresses..addresses + len], swapped[addresses + len..addresses + 2 * len], "{name}");
        // A parser that verifies checksums sees an echo reply, which it ignores.
        assert_eq!(reason(&reply), Some(crate::base::DropReason::IcmpIgnored), "{name}");
    }
}

#[test]
fn an_echo_reply_keeps_the_service_class_but_not_the_ecn_bits() {
    let mut v4 = icmp_frame(&[8, 0, 0, 0, 1, 2, 0, 1]);
    v4[15] = 0xbb;
    fix_ipv4_checksum(&mut v4);
    assert_eq!(with_received(&v4, |f| assert!(emit::echo_reply_in_place(f)))[15], 0xb8);
    let mut v6 = icmpv6_frame(64, &[128, 0, 0, 0, 1, 2, 0, 1]);
    v6[14..18].copy_from_slice(&[0x6b, 0xb1, 2, 3]);
    assert_eq!(with_received(&v6, |f| assert!(emit::echo_reply_in_place(f)))[14..18], [0x6b, 0x80, 0, 0]);
}

#[test]
fn only_a_plain_echo_request_to_one_host_is_turned_round() {
    let request = icmp_frame(&[8, 0, 0, 0, 1, 2, 0, 1]);
    let edit = |f: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = request.clone();
        f(&mut bytes);
        fix_ipv4_checksum(&mut bytes);
        bytes
    };
    let with_options = edit(&|b| {
        b[14] = 0x46;
        b[17] += 4;
        b.splice(34..34, [1, 1, 1, 0]);
    });
    let cases = [
        ("a segment", tcp_frame(&TO_US, &segment(false, &timestamps(), 1))),
        ("a reply", icmp_frame(&[0, 0, 0, 0, 1, 2, 0, 1])),
        ("with IP options", with_options),
        ("to an IP group", edit(&|b| b[30] = 224)),
        ("to a link group", edit(&|b| b[0] = 1)),
        ("too short", request[..40].to_vec()),
        ("an IPv6 error", icmpv6_frame(64, &[1, 0, 0, 0, 0, 0, 0, 0])),
        ("ARP", frame_bytes(|f| assert!(emit::arp_request(f, &TO_US, PEER_V4, US_V4)))),
    ];
    for (name, bytes) in cases {
        let left = with_received(&bytes, |f| assert!(!emit::echo_reply_in_place(f), "{name}"));
        assert_eq!(left, bytes, "{name} stays as it was");
    }
}
