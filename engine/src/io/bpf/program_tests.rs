//! The program in the kernel, over a table of frames (BPF_PROG_TEST_RUN). Without privileges these tests print why
//! they are skipped.

use super::{XDP_PASS, XDP_REDIRECT, compile, compile_all};
use crate::io::IoError;
use crate::io::bpf::asm::Insn;
use crate::io::bpf::syscalls;
use crate::io::bpf::{FilterAddr, FilterSpec};
use crate::io::test_skip::skip;
use crate::wire::Addr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A loaded program with a socket for queue 0, which is where test runs come in.
struct Filter {
    program: OwnedFd,
    _map: OwnedFd,
    _socket: OwnedFd,
}

impl Filter {
    /// `None`, with the reason printed, when this process may not load programs.
    fn load(spec: &FilterSpec) -> Option<Filter> {
        Filter::compiled(|map| compile(spec, map))
    }

    fn compiled(compile: impl FnOnce(i32) -> Result<Vec<Insn>, IoError>) -> Option<Filter> {
        let map = match syscalls::create_xskmap(1) {
            Ok(map) => map,
            Err(e) => {
                skip(format_args!("cannot create an XSKMAP: {e}"));
                return None;
            }
        };
        // SAFETY: no pointers are involved.
        let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        assert!(fd >= 0, "{}", std::io::Error::last_os_error());
        // SAFETY: the descriptor is new and nobody else owns it.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        syscalls::update_map(&map, 0, socket.as_raw_fd() as u32).unwrap();
        let insns = compile(map.as_raw_fd()).unwrap();
        let program = match syscalls::load_program(&insns, false) {
            Ok(program) => program,
            Err(e) => panic!("{} instructions refused: {}: {}", insns.len(), e.error, e.log),
        };
        Some(Filter { program, _map: map, _socket: socket })
    }

    fn takes(&self, frame: &[u8]) -> bool {
        match syscalls::test_run(&self.program, frame).unwrap() {
            XDP_REDIRECT => true,
            XDP_PASS => false,
            other => panic!("verdict {other}"),
        }
    }
}

#[test]
fn a_program_for_every_frame_takes_whatever_comes() {
    let Some(filter) = Filter::compiled(compile_all) else { return };
    assert!(filter.takes(&[0; 14]) && filter.takes(&[0xff; 60]) && filter.takes(&[0x5a; 1514]));
}

const OURS: [u8; 4] = [198, 18, 0, 10];
const SHARED: [u8; 4] = [198, 18, 0, 1];
const PEER: [u8; 4] = [198, 18, 0, 2];
const NOT_OURS: [u8; 4] = [198, 18, 0, 9];

fn v6(last: u8) -> [u8; 16] {
    let mut a = [0; 16];
    a[..4].copy_from_slice(&[0x20, 0x01, 0x00, 0x02]);
    a[15] = last;
    a
}
const OURS_6: u8 = 10;
const SHARED_6: u8 = 1;
const PEER_6: u8 = 2;

/// OURS to OURS + 5 exclusively; ports 8000 to 8999 and 80 of SHARED; the same for IPv6.
fn spec() -> FilterSpec {
    let ports = [(8000, 8999), (80, 80)];
    FilterSpec {
        addresses: vec![
            FilterAddr::exclusive(Addr::v4(OURS), 6),
            FilterAddr::shared(Addr::v4(SHARED), 1, &ports),
            FilterAddr::exclusive(Addr(v6(OURS_6)), 6),
            FilterAddr::shared(Addr(v6(SHARED_6)), 1, &ports),
        ],
    }
}

fn frame(tags: &[[u8; 2]], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut f = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for tag in tags {
        f.extend_from_slice(tag);
        f.extend_from_slice(&[0, 7]);
    }
    f.extend_from_slice(&ethertype.to_be_bytes());
    f.extend_from_slice(payload);
    f
}

const VLAN: [u8; 2] = [0x81, 0x00];
const QINQ: [u8; 2] = [0x88, 0xa8];

