//! SYN cookies: what a SYN brings with nothing kept, and what the ACK that brings it back makes of it.

use crate::{drops, events, ms, over, seconds};
use synfin_engine::base::{DropReason, Event};
use synfin_engine::shard::ShardConfig;
use synfin_engine::tcp::{State, SynCookies};
use synfin_engine::wire::{TcpFlags, TcpOptions};
use synfin_tests::host::{Host, OUR_PORT, Sent, Told, plain_config, seg};

/// Cookies whatever the pressure.
fn always() -> ShardConfig {
    let mut config = plain_config();
    config.tcp.syn_cookies = SynCookies::Always;
    config
}

/// All options, and cookies whatever the pressure.
fn rich() -> ShardConfig {
    let mut config = always();
    config.tcp.timestamps = true;
    config.tcp.sack = true;
    config
}

/// The SYN,ACK that answers SYN 100; nothing is kept of it.
#[track_caller]
fn cookie(host: &mut Host) -> Sent {
    let answer = host.next();
    assert_eq!((answer.seg.flags, answer.seg.ack.0), (TcpFlags::SYN | TcpFlags::ACK, 101));
    answer
}

fn offer() -> TcpOptions {
    let timestamp = Some((1000, 0));
    TcpOptions { mss: Some(1012), window_scale: Some(7), sack_permitted: true, timestamp, ..TcpOptions::default() }
}

#[test]
fn handshake_with_a_cookie_keeps_nothing_until_it_is_complete() {
    let mut host = Host::server(always());
    host.send(seg("S", 100, 0).mss(1460));
    let iss = cookie(&mut host).seg.seq.0;
    assert_eq!(host.shard.live(), (0, 0, 0));
    host.assert_clean();
    host.pass(seconds(60));
    host.expect_nothing();
    host.send(seg(".", 101, iss + 1));
    assert_eq!(host.told(), [Told::Accepted]);
    assert_eq!(host.state(), State::Established);
    host.expect_nothing();
    assert_eq!((events(&host, Event::SynCookiesSent), events(&host, Event::SynCookiesAccepted)), (1, 1));
    host.write(b"hello");
    host.expect_data(iss + 1, 101, b"hello");
    host.send(seg(".", 101, iss + 6).data(*b"hi"));
    assert_eq!(host.shard.app().bytes(), b"hi");
    over(&mut host, 103);
}

#[test]
fn bytes_and_fin_on_the_segment_with_the_cookie_are_taken() {
    let mut host = Host::server(always());
    host.send(seg("S", 100, 0).mss(1460));
    let iss = cookie(&mut host).seg.seq.0;
    host.send(seg("FP.", 101, iss + 1).data(*b"request"));
    assert_eq!(host.told(), [Told::Accepted, Told::Data(b"request".to_vec()), Told::PeerClosed]);
    host.expect(".", iss + 1, 109);
    over(&mut host, 109);
}

#[test]
fn third_segment_that_is_lost_is_replaced_by_the_bytes_that_follow() {
    let mut host = Host::server(always());
    host.send(seg("S", 100, 0).mss(1460));
    let iss = cookie(&mut host).seg.seq.0;
    // The bare ACK is lost, and the peer repeats its bytes until somebody takes them.
    host.pass(seconds(40));
    host.send(seg(".", 101, iss + 1).data(*b"abc"));
    host.send(seg(".", 104, iss + 1).data(*b"def"));
    assert_eq!(host.shard.app().bytes(), b"abcdef");
    over(&mut host, 107);
}

#[test]
fn bytes_that_overtake_the_third_segment_wait_for_their_repetition() {
    let mut host = Host::server(always());
    host.send(seg("S", 100, 0).mss(1460));
    let iss = cookie(&mut host).seg.seq.0;
    host.send(seg(".", 104, iss + 1).data(*b"def"));
    host.expect_nothing();
    assert_eq!(drops(&host, DropReason::CookieAhead), 1);
    host.send(seg(".", 101, iss + 1).data(*b"abc"));
    host.send(seg(".", 104, iss + 1).data(*b"def"));
    assert_eq!(host.shard.app().bytes(), b"abcdef");
    over(&mut host, 107);
}

