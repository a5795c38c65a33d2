//! SACK blocks that the host sends for gaps (RFC 2018).

use crate::{BYTES, over};
use synfin_engine::shard::ShardConfig;
use synfin_engine::wire::TcpOptions;
use synfin_tests::host::{Host, Sent, plain_config, seg};

fn accepted(timestamps: bool) -> Host {
    let mut config: ShardConfig = plain_config();
    (config.tcp.sack, config.tcp.timestamps) = (true, timestamps);
    let mut host = Host::server(config);
    let stamp = timestamps.then_some((1, 0));
    let options = TcpOptions { mss: Some(1460), sack_permitted: true, timestamp: stamp, ..TcpOptions::default() };
    host.send(seg("S", 100, 0).options(options));
    host.expect("S.", 300, 101);
    host.send(part(0, 0, timestamps));
    host
}

/// Bytes `from..to` of the stream, the first of which has number 101.
fn part(from: usize, to: usize, timestamps: bool) -> synfin_tests::host::Seg {
    let options = TcpOptions { timestamp: timestamps.then_some((1, 0)), ..TcpOptions::default() };
    seg(".", 101 + from as u32, 301).data(&BYTES[from..to]).options(options)
}

/// Blocks relative to the first byte.
fn blocks(sent: &Sent) -> Vec<(u32, u32)> {
    sent.seg.options.sack_blocks().iter().map(|b| (b.start.0 - 101, b.end.0 - 101)).collect()
}

#[test]
fn segment_behind_a_gap_is_reported() {
    let mut host = accepted(false);
    host.send(part(10, 20, false));
    assert_eq!(blocks(&host.expect(".", 301, 101)), [(10, 20)]);
    host.send(part(20, 30, false));
    assert_eq!(blocks(&host.expect(".", 301, 101)), [(10, 30)]);
    over(&mut host, 101);
}

#[test]
fn block_of_the_newest_segment_comes_first() {
    let mut host = accepted(false);
    host.send(part(10, 20, false));
    host.send(part(50, 60, false));
    host.send(part(30, 40, false));
    host.send(part(20, 25, false));
    let reported: Vec<_> = std::mem::take(&mut host.out).iter().map(blocks).collect();
    assert_eq!(reported[0], [(10, 20)]);
    assert_eq!(reported[1], [(50, 60), (10, 20)]);
    assert_eq!(reported[2][0], (30, 40));
    assert_eq!(reported[2].len(), 3);
    assert_eq!(reported[3][0], (10, 25));
    over(&mut host, 101);
}

#[test]
fn as_many_blocks_are_sent_as_there_is_room_for() {
    for (timestamps, room) in [(false, 4), (true, 3)] {
        let mut host = accepted(timestamps);
        for i in 1..=6 {
            host.send(part(i * 20, i * 20 + 10, timestamps));
            let sent = host.expect(".", 301, 101);
            assert_eq!(blocks(&sent).len(), i.min(room));
            assert_eq!(blocks(&sent)[0], (i as u32 * 20, i as u32 * 20 + 10));
        }
        over(&mut host, 101);
    }
}

#[test]
fn filled_gaps_are_no_longer_reported() {
    let mut host = accepted(false);
    host.send(part(10, 20, false));
    host.send(part(30, 40, false));
    host.out.clear();
    host.send(part(0, 10, false));
    assert_eq!(blocks(&host.expect(".", 301, 121)), [(30, 40)]);
    host.send(part(20, 30, false));
    assert!(blocks(&host.expect(".", 301, 141)).is_empty());
    over(&mut host, 141);
}

#[test]
fn blocks_from_the_peer_do_no_harm() {
    let mut host = accepted(false);
    host.write(&BYTES[..3000]);
    host.out.clear();
    let mut options = TcpOptions { sack_len: 1, ..TcpOptions::default() };
    options.sack[0].start.0 = 1761;
    options.sack[0].end.0 = 3301;
    for _ in 0..3 {
        host.send(seg(".", 101, 301).options(options));
    }
    host.expect_data(301, 101, &BYTES[..1460]);
    host.send(seg(".", 101, 3301));
    over(&mut host, 101);
}

#[test]
fn segment_that_came_before_is_named_in_the_answer() {
    // RFC 2883 section 4: below the acknowledgement, above it, and inside a larger block.
    let mut host = accepted(false);
    host.send(part(0, 20, false));
    host.out.clear();
    host.send(part(5, 15, false));
    assert_eq!(blocks(&host.expect(".", 301, 121)), [(5, 15)]);
    host.send(part(40, 50, false));
    host.send(part(60, 70, false));
    host.out.clear();
    host.send(part(40, 50, false));
    assert_eq!(blocks(&host.expect(".", 301, 121)), [(40, 50), (40, 50), (60, 70)]);
    host.send(part(62, 66, false));
    assert_eq!(blocks(&host.expect(".", 301, 121)), [(62, 66), (60, 70), (40, 50)]);
    host.send(part(5, 15, false));
    assert_eq!(blocks(&host.expect(".", 301, 121))[0], (5, 15));
    over(&mut host, 121);
}

#[test]
fn block_of_a_segment_with_fin_covers_the_fin() {
    let mut host = accepted(false);
    let mut last = part(10, 20, false);
    last.flags = seg("F.", 0, 0).flags;
    host.send(last);
    assert_eq!(blocks(&host.expect(".", 301, 101)), [(10, 21)]);
    over(&mut host, 101);
}

#[test]
fn segment_that_overlaps_what_came_is_reported_in_part() {
    let mut host = accepted(false);
    host.send(part(10, 30, false));
    host.send(part(70, 80, false));
    host.out.clear();
    // Around the first range: that came twice (RFC 2883 section 4.2).
    host.send(part(0, 60, false));
    assert_eq!(blocks(&host.expect(".", 301, 161)), [(10, 30), (70, 80)]);
    // Its front is old, its end is new.
    host.send(part(50, 65, false));
    assert_eq!(blocks(&host.expect(".", 301, 166)), [(50, 60), (70, 80)]);
    over(&mut host, 166);
}
