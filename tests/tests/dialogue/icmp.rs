//! What routers and hosts say about segments of ours: hard and soft errors.

use crate::{closed, drops, ends_after, events, ms, seconds};
use synfin_engine::base::{DropReason, Event};
use synfin_engine::shard::CloseReason;
use synfin_engine::tcp::State;
use synfin_engine::wire::checksum::checksum;
use synfin_tests::host::{Host, OUR_MAC, OURS, PEER, PEER_MAC, plain_config, seg};

/// A router's frame: an ICMP error about the segment of the connection with number `seq`, which was `len` bytes long with
/// its IP header. `rest`: what the message has in its second half.
pub fn icmp_error(host: &Host, kind: u8, code: u8, rest: u16, seq: u32, len: u16) -> Vec<u8> {
    let mut quote = ipv4(6, OURS.v4_bytes(), PEER.v4_bytes(), usize::from(len) - 20);
    quote.extend_from_slice(&host.local.1.to_be_bytes());
    quote.extend_from_slice(&host.remote.1.to_be_bytes());
    quote.extend_from_slice(&seq.to_be_bytes());
    let mut message = vec![kind, code, 0, 0, 0, 0];
    message.extend_from_slice(&rest.to_be_bytes());
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
    let mut header = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0];
    header[2..4].copy_from_slice(&(20 + body_len as u16).to_be_bytes());
    header.extend_from_slice(&src);
    header.extend_from_slice(&dst);
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}

const NET: (u8, u8) = (3, 0);
const HOST: (u8, u8) = (3, 1);
const PROTOCOL: (u8, u8) = (3, 2);
const PORT: (u8, u8) = (3, 3);
const PROHIBITED: (u8, u8) = (3, 13);
const TIME_EXCEEDED: (u8, u8) = (11, 0);

/// A host whose SYN is met by an error.
fn opening(error: (u8, u8)) -> Host {
    let mut host = Host::client(plain_config());
    host.expect("S", 300, 0);
    hears(&mut host, error, 300);
    host
}

fn hears(host: &mut Host, (kind, code): (u8, u8), seq: u32) {
    let message = icmp_error(host, kind, code, 0, seq, 40);
    host.send_raw(&message);
}

#[test]
fn hard_errors_end_an_attempt_to_connect_at_once() {
    for (error, why) in
        [(PORT, CloseReason::Refused), (PROTOCOL, CloseReason::Refused), (PROHIBITED, CloseReason::Unreachable)]
    {
        let mut host = opening(error);
        assert_eq!(closed(&host), Some(why), "{error:?}");
        host.expect_nothing();
        host.assert_clean();
    }
}

#[test]
fn hard_error_ends_a_simultaneous_open_with_rst() {
    let mut host = crate::in_state(State::SynReceived);
    hears(&mut host, PORT, 300);
    assert_eq!(closed(&host), Some(CloseReason::Refused));
    host.expect("R.", 301, 501);
    host.assert_clean();
}

#[test]
fn soft_errors_are_the_cause_when_the_attempts_to_connect_are_used_up() {
    for (error, why) in [
        (NET, CloseReason::NetUnreachable),
        (HOST, CloseReason::Unreachable),
        (TIME_EXCEEDED, CloseReason::Unreachable),
    ] {
        let mut config = plain_config();
        config.tcp.syn_retries = 1;
        let mut host = Host::client(config);
        hears(&mut host, error, 300);
        assert_eq!(closed(&host), None, "{error:?}");
        ends_after(&mut host, seconds(3), why);
        host.assert_clean();
    }
}

#[test]
fn soft_error_does_not_keep_a_connection_from_opening() {
    let mut host = opening(HOST);
    host.send(seg("S.", 500, 301).mss(1460));
    host.expect(".", 301, 501);
    assert_eq!(host.state(), State::Established);
}

/// An established connection whose bytes are met by an error, and then by silence until it is given up.
fn abandoned(error: (u8, u8), answered_before: bool) -> Option<CloseReason> {
    let mut config = plain_config();
    config.tcp.data_retries = 2;
    let mut host = Host::accepted(config);
    host.write(b"some bytes");
    host.expect_data(301, 101, b"some bytes");
    hears(&mut host, error, 301);
    assert_eq!(host.state(), State::Established);
    if answered_before {
        host.send(seg(".", 101, 311));
        host.write(b"more");
    }
    host.pass(seconds(10));
    closed(&host)
}

#[test]
fn errors_about_a_connection_that_works_are_the_cause_when_its_retries_are_used_up() {
    for (error, why) in
        [(NET, CloseReason::NetUnreachable), (HOST, CloseReason::Unreachable), (PORT, CloseReason::Unreachable)]
    {
        assert_eq!(abandoned(error, false), Some(why), "{error:?}");
    }
}

#[test]
fn an_ack_shows_that_the_trouble_has_passed() {
    assert_eq!(abandoned(HOST, true), Some(CloseReason::TimedOut));
}

#[test]
fn soft_errors_can_be_asked_for_once() {
    let mut host = Host::accepted(plain_config());
    host.write(b"some bytes");
    hears(&mut host, NET, 301);
    let mut seen = Vec::new();
    host.act(|c| seen.extend([c.take_soft_error(), c.take_soft_error()]));
    assert_eq!(seen, [Some(CloseReason::NetUnreachable), None]);
}

#[test]
fn errors_about_what_is_not_under_way_are_not_believed() {
    let mut host = Host::client(plain_config());
    for seq in [299, 301, 300 + (1 << 31)] {
        hears(&mut host, PORT, seq);
    }
    assert_eq!((closed(&host), drops(&host, DropReason::IcmpStale)), (None, 3));
    let mut host = Host::accepted(plain_config());
    hears(&mut host, HOST, 301);
    assert_eq!((events(&host, Event::IcmpErrorsIn), drops(&host, DropReason::IcmpStale)), (0, 1));
    host.pass(ms(10));
}
