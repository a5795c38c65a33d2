//! Data lost on the way to the peer: time-outs, back-off, fast retransmit and recovery.

use crate::{BYTES, ends_after, events, ms, over, seconds, sends_after};
use synfin_engine::base::Event;
use synfin_engine::shard::{CloseReason, ShardConfig};
use synfin_tests::host::{Host, plain_config, seg};

/// A connection whose peer takes segments of 1000 bytes and whose round-trip time was measured as 100 ms: the first
/// RTO is 300 ms. Next numbers: host 301, peer 501.
fn measured(config: ShardConfig) -> Host {
    let mut host = Host::client(config);
    host.expect("S", 300, 0);
    host.pass(ms(100));
    host.send(seg("S.", 500, 301).mss(1000));
    host.expect(".", 301, 501);
    host
}

/// `n` segments of 1000 bytes are under way.
fn under_way(n: usize) -> Host {
    let mut host = measured(plain_config());
    host.write(&BYTES[..20_000]);
    assert_eq!(host.out.len(), 10);
    host.out.clear();
    // The first 10 - n are acknowledged, the window shut for new ones.
    if n < 10 {
        host.send(seg(".", 501, 301 + (10 - n as u32) * 1000).window(n as u16 * 1000));
        host.expect_nothing();
    }
    host
}

fn ack(n: u32) -> synfin_tests::host::Seg {
    seg(".", 501, 301 + n * 1000)
}

#[test]
fn lost_segment_is_sent_again_with_doubling_time_outs_until_the_connection_is_given_up() {
    let mut config = plain_config();
    config.tcp.data_retries = 5;
    let mut host = measured(config);
    host.write(b"data");
    host.expect_data(301, 501, b"data");
    for wait in [300, 600, 1200, 2400, 4800] {
        sends_after(&mut host, ms(wait));
        host.expect_data(301, 501, b"data");
        host.expect_nothing();
    }
    ends_after(&mut host, ms(9600), CloseReason::TimedOut);
    host.assert_clean();
}

#[test]
fn time_out_sends_one_segment_and_slow_start_the_rest() {
    let mut host = under_way(10);
    host.pass(ms(305));
    host.expect_data(301, 501, &BYTES[..1000]);
    host.expect_nothing();
    assert_eq!(events(&host, Event::RtoExpiries), 1);
    // No room for anything new, by which a spurious time-out would show (RFC 5682).
    host.send(ack(1).window(9_000));
    host.expect_data(1301, 501, &BYTES[1000..2000]);
    host.expect_data(2301, 501, &BYTES[2000..3000]);
    host.expect_nothing();
    over(&mut host, 501);
}

#[test]
fn any_progress_starts_the_retries_anew() {
    let mut config = plain_config();
    config.tcp.data_retries = 2;
    let mut host = measured(config);
    host.write(b"abcdef");
    host.expect_data(301, 501, b"abcdef");
    for i in 0..5u32 {
        let from = i as usize;
        host.pass_until_output(seconds(100));
        host.expect_data(301 + i, 501, &b"abcdef"[from..]);
        host.pass_until_output(seconds(100));
        host.expect_data(301 + i, 501, &b"abcdef"[from..]);
        host.send(seg(".", 501, 302 + i));
        host.expect_nothing();
    }
    over(&mut host, 501);
}

#[test]
fn back_off_stays_until_a_segment_that_was_sent_once_is_acknowledged() {
    // RFC 6298 section 5 and Karn: an ACK of something sent twice says nothing about the round trip.
    let mut host = measured(plain_config());
    host.write(b"one");
    host.expect_data(301, 501, b"one");
    sends_after(&mut host, ms(300));
    host.expect_data(301, 501, b"one");
    host.send(seg(".", 501, 304));
    host.write(b"two");
    host.expect_data(304, 501, b"two");
    // Still doubled; then the answer to "two", which went out once, brings it down.
    host.pass(ms(400));
    host.expect_nothing();
    host.send(seg(".", 501, 307));
    host.write(b"three");
    host.expect_data(307, 501, b"three");
    let took = host.pass_until_output(seconds(10));
    assert!(took > ms(400) && took < ms(800), "time-out after {took:?}");
    host.expect_data(307, 501, b"three");
    over(&mut host, 501);
}

#[test]
fn timer_runs_from_the_last_acknowledgement_of_new_data() {
    let mut host = under_way(10);
    host.pass(ms(200));
    host.send(ack(1).window(9000));
    host.expect_nothing();
    host.pass(ms(150));
    host.expect_nothing();
    host.pass(ms(400));
    assert_eq!(host.next().seg.seq.0, 1301);
    over(&mut host, 501);
}

#[test]
fn third_duplicate_ack_brings_the_lost_segment_at_once() {
    let mut host = under_way(10);
    host.send(ack(1).window(9000));
    host.expect_nothing();
    host.send(ack(1).window(9000));
    host.send(ack(1).window(9000));
    host.expect_nothing();
    host.send(ack(1).window(9000));
    host.expect_data(1301, 501, &BYTES[1000..2000]);
    host.expect_nothing();
    assert_eq!(events(&host, Event::FastRetransmits), 1);
    // More of them do not bring it again.
    host.send(ack(1).window(9000));
    host.expect_nothing();
    assert_eq!(events(&host, Event::FastRetransmits), 1);
    over(&mut host, 501);
}

