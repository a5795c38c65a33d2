//! What routers say about segments of ours.

use crate::{BYTES, closed, drops, events, in_state, ms, over};
use synfin_engine::base::{DropReason, Event};
use synfin_engine::shard::{CloseReason, Report};
use synfin_engine::tcp::State;
use synfin_engine::wire::checksum::checksum;
use synfin_engine::wire::parse::IcmpErrorKind;
use synfin_tests::host::{Host, OUR_MAC, OURS, PEER, PEER_MAC, plain_config, seg};

/// A router's frame: ICMP type 3 code 4, next-hop MTU `mtu`, about the segment of the connection with number `seq`.
fn fragmentation_needed(host: &Host, mtu: u16, seq: u32) -> Vec<u8> {
    let [high, low] = mtu.to_be_bytes();
    icmp_about(host, [3, 4], [0, 0, high, low], seq)
}

/// A router's ICMP message of this type and code, with four bytes of its own, about the segment with number `seq`.
fn icmp_about(host: &Host, kind: [u8; 2], rest: [u8; 4], seq: u32) -> Vec<u8> {
    let mut quote = ipv4(6, host.local.0.v4_bytes(), host.remote.0.v4_bytes(), 8);
    quote.extend_from_slice(&host.local.1.to_be_bytes());
    quote.extend_from_slice(&host.remote.1.to_be_bytes());
    quote.extend_from_slice(&seq.to_be_bytes());
    let mut message = [kind, [0, 0]].concat();
    message.extend_from_slice(&rest);
    message.extend_from_slice(&quote);
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut frame = [OUR_MAC.0, PEER_MAC.0].concat();
    frame.extend_from_slice(&[8, 0]);
    frame.extend(ipv4(1, PEER.v4_bytes(), OURS.v4_bytes(), message.len()));
    frame.extend(message);
    frame
}

fn ipv4(protocol: u8, src: [u8; 4], dst: [u8; 4], body_len: usize) -> Vec<u8> {
    let mut header = vec![0x45, 0, 0, (20 + body_len) as u8, 0, 0, 0x40, 0, 64, protocol, 0, 0];
    header.extend_from_slice(&src);
    header.extend_from_slice(&dst);
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}

#[test]
fn segment_too_big_for_the_path_is_sent_again_in_smaller_ones() {
    let mut host = Host::accepted(plain_config());
    host.write(&BYTES[..1400]);
    host.expect_data(301, 101, &BYTES[..1400]);
    let message = fragmentation_needed(&host, 1000, 301);
    host.send_raw(&message);
    host.expect_data(301, 101, &BYTES[..960]);
    host.expect_data(1261, 101, &BYTES[960..1400]);
    host.expect_nothing();
    host.send(seg("R", 101, 0));
}

#[test]
fn too_big_on_a_link_with_less_than_the_least_path_mtu_changes_nothing() {
    let mut config = plain_config();
    config.mtu = 500;
    let mut host = Host::accepted(config);
    host.write(&BYTES[..400]);
    host.expect_data(301, 101, &BYTES[..400]);
    let message = fragmentation_needed(&host, 300, 301);
    host.send_raw(&message);
    host.expect_nothing();
    host.send(seg(".", 101, 701));
    host.expect_nothing();
}

#[test]
fn narrow_path_that_shows_before_the_handshake_is_over_is_remembered() {
    let mut host = Host::client(plain_config());
    host.expect("S", 300, 0);
    let message = fragmentation_needed(&host, 1000, 300);
    host.send_raw(&message);
    host.out.clear();
    host.send(seg("S.", 500, 301).mss(1460));
    host.out.clear();
    host.write(&BYTES[..1400]);
    host.expect_data(301, 501, &BYTES[..960]);
}

/// Network, host and source route unreachable, time exceeded, parameter problem.
const SOFT: [[u8; 2]; 8] = [[3, 0], [3, 1], [3, 5], [11, 0], [11, 1], [12, 0], [12, 1], [12, 2]];
/// Protocol and port unreachable.
const HARD: [[u8; 2]; 2] = [[3, 2], [3, 3]];

/// An established connection with four bytes under way.
fn busy() -> Host {
    let mut host = in_state(State::Established);
    host.write(b"data");
    host.expect_data(301, 501, b"data");
    host
}

