//! TIME-WAIT: how long it lasts, what it answers, when it gives way.

use crate::{closed, drops, events, in_state, ms, over, seconds, stamped_config};
use synfin_engine::base::{DropReason, Event};
use synfin_engine::shard::{CloseReason, ConnectError, ShardConfig};
use synfin_engine::tcp::{State, SynCookies};
use synfin_tests::host::{Host, PEER_PORT, Seg, Told, plain_config, seg};

/// The host accepted a connection and closed it first: peer's next number 102, ours 302.
fn server_side(config: ShardConfig, stamp: Option<u32>) -> Host {
    let mut host = Host::server(config);
    let stamped = |s: Seg| if let Some(val) = stamp { s.ts(val, 0) } else { s };
    host.send(stamped(seg("S", 100, 0).mss(1460)));
    host.expect("S.", 300, 101);
    host.send(stamped(seg(".", 101, 301)));
    host.act(|c| c.close());
    host.expect("F.", 301, 101);
    host.send(stamped(seg("F.", 101, 302)));
    host.expect(".", 302, 102);
    assert_eq!(host.state(), State::TimeWait);
    host
}

#[test]
fn record_lasts_exactly_2msl_and_leaves_nothing() {
    let mut config = plain_config();
    config.tcp.time_wait = seconds(7);
    let mut host = server_side(config, None);
    host.pass(seconds(7) - ms(1));
    assert_eq!(host.state(), State::TimeWait);
    host.pass(ms(3));
    assert_eq!(host.state(), State::Closed);
    host.expect_nothing();
    assert_eq!(events(&host, Event::TimeWaitExpired), 1);
    host.assert_clean();
}

#[test]
fn application_is_told_when_time_wait_begins_not_when_it_ends() {
    let mut host = in_state(State::TimeWait);
    assert_eq!(host.told().last(), Some(&Told::Closed(CloseReason::Graceful)));
    let told = host.told().len();
    host.pass(seconds(61));
    assert_eq!(host.told().len(), told);
    host.assert_clean();
}

#[test]
fn syn_with_a_higher_number_opens_a_new_connection_with_a_number_beyond_the_old_one() {
    let mut host = server_side(plain_config(), None);
    host.send(seg("S", 103, 0).mss(1460));
    let answer = host.next().seg;
    assert_eq!((answer.flags.syn(), answer.flags.ack(), answer.ack.0), (true, true, 104));
    assert!(answer.seq.0 > 302, "ISN {} is not beyond the old connection's", answer.seq.0);
    assert_eq!(events(&host, Event::TimeWaitReused), 1);
    host.send(seg(".", 104, answer.seq.0 + 1));
    assert_eq!(host.told().last(), Some(&Told::Accepted));
    host.send(seg("R", 104, 0));
    host.pass(seconds(61));
    host.assert_clean();
}

/// A connection from another port, in its handshake or beyond.
fn other(host: &mut Host, port: u16, completes: bool) {
    host.remote.1 = port;
    host.send(seg("S", 100, 0).mss(1460));
    host.expect("S.", 300, 101);
    if completes {
        host.send(seg(".", 101, 301));
    }
    host.remote.1 = PEER_PORT;
}

#[test]
fn record_stays_while_there_is_no_room_for_the_connection_that_would_end_it() {
    for (cookies, half_open) in [(SynCookies::Off, true), (SynCookies::Auto, true), (SynCookies::Off, false)] {
        let mut config = plain_config();
        config.limits.half_open = 1;
        config.limits.connections = 1;
        config.tcp.syn_cookies = cookies;
        let mut host = server_side(config, None);
        other(&mut host, PEER_PORT + 1, !half_open);
        host.send(seg("S", 103, 0).mss(1460));
        host.expect_nothing();
        let reason = if half_open { DropReason::BacklogFull } else { DropReason::TableFull };
        assert_eq!((drops(&host, reason), events(&host, Event::TimeWaitReused)), (1, 0));
        // The peer that the record is kept for may still need its answer.
        host.send(seg("F.", 101, 302));
        host.expect(".", 302, 102);
        assert_eq!(host.shard.live().2, 1);
    }
}

