//! Keepalive (RFC 9293 3.8.4): off unless asked for.

use crate::{closed, ends_after, events, over, seconds, sends_after};
use synfin_engine::base::Event;
use synfin_engine::shard::{CloseReason, ShardConfig};
use synfin_engine::tcp::Keepalive;
use synfin_tests::host::{Host, plain_config, seg};

fn config() -> ShardConfig {
    let mut config = plain_config();
    config.tcp.keepalive = Some(Keepalive { idle: seconds(100), interval: seconds(10), probes: 3 });
    config
}

#[test]
fn idle_connection_without_keepalive_lives_for_ever_and_says_nothing() {
    let mut host = Host::accepted(plain_config());
    host.pass(seconds(100_000));
    host.expect_nothing();
    assert_eq!(closed(&host), None);
    over(&mut host, 101);
}

#[test]
fn probe_is_sent_after_the_idle_time_and_an_answer_keeps_the_connection() {
    let mut host = Host::accepted(config());
    for _ in 0..5 {
        sends_after(&mut host, seconds(100));
        let probe = host.expect(".", 300, 101);
        assert!(probe.data.is_empty());
        host.send(seg(".", 101, 301));
        host.expect_nothing();
    }
    assert_eq!(events(&host, Event::KeepaliveProbes), 5);
    over(&mut host, 101);
}

#[test]
fn unanswered_probes_end_the_connection() {
    let mut host = Host::connected(config());
    sends_after(&mut host, seconds(100));
    host.expect(".", 300, 501);
    for _ in 0..2 {
        sends_after(&mut host, seconds(10));
        host.expect(".", 300, 501);
    }
    ends_after(&mut host, seconds(10), CloseReason::TimedOut);
    host.assert_clean();
}

#[test]
fn answer_to_a_later_probe_is_enough() {
    let mut host = Host::accepted(config());
    host.pass(seconds(121));
    assert_eq!(host.out.len(), 3);
    host.out.clear();
    host.send(seg(".", 101, 301));
    sends_after(&mut host, seconds(100));
    host.expect(".", 300, 101);
    over(&mut host, 101);
}

#[test]
fn traffic_puts_the_probes_off() {
    let mut host = Host::accepted(config());
    for i in 0..5u32 {
        host.pass(seconds(90));
        host.out.clear();
        host.send(seg(".", 101 + i, 301).data(*b"x"));
    }
    host.pass(seconds(1));
    host.out.clear();
    sends_after(&mut host, seconds(99));
    assert_eq!(events(&host, Event::KeepaliveProbes), 1);
    over(&mut host, 106);
}

#[test]
fn no_probes_while_data_is_unacknowledged() {
    let mut config = config();
    config.tcp.keepalive = Some(Keepalive { idle: seconds(1), interval: seconds(1), probes: 3 });
    let mut host = Host::accepted(config);
    host.write(b"data");
    host.pass(seconds(20));
    assert_eq!(events(&host, Event::KeepaliveProbes), 0);
    assert_eq!(closed(&host), None);
    over(&mut host, 101);
}
