//! Sending: sizes, Nagle, PSH, the windows of sender and receiver, acknowledgement of what was sent.

use crate::{BYTES, events, ms, over, seconds};
use synfin_engine::base::Event;
use synfin_engine::shard::{Generator, Payload, SendError, ShardConfig};
use synfin_engine::wire::{TcpFlags, TcpOptions};
use synfin_tests::host::{Host, Told, plain_config, seg};

/// A connection accepted by the host whose peer takes segments of 1000 bytes.
fn thousand(config: ShardConfig) -> Host {
    let mut host = Host::server(config);
    host.send(seg("S", 100, 0).mss(1000));
    host.expect("S.", 300, 101);
    host.send(seg(".", 101, 301));
    host
}

fn nagle() -> Host {
    let mut config = plain_config();
    config.tcp.nodelay = false;
    thousand(config)
}

#[test]
fn stream_is_cut_into_full_segments_and_the_last_is_pushed() {
    let mut host = thousand(plain_config());
    host.write(&BYTES[..2500]);
    for (at, len) in [(0, 1000), (1000, 1000), (2000, 500)] {
        let sent = host.expect_data(301 + at as u32, 101, &BYTES[at..at + len]);
        assert_eq!(sent.seg.flags.has(TcpFlags::PSH), at == 2000);
    }
    host.send(seg(".", 101, 2801));
    host.expect_nothing();
    over(&mut host, 101);
}

#[test]
fn initial_window_is_ten_segments_and_slow_start_doubles_it() {
    let mut host = thousand(plain_config());
    host.write(&BYTES[..60_000]);
    assert_eq!(host.out.len(), 10);
    host.out.clear();
    // Five ACKs for two segments each: each lets four out.
    for i in 1..=5u32 {
        host.send(seg(".", 101, 301 + i * 2000));
        assert_eq!(host.out.len(), 4);
        host.out.clear();
    }
    over(&mut host, 101);
}

#[test]
fn last_segment_of_a_burst_is_pushed_though_more_is_queued() {
    let mut host = thousand(plain_config());
    host.write(&BYTES[..30_000]);
    let pushed =
        |host: &mut Host| -> Vec<bool> { host.out.drain(..).map(|sent| sent.seg.flags.has(TcpFlags::PSH)).collect() };
    // Half of the congestion window is a burst.
    let burst = [false, false, false, false, true];
    assert_eq!(pushed(&mut host), [burst, burst].concat());
    host.send(seg(".", 101, 1301));
    assert_eq!(pushed(&mut host), [false, true]);
    over(&mut host, 101);
}

#[test]
fn fin_alone_needs_no_room_in_the_congestion_window() {
    let mut host = thousand(plain_config());
    host.write(&BYTES[..10_000]);
    host.out.clear();
    host.act(|c| c.shutdown());
    host.expect("F.", 10_301, 101);
    over(&mut host, 101);
}

#[test]
fn initial_window_is_configurable() {
    let mut config = plain_config();
    config.tcp.initial_window_segments = 3;
    let mut host = thousand(config);
    host.write(&BYTES[..10_000]);
    assert_eq!(host.out.len(), 3);
    over(&mut host, 101);
}

#[test]
fn never_more_is_sent_than_the_peers_window_allows() {
    let mut host = thousand(plain_config());
    host.send(seg(".", 101, 301).window(2500));
    host.write(&BYTES[..10_000]);
    host.expect_data(301, 101, &BYTES[..1000]);
    host.expect_data(1301, 101, &BYTES[1000..2000]);
    // 500 bytes are left of the window: no small segment while better can come.
    host.expect_nothing();
    host.send(seg(".", 101, 1301).window(2500));
    host.expect_data(2301, 101, &BYTES[2000..3000]);
    host.expect_nothing();
    over(&mut host, 101);
}

#[test]
fn small_segments_go_out_at_once_without_nagle() {
    let mut host = thousand(plain_config());
    for (i, byte) in [b"a", b"b", b"c"].into_iter().enumerate() {
        host.write(byte);
        host.expect_data(301 + i as u32, 101, byte);
    }
    over(&mut host, 101);
}

