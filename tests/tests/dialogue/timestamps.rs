//! Timestamps: echo, PAWS, and round-trip times of what was sent twice (RFC 7323).

use crate::{drops, ms, over, seconds, sends_after, stamped_config};
use synfin_engine::base::DropReason;
use synfin_engine::wire::segment::SackBlock;
use synfin_engine::wire::{Seq, TcpOptions};
use synfin_tests::host::{Host, Sent, Told, seg};

/// Accepted; the peer's clock stood at 1000.
fn accepted() -> Host {
    let mut host = Host::server(stamped_config());
    host.send(seg("S", 100, 0).mss(1012).ts(1000, 0));
    let answer = host.expect("S.", 300, 101);
    assert_eq!(echo(&answer), 1000);
    host.send(seg(".", 101, 301).ts(1001, value(&answer)));
    host.expect_nothing();
    host
}

fn value(sent: &Sent) -> u32 {
    sent.seg.options.timestamp.expect("a timestamp").0
}

fn echo(sent: &Sent) -> u32 {
    sent.seg.options.timestamp.expect("a timestamp").1
}

#[test]
fn every_segment_carries_our_clock_and_echoes_the_peers() {
    let mut host = accepted();
    host.write(b"one");
    let first = host.expect_data(301, 101, b"one");
    assert_eq!(echo(&first), 1001);
    host.pass(ms(105));
    host.send(seg(".", 101, 304).ts(1100, value(&first)));
    host.write(b"two");
    let second = host.expect_data(304, 101, b"two");
    assert_eq!(echo(&second), 1100);
    let ticks = value(&second).wrapping_sub(value(&first));
    assert!((99..=101).contains(&ticks), "{ticks} ticks of 1.05 ms in 105 ms");
    over(&mut host, 101);
}

#[test]
fn delayed_ack_echoes_the_earlier_of_two_segments() {
    // RFC 7323 4.3: so that the sender's measurement includes the delay.
    let mut host = accepted();
    host.send(seg(".", 101, 301).data(*b"a").ts(2000, 0));
    host.send(seg(".", 102, 301).data(*b"b").ts(2010, 0));
    host.pass(ms(45));
    assert_eq!(echo(&host.expect(".", 301, 103)), 2000);
    over(&mut host, 103);
}

#[test]
fn segment_behind_a_gap_does_not_change_the_echo() {
    let mut host = accepted();
    host.send(seg(".", 111, 301).data(*b"later").ts(3000, 0));
    assert_eq!(echo(&host.expect(".", 301, 101)), 1001);
    host.send(seg(".", 101, 301).data(*b"0123456789").ts(3001, 0));
    assert_eq!(echo(&host.expect(".", 301, 116)), 3001);
    over(&mut host, 116);
}

#[test]
fn older_timestamp_is_answered_and_its_bytes_are_dropped() {
    let mut host = accepted();
    host.send(seg(".", 101, 301).data(*b"old").ts(999, 0));
    host.expect(".", 301, 101);
    assert_eq!(drops(&host, DropReason::PawsOld), 1);
    assert_eq!(host.told(), [Told::Accepted]);
    host.send(seg(".", 101, 301).data(*b"new").ts(1001, 0));
    assert_eq!(host.shard.app().bytes(), b"new");
    over(&mut host, 104);
}

#[test]
fn timestamps_wrap_round() {
    let mut host = Host::server(stamped_config());
    host.send(seg("S", 100, 0).ts(u32::MAX - 1, 0));
    host.expect("S.", 300, 101);
    host.send(seg(".", 101, 301).ts(u32::MAX, 0));
    host.send(seg(".", 101, 301).data(*b"a").ts(3, 0));
    host.send(seg(".", 102, 301).data(*b"b").ts(u32::MAX, 0));
    assert_eq!(host.shard.app().bytes(), b"a");
    over(&mut host, 102);
}

#[test]
fn timestamp_of_a_segment_that_acknowledges_what_was_never_sent_is_not_believed() {
    let mut host = accepted();
    host.send(seg("F.", 101, 9999).ts(900_000, 0));
    let answer = host.expect(".", 301, 101);
    assert!(echo(&answer) < 900_000);
    host.send(seg(".", 101, 301).data(*b"a").ts(1002, value(&answer)));
    assert_eq!(host.shard.app().bytes(), b"a");
    over(&mut host, 102);
}

#[test]
fn timestamp_is_believed_again_after_twenty_four_days() {
    // A silence of so many days, and whether an older timestamp counts then (RFC 7323 5.5).
    for (days, counts) in [(1, false), (5, false), (8, false), (23, false), (25, true), (27, true), (40, true)] {
        let mut host = accepted();
        host.now = host.now.plus_nanos(days * 86_400 * 1_000_000_000);
        host.send(seg(".", 101, 301).data(*b"x").ts(500, 0));
        assert_eq!(host.shard.app().bytes(), if counts { b"x".as_slice() } else { b"" }, "after {days} days");
        over(&mut host, if counts { 102 } else { 101 });
    }
}

