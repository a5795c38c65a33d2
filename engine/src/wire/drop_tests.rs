//! Every reason for which the parser refuses or ignores a frame, with the frames that have it; and what ICMP
//! errors and odd but lawful headers come to.

use super::parse::{IcmpError, IcmpErrorKind, Ndp, Packet, parse};
use super::test_frames::*;
use super::{Addr, Seq, TcpFlags, TcpOptions};
use crate::base::DropReason::{self, *};

/// An untagged IPv4 segment, changed by `f`, its header checksum made right again.
fn v4(f: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = tcp_frame(&TO_US, &super::test_frames::segment(false, &timestamps(), 10));
    f(&mut bytes);
    fix_ipv4_checksum(&mut bytes);
    bytes
}

fn v6(f: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = tcp_frame(&TO_US, &super::test_frames::segment(true, &timestamps(), 10));
    f(&mut bytes);
    bytes
}

/// An IPv4 segment whose TCP header was changed and its checksum made right again.
fn tcp(f: impl FnOnce(&mut [u8])) -> Vec<u8> {
    v4(|b| {
        let len = (b.len() - 34) as u32;
        f(&mut b[34..]);
        b[50..52].fill(0);
        let sum = super::checksum::pseudo_header(&PEER_V4, &US_V4, 6, len).bytes(&b[34..]).finish();
        b[50..52].copy_from_slice(&sum);
    })
}

/// An IPv4 segment with these twelve bytes of options.
fn options(bytes: [u8; 12]) -> Vec<u8> {
    tcp(|b| b[20..32].copy_from_slice(&bytes))
}

fn ndp(edit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut b = frame_bytes(|f| assert!(super::emit::ndp_solicitation(f, &TO_US, PEER_V6, US_V6)));
    edit(&mut b);
    let payload_len = (b.len() - 54) as u16;
    b[18..20].copy_from_slice(&payload_len.to_be_bytes());
    fix_icmpv6_checksum(&mut b);
    b
}

fn arp(edit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut b = frame_bytes(|f| assert!(super::emit::arp_request(f, &TO_US, PEER_V4, US_V4)));
    edit(&mut b);
    b
}

fn check(cases: Vec<(&str, DropReason, Vec<u8>)>) {
    for (name, want, bytes) in cases {
        assert_eq!(reason(&bytes), Some(want), "{name}: {bytes:02x?}");
    }
}

#[test]
fn the_frames_that_the_cases_start_from_are_good() {
    for (name, bytes) in every_kind() {
        assert_eq!(reason(&bytes), None, "{name}");
    }
    for bytes in [v4(|_| ()), v6(|_| ()), tcp(|_| ()), ndp(|_| ()), arp(|_| ()), options([1; 12])] {
        assert_eq!(reason(&bytes), None, "{bytes:02x?}");
    }
}

#[test]
fn link_and_arp_reasons() {
    check(vec![
        ("nothing", FrameTooShort, vec![]),
        ("half a link header", FrameTooShort, v4(|_| ())[..13].to_vec()),
        ("cut in a tag", FrameTooShort, [&[2; 12][..], &[0x81, 0, 0]].concat()),
        (
            "LLDP",
            EtherTypeUnknown,
            v4(|_| ()).iter().enumerate().map(|(i, &b)| if i == 12 { 0x88 } else { b }).collect(),
        ),
        ("802.3 length", EtherTypeUnknown, [&[2; 12][..], &[0, 40], &[0; 40]].concat()),
        ("three tags", EtherTypeUnknown, [&[2; 12][..], &[0x81, 0, 0, 1].repeat(3), &[8, 0]].concat()),
        ("ARP cut off", ArpBad, arp(|b| b.truncate(41))),
        ("ARP over another hardware", ArpBad, arp(|b| b[15] = 6)),
        ("ARP of another protocol", ArpBad, arp(|b| b[16] = 0x86)),
        ("ARP with long link addresses", ArpBad, arp(|b| b[18] = 8)),
        ("ARP with long protocol addresses", ArpBad, arp(|b| b[19] = 16)),
        ("reverse ARP", ArpBad, arp(|b| b[21] = 3)),
        ("ARP from a group station", ArpBad, arp(|b| b[22] = 3)),
        ("ARP from station zero", ArpBad, arp(|b| b[22..28].fill(0))),
        ("ARP from a group address", ArpBad, arp(|b| b[28] = 224)),
        (
            "ARP reply from nobody",
            ArpBad,
            arp(|b| {
                b[21] = 2;
                b[28..32].fill(0)
            }),
        ),
    ]);
}

