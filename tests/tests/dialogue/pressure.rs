//! More to do than there is room for: nothing is forgotten, and what strangers send takes no room from what we do.

use crate::{closed, drops, events, ms, seconds, syn_of_station};
use synfin_engine::base::{DropReason, Event};
use synfin_engine::shard::{CloseReason, Connect, ConnectError, Generator, Payload, SendError};
use synfin_engine::tcp::{Keepalive, State, SynCookies};
use synfin_engine::wire::Addr;
use synfin_tests::host::{Host, OURS, PEER_PORT, Told, plain_config, seg};

#[test]
fn every_aborted_connection_gets_its_reset_however_small_the_burst() {
    let mut host = Host::server(plain_config());
    let mut ids = Vec::new();
    for n in 0..10 {
        host.remote.1 = PEER_PORT + n;
        host.send(seg("S", 100, 0).mss(1460));
        host.expect("S.", 300, 101);
        host.send(seg(".", 101, 301));
        ids.push(host.shard.app().conn.unwrap());
    }
    host.limit_burst(4);
    host.shard.with_net(host.now, |_, net| ids.iter().for_each(|id| net.conn(*id).unwrap().abort()));
    for _ in 0..3 {
        host.turn(Vec::new());
    }
    let reset: Vec<u16> = host.out.drain(..).filter(|s| s.seg.flags.rst()).map(|s| s.seg.dst_port).collect();
    assert_eq!(reset, (PEER_PORT..PEER_PORT + 10).collect::<Vec<_>>());
    assert!(closed(&host).is_some());
    host.assert_clean();
}

#[test]
fn duplicate_ack_that_finds_no_room_goes_out_with_the_next_burst() {
    let mut host = Host::accepted(plain_config());
    host.limit_burst(1);
    host.send_burst(&[seg(".", 201, 301).data(*b"later"), seg(".", 301, 301).data(*b"even later")]);
    host.expect(".", 301, 101);
    host.expect_nothing();
    host.turn(Vec::new());
    host.expect(".", 301, 101);
    host.expect_nothing();
}

#[test]
fn connection_that_found_all_buffers_taken_is_told_when_there_are_some_again() {
    let mut config = plain_config();
    config.limits.copy_buffers = 1;
    let mut host = Host::server(config);
    let ids = [0, 1].map(|n| {
        host.remote.1 = PEER_PORT + n;
        host.send(seg("S", 100, 0).mss(1460));
        host.expect("S.", 300, 101);
        host.send(seg(".", 101, 301));
        host.shard.app().conn.unwrap()
    });
    let copies = ids.map(|id| host.shard.with_net(host.now, |_, net| net.conn(id).unwrap().send_copy(b"bytes")));
    assert_eq!(copies, [Ok(5), Ok(0)]);
    host.turn(Vec::new());
    host.expect_data(301, 101, b"bytes");
    host.turn(Vec::new());
    assert!(!host.told().contains(&Told::Writable));
    host.remote.1 = PEER_PORT;
    host.send(seg(".", 101, 306));
    assert_eq!(host.told().last(), Some(&Told::Writable));
    assert_eq!(host.shard.app().conn, Some(ids[1]));
}

#[test]
fn send_queue_never_holds_more_than_sequence_numbers_can_tell_apart() {
    fn zeros(_: u64, _: u64, out: &mut [u8]) {
        out.fill(0);
    }
    let mut config = plain_config();
    config.limits.send_queue_bytes = u32::MAX;
    let mut host = Host::accepted(config);
    host.act(|c| {
        let half = Payload::Generated(Generator { len: 1 << 30, seed: 0, fill: zeros });
        c.send(half.clone()).unwrap();
        let rest: Result<Vec<()>, _> = (0..2).map(|_| c.send(half.clone())).collect();
        assert_eq!(rest, Err(SendError::Full));
    });
    assert!(!host.out.is_empty());
}

#[test]
fn syns_of_strangers_leave_room_for_neighbours_that_we_ask_for() {
    let mut config = plain_config();
    config.locals[0].prefix_len = 0;
    config.tcp.syn_cookies = SynCookies::Off;
    let mut host = Host::server(config);
    for burst in 0..2200 {
        let frames = (0..64).map(|n| syn_of_station(&mut host, 1 + burst * 64 + n)).collect();
        host.turn_unchecked(frames);
    }
    let remote = Addr::v4([192, 0, 2, 1]);
    let to = Connect { local: OURS, local_port: 5000, remote, remote_port: 80 };
    assert!(host.shard.with_net(host.now, |_, net| net.connect(to, ())).is_ok());
    assert!(drops(&host, DropReason::TableFull) > 0);
}

