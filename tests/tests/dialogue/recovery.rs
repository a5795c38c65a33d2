//! Losses on a connection with SACK: what is lost and when (RFC 6675, 8985), how the window comes down (RFC 6937), and
//! what is taken back when nothing had been lost (RFC 2883, 3522).

use crate::{BYTES, events, ms, over, seconds};
use synfin_engine::base::Event;
use synfin_engine::shard::ShardConfig;
use synfin_engine::tcp::congestion::Algorithm;
use synfin_engine::wire::segment::SackBlock;
use synfin_engine::wire::{Seq, TcpOptions};
use synfin_tests::host::{Host, Seg, plain_config, seg};

pub fn sack_config() -> ShardConfig {
    let mut config = plain_config();
    config.tcp.sack = true;
    config.tcp.congestion = Algorithm::NewReno;
    config
}

fn blocks(ranges: &[(u32, u32)]) -> TcpOptions {
    let mut options = TcpOptions { sack_len: ranges.len() as u8, ..TcpOptions::default() };
    for (to, &(start, end)) in options.sack.iter_mut().zip(ranges) {
        *to = SackBlock { start: Seq(301 + start * 1000), end: Seq(301 + end * 1000) };
    }
    options
}

/// An ACK of the first `n` segments of 1000 bytes, with blocks in segments.
pub fn sack(n: u32, ranges: &[(u32, u32)]) -> Seg {
    seg(".", 501, 301 + n * 1000).options(blocks(ranges))
}

/// A connection whose round trip was measured as 100 ms; ten segments of 1000 bytes are under way, `bytes - 10000` wait.
pub fn under_way(config: ShardConfig, bytes: usize) -> Host {
    let timestamps = config.tcp.timestamps;
    let mut host = Host::client(config);
    host.expect("S", 300, 0);
    host.pass(ms(100));
    let timestamp = timestamps.then_some((1, 0));
    let mss = Some(if timestamps { 1012 } else { 1000 });
    let options = TcpOptions { mss, sack_permitted: true, timestamp, ..TcpOptions::default() };
    host.send(seg("S.", 500, 301).options(options));
    host.expect(".", 301, 501);
    host.act(|c| c.send(synfin_engine::shard::Payload::Static(&BYTES[..bytes])).expect("room"));
    assert_eq!(host.out.len(), bytes.min(10_000) / 1000);
    host.out.clear();
    host
}

/// The segments sent since the last look, by their number in segments.
pub fn sent(host: &mut Host) -> Vec<u32> {
    let all = std::mem::take(&mut host.out);
    for s in &all {
        let at = s.seg.seq.since(Seq(301)) as usize;
        assert_eq!(s.data, &BYTES[at..at + s.data.len()], "the right bytes");
    }
    all.iter().filter(|s| !s.data.is_empty()).map(|s| s.seg.seq.since(Seq(301)) / 1000).collect()
}

pub fn window(host: &mut Host) -> u32 {
    host.shard.with_net(host.now, |app, net| net.conn(app.conn.expect("one")).expect("live").info().expect("live").cwnd)
}

#[test]
fn third_sacked_segment_brings_the_lost_one_at_once() {
    let mut host = under_way(sack_config(), 20_000);
    host.pass(ms(100));
    // Limited transmit: each segment that has left the network lets a new one in.
    host.send(sack(0, &[(1, 2)]));
    assert_eq!(sent(&mut host), [10]);
    host.send(sack(0, &[(1, 3)]));
    assert_eq!(sent(&mut host), [11]);
    host.send(sack(0, &[(1, 4)]));
    assert_eq!(sent(&mut host), [0]);
    assert_eq!(events(&host, Event::FastRetransmits), 1);
    over(&mut host, 501);
}

#[test]
fn single_sacked_segment_is_enough_once_the_reordering_window_has_passed() {
    let mut host = under_way(sack_config(), 10_000);
    host.pass(ms(100));
    host.send(sack(0, &[(1, 2)]));
    host.pass(ms(24));
    assert_eq!(sent(&mut host), []);
    // A quarter of the smallest round trip.
    host.pass(ms(2));
    assert_eq!(sent(&mut host), [0]);
    assert_eq!(events(&host, Event::RtoExpiries), 0);
    over(&mut host, 501);
}