#[test]
fn reopened_connection_needs_no_cookie_while_there_is_room_and_goes_beyond_the_old_one() {
    let mut config = plain_config();
    config.limits.half_open = 4;
    let mut host = server_side(config, None);
    (1..=3).for_each(|n| other(&mut host, PEER_PORT + n, false));
    host.send(seg("S", 103, 0).mss(1460));
    let answer = host.next().seg;
    assert_eq!(events(&host, Event::SynCookiesSent), 0);
    assert!(answer.seq.0 > 302, "ISN {} is not beyond the old connection's", answer.seq.0);
    host.send(seg(".", 104, answer.seq.0 + 1));
    assert_eq!(host.told().last(), Some(&Told::Accepted));
    assert_eq!((events(&host, Event::TimeWaitReused), host.shard.live().2), (1, 0));
}

#[test]
fn syn_with_a_lower_or_equal_number_is_only_acknowledged() {
    let mut host = server_side(plain_config(), None);
    for old in [100, 101, 102, 102u32.wrapping_sub(1 << 30)] {
        host.send(seg("S", old, 0));
        host.expect(".", 302, 102);
        assert_eq!(host.state(), State::TimeWait);
    }
    assert_eq!(events(&host, Event::TimeWaitReused), 0);
    host.pass(seconds(61));
    host.assert_clean();
}

#[test]
fn syn_with_a_newer_timestamp_opens_a_new_connection_whatever_its_number() {
    let mut host = server_side(stamped_config(), Some(1000));
    host.send(seg("S", 50, 0).ts(1001, 0));
    assert_eq!(host.next().seg.ack.0, 51);
    assert_eq!(events(&host, Event::TimeWaitReused), 1);
    host.send(seg("R", 51, 0));
    host.pass(seconds(61));
    host.assert_clean();
}

#[test]
fn syn_with_an_older_timestamp_is_refused_whatever_its_number() {
    let mut host = server_side(stamped_config(), Some(1000));
    host.send(seg("S", 5000, 0).ts(999, 0));
    host.expect(".", 302, 102);
    assert_eq!(host.state(), State::TimeWait);
    host.pass(seconds(61));
    host.assert_clean();
}

#[test]
fn syn_with_the_same_timestamp_is_judged_by_its_number() {
    // RFC 6191 section 2.
    let mut host = server_side(stamped_config(), Some(1000));
    host.send(seg("S", 102, 0).ts(1000, 0));
    host.expect(".", 302, 102);
    host.send(seg("S", 103, 0).ts(1000, 0));
    assert_eq!(host.next().seg.ack.0, 104);
    host.send(seg("R", 104, 0));
    host.pass(seconds(61));
    host.assert_clean();
}

#[test]
fn syn_without_the_timestamps_of_the_old_connection_is_judged_by_its_number() {
    let mut host = server_side(stamped_config(), Some(1000));
    host.send(seg("S", 102, 0));
    host.expect(".", 302, 102);
    host.send(seg("S", 103, 0));
    assert_eq!(host.next().seg.ack.0, 104);
    host.send(seg("R", 104, 0));
    host.pass(seconds(61));
    host.assert_clean();
}

#[test]
fn syn_with_fin_or_ack_never_reopens() {
    let mut host = server_side(plain_config(), None);
    for flags in ["SF", "S.", "SF."] {
        host.send(seg(flags, 5000, 302));
        assert_eq!(host.state(), State::TimeWait, "{flags}");
    }
    assert_eq!(events(&host, Event::TimeWaitReused), 0);
    host.pass(seconds(61));
    host.assert_clean();
}

#[test]
fn side_that_does_not_listen_refuses_a_new_connection_in_time_wait() {
    let mut host = in_state(State::TimeWait);
    host.send(seg("S", 9000, 0));
    host.expect(".", 302, 502);
    assert_eq!(host.state(), State::TimeWait);
    assert_eq!(host.connect(), Err(ConnectError::AddressInUse));
    host.pass(seconds(61));
    host.assert_clean();
    assert!(host.connect().is_ok());
    host.act(|c| c.abort());
    host.assert_clean();
}