#[test]
fn flood_of_repeated_fins_takes_no_room_from_other_time_wait_records() {
    let mut host = Host::server(plain_config());
    for n in 0..2 {
        host.remote.1 = PEER_PORT + n;
        host.send(seg("S", 100, 0).mss(1460));
        host.expect("S.", 300, 101);
        host.send(seg(".", 101, 301));
        host.act(|c| c.close());
        host.expect("F.", 301, 101);
        host.send(seg("F.", 101, 302));
        host.expect(".", 302, 102);
    }
    for _ in 0..1000 {
        host.send(seg("F.", 101, 302));
        host.expect(".", 302, 102);
    }
    assert_eq!(host.shard.live(), (0, 0, 2));
    host.pass(seconds(50));
    host.send(seg("F.", 101, 302));
    host.expect(".", 302, 102);
    host.pass(seconds(60) - ms(1));
    assert_eq!(host.shard.live(), (0, 0, 1), "2MSL began anew with the last FIN");
    host.pass(ms(2));
    host.assert_clean();
}

/// A connection from `port`.
fn accept(host: &mut Host, port: u16) {
    host.remote.1 = port;
    host.send(seg("S", 100, 0).mss(1460));
    host.expect("S.", 300, 101);
    host.send(seg(".", 101, 301));
}

#[test]
fn connection_with_many_gaps_leaves_room_for_those_of_others() {
    let mut config = plain_config();
    config.limits.held_frames = 16;
    let mut host = Host::server(config);
    for (n, held) in [8, 4, 2, 1].into_iter().enumerate() {
        accept(&mut host, PEER_PORT + n as u16);
        let before = events(&host, Event::OutOfOrderIn);
        for gap in 0..20 {
            host.send(seg(".", 111 + 10 * gap, 301).data(*b"later"));
        }
        host.out.clear();
        assert_eq!(events(&host, Event::OutOfOrderIn) - before, held);
    }
    // What was held is still good.
    host.send(seg(".", 101, 301).data(*b"0123456789"));
    host.expect(".", 301, 116);
}

#[test]
fn segments_are_put_in_order_whatever_order_they_come_in() {
    let mut rng = synfin_engine::base::Rng::new(5);
    for _ in 0..30 {
        let mut host = Host::accepted(plain_config());
        let mut at = 0usize;
        let mut pieces = Vec::new();
        while at < 3_000 {
            let len = 1 + rng.below(40) as usize;
            pieces.push((at, len + rng.below(20) as usize));
            at += len;
        }
        while !pieces.is_empty() {
            let (at, len) = pieces.swap_remove(rng.below(pieces.len() as u64) as usize);
            host.send(seg(".", 101 + at as u32, 301).data(&crate::BYTES[at..at + len]));
            host.out.clear();
        }
        let got = host.shard.app().bytes();
        assert_eq!(got, crate::BYTES[..got.len()]);
        host.send(seg("R", 101 + got.len() as u32, 0));
        host.assert_clean();
    }
}

#[test]
fn handshakes_that_are_begun_and_taken_back_are_bounded_and_come_back_with_time() {
    let mut config = plain_config();
    config.limits.half_open = 2;
    config.tcp.syn_cookies = SynCookies::Off;
    let mut host = Host::server(config);
    // One stays: what is behind it in the queue waits with it.
    host.send(seg("S", 100, 0));
    host.remote.1 = PEER_PORT + 1;
    for _ in 0..100 {
        host.send(seg("S", 100, 0));
        host.send(seg("R", 101, 0));
    }
    assert_eq!(events(&host, Event::PassiveOpens), 32);
    assert_eq!(drops(&host, DropReason::BacklogFull), 69);
    assert_eq!(host.shard.live(), (0, 1, 0));
    host.pass(seconds(2));
    host.out.clear();
    host.send(seg("S", 100, 0));
    host.expect("S.", 300, 101);
    for port in [PEER_PORT, PEER_PORT + 1] {
        host.remote.1 = port;
        host.send(seg("R", 101, 0));
    }
    host.assert_clean();
}

#[test]
fn connection_for_which_there_is_no_room_was_never_begun() {
    let mut config = plain_config();
    config.limits.connections = 1;
    let mut host = Host::new(config);
    assert!(host.connect().is_ok());
    host.local.1 += 1;
    assert_eq!(host.connect(), Err(ConnectError::TableFull));
    assert_eq!(events(&host, Event::ActiveOpens), 1);
}

#[test]
fn connection_that_times_out_ends_when_there_is_room_for_its_reset() {
    let mut config = plain_config();
    config.tcp.data_retries = 1;
    let mut host = Host::accepted(config);
    host.write(b"data");
    host.expect_data(301, 101, b"data");
    host.pass_until_output(seconds(5));
    host.expect_data(301, 101, b"data");
    host.limit_burst(0);
    host.pass(seconds(20));
    assert_eq!(closed(&host), None);
    host.limit_burst(8);
    host.pass(ms(1));
    host.expect("R.", 305, 101);
    assert_eq!(closed(&host), Some(CloseReason::TimedOut));
    host.assert_clean();
}