#[test]
fn segment_that_comes_late_but_within_the_reordering_window_changes_nothing() {
    let mut host = under_way(sack_config(), 10_000);
    host.pass(ms(100));
    host.send(sack(0, &[(1, 2)]));
    host.pass(ms(20));
    host.send(sack(2, &[]));
    host.send(sack(10, &[]));
    host.pass(seconds(1));
    assert_eq!(sent(&mut host), []);
    assert_eq!(events(&host, Event::FastRetransmits), 0);
    assert!(window(&mut host) >= 10_000);
    over(&mut host, 501);
}

#[test]
fn path_that_was_seen_to_reorder_gets_the_reordering_window_for_many_segments_too() {
    let mut host = under_way(sack_config(), 30_000);
    host.pass(ms(100));
    host.send(sack(0, &[(1, 2)]));
    host.send(sack(2, &[]));
    sent(&mut host);
    // Now three SACKed segments are no sign of a loss; that the window passes is.
    for end in 4..=7 {
        host.send(sack(2, &[(3, end)]));
    }
    assert!(!sent(&mut host).contains(&2));
    host.pass(ms(26));
    assert!(sent(&mut host).contains(&2));
    over(&mut host, 501);
}

#[test]
fn exactly_the_lost_segments_are_sent_again_and_the_window_is_halved() {
    let mut host = under_way(sack_config(), 40_000);
    host.pass(ms(100));
    // Segments 0, 4 and 5 of ten are lost.
    for ranges in [&[(1, 2)][..], &[(1, 3)], &[(1, 4)], &[(6, 7), (1, 4)], &[(6, 8), (1, 4)]] {
        host.send(sack(0, ranges));
    }
    host.send(sack(0, &[(6, 10), (1, 4)]));
    let all = sent(&mut host);
    let again: Vec<_> = all.iter().copied().filter(|&n| n < 10).collect();
    assert_eq!(again, [0, 4, 5]);
    host.pass(ms(100));
    host.send(sack(4, &[(6, 10)]));
    host.send(sack(10, &[]));
    let highest = all.iter().max().copied().unwrap_or(9) + 1;
    assert!(sent(&mut host).iter().all(|&n| n >= highest.min(10)), "only new segments");
    host.send(sack(highest, &[]));
    assert_eq!(window(&mut host) / 1000, 5);
    assert_eq!(events(&host, Event::Retransmits), 3);
    assert_eq!((events(&host, Event::FastRetransmits), events(&host, Event::RtoExpiries)), (1, 0));
    over(&mut host, 501);
}

#[test]
fn window_comes_down_over_a_round_trip_not_at_once() {
    // Proportional rate reduction: two segments delivered, one sent.
    let mut host = under_way(sack_config(), 40_000);
    host.pass(ms(100));
    for end in 2..=4 {
        host.send(sack(0, &[(1, end)]));
    }
    assert_eq!(sent(&mut host), [10, 11, 0]);
    let mut each = Vec::new();
    for end in 5..=10 {
        host.send(sack(0, &[(1, end)]));
        each.push(sent(&mut host).len());
    }
    assert!(each.iter().all(|&n| n <= 1), "{each:?}");
    assert!((2..=4).contains(&each.iter().sum::<usize>()), "{each:?}");
    over(&mut host, 501);
}

#[test]
fn lost_retransmission_is_found_without_a_time_out() {
    let mut host = under_way(sack_config(), 40_000);
    host.pass(ms(100));
    for end in 2..=10 {
        host.send(sack(0, &[(1, end)]));
    }
    let first = sent(&mut host);
    assert_eq!(first.iter().filter(|&&n| n == 0).count(), 1);
    let newer = *first.iter().max().expect("new segments");
    assert!(newer >= 11, "{first:?}");
    // What was sent after the retransmission arrives, the retransmission does not.
    host.pass(ms(100));
    host.send(sack(0, &[(1, newer + 1)]));
    assert!(sent(&mut host).contains(&0));
    assert_eq!(events(&host, Event::RtoExpiries), 0);
    assert_eq!(events(&host, Event::FastRetransmits), 1, "one reduction");
    over(&mut host, 501);
}