#[test]
fn ipv4_reasons() {
    check(vec![
        ("half a header", FrameTooShort, v4(|_| ())[..33].to_vec()),
        ("cut in the options", FrameTooShort, [&v4(|_| ())[..14], &[0x4f], &[0; 30]].concat()),
        ("longer than its frame", FrameTooShort, v4(|b| b[17] += 1)),
        ("version 6", IpVersionBad, v4(|b| b[14] = 0x65)),
        ("header of 16 bytes", IpHeaderBad, v4(|b| b[14] = 0x44)),
        ("shorter than its header", IpHeaderBad, v4(|b| b[16..18].copy_from_slice(&[0, 19]))),
        ("checksum of one bit", IpChecksumBad, with_byte(v4(|_| ()), 24, |b| b ^ 1)),
        ("checksum with options", IpChecksumBad, with_byte(v4_with_options(), 35, |b| b ^ 1)),
        ("first fragment", IpFragment, v4(|b| b[20] = 0x20)),
        ("later fragment", IpFragment, v4(|b| b[21] = 1)),
        ("last possible fragment", IpFragment, v4(|b| b[20] = 0x10)),
        ("from nobody", IpSourceBad, v4(|b| b[26..30].fill(0))),
        ("from this network", IpSourceBad, v4(|b| b[26] = 0)),
        ("from loopback", IpSourceBad, v4(|b| b[26] = 127)),
        ("from a group", IpSourceBad, v4(|b| b[26] = 224)),
        ("from a reserved class", IpSourceBad, v4(|b| b[26] = 240)),
        ("from all", IpSourceBad, v4(|b| b[26..30].fill(255))),
        ("UDP", IpProtocolUnknown, ipv4_frame(17, &[0; 8])),
    ]);
}

#[test]
fn ipv6_reasons() {
    let too_many: Vec<(u8, &[u8])> = vec![(60, &[0, 0, 1, 4, 0, 0, 0, 0]); 9];
    check(vec![
        ("half a header", FrameTooShort, v6(|b| b.truncate(53))),
        ("longer than its frame", FrameTooShort, v6(|b| b[19] += 1)),
        ("version 4", IpVersionBad, v6(|b| b[14] = 0x45)),
        ("from a group", IpSourceBad, v6(|b| b[22] = 0xff)),
        ("from nobody", IpSourceBad, v6(|b| b[22..38].fill(0))),
        ("UDP from nobody", IpSourceBad, with_byte(v6(|b| b[22..38].fill(0)), 20, |_| 17)),
        ("echo from nobody", IpSourceBad, icmpv6_from_nobody()),
        ("from loopback", IpSourceBad, v6(|b| b[22..38].copy_from_slice(&[&[0; 15][..], &[1]].concat()))),
        ("from a v4-mapped address", IpSourceBad, v6(|b| b[22..38].copy_from_slice(&PEER_V4.0))),
        ("to a v4-mapped address", IpNotForUs, v6(|b| b[38..54].copy_from_slice(&US_V4.0))),
        ("UDP", IpProtocolUnknown, ipv6_frame(17, 64, &[0; 8])),
        ("no next header", IpProtocolUnknown, ipv6_frame(59, 64, &[])),
        ("first fragment", IpFragment, with_extensions(&[(44, &[0, 0, 0, 1, 0, 0, 0, 9])])),
        ("last fragment", IpFragment, with_extensions(&[(44, &[0, 0, 0, 8, 0, 0, 0, 9])])),
        ("extension cut off", Ipv6ExtensionBad, ipv6_frame(60, 64, &[6, 0, 1, 4, 0, 0, 0])),
        ("extension longer than all", Ipv6ExtensionBad, with_extensions(&[(60, &[0, 20, 1, 4, 0, 0, 0, 0])])),
        (
            "hop-by-hop not first",
            Ipv6ExtensionBad,
            with_extensions(&[(60, &[0, 0, 1, 4, 0, 0, 0, 0]), (0, &[0, 0, 1, 4, 0, 0, 0, 0])]),
        ),
        ("segments left", Ipv6ExtensionBad, with_extensions(&[(43, &[0, 0, 0, 1, 0, 0, 0, 0])])),
        ("option to discard", Ipv6ExtensionBad, with_extensions(&[(0, &[0, 0, 0x40, 4, 0, 0, 0, 0])])),
        ("jumbo payload", Ipv6ExtensionBad, with_extensions(&[(0, &[0, 0, 0xc2, 4, 0, 1, 0, 0])])),
        ("option beyond its header", Ipv6ExtensionBad, with_extensions(&[(60, &[0, 0, 1, 5, 0, 0, 0, 0])])),
        ("option without a length", Ipv6ExtensionBad, with_extensions(&[(60, &[0, 0, 1, 3, 0, 0, 0, 1])])),
        ("nine extensions", Ipv6ExtensionBad, with_extensions(&too_many)),
    ]);
}

