//! MSG_EOR: what is sent behind the end of a record shares no segment with what stands before it.

use crate::{PLAIN, close, ms, recv, send, set};
use std::collections::BTreeMap;
use std::time::Duration;
use synfin_engine::base::Event;
use synfin_engine::io::sim::Impairment;
use synfin_engine::shard::TraceEvent;
use synfin_engine::socket::{Errno, Fd, Flags, Poll, bits, blocking};
use synfin_engine::tcp::Boundaries;
use synfin_engine::wire::TcpFlags;
use synfin_tests::pair::{ADDR_B, configs};
use synfin_tests::sockets::{Host, Net, PORT};

const RECORD: Flags = Flags { end_of_record: true, ..PLAIN };

/// Payload sizes that host A sent, in order, and whether they were pushed.
fn segments(net: &Net) -> Vec<(u16, bool)> {
    let outgoing = |e: &&TraceEvent| e.outgoing && e.payload_len > 0;
    net.trace.iter().filter(outgoing).map(|e| (e.payload_len, e.flags.0 & TcpFlags::PSH.0 != 0)).collect()
}

fn end_record(net: &mut Net, fd: Fd, bytes: &[u8]) -> Result<usize, Errno> {
    net.on(Host::A, |s| s.send(fd, bytes, RECORD))
}

/// What A queues while nothing can leave: the window is full of what it said before.
fn behind_a_full_window(queue: impl FnOnce(&mut Net, Fd)) -> Vec<(u16, bool)> {
    let mut net = Net::default();
    let (_, client, _) = net.connected();
    send(&mut net, Host::A, client, &[7; 14_480]).expect("room");
    let before = segments(&net).len();
    queue(&mut net, client);
    assert_eq!(segments(&net).len(), before, "the window is full");
    net.pass(ms(100));
    segments(&net).split_off(before)
}

#[test]
fn what_follows_a_record_begins_a_segment_of_its_own() {
    let sent = behind_a_full_window(|net, fd| {
        send(net, Host::A, fd, &[1; 100]).expect("room");
        end_record(net, fd, &[2; 200]).expect("room");
        end_record(net, fd, &[3; 50]).expect("room");
        send(net, Host::A, fd, &[4; 2_000]).expect("room");
    });
    let sizes: Vec<u16> = sent.iter().map(|s| s.0).collect();
    assert_eq!(sizes, [300, 50, 1_448, 552], "a record may share a segment with what is before it");
    assert!(sent[0].1 && sent[1].1, "the end of a record is pushed");
}

#[test]
fn large_records_are_cut_as_usual() {
    let sent = behind_a_full_window(|net, fd| {
        end_record(net, fd, &[2; 3_000]).expect("room");
        send(net, Host::A, fd, &[4; 100]).expect("room");
    });
    assert_eq!(sent, [(1_448, false), (1_448, false), (104, true), (100, true)]);
}

#[test]
fn nagle_holds_back_a_small_record_only_while_it_is_the_last() {
    let mut net = Net::default();
    let (_, client, _) = net.connected();
    for len in [10, 20, 30] {
        end_record(&mut net, client, &vec![7; len]).expect("room");
    }
    assert_eq!(segments(&net), [(10, true), (20, true)], "nothing can join the second any more");
    net.pass(ms(100));
    assert_eq!(segments(&net), [(10, true), (20, true), (30, true)]);
}

#[test]
fn more_to_come_does_not_hold_back_the_record_before_it() {
    let mut net = Net::default();
    let (_, client, _) = net.connected();
    net.on(Host::A, |s| s.send(client, &[7; 40], Flags { more: true, ..RECORD })).expect("room");
    assert_eq!(segments(&net), [], "MSG_MORE");
    net.on(Host::A, |s| s.send(client, &[7; 50], Flags { more: true, ..PLAIN })).expect("room");
    assert_eq!(segments(&net), [(40, true)]);
    net.pass(ms(300));
    assert_eq!(segments(&net), [(40, true), (50, false)]);
}

#[test]
fn records_queued_before_the_handshake_stay_apart() {
    let mut net = Net::default();
    net.listener(8);
    let client = net.on(Host::A, |s| s.socket(false));
    assert_eq!(net.on(Host::A, |s| s.connect(client, ADDR_B, PORT)), Err(Errno::INPROGRESS));
    net.pass(ms(50));
    // Three calls, and only then the stack's turn.
    net.on(Host::A, |s| {
        for len in [10, 20, 30] {
            s.send(client, &vec![7; len], RECORD).expect("room");
        }
    });
    assert_eq!(segments(&net), [(10, true), (20, true)]);
}