#[test]
fn lost_tail_is_probed_after_two_round_trips_and_repaired_without_a_time_out() {
    let mut host = under_way(sack_config(), 10_000);
    host.pass(ms(100));
    host.send(sack(7, &[]));
    host.pass(ms(199));
    assert_eq!(sent(&mut host), []);
    host.pass(ms(3));
    assert_eq!(sent(&mut host), [9], "the last segment");
    assert_eq!((events(&host, Event::LossProbes), events(&host, Event::RtoExpiries)), (1, 0));
    // The probe arrives; what was sent before it has not.
    host.pass(ms(100));
    host.send(sack(7, &[(9, 10)]));
    host.pass(ms(30));
    assert_eq!(sent(&mut host), [7]);
    host.pass(ms(100));
    host.send(sack(8, &[(9, 10)]));
    assert_eq!(sent(&mut host), [8]);
    host.send(sack(10, &[]));
    assert_eq!(events(&host, Event::RtoExpiries), 0);
    over(&mut host, 501);
}

#[test]
fn probe_carries_new_data_if_there_is_some() {
    let mut host = under_way(sack_config(), 20_000);
    host.pass(ms(205));
    assert_eq!(sent(&mut host), [10]);
    assert_eq!(events(&host, Event::LossProbes), 1);
    assert_eq!(events(&host, Event::Retransmits), 0);
    over(&mut host, 501);
}

#[test]
fn second_probe_waits_for_a_time_out_and_an_ack() {
    let mut host = under_way(sack_config(), 10_000);
    host.pass(ms(205));
    assert_eq!(sent(&mut host), [9]);
    host.pass_until_output(seconds(5));
    assert_eq!(sent(&mut host), [0], "then the time-out's turn");
    assert_eq!((events(&host, Event::LossProbes), events(&host, Event::RtoExpiries)), (1, 1));
    over(&mut host, 501);
}

#[test]
fn probe_that_repaired_a_loss_by_itself_halves_the_window() {
    let mut host = under_way(sack_config(), 10_000);
    host.pass(ms(100));
    host.send(sack(9, &[]));
    let before = window(&mut host);
    // A single segment: the peer may wait with its ACK.
    host.pass_until_output(seconds(1));
    assert_eq!(sent(&mut host), [9]);
    assert_eq!((events(&host, Event::LossProbes), events(&host, Event::RtoExpiries)), (1, 0));
    host.act(|c| c.send(synfin_engine::shard::Payload::Static(&BYTES[10_000..12_000])).expect("room"));
    host.pass(ms(100));
    host.send(sack(10, &[]));
    host.send(sack(12, &[]));
    assert!(window(&mut host) < before, "{} after {before}", window(&mut host));
    over(&mut host, 501);
}

#[test]
fn probe_that_was_not_needed_changes_nothing() {
    let mut host = under_way(sack_config(), 10_000);
    let before = window(&mut host);
    host.pass(ms(205));
    assert_eq!(sent(&mut host), [9]);
    // The ACK had been held up; then the probe's copy is reported.
    host.send(sack(10, &[]));
    host.send(sack(10, &[(9, 10)]));
    host.act(|c| c.send(synfin_engine::shard::Payload::Static(&BYTES[10_000..12_000])).expect("room"));
    host.send(sack(12, &[]));
    assert!(window(&mut host) >= before);
    assert_eq!(events(&host, Event::DsacksIn), 1);
    over(&mut host, 501);
}

#[test]
fn recovery_in_which_nothing_was_lost_is_taken_back_when_the_copies_are_reported() {
    let mut host = under_way(sack_config(), 40_000);
    host.pass(ms(100));
    for end in 2..=4 {
        host.send(sack(0, &[(1, end)]));
    }
    assert!(sent(&mut host).contains(&0));
    assert_eq!(events(&host, Event::FastRetransmits), 1);
    // The original comes after all, then the copy.
    host.send(sack(4, &[]));
    host.send(sack(12, &[]));
    assert!(window(&mut host) < 10_000);
    host.send(sack(12, &[(0, 1)]));
    assert_eq!(events(&host, Event::SpuriousRecoveries), 1);
    assert!(window(&mut host) >= 10_000, "{}", window(&mut host));
    over(&mut host, 501);
}