#[test]
fn with_timestamps_window_scale_sack_and_mss_are_as_offered() {
    let mut host = Host::server(rich());
    host.send(seg("S", 100, 0).options(offer()));
    let answer = cookie(&mut host);
    let (val, echo) = answer.seg.options.timestamp.expect("timestamps were offered");
    assert_eq!(echo, 1000);
    assert!(answer.seg.options.sack_permitted && answer.seg.options.window_scale.is_some());
    let iss = answer.seg.seq.0;
    host.send(seg(".", 101, iss + 1).window(100).ts(1001, val));
    // 100 << 7 bytes of window, and an initial congestion window of ten segments, of which the MSS table cuts some.
    host.write(&crate::BYTES[..20_000]);
    let sent: Vec<Sent> = host.out.drain(..).collect();
    assert_eq!(sent.len(), 10);
    assert!(sent.iter().all(|s| s.data.len() == 536 - 12));
    assert!(sent.iter().all(|s| s.seg.options.timestamp.is_some_and(|(v, e)| v.wrapping_sub(val) < 64 && e == 1001)));
    host.send(seg(".", 111, iss + 1).data(*b"later").ts(1002, val));
    let ack = host.next().seg;
    assert_eq!(ack.options.sack_blocks().len(), 1);
    over(&mut host, 101);
}

#[test]
fn window_scale_is_the_one_that_went_out_with_the_cookie_whatever_is_configured_since() {
    let buffer = |config: &ShardConfig, bytes| config.tcp.with_fixed_receive_buffer(bytes);
    for (before, after) in [(256 << 10, 16 << 20), (16 << 20, 0xffff)] {
        let mut config = rich();
        config.tcp = buffer(&config, before);
        let after = buffer(&config, after);
        let mut host = Host::server(config);
        host.send(seg("S", 100, 0).options(offer()));
        let answer = cookie(&mut host).seg;
        host.shard.with_net(host.now, |_, net| net.listen(OUR_PORT, Some(&after)));
        let (val, _) = answer.options.timestamp.expect("timestamps were offered");
        host.send(seg(".", 101, answer.seq.0 + 1).ts(1001, val));
        host.act(|c| assert_eq!(c.info().map(|i| i.receive_scale), answer.options.window_scale));
        over(&mut host, 101);
    }
}

#[test]
fn without_timestamps_neither_window_scale_nor_sack_is_agreed_on() {
    let mut host = Host::server(rich());
    host.send(seg("S", 100, 0).options(TcpOptions { timestamp: None, ..offer() }));
    let answer = cookie(&mut host).seg;
    assert_eq!(answer.options, TcpOptions { mss: Some(1460), ..TcpOptions::default() });
    host.send(seg(".", 101, answer.seq.0 + 1).window(100));
    host.write(&crate::BYTES[..20_000]);
    assert_eq!(host.next().data.len(), 100);
    over(&mut host, 101);
}

#[test]
fn timestamps_never_go_back_behind_that_of_the_cookie() {
    let mut host = Host::server(rich());
    for step in 0..70 {
        host.remote.1 = 40_000 + step;
        host.now = host.now.plus_nanos(1 << 20);
        host.send(seg("S", 100, 0).options(offer()));
        let answer = cookie(&mut host).seg;
        let (val, _) = answer.options.timestamp.unwrap();
        host.send(seg(".", 101, answer.seq.0 + 1).ts(1001, val));
        host.write(b"x");
        let (next, _) = host.next().seg.options.timestamp.unwrap();
        assert!(next.wrapping_sub(val) < 32, "{next} after {val}");
        host.send(seg("R", 101, 0));
    }
}

#[test]
fn repeated_syn_gets_the_same_number_and_either_answer_is_good() {
    let mut host = Host::server(always());
    host.send(seg("S", 100, 0).mss(1460));
    let first = cookie(&mut host).seg.seq;
    host.pass(ms(10));
    host.send(seg("S", 100, 0).mss(1460));
    assert_eq!(cookie(&mut host).seg.seq, first);
    host.pass(seconds(69));
    host.send(seg("S", 100, 0).mss(1460));
    assert_ne!(cookie(&mut host).seg.seq, first);
    host.send(seg(".", 101, first.0 + 1));
    assert_eq!(host.told(), [Told::Accepted]);
    over(&mut host, 101);
}

#[test]
fn wrong_and_outdated_cookies_are_reset() {
    let mut host = Host::server(always());
    host.send(seg("S", 100, 0).mss(1460));
    let iss = cookie(&mut host).seg.seq.0;
    for (seq, ack) in [(101, iss), (101, iss.wrapping_sub(1 << 30)), (101, 7), (7, 7)] {
        host.send(seg(".", seq, ack));
        host.expect("R", ack, 0);
    }
    assert_eq!(drops(&host, DropReason::CookieBad), 4);
    host.remote.1 += 1;
    host.send(seg(".", 101, iss + 1));
    host.expect("R", iss + 1, 0);
    host.remote.1 -= 1;
    host.pass(seconds(140));
    host.send(seg(".", 101, iss + 1));
    host.expect("R", iss + 1, 0);
    assert!(host.told().is_empty());
    host.assert_clean();
}