/// An IPv4 packet with `options` bytes of header options; `fragment` is the flags and offset field.
fn ipv4(protocol: u8, src: [u8; 4], dst: [u8; 4], options: usize, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let header = 20 + options;
    let mut p = vec![0; header];
    p[0] = 0x40 | (header / 4) as u8;
    p[2..4].copy_from_slice(&((header + payload.len()) as u16).to_be_bytes());
    p[6..8].copy_from_slice(&fragment.to_be_bytes());
    (p[8], p[9]) = (64, protocol);
    p[12..16].copy_from_slice(&src);
    p[16..20].copy_from_slice(&dst);
    p.extend_from_slice(payload);
    p
}

fn ipv6(next: u8, src: u8, dst: [u8; 16], payload: &[u8]) -> Vec<u8> {
    let mut p = vec![0; 40];
    p[0] = 0x60;
    p[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
    (p[6], p[7]) = (next, 255);
    p[8..24].copy_from_slice(&v6(src));
    p[24..40].copy_from_slice(&dst);
    p.extend_from_slice(payload);
    p
}

fn tcp(src: u16, dst: u16) -> Vec<u8> {
    let mut t = vec![0; 20];
    t[0..2].copy_from_slice(&src.to_be_bytes());
    t[2..4].copy_from_slice(&dst.to_be_bytes());
    t[12] = 0x50;
    t
}

fn tcp4(dst: [u8; 4], port: u16) -> Vec<u8> {
    frame(&[], 0x0800, &ipv4(6, PEER, dst, 0, 0x4000, &tcp(40000, port)))
}

fn tcp6(dst: u8, port: u16) -> Vec<u8> {
    frame(&[], 0x86dd, &ipv6(6, PEER_6, v6(dst), &tcp(40000, port)))
}

fn icmp(kind: u8, rest: &[u8]) -> Vec<u8> {
    let mut i = vec![kind, 0, 0, 0, 0, 0, 0, 0];
    i.extend_from_slice(rest);
    i
}

fn arp(operation: u16, target: [u8; 4]) -> Vec<u8> {
    let mut a = vec![0, 1, 8, 0, 6, 4];
    a.extend_from_slice(&operation.to_be_bytes());
    a.extend_from_slice(&[2, 0, 0, 0, 0, 2]);
    a.extend_from_slice(&PEER);
    a.extend_from_slice(&[0; 6]);
    a.extend_from_slice(&target);
    frame(&[], 0x0806, &a)
}

fn check(filter: &Filter, table: &[(&str, Vec<u8>, bool)]) {
    for (what, frame, expected) in table {
        assert_eq!(filter.takes(frame), *expected, "{what}");
    }
}

#[test]
fn tcp_over_ipv4_is_taken_by_address_and_port() {
    let Some(filter) = Filter::load(&spec()) else { return };
    let last = [OURS[0], OURS[1], OURS[2], OURS[3] + 5];
    let beyond = [OURS[0], OURS[1], OURS[2], OURS[3] + 6];
    let with = |options: usize, fragment: u16, payload: &[u8]| {
        frame(&[], 0x0800, &ipv4(6, PEER, OURS, options, fragment, payload))
    };
    let udp = frame(&[], 0x0800, &ipv4(17, PEER, OURS, 0, 0, &tcp(1, 80)));
    let mut version_5 = tcp4(OURS, 80);
    version_5[14] = 0x55;
    let mut short_header = tcp4(OURS, 80);
    short_header[14] = 0x44;
    check(
        &filter,
        &[
            ("exclusive, any port", tcp4(OURS, 22), true),
            ("exclusive, port 0", tcp4(OURS, 0), true),
            ("last of the range", tcp4(last, 1), true),
            ("behind the range", tcp4(beyond, 80), false),
            ("before the range", tcp4(NOT_OURS, 80), false),
            ("shared, single port", tcp4(SHARED, 80), true),
            ("shared, below the single port", tcp4(SHARED, 79), false),
            ("shared, above the single port", tcp4(SHARED, 81), false),
            ("shared, ssh", tcp4(SHARED, 22), false),
            ("shared, first of a port range", tcp4(SHARED, 8000), true),
            ("shared, last of a port range", tcp4(SHARED, 8999), true),
            ("shared, behind a port range", tcp4(SHARED, 9000), false),
            ("shared, highest port", tcp4(SHARED, 65535), false),
            ("IP options", with(4, 0, &tcp(1, 2)), true),
            ("all the IP options there can be", with(40, 0, &tcp(1, 2)), true),
            ("do-not-fragment", with(0, 0x4000, &tcp(1, 2)), true),
            ("first fragment", with(0, 0x2000, &tcp(1, 2)), false),
            ("later fragment", with(0, 0x0001, &tcp(1, 2)), false),
            ("fragment at a multiple of 256", with(0, 0x0100, &tcp(1, 2)), false),
            ("TCP header cut short", with(0, 0, &tcp(1, 2)[..19]), false),
            ("UDP", udp, false),
            ("IP version 5", version_5, false),
            ("IP header length 16", short_header, false),
        ],
    );
}

#[test]
fn tcp_over_ipv6_is_taken_by_address_and_port_and_behind_one_options_header() {
    let Some(filter) = Filter::load(&spec()) else { return };
    let behind = |next: u8, header: &[u8]| {
        let payload: Vec<u8> = header.iter().copied().chain(tcp(1, 2)).collect();
        frame(&[], 0x86dd, &ipv6(next, PEER_6, v6(OURS_6), &payload))
    };
    let mut other_network = v6(OURS_6);
    other_network[7] = 1;
    let options = |bytes: usize| {
        let mut header = vec![6, (bytes / 8 - 1) as u8];
        header.resize(bytes, 0);
        header
    };
    check(
        &filter,
        &[
            ("exclusive, any port", tcp6(OURS_6, 22), true),
            ("last of the range", tcp6(OURS_6 + 5, 22), true),
            ("behind the range", tcp6(OURS_6 + 6, 22), false),
            ("before the range", tcp6(OURS_6 - 1, 22), false),
            ("other upper half", frame(&[], 0x86dd, &ipv6(6, PEER_6, other_network, &tcp(1, 2))), false),
            ("shared, our port", tcp6(SHARED_6, 8080), true),
            ("shared, ssh", tcp6(SHARED_6, 22), false),
            ("hop-by-hop options", behind(0, &[6, 0, 1, 4, 0, 0, 0, 0]), true),
            ("destination options of 24 bytes", behind(60, &options(24)), true),
            ("the longest options skipped", behind(60, &options(64)), true),
            ("longer options", behind(60, &options(72)), false),
            ("options longer than the packet", behind(0, &[6, 255, 1, 4, 0, 0, 0, 0]), false),
            ("two options headers", behind(0, &[60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0]), false),
            ("fragment header", behind(44, &[6, 0, 0, 0, 0, 0, 0, 1]), false),
            ("routing header", behind(43, &[6, 0, 0, 0, 0, 0, 0, 0]), false),
            ("UDP", frame(&[], 0x86dd, &ipv6(17, PEER_6, v6(OURS_6), &tcp(1, 2))), false),
        ],
    );
}

#[test]
fn one_or_two_vlan_tags_are_looked_behind() {
    let Some(filter) = Filter::load(&spec()) else { return };
    let ip = ipv4(6, PEER, OURS, 0, 0, &tcp(1, 2));
    let ip6 = ipv6(6, PEER_6, v6(OURS_6), &tcp(1, 2));
    check(
        &filter,
        &[
            ("one tag", frame(&[VLAN], 0x0800, &ip), true),
            ("one 802.1ad tag", frame(&[QINQ], 0x0800, &ip), true),
            ("two tags", frame(&[QINQ, VLAN], 0x0800, &ip), true),
            ("two tags, IPv6", frame(&[[0x91, 0], VLAN], 0x86dd, &ip6), true),
            ("three tags", frame(&[QINQ, VLAN, VLAN], 0x0800, &ip), false),
            ("nothing behind the tag", frame(&[VLAN], 0x0800, &[]), false),
            ("tag cut short", frame(&[VLAN], 0x0800, &ip)[..17].to_vec(), false),
        ],
    );
}

#[test]
fn echo_requests_are_taken_for_exclusive_addresses_only() {
    let Some(filter) = Filter::load(&spec()) else { return };
    let four = |kind: u8, dst| frame(&[], 0x0800, &ipv4(1, PEER, dst, 0, 0, &icmp(kind, &[0; 56])));
    let six = |kind: u8, dst: u8| frame(&[], 0x86dd, &ipv6(58, PEER_6, v6(dst), &icmp(kind, &[0; 56])));
    check(
        &filter,
        &[
            ("request", four(8, OURS), true),
            ("request, shared", four(8, SHARED), false),
            ("reply", four(0, OURS), false),
            ("redirect", four(5, OURS), false),
            ("timestamp", four(13, OURS), false),
            ("v6 request", six(128, OURS_6), true),
            ("v6 request, shared", six(128, SHARED_6), false),
            ("v6 reply", six(129, OURS_6), false),
            ("v6 router advertisement", six(134, OURS_6), false),
            ("v6 redirect", six(137, OURS_6), false),
            ("v6 multicast listener query", six(130, OURS_6), false),
            ("cut short", frame(&[], 0x0800, &ipv4(1, PEER, OURS, 0, 0, &[8, 0, 0, 0, 0, 0, 0])), false),
        ],
    );
}

#[test]
fn icmp_errors_follow_the_connection_they_quote() {
    let Some(filter) = Filter::load(&spec()) else { return };
    let error = |kind: u8, dst, quote: &[u8]| frame(&[], 0x0800, &ipv4(1, PEER, dst, 0, 0, &icmp(kind, quote)));
    let quote = |src, port: u16| ipv4(6, src, PEER, 0, 0x4000, &tcp(port, 443)[..8]);
    let with_options = ipv4(6, SHARED, PEER, 8, 0, &tcp(80, 443)[..8]);
    let fragment = ipv4(6, SHARED, PEER, 0, 5, &tcp(80, 443)[..8]);
    let udp = ipv4(17, SHARED, PEER, 0, 0, &tcp(80, 443)[..8]);
    check(
        &filter,
        &[
            ("unreachable", error(3, OURS, &quote(OURS, 5)), true),
            ("time exceeded", error(11, OURS, &quote(OURS, 5)), true),
            ("parameter problem", error(12, OURS, &quote(OURS, 5)), true),
            ("source quench", error(4, OURS, &quote(OURS, 5)), false),
            ("exclusive, quote cut short", error(3, OURS, &[0x45; 4]), true),
            ("shared, our port", error(3, SHARED, &quote(SHARED, 8500)), true),
            ("shared, our port, quote with options", error(3, SHARED, &with_options), true),
            ("shared, the kernel's port", error(3, SHARED, &quote(SHARED, 22)), false),
            ("shared, quote from elsewhere", error(3, SHARED, &quote(PEER, 8500)), false),
            ("shared, quote of a fragment", error(3, SHARED, &fragment), false),
            ("shared, quote of UDP", error(3, SHARED, &udp), false),
            ("shared, quote without ports", error(3, SHARED, &quote(SHARED, 80)[..22]), false),
            ("shared, quote cut short", error(3, SHARED, &quote(SHARED, 80)[..19]), false),
            ("not ours", error(3, NOT_OURS, &quote(NOT_OURS, 80)), false),
        ],
    );
}

#[test]
fn icmpv6_errors_follow_the_connection_they_quote() {
    let Some(filter) = Filter::load(&spec()) else { return };
    let error = |kind: u8, dst: u8, quote: &[u8]| frame(&[], 0x86dd, &ipv6(58, PEER_6, v6(dst), &icmp(kind, quote)));
    let quote = |src: u8, port: u16| ipv6(6, src, v6(PEER_6), &tcp(port, 443));
    let udp = ipv6(17, SHARED_6, v6(PEER_6), &tcp(80, 443));
    check(
        &filter,
        &[
            ("unreachable", error(1, OURS_6, &quote(OURS_6, 5)), true),
            ("too big, shared, our port", error(2, SHARED_6, &quote(SHARED_6, 80)), true),
            ("time exceeded, shared, our port", error(3, SHARED_6, &quote(SHARED_6, 8000)), true),
            ("parameter problem, shared, our port", error(4, SHARED_6, &quote(SHARED_6, 8999)), true),
            ("type 0", error(0, OURS_6, &quote(OURS_6, 5)), false),
            ("type 5", error(5, OURS_6, &quote(OURS_6, 5)), false),
            ("shared, the kernel's port", error(2, SHARED_6, &quote(SHARED_6, 22)), false),
            ("shared, quote from elsewhere", error(2, SHARED_6, &quote(PEER_6, 80)), false),
            ("shared, quote of UDP", error(2, SHARED_6, &udp), false),
            ("shared, quote without ports", error(2, SHARED_6, &quote(SHARED_6, 80)[..42]), false),
            ("shared, quote cut short", error(2, SHARED_6, &quote(SHARED_6, 80)[..39]), false),
            ("exclusive, quote cut short", error(2, OURS_6, &quote(OURS_6, 80)[..9]), true),
        ],
    );
}

#[test]
fn arp_is_taken_when_its_target_is_exclusive() {
    let Some(filter) = Filter::load(&spec()) else { return };
    let mut token_ring = arp(1, OURS);
    token_ring[15] = 6;
    check(
        &filter,
        &[
            ("request", arp(1, OURS), true),
            ("reply to us", arp(2, OURS), true),
            ("request, shared", arp(1, SHARED), false),
            ("reply, shared", arp(2, SHARED), false),
            ("request, not ours", arp(1, NOT_OURS), false),
            ("reverse request", arp(3, OURS), false),
            ("other hardware", token_ring, false),
            ("cut short", arp(1, OURS)[..41].to_vec(), false),
        ],
    );
}

#[test]
fn neighbour_discovery_is_taken_for_exclusive_addresses() {
    let Some(filter) = Filter::load(&spec()) else { return };
    let solicit = |target: u8| {
        let group = Addr(v6(target)).solicited_node().0;
        frame(&[], 0x86dd, &ipv6(58, PEER_6, group, &icmp(135, &v6(target))))
    };
    let advertise = |to: u8| frame(&[], 0x86dd, &ipv6(58, PEER_6, v6(to), &icmp(136, &v6(PEER_6))));
    let cut = solicit(OURS_6);
    let mut everyone = [0; 16];
    (everyone[0], everyone[1], everyone[15]) = (0xff, 2, 1);
    check(
        &filter,
        &[
            ("solicitation", solicit(OURS_6), true),
            ("solicitation, shared", solicit(SHARED_6), false),
            ("solicitation, not ours", solicit(99), false),
            ("solicitation cut short", cut[..cut.len() - 1].to_vec(), false),
            ("advertisement to us", advertise(OURS_6), true),
            ("advertisement, shared", advertise(SHARED_6), false),
            (
                "advertisement to all nodes",
                frame(&[], 0x86dd, &ipv6(58, PEER_6, everyone, &icmp(136, &v6(PEER_6)))),
                false,
            ),
        ],
    );
}

#[test]
fn frames_of_every_length_and_random_frames_get_a_verdict() {
    let Some(filter) = Filter::load(&spec()) else { return };
    for whole in [tcp4(OURS, 80), tcp6(OURS_6, 80), arp(1, OURS)] {
        // The kernel refuses test runs of less than an Ethernet header.
        for length in 14..whole.len() {
            assert!(!filter.takes(&whole[..length]), "{length} of {}", whole.len());
        }
        assert!(filter.takes(&whole));
    }
    let mut rng = crate::base::Rng::new(7);
    for ethertype in [0x0800, 0x86dd, 0x0806, 0x8100, 0x0800, 0x1234] {
        for _ in 0..200 {
            let payload: Vec<u8> = (0..rng.below(90)).map(|_| rng.next_u64() as u8).collect();
            // Whatever the verdict: `takes` fails on anything but pass and redirect.
            filter.takes(&frame(&[], ethertype, &payload));
        }
    }
}

#[test]
fn a_spec_of_one_family_leaves_the_other_alone() {
    let only_v4 = FilterSpec { addresses: vec![FilterAddr::exclusive(Addr::v4(OURS), 1)] };
    let only_v6 = FilterSpec { addresses: vec![FilterAddr::exclusive(Addr(v6(OURS_6)), 1)] };
    let Some(filter) = Filter::load(&only_v4) else { return };
    check(&filter, &[("v4", tcp4(OURS, 1), true), ("v6", tcp6(OURS_6, 1), false), ("arp", arp(1, OURS), true)]);
    let Some(filter) = Filter::load(&only_v6) else { return };
    check(&filter, &[("v4", tcp4(OURS, 1), false), ("v6", tcp6(OURS_6, 1), true), ("arp", arp(1, OURS), false)]);
}

/// Every second address of 198.18/16 and of 2001:2::/64, `n` of each: none of them join up.
fn scattered(n: u32) -> FilterSpec {
    let v4 = Addr::v4([198, 18, 0, 0]);
    let every_second = |first: Addr| (0..n).map(move |i| FilterAddr::exclusive(first.plus(2 * i), 1));
    FilterSpec { addresses: every_second(v4).chain(every_second(Addr(v6(0)))).collect() }
}

#[test]
fn a_thousand_scattered_addresses_are_each_found_and_their_neighbours_are_not() {
    let n = 1024;
    let Some(filter) = Filter::load(&scattered(n)) else { return };
    for i in (0..2 * n).step_by(37).chain([0, 1, 2 * n - 2, 2 * n - 1, 2 * n]) {
        let four = Addr::v4([198, 18, 0, 0]).plus(i).v4_bytes();
        let six = Addr(v6(0)).plus(i).0;
        let expected = i % 2 == 0 && i < 2 * n;
        assert_eq!(filter.takes(&tcp4(four, 80)), expected, "{four:?}");
        assert_eq!(filter.takes(&frame(&[], 0x86dd, &ipv6(6, PEER_6, six, &tcp(1, 2)))), expected, "{six:?}");
    }
}

#[test]
fn addresses_in_many_networks_are_each_found() {
    let network = |i: u8| {
        let mut a = v6(1);
        a[6] = i;
        a
    };
    let addresses = (0..=254).step_by(2).map(|i| FilterAddr::exclusive(Addr(network(i)), 4)).collect();
    let Some(filter) = Filter::load(&FilterSpec { addresses }) else { return };
    for i in 0..=255 {
        let frame = frame(&[], 0x86dd, &ipv6(6, PEER_6, network(i), &tcp(1, 2)));
        assert_eq!(filter.takes(&frame), i % 2 == 0, "network {i}");
    }
}

#[test]
fn a_range_over_the_64_bit_boundary_is_found_on_both_sides() {
    let mut first = v6(0);
    first[8..].fill(0xff);
    let spec = FilterSpec { addresses: vec![FilterAddr::exclusive(Addr(first), 2)] };
    let Some(filter) = Filter::load(&spec) else { return };
    for (n, expected) in [(0, true), (1, true), (2, false)] {
        let dst = Addr(first).plus(n).0;
        assert_eq!(filter.takes(&frame(&[], 0x86dd, &ipv6(6, PEER_6, dst, &tcp(1, 2)))), expected, "{n}");
    }
}

#[test]
fn too_many_ranges_are_refused_with_their_number() {
    let e = compile(&scattered(40_000), 3).unwrap_err();
    assert!(e.what.contains("80000 address ranges") && !e.hint.is_empty(), "{e}");
}

#[test]
fn the_program_for_one_address_stays_short() {
    let one = FilterSpec { addresses: vec![FilterAddr::shared(Addr::v4(SHARED), 1, &[(80, 80)])] };
    let insns = compile(&one, 3).unwrap().len();
    assert!(insns < 190, "{insns} instructions");
}