#[test]
fn nagle_holds_small_segments_back_while_something_is_unacknowledged() {
    let mut host = nagle();
    host.write(b"a");
    host.expect_data(301, 101, b"a");
    host.write(b"b");
    host.write(b"c");
    host.expect_nothing();
    host.send(seg(".", 101, 302));
    host.expect_data(302, 101, b"bc");
    over(&mut host, 101);
}

#[test]
fn nagle_never_holds_full_segments_back() {
    let mut host = nagle();
    host.write(b"a");
    host.expect_data(301, 101, b"a");
    host.write(&BYTES[..1500]);
    host.expect_data(302, 101, &BYTES[..1000]);
    host.expect_nothing();
    host.send(seg(".", 101, 1302));
    host.expect_data(1302, 101, &BYTES[1000..1500]);
    over(&mut host, 101);
}

#[test]
fn nagle_can_be_switched_and_does_not_hold_back_the_last_bytes_before_the_fin() {
    let mut host = nagle();
    host.write(b"a");
    host.expect_data(301, 101, b"a");
    host.write(b"b");
    host.expect_nothing();
    host.act(|c| {
        c.set_nodelay(true);
        c.send(Payload::Static(b"c")).expect("room");
    });
    host.expect_data(302, 101, b"bc");
    host.act(|c| {
        c.set_nodelay(false);
        c.send(Payload::Static(b"d")).expect("room");
        c.shutdown();
    });
    let last = host.expect("F.", 304, 101);
    assert_eq!(last.data, b"d");
    over(&mut host, 101);
}

#[test]
fn payloads_of_all_kinds_make_one_stream() {
    let mut host = thousand(plain_config());
    let fill = |seed: u64, offset: u64, out: &mut [u8]| {
        out.iter_mut().enumerate().for_each(|(i, b)| *b = (seed + offset + i as u64) as u8);
    };
    host.act(|c| {
        c.send(Payload::Static(b"static ")).expect("room");
        c.send(Payload::Shared(b"shared ".as_slice().into())).expect("room");
        c.send(Payload::Generated(Generator { len: 4, seed: 65, fill })).expect("room");
        assert_eq!(c.send_copy(b" copied"), Ok(7));
        c.send(Payload::Static(b"")).expect("nothing to queue");
        assert_eq!(c.queued_bytes(), 25);
    });
    host.expect_data(301, 101, b"static shared ABCD copied");
    // Acknowledged in the middle of a piece, the rest is still there to be sent again.
    host.send(seg(".", 101, 311));
    host.pass(seconds(1));
    host.expect_data(311, 101, b"red ABCD copied");
    host.send(seg(".", 101, 326));
    host.act(|c| assert_eq!(c.queued_bytes(), 0));
    over(&mut host, 101);
}

#[test]
fn full_send_queue_refuses_and_tells_when_there_is_room() {
    let mut config = plain_config();
    config.limits.send_queue_bytes = 3000;
    let mut host = thousand(config);
    host.write(&BYTES[..3000]);
    host.act(|c| assert_eq!(c.send(Payload::Static(b"x")), Err(SendError::Full)));
    assert_eq!(host.out.len(), 3);
    host.send(seg(".", 101, 2301));
    assert_eq!(host.told(), [Told::Accepted, Told::Writable]);
    host.write(b"x");
    host.send(seg(".", 101, 3302));
    // Asked for once, told once.
    assert_eq!(host.told(), [Told::Accepted, Told::Writable]);
    over(&mut host, 101);
}

#[test]
fn more_than_the_send_queue_can_ever_hold_is_an_error_of_its_own() {
    let mut config = plain_config();
    config.limits.send_queue_bytes = 3000;
    let mut host = thousand(config);
    host.act(|c| {
        assert_eq!(c.send(Payload::Static(&BYTES[..3001])), Err(SendError::TooLarge));
        assert_eq!(c.queued_bytes(), 0);
    });
    host.expect_nothing();
    host.write(&BYTES[..3000]);
    assert_eq!(host.out.len(), 3);
    over(&mut host, 101);
}