#[test]
fn missing_timestamp_is_dropped_silently_but_not_on_a_reset() {
    let mut host = accepted();
    host.send(seg(".", 101, 301).data(*b"abc"));
    host.expect_nothing();
    assert_eq!(drops(&host, DropReason::TimestampMissing), 1);
    assert_eq!(host.told(), [Told::Accepted]);
    over(&mut host, 101);
}

#[test]
fn missing_timestamp_may_be_forgiven() {
    let mut config = stamped_config();
    config.tcp.takes_unstamped = true;
    let mut host = Host::server(config);
    host.send(seg("S", 100, 0).mss(1012).ts(1000, 0));
    host.expect("S.", 300, 101);
    host.send(seg(".", 101, 301));
    host.send(seg(".", 101, 301).data(*b"abc"));
    assert_eq!(host.told(), [Told::Accepted, Told::Data(b"abc".to_vec())]);
    host.pass(ms(50));
    assert_eq!(echo(&host.expect(".", 301, 104)), 1000, "ours have it all the same");
    host.send(seg(".", 104, 301).data(*b"old").ts(999, 0));
    host.expect(".", 301, 104);
    assert_eq!(drops(&host, DropReason::PawsOld), 1);
    over(&mut host, 104);
}

#[test]
fn reset_is_taken_whatever_its_timestamp() {
    let mut host = accepted();
    host.send(seg("R", 101, 0).ts(1, 0));
    assert_eq!(crate::closed(&host), Some(synfin_engine::shard::CloseReason::Reset));
    host.assert_clean();
}

#[test]
fn timestamp_that_was_not_agreed_on_is_ignored() {
    let mut host = Host::accepted(synfin_tests::host::plain_config());
    host.send(seg(".", 101, 301).data(*b"a").ts(5000, 0));
    host.send(seg(".", 102, 301).data(*b"b").ts(1, 0));
    assert_eq!(host.shard.app().bytes(), b"ab");
    host.pass(ms(50));
    assert_eq!(host.expect(".", 301, 103).seg.options.timestamp, None);
    over(&mut host, 103);
}

#[test]
fn repeated_syn_is_answered_with_its_own_timestamp() {
    let mut host = Host::server(stamped_config());
    host.send(seg("S", 100, 0).ts(1000, 0));
    assert_eq!(echo(&host.expect("S.", 300, 101)), 1000);
    host.send(seg("S", 100, 0).ts(1900, 0));
    assert_eq!(echo(&host.expect("S.", 300, 101)), 1900);
    host.send(seg("R", 101, 0));
    host.assert_clean();
}

#[test]
fn half_open_connection_checks_timestamps_too() {
    let mut host = Host::server(stamped_config());
    host.send(seg("S", 100, 0).ts(1000, 0));
    host.expect("S.", 300, 101);
    host.send(seg(".", 101, 301).ts(999, 0));
    host.expect(".", 301, 101);
    host.send(seg(".", 101, 301));
    host.expect_nothing();
    assert_eq!(drops(&host, DropReason::PawsOld), 1);
    assert_eq!(drops(&host, DropReason::TimestampMissing), 1);
    host.send(seg(".", 101, 301).ts(1000, 0));
    assert_eq!(host.told(), [Told::Accepted]);
    over(&mut host, 101);
}

#[test]
fn echo_measures_the_round_trip_of_a_retransmission() {
    let mut host = accepted();
    host.write(b"data");
    host.expect_data(301, 101, b"data");
    host.pass_until_output(seconds(5));
    let again = host.expect_data(301, 101, b"data");
    host.pass(ms(80));
    host.send(seg(".", 101, 305).ts(1200, value(&again)));
    // The handshake took no time: 80 ms / 8.
    host.act(|c| {
        let srtt = c.srtt_ns().expect("measured");
        assert!((9_000_000..11_500_000).contains(&srtt), "{srtt} ns");
    });
    // With a measurement the back-off is over.
    host.write(b"more");
    host.expect_data(305, 101, b"more");
    sends_after(&mut host, ms(200));
    over(&mut host, 101);
}

