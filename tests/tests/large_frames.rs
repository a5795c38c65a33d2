//! Frames larger than a chunk of packet memory: frames of 7000 bytes over chunks of 2048 in virtual time, and segments cut at
//! random places against the same segments in one piece.

use std::time::Duration;
use synfin_engine::base::{DropReason, Event, Frame, FramePool, Rng};
use synfin_engine::io::sim::Impairment;
use synfin_engine::wire::emit::{self, ChecksumMode, IpFields, LinkOut, OptionsOut, SegmentOut};
use synfin_engine::wire::parse::VlanTags;
use synfin_engine::wire::{Seq, TcpFlags, TcpOptions};
use synfin_tests::host::{Host, OUR_MAC, OUR_PORT, OURS, PEER, PEER_MAC, PEER_PORT, plain_config};
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
}

/// Mean over all frames that the server has received, bare ACKs among them.
fn bytes_per_frame(pair: &Pair<Client, Server>) -> u64 {
    let counters = pair.b.shard.counters();
    counters.count(Event::BytesIn) / counters.count(Event::FramesIn)
}

#[test]
fn every_stream_arrives_whole_in_frames_of_several_chunks() {
    let mut pair = pair(1, 300, Impairment { delay: Duration::from_micros(50), ..Impairment::default() }, 16_384);
    run(&mut pair, 300);
    assert!(bytes_per_frame(&pair) > 2048, "{}", bytes_per_frame(&pair));
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

/// Headers of a segment without options.
const HEADERS: usize = 14 + 20 + 20;

/// The frame of a segment from the peer.
fn frame_bytes(seq: u32, data: &[u8], flags: TcpFlags) -> Vec<u8> {
    let mut pool = FramePool::heap(1, 16_384);
    let mut frame = pool.alloc().expect("a frame");
    let link = LinkOut { src: PEER_MAC, dst: OUR_MAC, vlan: VlanTags::default() };
    let segment = SegmentOut {
        src: PEER,
        dst: OURS,
        src_port: PEER_PORT,
        dst_port: OUR_PORT,
        seq: Seq(seq),
        ack: Seq(301),
        flags,
        window: 65_535,
        options: OptionsOut::Any(&TcpOptions::default()),
        payload_len: data.len() as u16,
        ip: IpFields::default(),
        checksum: ChecksumMode::Full,
    };
    assert!(emit::tcp(&mut frame, &link, &segment, |to| to.copy_from_slice(data)));
    let bytes = frame.bytes().to_vec();
    pool.free(frame);
    bytes
}

/// Lets the frame arrive, cut at these places.
fn arrive(host: &mut Host, bytes: &[u8], cuts: &[usize]) {
    let starts = [0].into_iter().chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain([bytes.len()]);
    let mut parts: Vec<Frame> = Vec::new();
    for (start, end) in starts.zip(ends) {
        let mut part = host.pool.alloc().expect("a frame");
        assert!(part.set_len(end - start));
        part.bytes_mut().copy_from_slice(&bytes[start..end]);
        parts.push(part);
    }
    let packet = host.pool.chain(&mut parts).expect("no more parts than a packet may have");
    host.turn(vec![packet]);
}

/// What a host with this appetite has sent when it has seen all segments, and what its application got.
struct Seen {
    sent: Vec<(u8, u32, u32, u16)>,
    bytes: Vec<u8>,
}

fn show(arrivals: &[(Vec<u8>, Vec<usize>)], appetites: &[usize]) -> Seen {
    let mut host = Host::accepted(plain_config());
    host.pool = FramePool::heap(512, 16_384);
    let mut appetites = appetites.iter().cycle();
    for (bytes, cuts) in arrivals {
        let app = host.shard.app_mut();
        app.appetite = *appetites.next().expect("it goes round");
        if app.appetite > 0 {
            host.act(|conn| conn.resume_receive());
        }
        arrive(&mut host, bytes, cuts);
    }
    host.shard.app_mut().appetite = usize::MAX;
    host.act(|conn| conn.resume_receive());
    let sent = host.out.drain(..).map(|s| (s.seg.flags.0, s.seg.seq.0, s.seg.ack.0, s.seg.window)).collect();
    let bytes = host.shard.app().bytes();
    host.abort_all();
    assert_eq!(host.pool.available(), 512, "frames left over");
    Seen { sent, bytes }
}

#[test]
fn segments_cut_anywhere_have_the_effect_of_whole_ones() {
    let mut rng = Rng::new(11);
    for _ in 0..300 {
        let mut below = |n: u64| rng.below(n) as usize;
        let stream: Vec<u8> = (0..40_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let (mut arrivals, mut at) = (Vec::new(), 0);
        while at < stream.len() {
            let end = (at + 1 + below(8900)).min(stream.len());
            let flags = if end == stream.len() { TcpFlags::ACK | TcpFlags::FIN } else { TcpFlags::ACK };
            // Some begin with bytes that have come before.
            let start = at - below(200).min(at);
            let bytes = frame_bytes(101 + start as u32, &stream[start..end], flags);
            let mut cuts: Vec<usize> = (0..below(4)).map(|_| HEADERS + below((bytes.len() - HEADERS) as u64)).collect();
            cuts.sort_unstable();
            arrivals.push((bytes, cuts));
            at = end;
        }
        for _ in 0..below(4) {
            let (a, b) = (below(arrivals.len() as u64), below(arrivals.len() as u64));
            arrivals.swap(a, b);
        }
        if below(2) == 0 {
            let again = arrivals[below(arrivals.len() as u64)].clone();
            arrivals.push(again);
        }
        let appetites =
            [[usize::MAX; 3], [below(9000), below(9000), usize::MAX], [0, usize::MAX, below(3000)]][below(3)];
        let cut = show(&arrivals, &appetites);
        arrivals.iter_mut().for_each(|(_, cuts)| cuts.clear());
        let whole = show(&arrivals, &appetites);
        assert!(cut.bytes == whole.bytes && cut.bytes == stream);
        assert_eq!(cut.sent, whole.sent);
    }
}

#[test]
fn bytes_that_there_is_no_room_to_keep_come_again_and_count_once() {
    let stream: Vec<u8> = (0..30_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (parts, appetite) in [(1, 700), (3, 700), (3, 2_000), (3, 2_500), (4, 3_100)] {
        let mut config = plain_config();
        config.limits.held_frames = 0;
        let mut host = Host::accepted(config);
        host.pool = FramePool::heap(64, 16_384);
        let mut done = 0;
        while done < stream.len() {
            host.shard.app_mut().appetite = appetite;
            let end = (done + 6_000).min(stream.len());
            let bytes = frame_bytes(101 + done as u32, &stream[done..end], TcpFlags::ACK);
            let cuts: Vec<usize> = (1..parts).map(|part| HEADERS + (end - done) * part / parts).collect();
            arrive(&mut host, &bytes, &cuts);
            host.pass(Duration::from_millis(300));
            let acknowledged = host.out.drain(..).next_back().expect("an acknowledgement").seg.ack.0 as usize - 101;
            assert!(acknowledged > done, "the application takes something each time");
            done = acknowledged;
            assert_eq!(
                host.shard.app().bytes().len(),
                done,
                "what was acknowledged was delivered: {parts}, {appetite}"
            );
        }
        assert!(host.shard.app().bytes() == stream, "{parts} parts, {appetite} bytes at a time");
        assert_eq!(host.shard.counters().count(Event::PayloadIn), stream.len() as u64);
        host.abort_all();
        assert_eq!(host.pool.available(), 64, "frames left over");
    }
}