#[test]
fn nothing_can_be_written_after_shutdown() {
    let mut host = thousand(plain_config());
    host.act(|c| {
        c.shutdown();
        assert_eq!(c.send(Payload::Static(b"x")), Err(SendError::Closed));
        assert_eq!(c.send_copy(b"x"), Err(SendError::Closed));
    });
    host.expect("F.", 301, 101);
    over(&mut host, 101);
}

#[test]
fn round_trip_time_is_measured() {
    let mut host = thousand(plain_config());
    host.act(|c| {
        // The SYN,ACK was answered within the same instant.
        assert!(c.srtt_ns().is_some_and(|ns| ns < 10_000));
        c.send(Payload::Static(b"x")).expect("room");
    });
    host.pass(ms(80));
    host.send(seg(".", 101, 302));
    // RFC 6298 2.3 with alpha 1/8: 80 ms / 8.
    host.act(|c| {
        let srtt = c.srtt_ns().expect("measured");
        assert!((9_900_000..10_100_000).contains(&srtt), "{srtt} ns");
    });
    over(&mut host, 101);
}

#[test]
fn first_measurement_counts_in_full_and_sets_the_time_out() {
    let mut host = Host::client(plain_config());
    host.expect("S", 300, 0);
    host.pass(ms(100));
    host.send(seg("S.", 500, 301).mss(1000));
    host.expect(".", 301, 501);
    host.act(|c| {
        let srtt = c.srtt_ns().expect("measured");
        assert!((99_000_000..101_000_000).contains(&srtt), "{srtt} ns");
    });
    // RTO = SRTT + 4 * SRTT/2 = 300 ms.
    host.write(b"data");
    host.expect_data(301, 501, b"data");
    crate::sends_after(&mut host, ms(300));
    host.expect_data(301, 501, b"data");
    over(&mut host, 501);
}

#[test]
fn acknowledgement_of_half_a_segment_leaves_the_rest() {
    let mut host = thousand(plain_config());
    host.write(b"abcdef");
    host.expect_data(301, 101, b"abcdef");
    host.send(seg(".", 101, 304));
    host.act(|c| assert_eq!(c.queued_bytes(), 3));
    host.pass(ms(210));
    host.expect_data(304, 101, b"def");
    assert_eq!(events(&host, Event::Retransmits), 1);
    over(&mut host, 101);
}

#[test]
fn window_of_the_peer_is_unsigned_and_may_exceed_16_bits() {
    for (scale, window, segments) in [(None, 40_000, 40), (Some(14), 3, 49), (Some(14), 65_535, 70)] {
        let mut config = plain_config();
        config.tcp.initial_window_segments = 100;
        let mut host = Host::server(config);
        let options = TcpOptions { mss: Some(1000), window_scale: scale, ..TcpOptions::default() };
        host.send(seg("S", 100, 0).options(options));
        host.expect("S.", 300, 101);
        host.send(seg(".", 101, 301).window(window));
        host.write(&BYTES);
        assert_eq!(host.out.len(), segments, "window {window} << {scale:?}");
        over(&mut host, 101);
    }
}

#[test]
fn every_round_trip_is_measured() {
    let mut host = thousand(plain_config());
    let mut expected_ms = 0.0;
    for (round, rtt_ms) in [100u64, 150, 50, 120, 180, 20].into_iter().enumerate() {
        let from = round * 3000;
        host.act(|c| c.send(Payload::Static(&BYTES[from..from + 3000])).expect("room"));
        host.out.clear();
        host.pass(ms(rtt_ms));
        host.send(seg(".", 101, 301 + from as u32 + 3000));
        // An eighth of each counts (RFC 6298 2.3); the handshake took no time.
        expected_ms += (rtt_ms as f64 - expected_ms) / 8.0;
        host.act(|c| {
            let srtt_ms = c.srtt_ns().expect("measured") as f64 / 1e6;
            assert!((srtt_ms - expected_ms).abs() < 1.0, "round {round}: {srtt_ms} ms, not {expected_ms}");
        });
    }
    over(&mut host, 101);
}