#[test]
fn echo_of_an_arrival_whose_ack_was_lost_measures_nothing() {
    let mut host = accepted();
    host.write(b"data");
    let first = host.expect_data(301, 101, b"data");
    for wait in [200, 400, 800] {
        sends_after(&mut host, ms(wait));
        host.expect_data(301, 101, b"data");
    }
    // The peer had it from the first, and says so (D-SACK, RFC 2883); its echo is 1.4 s old.
    let block = SackBlock { start: Seq(301), end: Seq(305) };
    let timestamp = Some((1200, value(&first)));
    let options = TcpOptions { timestamp, sack: [block; 4], sack_len: 1, ..TcpOptions::default() };
    host.send(seg(".", 101, 305).options(options));
    host.act(|c| assert!(c.srtt_ns().expect("measured at the handshake") < 10_000_000));
    // Nor is the back-off kept: the path did nothing to deserve it.
    host.write(b"more");
    host.expect_data(305, 101, b"more");
    sends_after(&mut host, ms(200));
    over(&mut host, 101);
}

#[test]
fn echo_in_a_segment_without_ack_means_nothing() {
    let srtt = |echo: u32| {
        let mut host = Host::server(stamped_config());
        host.send(seg("S", 100, 0).ts(1000, echo));
        let answer = host.expect("S.", 300, 101);
        host.pass(ms(10));
        host.send(seg(".", 101, 301).ts(1010, value(&answer)));
        let mut srtt = None;
        host.act(|c| srtt = c.srtt_ns());
        over(&mut host, 101);
        srtt
    };
    assert!(srtt(0).is_some());
    for echo in [1, 0x1234_5678, u32::MAX] {
        assert_eq!(srtt(echo), srtt(0));
    }
}

#[test]
fn once_agreed_on_every_kind_of_segment_has_timestamps() {
    let mut config = stamped_config();
    let idle = seconds(10);
    config.tcp.keepalive = Some(synfin_engine::tcp::Keepalive { idle, interval: seconds(1), probes: 9 });
    let mut host = Host::server(config);
    host.send(seg("S", 100, 0).mss(1012).ts(1000, 0));
    host.send(seg(".", 101, 301).ts(1001, 0));
    // A delayed ACK, a duplicate one, a challenge, a keepalive probe.
    host.send(seg(".", 101, 301).data(*b"abc").ts(1002, 0));
    host.pass(ms(50));
    host.send(seg(".", 110, 301).data(*b"gap").ts(1003, 0));
    host.send(seg("S", 101, 0));
    host.send(seg("R", 105, 0));
    host.pass(idle + ms(100));
    // Data, data once more, FIN, RST.
    host.write(b"data");
    host.pass(seconds(1));
    host.act(|c| c.shutdown());
    host.act(|c| c.abort());
    let flags: Vec<u8> = host.out.iter().map(|s| s.seg.flags.0 & !8).collect();
    for one in ["S.", ".", "F.", "R."] {
        assert!(flags.contains(&seg(one, 0, 0).flags.0), "{one}");
    }
    assert!(host.out.len() >= 9 && host.out.iter().filter(|s| s.data == b"data").count() >= 2);
    assert!(host.out.iter().all(|s| s.seg.options.timestamp.is_some()));
    host.assert_clean();
}

#[test]
fn timestamp_of_a_reset_changes_nothing() {
    let mut host = accepted();
    // In the window, but not the next number: the challenge echoes what came before.
    host.send(seg("R", 110, 0).ts(5000, 0));
    assert_eq!(echo(&host.expect(".", 301, 101)), 1001);
    host.send(seg(".", 101, 301).data(*b"abc").ts(1002, 0));
    assert_eq!(host.shard.app().bytes(), b"abc");
    over(&mut host, 104);
}

#[test]
fn newer_timestamp_outside_the_window_is_neither_taken_nor_remembered() {
    let mut host = accepted();
    host.send(seg(".", 101 + 1_000_000, 301).data(*b"far").ts(5000, 0));
    assert_eq!(echo(&host.expect(".", 301, 101)), 1001);
    assert_eq!(drops(&host, DropReason::SeqOutOfWindow), 1);
    host.send(seg(".", 101, 301).data(*b"abc").ts(1002, 0));
    assert_eq!(host.shard.app().bytes(), b"abc");
    over(&mut host, 104);
}

#[test]
fn older_timestamp_counts_before_the_sequence_number() {
    let mut host = accepted();
    host.send(seg(".", 101 + 1_000_000, 301).data(*b"far").ts(999, 0));
    host.expect(".", 301, 101);
    assert_eq!((drops(&host, DropReason::PawsOld), drops(&host, DropReason::SeqOutOfWindow)), (1, 0));
    over(&mut host, 101);
}

#[test]
fn kept_segment_is_not_judged_again_when_its_turn_comes() {
    let mut host = accepted();
    host.send(seg(".", 104, 301).data(*b"def").ts(2000, 0));
    host.expect(".", 301, 101);
    // What fills the gap is much newer than what was kept.
    host.send(seg(".", 101, 301).data(*b"abc").ts(900_000, 0));
    assert_eq!(echo(&host.expect(".", 301, 107)), 900_000);
    assert_eq!(host.shard.app().bytes(), b"abcdef");
    over(&mut host, 107);
}