#[test]
fn old_data_is_answered_and_the_last_ack_again_is_not() {
    let mut host = in_state(State::TimeWait);
    host.send(seg(".", 502, 302));
    host.expect_nothing();
    host.send(seg(".", 495, 302).data(*b"old"));
    host.expect(".", 302, 502);
    host.send(seg(".", 502, 302).data(*b"new"));
    host.expect(".", 302, 502);
    assert_eq!(host.shard.app().bytes(), b"");
    // Only a FIN begins 2MSL anew.
    host.pass(seconds(61));
    assert_eq!(host.state(), State::Closed);
    host.assert_clean();
}

#[test]
fn repeated_fins_keep_the_record_and_nothing_else_grows() {
    let mut host = in_state(State::TimeWait);
    for _ in 0..50 {
        host.pass(seconds(30));
        host.send(seg("F.", 501, 302));
        host.expect(".", 302, 502);
        assert!(host.shard.live().2 <= 3, "{} records", host.shard.live().2);
    }
    host.pass(seconds(61));
    host.assert_clean();
}

/// One connection from `port`, closed by the host first.
fn one_more(host: &mut Host, port: u16) {
    host.remote.1 = port;
    host.send(seg("S", 100, 0));
    host.expect("S.", 300, 101);
    host.send(seg(".", 101, 301));
    host.act(|c| c.close());
    host.expect("F.", 301, 101);
    host.send(seg("F.", 101, 302));
    host.expect(".", 302, 102);
}

#[test]
fn oldest_record_gives_way_at_the_limit() {
    let mut config = plain_config();
    config.limits.time_wait = 2;
    let mut host = Host::server(config);
    for port in [5001, 5002, 5003] {
        one_more(&mut host, port);
        host.pass(seconds(1));
    }
    assert_eq!(host.shard.live(), (0, 0, 2));
    assert_eq!(events(&host, Event::TimeWaitEvicted), 1);
    // The first is gone: its FIN is refused. The others still answer.
    for (port, there) in [(5001, false), (5002, true), (5003, true)] {
        host.remote.1 = port;
        host.send(seg("F.", 101, 302));
        assert_eq!(host.next().seg.flags.rst(), !there, "port {port}");
    }
    host.pass(seconds(61));
    host.assert_clean();
}

#[test]
fn fin_at_the_limit_still_begins_2msl_anew() {
    let mut config = plain_config();
    config.limits.time_wait = 1;
    let mut host = server_side(config, None);
    host.pass(seconds(40));
    host.send(seg("F.", 101, 302));
    host.expect(".", 302, 102);
    host.pass(seconds(59));
    assert_eq!(host.state(), State::TimeWait);
    host.pass(seconds(2));
    host.assert_clean();
}

#[test]
fn limit_of_zero_keeps_no_record_at_all() {
    let mut config = plain_config();
    config.limits.time_wait = 0;
    let mut host = Host::server(config);
    one_more(&mut host, 5001);
    assert_eq!(closed(&host), Some(CloseReason::Graceful));
    host.assert_clean();
}

#[test]
fn answers_in_time_wait_are_limited() {
    let mut config = plain_config();
    config.tcp.challenge_acks_per_s = 3;
    let mut host = server_side(config, None);
    for _ in 0..10 {
        host.send(seg(".", 90, 302).data(*b"old"));
    }
    let sent = host.out.len() as u64;
    assert!((2..=3).contains(&sent), "{sent} answers");
    assert_eq!(drops(&host, DropReason::ChallengeLimited), 10 - sent);
    host.out.clear();
    host.pass(seconds(61));
    host.assert_clean();
}

#[test]
fn new_connection_after_time_wait_is_like_any_other() {
    let mut host = server_side(plain_config(), None);
    host.pass(seconds(61));
    host.send(seg("S", 100, 0));
    host.expect("S.", 300, 101);
    host.send(seg(".", 101, 301));
    host.send(seg(".", 101, 301).data(*b"abc"));
    assert_eq!(host.shard.app().bytes(), b"abc");
    host.send(seg("R", 104, 0));
    host.assert_clean();
    let mut host = Host::accepted(plain_config());
    over(&mut host, 101);
}
