//! Frames larger than a chunk of packet memory, in virtual time: frames of 7000 bytes over chunks of 2048.

use std::time::Duration;
use synfin_engine::base::{DropReason, Event};
use synfin_engine::io::sim::Impairment;
use synfin_tests::pair::{ADDR_A, ADDR_B, MAC_A, Pair, configs};
use synfin_tests::streams::{Client, Server};

const MTU: u16 = 7000;
const LOCALS: u32 = 8;

fn pair(seed: u64, connections: u64, impairment: Impairment, frames: u32) -> Pair<Client, Server> {
    let (mut a, mut b) = configs();
    a.locals[0].first = ADDR_A.plus(16);
    a.locals[0].count = LOCALS;
    b.static_neighbours = (0..LOCALS).map(|i| (ADDR_A.plus(16 + i), MAC_A)).collect();
    for config in [&mut a, &mut b] {
        config.mtu = MTU;
        config.tcp.fin_wait_2 = Duration::from_secs(600);
    }
    let client = Client::new(seed, connections, 16, 18, ADDR_A.plus(16), LOCALS, ADDR_B);
    let mut pair = Pair::with_frames((a, b), (client, Server::new(seed)), seed, [impairment; 2], frames);
    pair.b.shard.listen(80);
    pair
}

/// Runs to the end; every byte has come, in order, on both sides, and every frame is home.
fn run(pair: &mut Pair<Client, Server>, connections: u64) {
    assert!(pair.run(Duration::from_secs(100_000)), "something goes on for ever");
    let (client, server) = (pair.a.shard.app(), pair.b.shard.app());
    for tally in [&client.side.tally, &server.side.tally] {
        assert_eq!((tally.wrong_bytes, tally.incomplete), (0, 0));
        assert_eq!((tally.ended(), tally.graceful), (connections, connections));
    }
    pair.a.assert_clean();
    pair.b.assert_clean();
    let counters = pair.b.shard.counters();
    let bytes_per_frame = counters.count(Event::BytesIn) / counters.count(Event::FramesIn);
    assert!(bytes_per_frame > 2048, "{bytes_per_frame}: frames are not large");
}

#[test]
fn every_stream_arrives_whole_in_frames_of_several_chunks() {
    let mut pair = pair(1, 300, Impairment { delay: Duration::from_micros(50), ..Impairment::default() }, 16_384);
    run(&mut pair, 300);
    assert_eq!(pair.a.shard.counters().count(Event::Retransmits), 0);
    assert_eq!(pair.a.shard.counters().dropped_total() + pair.b.shard.counters().dropped_total(), 0);
}

#[test]
fn every_stream_arrives_whole_through_loss_damage_duplication_and_reordering() {
    let rough = Impairment {
        loss: 0.02,
        duplicate: 0.01,
        reorder: 0.02,
        reorder_delay: Duration::from_micros(300),
        jitter: Duration::from_micros(50),
        corrupt: 0.005,
        corrupt_bits_max: 1,
        delay: Duration::from_micros(200),
        ..Impairment::default()
    };
    for seed in 1..=3 {
        let mut pair = pair(seed, 300, rough, 16_384);
        run(&mut pair, 300);
        assert!(pair.b.shard.counters().dropped(DropReason::TcpChecksumBad) > 0, "damage in any part is found");
        assert!(pair.b.shard.counters().count(Event::OutOfOrderIn) > 0);
    }
}

#[test]
fn a_pool_that_runs_dry_loses_frames_but_no_bytes_and_no_chunk() {
    for frames in [64, 100, 200] {
        let mut pair = pair(7, 60, Impairment { delay: Duration::from_micros(200), ..Impairment::default() }, frames);
        run(&mut pair, 60);
    }
}