#[test]
fn tcp_reasons() {
    let options_v6 = v6(|b| b[66] = 0x40);
    check(vec![
        ("half a header", TcpHeaderBad, ipv4_frame(6, &[0; 19])),
        ("half a header, IPv6", TcpHeaderBad, ipv6_frame(6, 64, &[0; 19])),
        ("no header", TcpHeaderBad, ipv4_frame(6, &[])),
        ("data offset 4", TcpHeaderBad, tcp(|b| b[12] = 0x40)),
        ("data offset 0", TcpHeaderBad, tcp(|b| b[12] = 0)),
        ("data offset beyond the end", TcpHeaderBad, tcp(|b| b[12] = 0xf0)),
        ("checksum", TcpChecksumBad, with_byte(v4(|_| ()), 50, |b| b ^ 1)),
        ("checksum, last byte", TcpChecksumBad, with_byte(v4(|_| ()), 75, |b| b ^ 1)),
        ("checksum, IPv6 address", TcpChecksumBad, with_byte(v6(|_| ()), 37, |b| b ^ 0x80)),
        ("checksum before header", TcpChecksumBad, options_v6),
        ("source port 0", TcpPortZero, tcp(|b| b[..2].fill(0))),
        ("destination port 0", TcpPortZero, tcp(|b| b[2..4].fill(0))),
    ]);
}