/// Records of many sizes cross a link that loses and reorders. No segment reaches across the end of one, and the stream arrives
/// whole. Returns how many segments were sent more than once.
fn resent_on_a_lossy_link(sack: bool, timestamps: bool, seed: u64) -> usize {
    let (mut a, mut b) = configs();
    for config in [&mut a, &mut b] {
        (config.tcp.sack, config.tcp.timestamps) = (sack, timestamps);
    }
    let mut net = Net::new((a, b));
    let (listener, client, server) = net.connected();
    net.impair(seed, Impairment { loss: 0.03, reorder: 0.02, delay: ms(5), ..Impairment::default() });
    let sizes = (0..600).map(|i| 1 + (i * 7_919 + seed as usize * 31) % 1_700);
    let ends: Vec<usize> = sizes
        .scan(0, |end, len| {
            *end += len;
            Some(*end)
        })
        .collect();
    let (mut queued, mut got, mut next) = (0, 0, 0);
    while got < *ends.last().expect("records") {
        while let Some(&end) = ends.get(next) {
            let bytes: Vec<u8> = (queued..end).map(|i| (i % 251) as u8).collect();
            let Ok(n) = end_record(&mut net, client, &bytes) else { break };
            queued += n;
            next += usize::from(queued == end);
        }
        net.pass(ms(20));
        got += read(&mut net, server, got);
    }
    let first = net.trace.iter().find(|e| e.outgoing && e.payload_len > 0).expect("data").seq;
    let mut times = BTreeMap::new();
    for e in net.trace.iter().filter(|e| e.outgoing && e.payload_len > 0) {
        let start = e.seq.since(first) as usize;
        let (end, boundary) = (start + usize::from(e.payload_len), ends[ends.partition_point(|&at| at <= start)]);
        assert!(end <= boundary, "{start} to {end} reaches across {boundary}");
        *times.entry(start).or_insert(0) += 1;
    }
    for (host, fd) in [(Host::A, client), (Host::B, server), (Host::B, listener)] {
        close(&mut net, host, fd);
    }
    net.pass(Duration::from_secs(300));
    net.assert_clean();
    times.values().filter(|&&n| n > 1).count()
}

/// Reads what has come; it is the stream from byte `at` on.
fn read(net: &mut Net, server: Fd, at: usize) -> usize {
    let bytes = recv(net, Host::B, server, 1 << 20).unwrap_or_default();
    assert!(bytes.iter().enumerate().all(|(i, &b)| b == ((at + i) % 251) as u8));
    bytes.len()
}

#[test]
fn segments_that_are_sent_again_do_not_reach_across_the_end_of_a_record() {
    for (sack, timestamps) in [(true, true), (true, false), (false, true), (false, false)] {
        let again: usize = (1..5).map(|seed| resent_on_a_lossy_link(sack, timestamps, seed)).sum();
        assert!(again > 20, "SACK {sack}: {again} were sent again");
    }
}

#[test]
fn records_beyond_those_that_can_be_remembered_wait() {
    let mut net = Net::default();
    let (_, client, server) = net.connected();
    set(&mut net, Host::A, client, libc::SOL_SOCKET, libc::SO_SNDBUF, 1 << 20).expect("SO_SNDBUF");
    net.cut();
    let taken = (0..).take_while(|_| end_record(&mut net, client, b"x").is_ok()).count();
    assert_eq!(taken, Boundaries::LIMIT);
    assert_eq!(end_record(&mut net, client, b"x"), Err(Errno::AGAIN));
    assert_eq!(net.count(Host::A, Event::BoundariesExhausted), 2);
    let mut poll = [Poll { fd: client, events: bits::OUT, revents: 0 }];
    assert_eq!(net.on(Host::A, |s| s.poll(&mut poll)), 0, "not writable");
    assert_eq!(send(&mut net, Host::A, client, b"y"), Ok(1), "what ends no record is taken");
    net.impair(1, Impairment { delay: ms(5), ..Impairment::default() });
    net.pass(Duration::from_secs(5));
    assert_eq!(net.on(Host::A, |s| s.poll(&mut poll)), 1);
    // Each byte has a frame of the receiver's.
    assert_eq!(recv(&mut net, Host::B, server, 2_000).map(|b| b.len()), Ok(taken));
    net.pass(Duration::from_secs(60));
    assert_eq!(recv(&mut net, Host::B, server, 2_000), Ok(b"y".to_vec()));
    assert_eq!(end_record(&mut net, client, b"x"), Ok(1));
}

#[test]
fn a_record_that_waits_for_room_ends_where_its_last_byte_is() {
    let mut net = Net::default();
    let (_, client, server) = net.connected();
    set(&mut net, Host::A, client, libc::SOL_SOCKET, libc::SO_SNDBUF, 4_608).expect("SO_SNDBUF");
    for n in 0..40 {
        net.after(ms(20 * (n + 1)), move |net| {
            let _some = recv(net, Host::B, server, 100_000);
        });
    }
    assert_eq!(blocking::send(&mut net.program(Host::A), client, &[7; 30_000], RECORD), Ok(30_000));
    assert_eq!(blocking::send(&mut net.program(Host::A), client, &[7; 1_000], PLAIN), Ok(1_000));
    net.pass(ms(500));
    let mut end = 0;
    let ends: Vec<u32> = segments(&net)
        .into_iter()
        .map(|(len, _)| {
            end += u32::from(len);
            end
        })
        .collect();
    assert!(ends.contains(&30_000), "{ends:?}");
    assert_eq!(ends.last(), Some(&31_000));
}