#[test]
fn slow_start_goes_on_after_reordering_in_the_first_flight() {
    let mut host = under_way(sack_config(), 40_000);
    host.pass(ms(100));
    // Segment 0 comes behind five others; what the window comes down to in between is no smaller than it was.
    for end in 2..=6 {
        host.send(sack(0, &[(1, end)]));
    }
    sent(&mut host);
    assert_eq!(events(&host, Event::FastRetransmits), 1);
    host.send(sack(6, &[]));
    host.send(sack(6, &[(0, 1)]));
    assert_eq!(events(&host, Event::SpuriousRecoveries), 1);
    let before = window(&mut host);
    // A round trip later, all of it acknowledged: the window doubles, where congestion avoidance would add one segment.
    host.pass(ms(100));
    let flight = sent(&mut host).iter().max().copied().unwrap_or(9).max(9) + 1;
    host.send(sack(flight, &[]));
    assert!(window(&mut host) >= before + 3_000, "{before}, then {}", window(&mut host));
    over(&mut host, 501);
}

#[test]
fn time_out_before_the_acks_came_is_taken_back_by_the_echoed_timestamp() {
    let mut config = sack_config();
    config.tcp.timestamps = true;
    let mut host = under_way(config, 20_000);
    let before = window(&mut host);
    // The ACKs are held up until the probe and the time-out have come. The probe was sent 200 ms after the flight: that
    // is more than 180 ticks of our timestamps.
    host.pass_until_output(seconds(1));
    let probe = host.out.front().expect("a probe").seg.options.timestamp.expect("a timestamp").0;
    let sent_at = probe.wrapping_sub(180);
    sent(&mut host);
    host.pass_until_output(seconds(5));
    assert_eq!(sent(&mut host), [0]);
    assert_eq!(events(&host, Event::RtoExpiries), 1);
    assert!(window(&mut host) <= 2_000);
    let options = TcpOptions { timestamp: Some((2, sent_at)), ..TcpOptions::default() };
    host.send(seg(".", 501, 301 + 2_000).options(options));
    assert_eq!(events(&host, Event::SpuriousTimeouts), 1);
    assert!(window(&mut host) >= before, "{}", window(&mut host));
    assert!(sent(&mut host).iter().all(|&n| n >= 10), "nothing more is sent again");
    over(&mut host, 501);
}

#[test]
fn peer_that_forgets_what_it_had_sacked_gets_it_again() {
    // Reneging: RFC 2018 section 8.
    let mut host = under_way(sack_config(), 10_000);
    host.pass(ms(100));
    for end in 2..=10 {
        host.send(sack(0, &[(1, end)]));
    }
    assert_eq!(sent(&mut host), [0]);
    host.pass(ms(100));
    host.send(sack(1, &[]));
    let mut all = Vec::new();
    for n in 1..10 {
        host.pass_until_output(seconds(20));
        all.append(&mut sent(&mut host));
        host.send(sack(n + 1, &[]));
        all.append(&mut sent(&mut host));
    }
    all.sort_unstable();
    all.dedup();
    assert_eq!(all, (1..10).collect::<Vec<_>>());
    over(&mut host, 501);
}

#[test]
fn without_room_for_records_losses_are_repaired_as_without_sack() {
    let mut config = sack_config();
    config.limits.tracked_segments = 0;
    let mut host = under_way(config, 10_000);
    assert!(events(&host, Event::RecoveryExhausted) > 0);
    host.pass(ms(100));
    for end in 2..=4 {
        host.send(sack(0, &[(1, end)]));
    }
    assert_eq!(sent(&mut host), [0]);
    host.send(sack(10, &[]));
    over(&mut host, 501);
}

#[test]
fn without_room_for_any_state_losses_are_repaired_by_time_out() {
    let mut config = sack_config();
    config.limits.recovery_blocks = 0;
    let mut host = under_way(config, 10_000);
    assert!(events(&host, Event::RecoveryExhausted) > 0);
    host.pass(ms(100));
    for end in 2..=6 {
        host.send(sack(0, &[(1, end)]));
    }
    assert_eq!(sent(&mut host), []);
    host.pass_until_output(seconds(2));
    assert_eq!(sent(&mut host), [0]);
    host.send(sack(6, &[]));
    assert_eq!(sent(&mut host), [6, 7]);
    host.send(sack(10, &[]));
    over(&mut host, 501);
}

#[test]
fn state_is_kept_only_while_there_is_something_to_remember() {
    let mut host = under_way(sack_config(), 10_000);
    assert_eq!(host.shard.recovering(), 1);
    host.pass(ms(100));
    host.send(sack(10, &[]));
    assert_eq!(host.shard.recovering(), 0);
    // A single segment each way needs none.
    host.act(|c| c.send(synfin_engine::shard::Payload::Static(b"short")).expect("room"));
    assert_eq!(host.shard.recovering(), 0);
    over(&mut host, 501);
}