#[test]
fn options_with_impossible_lengths_are_passed_over() {
    let parsed = |bytes| parse_tcp(&options(bytes), VERIFY).1.options;
    let timestamp = TcpOptions { timestamp: Some((1, 2)), ..TcpOptions::default() };
    for (name, bytes) in [
        ("option of length 0", [1, 1, 77, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("option beyond the end", [1, 1, 8, 11, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("option without length", [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 77]),
        ("short timestamps", [8, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("timestamps behind an option of length 0", [77, 0, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]),
    ] {
        assert_eq!(parsed(bytes), TcpOptions::default(), "{name}");
    }
    // Before such an option, and behind one whose length is merely not that of its kind, options count.
    assert_eq!(parsed([8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 77, 0]), timestamp);
    assert_eq!(parsed([5, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]), timestamp);
    let syn = |bytes: [u8; 12]| {
        let frame = tcp(|b| {
            b[13] = TcpFlags::SYN.0;
            b[20..32].copy_from_slice(&bytes);
        });
        parse_tcp(&frame, VERIFY).1.options
    };
    let scaled = TcpOptions { window_scale: Some(7), ..TcpOptions::default() };
    assert_eq!(syn([2, 5, 5, 180, 0, 3, 3, 7, 1, 1, 1, 1]), scaled, "long MSS");
    assert_eq!(syn([4, 3, 0, 3, 3, 7, 1, 1, 1, 1, 1, 1]), scaled, "long SACK-permitted");
    assert_eq!(syn([3, 4, 7, 0, 3, 3, 7, 1, 1, 1, 1, 1]), scaled, "long window scale before a good one");
}

#[test]
fn icmp_reasons() {
    let quoting = |kind: u8, quote: &[u8]| icmp_frame(&[&[kind, 3, 0, 0, 0, 0, 0, 0][..], quote].concat());
    let quoting_v6 = |kind: u8, quote: &[u8]| icmpv6_frame(64, &[&[kind, 4, 0, 0, 0, 0, 0, 0][..], quote].concat());
    let (q4, q6) = (quote_of(false), quote_of(true));
    let edited = |quote: &[u8], at: usize, value: u8| with_byte(quote.to_vec(), at, |_| value);
    let mapped = [&q6[..8], &US_V4.0, &q6[24..]].concat();
    check(vec![
        ("cut off", IcmpBad, icmp_frame(&[8, 0, 0, 0, 0, 0, 0])),
        ("cut off, IPv6", IcmpBad, icmpv6_frame(64, &[128, 0, 0, 0, 0, 0, 0])),
        ("checksum", IcmpBad, with_byte(icmp_frame(&[8, 0, 0, 0, 0, 0, 0, 0]), 36, |b| b ^ 1)),
        ("checksum, IPv6", IcmpBad, with_byte(icmpv6_frame(64, &[128, 0, 0, 0, 0, 0, 0, 0]), 56, |b| b ^ 1)),
        ("quotes no header", IcmpBad, quoting(3, &q4[..19])),
        ("quotes 7 bytes of TCP", IcmpBad, quoting(3, &q4[..27])),
        ("quotes version 6", IcmpBad, quoting(3, &edited(&q4, 0, 0x65))),
        ("quotes a short header", IcmpBad, quoting(3, &edited(&q4, 0, 0x44))),
        ("quotes options it cuts off", IcmpBad, quoting(3, &edited(&q4, 0, 0x48))),
        ("quotes no header, IPv6", IcmpBad, quoting_v6(1, &q6[..39])),
        ("quotes 7 bytes of TCP, IPv6", IcmpBad, quoting_v6(1, &q6[..47])),
        ("quotes version 4, IPv6", IcmpBad, quoting_v6(1, &edited(&q6, 0, 0x45))),
        ("quotes a v4-mapped address", IcmpBad, quoting_v6(1, &mapped)),
        ("about UDP", IcmpIgnored, quoting(3, &edited(&q4, 9, 17))),
        ("about UDP, IPv6", IcmpIgnored, quoting_v6(1, &edited(&q6, 6, 17))),
        ("about a later fragment", IcmpIgnored, quoting(3, &edited(&q4, 7, 1))),
        ("source quench", IcmpIgnored, quoting(4, &q4)),
        ("redirect", IcmpIgnored, quoting(5, &q4)),
        ("echo reply", IcmpIgnored, icmp_frame(&[0; 8])),
        ("echo with a code", IcmpIgnored, icmp_frame(&[8, 1, 0, 0, 0, 0, 0, 0])),
        ("router advertisement", IcmpIgnored, icmpv6_frame(255, &[134, 0, 0, 0, 0, 0, 0, 0])),
        ("redirect, IPv6", IcmpIgnored, icmpv6_frame(255, &[137, 0, 0, 0, 0, 0, 0, 0])),
    ]);
}

#[test]
fn ndp_reasons() {
    let all_nodes = Addr([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let advertisement = |edit: &dyn Fn(&mut Vec<u8>)| {
        ndp(|b| {
            (b[54], b[58], b[78]) = (136, 0x60, 2);
            edit(b);
        })
    };
    check(vec![
        ("cut off", NdpBad, ndp(|b| b.truncate(54 + 23))),
        ("hop limit 254", NdpBad, ndp(|b| b[21] = 254)),
        ("code 1", NdpBad, ndp(|b| b[55] = 1)),
        ("checksum", NdpBad, with_byte(ndp(|_| ()), 60, |b| b ^ 1)),
        ("target a group", NdpBad, ndp(|b| b[62] = 0xff)),
        ("target nobody", NdpBad, ndp(|b| b[62..78].fill(0))),
        ("target v4-mapped", NdpBad, ndp(|b| b[62..78].copy_from_slice(&US_V4.0))),
        ("option of length 0", NdpBad, ndp(|b| b[79] = 0)),
        ("option of length 2, cut off", NdpBad, ndp(|b| b[79] = 2)),
        (
            "option of length 2",
            NdpBad,
            ndp(|b| {
                b[79] = 2;
                b.extend([0; 8])
            }),
        ),
        ("half an option", NdpBad, ndp(|b| b.truncate(79))),
        ("link address a group", NdpBad, ndp(|b| b[80] = 1)),
        ("link address zero", NdpBad, ndp(|b| b[80..86].fill(0))),
        (
            "probe with a link address",
            NdpBad,
            ndp(|b| {
                b[22..38].fill(0);
                b[38..54].copy_from_slice(&US_V6.solicited_node().0)
            }),
        ),
        (
            "probe to one host",
            NdpBad,
            ndp(|b| {
                b[22..38].fill(0);
                b.truncate(78)
            }),
        ),
        ("advertisement from nobody", NdpBad, advertisement(&|b| b[22..38].fill(0))),
        ("solicited, to a group", NdpBad, advertisement(&|b| b[38..54].copy_from_slice(&all_nodes.0))),
    ]);
    assert_eq!(reason(&advertisement(&|_| ())), None);
}

#[test]
fn ndp_checksums_are_verified_even_when_others_are_not() {
    assert_eq!(parse(&with_byte(ndp(|_| ()), 60, |b| b ^ 1), TRUST).err(), Some(NdpBad));
}

#[test]
fn unverified_checksums_let_damage_pass_except_in_the_ipv4_header() {
    assert!(parse(&with_byte(v4(|_| ()), 50, |b| b ^ 1), TRUST).is_ok());
    assert!(parse(&with_byte(v6(|_| ()), 70, |b| b ^ 1), TRUST).is_ok());
    assert!(parse(&with_byte(icmp_frame(&[8, 0, 0, 0, 0, 0, 0, 0]), 36, |b| b ^ 1), TRUST).is_ok());
    assert!(parse(&with_byte(icmpv6_frame(64, &[128, 0, 0, 0, 0, 0, 0, 0]), 56, |b| b ^ 1), TRUST).is_ok());
    assert_eq!(parse(&with_byte(v4(|_| ()), 24, |b| b ^ 1), TRUST).err(), Some(IpChecksumBad));
}

#[test]
fn icmp_errors_are_sorted_into_hard_soft_and_too_big() {
    use IcmpErrorKind::*;
    let v4_kinds = [
        (3, 0, NetUnreachable),
        (3, 1, HostUnreachable),
        (3, 2, Refused),
        (3, 3, Refused),
        (3, 4, TooBig { mtu: 1400 }),
        (3, 5, HostUnreachable),
        (3, 6, NetUnreachable),
        (3, 7, HostUnreachable),
        (3, 9, Prohibited),
        (3, 10, Prohibited),
        (3, 11, NetUnreachable),
        (3, 12, HostUnreachable),
        (3, 13, Prohibited),
        (3, 200, HostUnreachable),
        (11, 0, Other),
        (11, 1, Other),
        (12, 0, Other),
    ];
    let v6_kinds = [
        (1, 0, NetUnreachable),
        (1, 1, Prohibited),
        (1, 2, HostUnreachable),
        (1, 3, HostUnreachable),
        (1, 4, Refused),
        (1, 5, Prohibited),
        (1, 6, Prohibited),
        (1, 7, HostUnreachable),
        (2, 0, TooBig { mtu: 0x0102_0578 }),
        (3, 0, Other),
        (3, 1, Other),
        (4, 0, Other),
        (4, 1, Other),
    ];
    let expected = |kind, v6: bool| IcmpError {
        kind,
        reporter: if v6 { PEER_V6 } else { PEER_V4 },
        local: if v6 { US_V6 } else { US_V4 },
        remote: if v6 { PEER_V6 } else { PEER_V4 },
        local_port: 40_000,
        remote_port: 80,
        seq: Seq(0xdead_beef),
        datagram_len: if v6 { 40 + 132 } else { 20 + 132 },
    };
    for (kind, code, want) in v4_kinds {
        let bytes = icmp_frame(&[&[kind, code, 0, 0, 1, 2, 0x05, 0x78][..], &quote_of(false)].concat());
        assert_eq!(parse(&bytes, VERIFY).map(|p| p.1), Ok(Packet::IcmpError(expected(want, false))), "{kind} {code}");
    }
    for (kind, code, want) in v6_kinds {
        let bytes = icmpv6_frame(64, &[&[kind, code, 0, 0, 1, 2, 0x05, 0x78][..], &quote_of(true)].concat());
        assert_eq!(parse(&bytes, VERIFY).map(|p| p.1), Ok(Packet::IcmpError(expected(want, true))), "{kind} {code}");
    }
}

#[test]
fn an_icmp_error_may_quote_a_header_with_options() {
    let mut quote = quote_of(false);
    quote[0] = 0x46;
    quote.splice(20..20, [1, 1, 1, 0]);
    let bytes = icmp_frame(&[&[3, 3, 0, 0, 0, 0, 0, 0][..], &quote].concat());
    let Ok((_, Packet::IcmpError(error))) = parse(&bytes, VERIFY) else { panic!("not an error") };
    assert_eq!((error.local_port, error.remote_port, error.seq), (40_000, 80, Seq(0xdead_beef)));
}

#[test]
fn ip_options_and_harmless_extension_headers_are_skipped() {
    let plain = parse_tcp(&v4(|_| ()), VERIFY).1;
    let long = parse_tcp(&v4_with_options(), VERIFY).1;
    assert_eq!(long.payload_start, plain.payload_start + 8);
    assert_eq!((long.options, long.payload_len, long.seq), (plain.options, plain.payload_len, plain.seq));

    let padding: &[u8] = &[0, 0, 1, 4, 0, 0, 0, 0];
    let router_alert: &[u8] = &[0, 0, 5, 2, 0, 0, 0, 0];
    let two_units: &[u8] = &[0, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let atomic_fragment: &[u8] = &[0, 0xff, 0, 6, 1, 2, 3, 4];
    let finished_route: &[u8] = &[0, 0, 4, 0, 0, 0, 0, 0];
    let chains: [&[(u8, &[u8])]; 5] = [
        &[(0, router_alert)],
        &[(44, atomic_fragment)],
        &[(43, finished_route), (60, two_units)],
        &[(0, padding), (60, padding), (43, finished_route), (44, atomic_fragment), (60, two_units)],
        &[(60, padding); 8],
    ];
    for chain in chains {
        let extra: usize = chain.iter().map(|(_, bytes)| bytes.len()).sum();
        let bytes = with_extensions(chain);
        let (_, got) = parse_tcp(&bytes, VERIFY);
        assert_eq!((usize::from(got.payload_start), got.payload_len), (86 + extra, 5), "{chain:x?}");
        assert_eq!(got.options, timestamps());
        assert!(super::parse::peek_tuple(&bytes).is_some());
    }
}

#[test]
fn odd_but_lawful_tcp_options_are_understood() {
    let parsed = |bytes| parse_tcp(&options(bytes), VERIFY).1.options;
    let just = |f: fn(&mut TcpOptions)| {
        let mut o = TcpOptions::default();
        f(&mut o);
        o
    };
    // Padded behind instead of in front; unknown options in between; all ignored after the end of the list.
    assert_eq!(parsed([8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1]), just(|o| o.timestamp = Some((1, 2))));
    assert_eq!(parsed([254, 4, 1, 2, 77, 2, 1, 30, 5, 0, 0, 0]), TcpOptions::default());
    assert_eq!(parsed([0, 77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), TcpOptions::default());
    // MSS, window scale and SACK-permitted count on a SYN only.
    let opening = [2, 4, 5, 180, 3, 3, 14, 4, 2, 1, 1, 1];
    assert_eq!(parsed(opening), TcpOptions::default());
    let syn = tcp(|b| {
        b[13] = TcpFlags::SYN.0;
        b[20..32].copy_from_slice(&opening);
    });
    let want = TcpOptions { mss: Some(1460), window_scale: Some(14), sack_permitted: true, ..TcpOptions::default() };
    assert_eq!(parse_tcp(&syn, VERIFY).1.options, want);
}

#[test]
fn the_tuple_is_seen_only_in_what_is_plainly_tcp() {
    let mapped = |at: usize| v6(|b| b[at..at + 16].copy_from_slice(&US_V4.0));
    let cases = [
        ("nothing", vec![]),
        ("ARP", arp(|_| ())),
        ("UDP", ipv4_frame(17, &[0; 20])),
        ("UDP, IPv6", ipv6_frame(17, 64, &[0; 20])),
        ("a fragment", v4(|b| b[20] = 0x20)),
        ("a later fragment", v4(|b| b[21] = 1)),
        ("a fragment, IPv6", with_extensions(&[(44, &[0, 0, 0, 1, 0, 0, 0, 9])])),
        ("version 6 in IPv4", with_byte(v4(|_| ()), 14, |_| 0x65)),
        ("version 4 in IPv6", with_byte(v6(|_| ()), 14, |_| 0x45)),
        ("a header of 16 bytes", with_byte(v4(|_| ()), 14, |_| 0x44)),
        ("cut in the ports", v4(|_| ())[..37].to_vec()),
        ("cut in the ports, IPv6", v6(|_| ())[..57].to_vec()),
        ("from a v4-mapped address", mapped(22)),
        ("to a v4-mapped address", mapped(38)),
    ];
    for (name, bytes) in cases {
        assert_eq!(super::parse::peek_tuple(&bytes), None, "{name}");
    }
    assert_eq!(super::parse::peek_tuple(&v4(|_| ())[..38]), Some((PEER_V4, US_V4, 40_000, 80)));
    assert_eq!(super::parse::peek_tuple(&v6(|_| ())[..58]), Some((PEER_V6, US_V6, 40_000, 80)));
}

#[test]
fn ecn_bits_are_reported_in_both_families() {
    for ecn in 0..4 {
        assert_eq!(parse_tcp(&v4(|b| b[15] = 0xb8 | ecn), VERIFY).1.ecn, ecn);
        assert_eq!(parse_tcp(&v6(|b| (b[14], b[15]) = (0x6b, 0x8f | ecn << 4)), VERIFY).1.ecn, ecn);
    }
}

#[test]
fn an_arp_probe_is_read_like_a_request() {
    let Ok((_, Packet::Arp(probe))) = parse(&arp(|b| b[28..32].fill(0)), VERIFY) else { panic!("not ARP") };
    assert_eq!((probe.is_request, probe.sender, probe.target), (true, Addr::v4([0; 4]), US_V4));
}

#[test]
fn a_solicitation_without_link_address_and_with_unknown_options_is_understood() {
    let bytes = ndp(|b| b[78] = 14);
    let want = Ndp {
        is_solicitation: true,
        src: PEER_V6,
        dst: US_V6,
        target: US_V6,
        link_addr: None,
        solicited: false,
        override_flag: false,
    };
    assert_eq!(parse(&bytes, VERIFY).map(|p| p.1), Ok(Packet::Ndp(want)));
}

fn with_byte(mut bytes: Vec<u8>, at: usize, f: impl FnOnce(u8) -> u8) -> Vec<u8> {
    bytes[at] = f(bytes[at]);
    bytes
}

fn v4_with_options() -> Vec<u8> {
    v4(|b| {
        b[14] = 0x47;
        b[17] += 8;
        b.splice(34..34, [7, 7, 4, 0, 0, 0, 0, 0]);
    })
}

fn icmpv6_from_nobody() -> Vec<u8> {
    let mut b = icmpv6_frame(64, &[128, 0, 0, 0, 0, 0, 0, 0]);
    b[22..38].fill(0);
    fix_icmpv6_checksum(&mut b);
    b
}