#[test]
fn soft_errors_are_reported_and_end_nothing() {
    for kind in SOFT {
        for (mut host, seq) in [(in_state(State::SynSent), 300), (busy(), 301)] {
            let before = host.state();
            let message = icmp_about(&host, kind, [0; 4], seq);
            host.send_raw(&message);
            assert_eq!(closed(&host), None, "{kind:?} in {before}");
            assert_eq!(host.state(), before);
            host.expect_nothing();
            let soft = [Report::Icmp(IcmpErrorKind::UnreachableSoft), Report::Icmp(IcmpErrorKind::Other)];
            assert!(matches!(host.reports()[..], [one] if soft.contains(&one)), "{:?}", host.reports());
            // What is under way is sent again at its usual time.
            host.pass_until_output(ms(1500));
            assert_eq!(host.next().seg.seq.0, seq);
            host.act(|c| c.abort());
            host.assert_clean();
        }
    }
}

#[test]
fn hard_error_ends_an_attempt_to_open() {
    for kind in HARD {
        let mut host = in_state(State::SynSent);
        let message = icmp_about(&host, kind, [0; 4], 300);
        host.send_raw(&message);
        assert_eq!(closed(&host), Some(CloseReason::Unreachable), "{kind:?}");
        host.expect_nothing();
        host.assert_clean();
    }
}

#[test]
fn hard_error_on_a_connection_that_works_is_only_reported() {
    for kind in HARD {
        let mut host = busy();
        let message = icmp_about(&host, kind, [0; 4], 301);
        host.send_raw(&message);
        assert_eq!((closed(&host), host.state()), (None, State::Established));
        assert_eq!(host.reports(), [Report::Icmp(IcmpErrorKind::UnreachableHard)]);
        host.send(seg(".", 501, 305));
        host.expect_nothing();
        over(&mut host, 501);
    }
}

#[test]
fn error_about_nothing_that_is_under_way_is_not_believed() {
    let mut host = busy();
    for (n, seq) in [300, 305, 1_000_000].into_iter().enumerate() {
        for kind in [[3, 0], [3, 3], [3, 4]] {
            let message = icmp_about(&host, kind, [0, 0, 2, 88], seq);
            host.send_raw(&message);
        }
        assert_eq!(drops(&host, DropReason::IcmpStale), 3 * (n as u64 + 1));
    }
    // Nor one about another connection's ports.
    host.local.1 += 1;
    let message = icmp_about(&host, [3, 3], [0; 4], 301);
    host.local.1 -= 1;
    host.send_raw(&message);
    assert_eq!(drops(&host, DropReason::IcmpStale), 10);
    host.expect_nothing();
    assert_eq!((host.reports(), closed(&host)), (vec![], None));
    over(&mut host, 501);
}

#[test]
fn error_reaches_the_connection_that_it_is_about_and_no_other() {
    let mut host = in_state(State::SynSent);
    let first = host.shard.app().conn;
    host.local.1 += 1;
    host.connect().expect("another port");
    host.turn(Vec::new());
    host.expect("S", 300, 0);
    let second = host.shard.app().conn;
    assert_ne!(first, second);
    let message = icmp_about(&host, [3, 1], [0; 4], 300);
    host.send_raw(&message);
    let told: Vec<_> = host.shard.app().reports.iter().map(|(id, _)| Some(*id)).collect();
    assert_eq!(told, [second]);
    let message = icmp_about(&host, [3, 3], [0; 4], 300);
    host.send_raw(&message);
    assert_eq!(closed(&host), Some(CloseReason::Unreachable));
    // The first is still there.
    host.shard.app_mut().conn = first;
    host.local.1 -= 1;
    host.send(seg("S.", 500, 301));
    host.expect(".", 301, 501);
    host.send(seg("R", 501, 0));
    host.assert_clean();
}

#[test]
fn source_quench_is_discarded_silently() {
    let mut host = Host::accepted(plain_config());
    host.write(&BYTES[..40_000]);
    let flight = host.out.len();
    host.out.clear();
    let message = icmp_about(&host, [4, 0], [0; 4], 301);
    host.send_raw(&message);
    host.expect_nothing();
    assert_eq!((drops(&host, DropReason::IcmpIgnored), events(&host, Event::IcmpErrorsIn)), (1, 0));
    assert_eq!(host.reports(), []);
    // The window grows as if nothing had been said.
    host.send(seg(".", 101, 301 + 2 * 1460));
    assert_eq!(host.out.len(), 4, "slow start goes on from {flight} segments");
    over(&mut host, 101);
}
