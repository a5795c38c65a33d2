//! Receiving in order: what is handed on, and when it is acknowledged.

use crate::{BYTES, closed, drops, events, ms, over, sends_after};
use synfin_engine::base::{DropReason, Event};
use synfin_engine::shard::CloseReason;
use synfin_engine::wire::Seq;
use synfin_tests::host::{Host, Told, plain_config, seg};

#[test]
fn bytes_in_order_are_handed_on_at_once() {
    let mut host = Host::accepted(plain_config());
    host.send(seg("P.", 101, 301).data(*b"one "));
    host.send(seg(".", 105, 301).data(*b"two"));
    let told = [Told::Accepted, Told::Data(b"one ".to_vec()), Told::Data(b"two".to_vec())];
    assert_eq!(host.told(), told);
    over(&mut host, 108);
}

#[test]
fn sequence_numbers_wrap_round() {
    let mut config = plain_config();
    config.tcp.fixed_iss = Some(u32::MAX - 2);
    let mut host = Host::server(config);
    host.send(seg("S", u32::MAX - 2, 0).mss(1460));
    host.expect("S.", u32::MAX - 2, u32::MAX - 1);
    host.send(seg(".", u32::MAX - 1, u32::MAX - 1).data(*b"abcdef"));
    host.send(seg(".", 4, u32::MAX - 1).data(*b"ghi"));
    assert_eq!(host.shard.app().bytes(), b"abcdefghi");
    host.expect(".", u32::MAX - 1, 7);
    host.write(b"0123456789");
    host.expect_data(u32::MAX - 1, 7, b"0123456789");
    host.send(seg("F.", 7, 8));
    host.expect(".", 8, 8);
    host.act(|c| c.close());
    host.expect("F.", 8, 8);
    host.send(seg(".", 8, 9));
    assert_eq!(closed(&host), Some(CloseReason::Graceful));
    host.assert_clean();
}

#[test]
fn single_segment_is_acknowledged_after_forty_milliseconds() {
    let mut host = Host::accepted(plain_config());
    host.send(seg(".", 101, 301).data(&BYTES[..1460]));
    host.expect_nothing();
    sends_after(&mut host, ms(40));
    host.expect(".", 301, 1561);
    assert_eq!(events(&host, Event::DelayedAcks), 1);
    host.pass(ms(500));
    host.expect_nothing();
    over(&mut host, 1561);
}

#[test]
fn every_second_full_segment_is_acknowledged_at_once() {
    let mut host = Host::accepted(plain_config());
    for i in 0..6u32 {
        host.send(seg(".", 101 + i * 1460, 301).data(&BYTES[..1460]));
        if i % 2 == 0 {
            host.expect_nothing();
        } else {
            host.expect(".", 301, 101 + (i + 1) * 1460);
        }
    }
    host.pass(ms(500));
    host.expect_nothing();
    over(&mut host, 101 + 6 * 1460);
}

#[test]
fn answer_carries_the_acknowledgement() {
    let mut config = plain_config();
    config.tcp.nodelay = true;
    let mut host = Host::server(config);
    host.shard.app_mut().react = Some(|told, conn| {
        if matches!(told, Told::Data(_)) {
            conn.send_copy(b"answer").expect("open");
        }
    });
    host.send(seg("S", 100, 0).mss(1460));
    host.expect("S.", 300, 101);
    host.send(seg(".", 101, 301));
    host.send(seg("P.", 101, 301).data(*b"question"));
    host.expect_data(301, 109, b"answer");
    host.send(seg(".", 109, 307));
    host.pass(ms(500));
    host.expect_nothing();
    over(&mut host, 109);
}

#[test]
fn duplicate_data_is_acknowledged_at_once_and_not_handed_on_again() {
    let mut host = Host::accepted(plain_config());
    host.send(seg(".", 101, 301).data(*b"abc"));
    host.send(seg(".", 101, 301).data(*b"abc"));
    host.expect(".", 301, 104);
    assert_eq!(host.shard.app().bytes(), b"abc");
    assert_eq!(drops(&host, DropReason::DataDuplicate), 1);
    over(&mut host, 104);
}

#[test]
fn new_bytes_behind_old_ones_are_taken() {
    let mut host = Host::accepted(plain_config());
    host.send(seg(".", 101, 301).data(*b"abc"));
    host.send(seg(".", 102, 301).data(*b"XXdef"));
    assert_eq!(host.shard.app().bytes(), b"abcdef");
    over(&mut host, 107);
}

#[test]
fn segment_left_of_the_window_is_only_acknowledged() {
    let mut host = Host::accepted(plain_config());
    host.send(seg(".", 50, 301).data(*b"old"));
    host.expect(".", 301, 101);
    // So is a keepalive probe.
    host.send(seg(".", 100, 301));
    host.expect(".", 301, 101);
    host.send(seg(".", 100, 301).data(*b"x"));
    host.expect(".", 301, 101);
    assert_eq!(host.told(), [Told::Accepted]);
    over(&mut host, 101);
}

#[test]
fn segment_right_of_the_window_is_only_acknowledged() {
    let mut host = Host::accepted(plain_config());
    host.send(seg(".", 101 + 65_535, 301).data(*b"far"));
    host.expect(".", 301, 101);
    host.send(seg(".", 101 + 1_000_000, 301));
    host.expect(".", 301, 101);
    assert_eq!(drops(&host, DropReason::SeqOutOfWindow), 2);
    over(&mut host, 101);
}

#[test]
fn urgent_pointer_and_push_change_nothing() {
    let mut host = Host::accepted(plain_config());
    host.send(seg("UP.", 101, 301).data(*b"abc"));
    host.send(seg("U.", 104, 301).data(*b"def"));
    assert_eq!(host.shard.app().bytes(), b"abcdef");
    over(&mut host, 107);
}

#[test]
fn segment_without_ack_is_dropped() {
    let mut host = Host::accepted(plain_config());
    host.send(seg("P", 101, 0).data(*b"abc"));
    host.send(seg("F", 101, 0));
    host.send(seg("", 101, 0));
    host.expect_nothing();
    assert_eq!(drops(&host, DropReason::TcpFlagsBad), 3);
    over(&mut host, 101);
}

#[test]
fn burst_is_acknowledged_with_its_last_number() {
    let mut host = Host::accepted(plain_config());
    let burst: Vec<_> = (0..10u32).map(|i| seg(".", 101 + i * 1460, 301).data(&BYTES[..1460])).collect();
    host.send_burst(&burst);
    host.expect(".", 301, 101 + 14_600);
    host.expect_nothing();
    over(&mut host, 101 + 14_600);
}

#[test]
fn numbers_of_a_real_generator_differ_between_connections_and_grow_with_time() {
    let mut config = plain_config();
    config.tcp.fixed_iss = None;
    let mut host = Host::server(config);
    host.send(seg("S", 100, 0));
    let first = host.next().seg.seq;
    host.send(seg("R", 101, 0));
    host.pass(ms(1));
    host.send(seg("S", 100, 0));
    let later = host.next().seg.seq;
    host.send(seg("R", 101, 0));
    host.remote.1 += 1;
    host.send(seg("S", 100, 0));
    let other: Seq = host.next().seg.seq;
    host.send(seg("R", 101, 0));
    // One step is 4.096 µs (RFC 6528).
    assert!((240..=250).contains(&later.since(first)), "{} steps in a millisecond", later.since(first));
    assert!(other.since(later).min(later.since(other)) > 1000);
    host.assert_clean();
}
