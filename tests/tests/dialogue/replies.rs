//! Replies that cannot be sent: each is counted under its reason.

use crate::{closed, drops, events, ms, seconds, syn_of_station};
use synfin_engine::base::{DropReason, Event};
use synfin_engine::shard::CloseReason;
use synfin_tests::host::{Host, plain_config, seg};

#[test]
fn syn_ack_for_which_the_transmit_queue_has_no_room_is_counted_and_sent_later() {
    let mut config = plain_config();
    config.static_neighbours.clear();
    config.locals[0].prefix_len = 0;
    let mut host = Host::server(config);
    host.limit_burst(1);
    let syns = (1..3).map(|n| syn_of_station(&mut host, n)).collect();
    host.turn(syns);
    assert_eq!(host.out.len(), 1);
    assert_eq!(drops(&host, DropReason::TxFull), 1);
    host.out.clear();
    // Both are due at the same time, and there is room for one at a time.
    host.pass(seconds(4));
    let stations: std::collections::HashSet<_> = host.out.iter().map(|s| s.seg.dst).collect();
    assert_eq!(stations.len(), 2);
}

#[test]
fn syn_ack_for_which_there_is_no_frame_is_counted() {
    let mut host = Host::server(plain_config());
    host.send(seg("S", 100, 0).mss(1460));
    host.expect("S.", 300, 101);
    let taken: Vec<_> = std::iter::from_fn(|| host.pool.alloc()).collect();
    host.pass(ms(1100));
    host.expect_nothing();
    assert_eq!(drops(&host, DropReason::NoFrame), 1);
    assert_eq!(events(&host, Event::SynRetransmits), 0);
    taken.into_iter().for_each(|frame| host.pool.free(frame));
    host.pass(ms(2100));
    host.expect("S.", 300, 101);
}

#[test]
fn reset_without_a_link_address_to_go_to_is_not_counted_as_sent() {
    let mut config = plain_config();
    config.static_neighbours.clear();
    let mut host = Host::accepted(config);
    // Silence makes the entry doubtful; its next use asks, nobody answers, and it is given up.
    host.pass(seconds(31));
    host.write(b"anyone?");
    host.out.clear();
    host.pass(seconds(60));
    host.out.clear();
    let before = drops(&host, DropReason::NeighbourUnresolved);
    host.act(|c| c.abort());
    assert_eq!(closed(&host), Some(CloseReason::Aborted));
    host.expect_nothing();
    assert_eq!(events(&host, Event::ResetsOut), 0);
    assert_eq!(drops(&host, DropReason::NeighbourUnresolved) - before, 1);
    host.assert_clean();
}