#[test]
fn segment_whose_answer_finds_no_room_is_counted_under_one_reason() {
    let mut host = Host::server(plain_config());
    host.limit_burst(1);
    host.send_burst(&[seg(".", 101, 777), seg(".", 101, 778), seg(".", 101, 779)]);
    host.expect("R", 777, 0);
    host.expect_nothing();
    assert_eq!(drops(&host, DropReason::NoConnection), 3);
    assert_eq!((host.shard.counters().dropped_total(), events(&host, Event::ResetsOut)), (3, 1));
}

#[test]
fn bytes_that_applications_do_not_take_hold_no_more_frames_than_are_allowed() {
    let mut config = plain_config();
    config.limits.held_frames = 16;
    let mut host = Host::server(config);
    host.shard.app_mut().appetite = 0;
    let free = host.pool.available();
    for n in 0..40 {
        accept(&mut host, PEER_PORT + n);
        host.send(seg("P.", 101, 301).data(*b"nobody reads this"));
    }
    assert!(host.pool.available() >= free - 16, "{} frames are held", free - host.pool.available());
    assert_eq!(drops(&host, DropReason::ReassemblyFull), 24);
    host.out.clear();
    // Nothing was acknowledged that is not there: the peer sends it again.
    host.shard.app_mut().appetite = usize::MAX;
    host.send(seg("FP.", 101, 301).data(*b"nobody reads this"));
    host.pass(ms(50));
    host.expect(".", 301, 119);
    assert_eq!(host.shard.app().bytes(), b"nobody reads this");
    for n in 0..40 {
        host.remote.1 = PEER_PORT + n;
        host.send(seg("R", if n == 39 { 119 } else { 118 }, 301));
        host.send(seg("R", 101, 301));
    }
    host.assert_clean();
}

#[test]
fn syn_that_no_connection_could_be_made_of_is_not_answered() {
    for when in [SynCookies::Auto, SynCookies::Always] {
        let mut config = plain_config();
        config.limits.connections = 1;
        config.tcp.syn_cookies = when;
        let mut host = Host::server(config);
        let open = |host: &mut Host, port| {
            host.remote.1 = port;
            host.send(seg("S", 100, 0).mss(1460));
            let iss = host.next().seg.seq.0;
            host.send(seg(".", 101, iss + 1));
        };
        open(&mut host, PEER_PORT);
        host.remote.1 = PEER_PORT + 1;
        host.send(seg("S", 100, 0).mss(1460));
        host.expect_nothing();
        assert_eq!(drops(&host, DropReason::TableFull), 1);
        assert_eq!(host.shard.live(), (1, 0, 0));
        // When there is room again, the repeated SYN is taken up.
        host.remote.1 = PEER_PORT;
        host.send(seg("R", 101, 301));
        open(&mut host, PEER_PORT + 1);
        assert_eq!(host.shard.live(), (1, 0, 0));
    }
}

#[test]
fn last_ack_that_finds_no_room_goes_out_before_time_wait_begins() {
    let mut host = crate::in_state(State::FinWait2);
    host.limit_burst(0);
    host.send(seg("F.", 501, 302));
    assert_eq!(host.shard.live(), (1, 0, 0));
    host.limit_burst(8);
    host.turn(Vec::new());
    host.expect(".", 302, 502);
    host.expect_nothing();
    assert_eq!(host.shard.live(), (0, 0, 1));
    assert_eq!(closed(&host), Some(CloseReason::Graceful));
    host.pass(seconds(61));
    host.assert_clean();
}

#[test]
fn keepalive_probe_that_finds_no_frame_goes_out_when_there_is_one() {
    let mut config = plain_config();
    config.tcp.keepalive = Some(Keepalive { idle: seconds(100), interval: seconds(10), probes: 3 });
    let mut host = Host::accepted(config);
    let taken: Vec<_> = std::iter::from_fn(|| host.pool.alloc()).collect();
    host.pass(seconds(101));
    assert_eq!(events(&host, Event::KeepaliveProbes), 1);
    taken.into_iter().for_each(|frame| host.pool.free(frame));
    host.turn(Vec::new());
    host.expect(".", 300, 101);
    host.expect_nothing();
}

#[test]
fn application_that_waits_for_room_is_told_of_the_next_free_buffer_though_nothing_is_under_way() {
    let mut config = plain_config();
    config.limits.copy_buffers = 1;
    let mut host = Host::server(config);
    let ids = [0, 1].map(|n| {
        accept(&mut host, PEER_PORT + n);
        host.shard.app().conn.unwrap()
    });
    host.shard.with_net(host.now, |_, net| assert_eq!(net.conn(ids[0]).unwrap().send_copy(b"bytes"), Ok(5)));
    host.shard.with_net(host.now, |_, net| {
        let mut conn = net.conn(ids[1]).unwrap();
        conn.want_writable();
        assert_eq!(conn.send_copy(b"bytes"), Ok(0));
    });
    host.turn(Vec::new());
    host.expect_data(301, 101, b"bytes");
    host.remote.1 = PEER_PORT;
    host.send(seg(".", 101, 306));
    assert_eq!((host.told().last(), host.shard.app().conn), (Some(&Told::Writable), Some(ids[1])));
}
