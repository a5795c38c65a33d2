//! Receiving out of order: gaps, overlaps, and a FIN that comes before bytes in front of it.

use crate::{closed, drops, events, over, seconds};
use synfin_engine::base::{DropReason, Event};
use synfin_engine::shard::CloseReason;
use synfin_engine::tcp::State;
use synfin_tests::host::{Host, Told, plain_config, seg};

/// The stream of these tests.
const TEXT: &[u8; 20] = b"abcdefghijklmnopqrst";

/// The bytes `from..to` of [`TEXT`], from the peer of [`Host::accepted`].
fn part(from: usize, to: usize) -> synfin_tests::host::Seg {
    seg(".", 101 + from as u32, 301).data(&TEXT[from..to])
}

#[test]
fn segment_behind_a_gap_is_kept_and_brings_a_duplicate_ack_at_once() {
    let mut host = Host::accepted(plain_config());
    host.send(part(5, 10));
    host.expect(".", 301, 101);
    host.send(part(10, 15));
    host.expect(".", 301, 101);
    assert_eq!(host.shard.app().bytes(), b"");
    assert_eq!(events(&host, Event::OutOfOrderIn), 2);
    host.send(part(0, 5));
    assert_eq!(host.shard.app().bytes(), &TEXT[..15]);
    over(&mut host, 116);
}

#[test]
fn filling_a_gap_is_acknowledged_at_once() {
    // RFC 5681 4.2: in whole or in part.
    let mut host = Host::accepted(plain_config());
    host.send(part(4, 6));
    host.expect(".", 301, 101);
    host.send(part(8, 10));
    host.expect(".", 301, 101);
    host.send(part(0, 4));
    host.expect(".", 301, 107);
    host.send(part(6, 8));
    host.expect(".", 301, 111);
    // No gap any more: acknowledged with delay again.
    host.send(part(10, 12));
    host.expect_nothing();
    over(&mut host, 113);
}

#[test]
fn part_of_a_gap_filled_from_the_left_is_acknowledged_at_once() {
    let mut host = Host::accepted(plain_config());
    host.send(part(8, 10));
    host.expect(".", 301, 101);
    host.send(part(0, 3));
    host.expect(".", 301, 104);
    host.send(part(3, 8));
    host.expect(".", 301, 111);
    assert_eq!(host.shard.app().bytes(), &TEXT[..10]);
    over(&mut host, 111);
}

#[test]
fn every_order_of_four_segments_gives_the_same_bytes() {
    let parts = [(0, 5), (5, 10), (10, 15), (15, 20)];
    for order in 0..24usize {
        let mut left: Vec<_> = parts.to_vec();
        let mut host = Host::accepted(plain_config());
        let mut n = order;
        for k in (1..=4).rev() {
            let (from, to) = left.remove(n % k);
            n /= k;
            host.send(part(from, to));
        }
        assert_eq!(host.shard.app().bytes(), TEXT, "order {order}");
        over(&mut host, 121);
    }
}

#[test]
fn every_form_of_overlap_gives_the_same_bytes() {
    // All pairs of stretches behind the gap, then the whole stream again in pieces.
    let stretches: Vec<(usize, usize)> = (5..15).flat_map(|a| (a + 1..=15).map(move |b| (a, b))).collect();
    for &one in &stretches {
        for &two in &stretches {
            let mut host = Host::accepted(plain_config());
            host.send(part(one.0, one.1));
            host.send(part(two.0, two.1));
            host.send(part(0, 8));
            host.send(part(3, 17));
            assert_eq!(host.shard.app().bytes(), &TEXT[..17], "{one:?} then {two:?}");
            over(&mut host, 118);
        }
    }
}

#[test]
fn segment_that_covers_several_kept_ones_replaces_them() {
    let mut host = Host::accepted(plain_config());
    for (from, to) in [(4, 6), (8, 10), (12, 14), (2, 18)] {
        host.send(part(from, to));
    }
    assert_eq!(host.out.len(), 4);
    host.send(part(0, 2));
    assert_eq!(host.shard.app().bytes(), &TEXT[..18]);
    over(&mut host, 119);
}

#[test]
fn duplicate_of_a_kept_segment_is_counted_and_acknowledged() {
    let mut host = Host::accepted(plain_config());
    host.send(part(5, 10));
    host.send(part(5, 10));
    host.send(part(6, 8));
    assert_eq!(host.out.len(), 3);
    assert_eq!(drops(&host, DropReason::DataDuplicate), 2);
    over(&mut host, 101);
}

#[test]
fn fin_before_missing_data_waits_for_it() {
    let mut host = Host::accepted(plain_config());
    host.send(seg("F.", 106, 301));
    host.expect(".", 301, 101);
    assert_eq!(host.state(), State::Established);
    host.send(part(0, 5));
    host.expect(".", 301, 107);
    assert_eq!(host.told(), [Told::Accepted, Told::Data(TEXT[..5].to_vec()), Told::PeerClosed]);
    assert_eq!(host.state(), State::CloseWait);
    host.act(|c| c.close());
    host.expect("F.", 301, 107);
    host.send(seg(".", 107, 302));
    assert_eq!(closed(&host), Some(CloseReason::Graceful));
    host.assert_clean();
}

#[test]
fn fin_with_data_before_missing_data_waits_for_it() {
    let mut host = Host::accepted(plain_config());
    let mut last = part(5, 10);
    last.flags = seg("FP.", 0, 0).flags;
    host.send(last);
    host.expect(".", 301, 101);
    host.send(part(0, 5));
    host.expect(".", 301, 112);
    assert_eq!(host.shard.app().bytes(), &TEXT[..10]);
    assert_eq!(host.told().last(), Some(&Told::PeerClosed));
    over(&mut host, 112);
}

#[test]
fn fin_and_the_bytes_before_it_in_one_burst_in_the_wrong_order() {
    let mut host = Host::accepted(plain_config());
    host.send_burst(&[seg("F.", 106, 301), part(0, 5)]);
    assert_eq!(host.told(), [Told::Accepted, Told::Data(TEXT[..5].to_vec()), Told::PeerClosed]);
    over(&mut host, 107);
}

#[test]
fn bytes_beyond_the_fin_are_dropped() {
    let mut host = Host::accepted(plain_config());
    host.send(seg("F.", 101, 301));
    host.expect(".", 301, 102);
    host.send(seg(".", 102, 301).data(*b"more"));
    host.expect(".", 301, 102);
    assert_eq!(drops(&host, DropReason::DataAfterFin), 1);
    assert_eq!(host.told(), [Told::Accepted, Told::PeerClosed]);
    over(&mut host, 102);
}

#[test]
fn full_store_for_reassembly_still_takes_the_segment_that_fills_the_gap() {
    let mut config = plain_config();
    // Two for each of one connection and the next.
    config.limits.held_frames = 4;
    let mut host = Host::accepted(config);
    host.send(part(5, 10));
    host.send(part(10, 15));
    host.send(part(15, 20));
    assert_eq!(drops(&host, DropReason::ReassemblyFull), 1);
    assert_eq!(host.out.len(), 3);
    host.out.clear();
    host.send(part(0, 5));
    host.expect(".", 301, 116);
    host.send(part(15, 20));
    assert_eq!(host.shard.app().bytes(), TEXT);
    over(&mut host, 121);
}

#[test]
fn kept_segments_are_given_back_when_the_application_aborts() {
    let mut host = Host::accepted(plain_config());
    host.send(part(5, 10));
    host.expect(".", 301, 101);
    host.act(|c| c.abort());
    host.expect("R.", 301, 101);
    host.pass(seconds(1));
    host.assert_clean();
}