#[test]
fn window_shrinks_to_the_initial_one_after_an_idle_time() {
    let mut host = under_way(sack_config(), 10_000);
    host.pass(ms(100));
    host.send(sack(10, &[]));
    for round in 1..4 {
        let from = (round * 10_000) as usize;
        host.act(|c| c.send(synfin_engine::shard::Payload::Static(&BYTES[from..from + 10_000])).expect("room"));
        host.pass(ms(100));
        host.send(sack(round * 10 + 10, &[]));
        host.out.clear();
    }
    let before = window(&mut host);
    assert!(before >= 12_000, "{before}");
    host.act(|c| c.send(synfin_engine::shard::Payload::Static(&BYTES[40_000..41_000])).expect("room"));
    assert_eq!(window(&mut host), before, "no idle time yet");
    host.send(sack(41, &[]));
    host.pass(seconds(2));
    host.act(|c| c.send(synfin_engine::shard::Payload::Static(&BYTES[41_000..70_000])).expect("room"));
    assert_eq!(window(&mut host), 10_000);
    over(&mut host, 501);
}

#[test]
fn time_out_in_a_recovery_ends_it_and_no_other_begins_before_all_of_it_is_acknowledged() {
    // RFC 6675 5.1.
    let mut host = under_way(sack_config(), 40_000);
    host.pass(ms(100));
    for end in 2..=4 {
        host.send(sack(0, &[(1, end)]));
    }
    assert_eq!(sent(&mut host), [10, 11, 0]);
    assert_eq!(events(&host, Event::FastRetransmits), 1);
    host.pass_until_output(seconds(10));
    assert_eq!(events(&host, Event::RtoExpiries), 1);
    sent(&mut host);
    // All that was under way at the time-out was lost but what is SACKed now: no second reduction for that.
    host.send(sack(4, &[(7, 8)]));
    for end in 9..=12 {
        host.send(sack(4, &[(7, end)]));
    }
    sent(&mut host);
    host.pass(ms(100));
    host.send(sack(6, &[(7, 12)]));
    assert_eq!(events(&host, Event::FastRetransmits), 1);
    // Then all of it is acknowledged, and the next loss is a new one.
    host.send(sack(12, &[]));
    let next = *sent(&mut host).iter().max().expect("new segments");
    host.pass(ms(100));
    host.send(sack(next + 1, &[]));
    let flight = sent(&mut host);
    let (first, last) = (flight[0], flight[flight.len() - 1]);
    assert!(last >= first + 3, "{flight:?}");
    host.pass(ms(100));
    host.send(sack(first, &[(first + 1, last + 1)]));
    assert_eq!(events(&host, Event::FastRetransmits), 2);
}

#[test]
fn loss_that_only_the_reordering_timer_shows_is_repaired_although_nothing_else_is_under_way() {
    let mut host = under_way(sack_config(), 12_000);
    host.pass(ms(100));
    // The path reorders, so a loss is believed when the reordering window has passed.
    host.send(sack(0, &[(1, 2)]));
    host.send(sack(2, &[]));
    host.send(sack(2, &[(3, 6)]));
    sent(&mut host);
    host.pass(ms(26));
    assert_eq!(sent(&mut host), [2]);
    host.pass(ms(100));
    // All after 5 but the last is lost, and while ACKs move forward recovery sends a little more than was delivered.
    host.send(sack(6, &[(11, 12)]));
    assert_eq!(sent(&mut host), [6, 7]);
    host.pass(ms(100));
    host.send(sack(7, &[(11, 12)]));
    assert_eq!(sent(&mut host), [8, 9]);
    host.send(sack(8, &[(11, 12)]));
    assert_eq!(sent(&mut host), [10]);
    host.pass(ms(100));
    // 9 is lost once more, and nothing else is on its way: no ACK will come that could say so.
    host.send(sack(9, &[(10, 12)]));
    assert_eq!(sent(&mut host), []);
    host.pass(ms(40));
    assert_eq!(sent(&mut host), [9]);
    assert_eq!(events(&host, Event::RtoExpiries), 0);
    over(&mut host, 501);
}
