//! Connections that fail: how long they are tried, and who is told meanwhile (RFC 9293 3.8.3).

use crate::{closed, events, ms, seconds, sends_after};
use std::time::Duration;
use synfin_engine::base::Event;
use synfin_engine::shard::{CloseReason, Report};
use synfin_engine::wire::parse::Packet;
use synfin_tests::host::{Host, OURS, plain_config, seg};

#[test]
fn third_time_out_is_reported_and_the_next_hop_doubted() {
    let mut config = plain_config();
    config.static_neighbours.clear();
    let mut host = Host::accepted(config);
    host.write(b"data");
    host.expect_data(301, 101, b"data");
    for wait in [200, 400] {
        sends_after(&mut host, ms(wait));
        host.expect_data(301, 101, b"data");
        assert_eq!(host.reports(), []);
    }
    sends_after(&mut host, ms(800));
    host.expect_data(301, 101, b"data");
    assert_eq!(host.reports(), [Report::NoAnswer]);
    // The SYN has told a second ago where the peer is, which would be believed for half a minute; now it is asked.
    host.pass(seconds(10));
    let asked = host.other.iter().any(|p| matches!(p, Packet::Arp(a) if a.is_request && a.sender == OURS));
    assert!(asked, "{:?}", host.other);
    assert_eq!(host.reports().len(), 1, "told once");
    // The next failure is another one.
    host.send(seg(".", 101, 305));
    host.out.clear();
    host.write(b"more");
    host.pass(seconds(60));
    assert_eq!(host.reports().len(), 2);
    host.act(|c| c.abort());
    host.assert_clean();
}

#[test]
fn third_time_out_of_a_syn_is_reported_too() {
    let mut host = Host::client(plain_config());
    host.expect("S", 300, 0);
    host.pass(seconds(3) + ms(10));
    assert_eq!((events(&host, Event::SynRetransmits), host.reports().len()), (2, 0));
    host.pass(seconds(4));
    assert_eq!((events(&host, Event::SynRetransmits), host.reports()), (3, vec![Report::NoAnswer]));
    host.act(|c| c.abort());
    host.assert_clean();
}

/// How long it takes until the connection is given up, and how many segments are sent meanwhile.
fn given_up(host: &mut Host) -> (Duration, usize) {
    let (start, mut sent) = (host.now, 0);
    while closed(host).is_none() {
        host.pass(ms(500));
        sent += host.out.drain(..).filter(|s| !s.seg.flags.rst()).count();
        assert!(host.now.nanos_since(start) < 10_000_000_000_000, "never given up");
    }
    assert_eq!(closed(host), Some(CloseReason::TimedOut));
    (Duration::from_nanos(host.now.nanos_since(start)), sent)
}

#[test]
fn unanswered_syn_is_repeated_for_three_minutes() {
    let mut host = Host::client(plain_config());
    host.expect("S", 300, 0);
    let (took, sent) = given_up(&mut host);
    assert!(took >= seconds(180), "given up after {took:?}");
    assert_eq!(sent, 7);
    host.assert_clean();
}

#[test]
fn unanswered_data_is_given_up_after_more_than_a_hundred_seconds() {
    let mut host = Host::accepted(plain_config());
    host.write(b"data");
    host.out.clear();
    let (took, sent) = given_up(&mut host);
    assert!(took >= seconds(100), "given up after {took:?}");
    assert_eq!(sent, 15);
    host.assert_clean();
}

#[test]
fn peers_link_address_that_was_doubted_is_believed_again_when_it_answers() {
    let mut config = plain_config();
    config.static_neighbours.clear();
    let mut host = Host::accepted(config);
    host.write(b"data");
    host.pass(seconds(2));
    assert_eq!(host.reports(), [Report::NoAnswer]);
    host.send(seg(".", 101, 305));
    host.out.clear();
    host.other.clear();
    host.pass(seconds(20));
    assert!(host.other.is_empty(), "{:?}", host.other);
    host.write(b"more");
    host.expect_data(305, 101, b"more");
    host.act(|c| c.abort());
    host.assert_clean();
}