#[test]
fn ack_with_another_window_or_with_data_is_no_duplicate() {
    let mut host = under_way(10);
    host.send(ack(1).window(9000));
    for i in 0..5u16 {
        host.send(ack(1).window(9000 + i + 1));
    }
    for i in 0..5u32 {
        host.send(seg(".", 501 + i, 1301).window(9005).data(*b"x"));
    }
    assert_eq!(events(&host, Event::DuplicateAcksIn), 0);
    assert_eq!(events(&host, Event::FastRetransmits), 0);
    over(&mut host, 506);
}

#[test]
fn first_two_duplicate_acks_let_one_new_segment_out_each() {
    // Limited transmit, RFC 3042.
    let mut host = under_way(10);
    host.send(ack(0));
    host.expect_data(10_301, 501, &BYTES[10_000..11_000]);
    host.expect_nothing();
    host.send(ack(0));
    host.expect_data(11_301, 501, &BYTES[11_000..12_000]);
    host.expect_nothing();
    host.send(ack(0));
    host.expect_data(301, 501, &BYTES[..1000]);
    over(&mut host, 501);
}

#[test]
fn what_limited_transmit_has_let_out_already_does_not_let_the_window_grow_once_more() {
    let mut host = under_way(10);
    host.send(ack(0));
    host.send(ack(0));
    host.out.clear();
    // It was reordering. Nine segments are under way, and the third alone lets the window grow.
    host.send(ack(3));
    host.expect_data(12_301, 501, &BYTES[12_000..13_000]);
    host.expect_data(13_301, 501, &BYTES[13_000..14_000]);
    host.expect_nothing();
    over(&mut host, 501);
}

#[test]
fn partial_ack_in_recovery_brings_the_next_hole_at_once() {
    // NewReno, RFC 6582: segments 0 and 4 of ten are lost.
    let mut host = under_way(10);
    // The first one shuts the window for new segments and is no duplicate.
    for _ in 0..4 {
        host.expect_nothing();
        host.send(ack(0).window(10_000));
    }
    host.expect_data(301, 501, &BYTES[..1000]);
    host.expect_nothing();
    host.send(ack(4).window(6000));
    host.expect_data(4301, 501, &BYTES[4000..5000]);
    host.expect_nothing();
    assert_eq!(events(&host, Event::RtoExpiries), 0);
    // The full ACK ends recovery; cwnd is then half of what was under way.
    host.send(ack(10));
    let sent = host.out.len();
    assert!((2..=5).contains(&sent), "{sent} segments after recovery");
    assert_eq!(host.next().seg.seq.0, 10_301);
    assert_eq!(events(&host, Event::FastRetransmits), 1);
    over(&mut host, 501);
}

#[test]
fn duplicate_acks_during_recovery_let_new_segments_out() {
    let mut host = under_way(10);
    for _ in 0..3 {
        host.send(ack(0));
    }
    host.out.clear();
    // cwnd = 5 + 3 segments; each further duplicate adds one: from the fifth on there is room beyond the 12 under way.
    for _ in 0..8 {
        host.send(ack(0));
    }
    assert!(!host.out.is_empty());
    assert_eq!(host.next().seg.seq.0, 12_301);
    over(&mut host, 501);
}

#[test]
fn duplicate_acks_after_a_time_out_do_not_start_recovery() {
    // RFC 6582 section 4: they tell of our own retransmissions.
    let mut host = under_way(10);
    host.pass(ms(305));
    host.expect_data(301, 501, &BYTES[..1000]);
    host.send(ack(4).window(20_000));
    host.out.clear();
    for _ in 0..5 {
        host.send(ack(4).window(20_000));
    }
    assert_eq!(events(&host, Event::FastRetransmits), 0);
    over(&mut host, 501);
}

#[test]
fn fast_retransmission_carries_nothing_that_was_never_sent() {
    // Small segments, then a window that is used up: the segment sent again must stay inside what was sent.
    let mut host = measured(plain_config());
    host.send(seg(".", 501, 301).window(40));
    for i in 0..4 {
        host.write(&BYTES[i * 10..i * 10 + 10]);
    }
    assert_eq!(host.out.len(), 4);
    host.out.clear();
    host.write(&BYTES[40..900]);
    host.expect_nothing();
    for _ in 0..3 {
        host.send(seg(".", 501, 301).window(40));
    }
    let again = host.expect(".", 301, 501);
    assert!(again.data.len() <= 40, "{} bytes into a window of 40", again.data.len());
    assert_eq!(again.data, &BYTES[..again.data.len()]);
    over(&mut host, 501);
}

#[test]
fn lost_fin_behind_data_is_recovered_by_duplicate_acks_too() {
    let mut host = measured(plain_config());
    host.write(&BYTES[..500]);
    host.act(|c| c.shutdown());
    assert_eq!(host.out.len(), 2);
    host.out.clear();
    for _ in 0..3 {
        host.send(seg(".", 501, 301));
    }
    let again = host.expect("F.", 301, 501);
    assert_eq!(again.data, &BYTES[..500]);
    host.send(seg(".", 501, 802));
    assert_eq!(host.state(), synfin_engine::tcp::State::FinWait2);
    over(&mut host, 501);
}