#[test]
fn cookie_opens_one_connection_and_not_another_after_it() {
    let mut host = Host::server(always());
    host.send(seg("S", 100, 0).mss(1460));
    let iss = cookie(&mut host).seg.seq.0;
    host.send_burst(&[seg(".", 101, iss + 1), seg(".", 101, iss + 1).data(*b"abc")]);
    assert_eq!(host.told(), [Told::Accepted, Told::Data(b"abc".to_vec())]);
    assert_eq!(host.shard.live(), (1, 0, 0));
    over(&mut host, 104);
}

#[test]
fn reset_or_syn_with_the_right_number_opens_nothing() {
    let mut host = Host::server(always());
    host.send(seg("S", 100, 0).mss(1460));
    let iss = cookie(&mut host).seg.seq.0;
    host.send(seg("R.", 101, iss + 1));
    host.expect_nothing();
    host.send(seg("S.", 101, iss + 1));
    host.expect("R", iss + 1, 0);
    assert!(host.told().is_empty());
    host.assert_clean();
}

#[test]
fn nobody_listens_any_more_when_the_cookie_comes_back() {
    let mut host = Host::server(always());
    host.send(seg("S", 100, 0).mss(1460));
    let iss = cookie(&mut host).seg.seq.0;
    host.shard.stop_listening();
    host.send(seg(".", 101, iss + 1));
    host.expect("R", iss + 1, 0);
    host.assert_clean();
}

#[test]
fn backlog_pressure_switches_cookies_on_and_its_end_off() {
    let mut config = plain_config();
    config.limits.half_open = 8;
    let mut host = Host::server(config);
    let mut numbers = Vec::new();
    for n in 0..12 {
        host.remote.1 = 40_000 + n;
        host.send(seg("S", 100, 0));
        numbers.push(cookie(&mut host).seg.seq.0);
    }
    assert_eq!(host.shard.live(), (0, 6, 0));
    assert_eq!(events(&host, Event::SynCookiesSent), 6);
    // Those with a record and those without get through alike.
    for n in 0..12 {
        host.remote.1 = 40_000 + n;
        host.send(seg(".", 101, numbers[usize::from(n)] + 1));
    }
    assert_eq!(host.told().len(), 12);
    assert_eq!(host.shard.live(), (12, 0, 0));
    host.remote.1 = 50_000;
    host.send(seg("S", 100, 0));
    host.expect("S.", 300, 101);
    assert_eq!(host.shard.live(), (12, 1, 0));
}

#[test]
fn full_connection_table_lets_the_cookie_come_back_later() {
    let mut config = always();
    config.limits.connections = 1;
    let mut host = Host::server(config);
    let [first, iss] = [1001, 1002].map(|port| {
        host.remote.1 = port;
        host.send(seg("S", 100, 0));
        cookie(&mut host).seg.seq.0
    });
    for (port, iss) in [(1001, first), (1002, iss)] {
        host.remote.1 = port;
        host.send(seg(".", 101, iss + 1).data(*b"x"));
    }
    host.expect_nothing();
    assert_eq!(drops(&host, DropReason::TableFull), 1);
    host.remote.1 = 1001;
    host.send(seg("R", 102, 0));
    host.remote.1 = 1002;
    host.send(seg(".", 101, iss + 1).data(*b"x"));
    assert_eq!(host.told().last(), Some(&Told::Data(b"x".to_vec())));
    assert_eq!(host.shard.live(), (1, 0, 0));
}

#[test]
fn syn_that_ends_time_wait_gets_a_record_since_its_number_must_lie_beyond() {
    let mut host = Host::server(always());
    host.send(seg("S", 100, 0));
    let iss = cookie(&mut host).seg.seq.0;
    host.send(seg(".", 101, iss + 1));
    host.act(|c| c.close());
    host.expect("F.", iss + 1, 101);
    host.send(seg("F.", 101, iss + 2));
    host.expect(".", iss + 2, 102);
    host.send(seg("S", 103, 0));
    assert_eq!(host.next().seg.ack.0, 104);
    assert_eq!(host.shard.live().1, 1);
    host.send(seg("R", 104, 0));
    host.pass(seconds(61));
    host.assert_clean();
}

#[test]
fn answer_that_finds_no_room_is_counted_once() {
    let mut host = Host::server(always());
    host.limit_burst(1);
    host.send_burst(&[seg("S", 100, 0), seg("S", 100, 0)]);
    cookie(&mut host);
    host.expect_nothing();
    assert_eq!((events(&host, Event::SynCookiesSent), drops(&host, DropReason::TxFull)), (1, 1));
}
