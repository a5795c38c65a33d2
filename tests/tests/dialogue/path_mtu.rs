//! Paths narrower than the link: routers that say so, routers that keep silent, and paths that become wider again.

use crate::icmp::icmp_error;
use crate::{BYTES, events, ms, over, seconds};
use std::collections::BTreeMap;
use std::time::Duration;
use synfin_engine::base::Event;
use synfin_engine::shard::Payload;
use synfin_engine::wire::segment::SackBlock;
use synfin_engine::wire::{Seq, TcpOptions};
use synfin_tests::host::{Host, plain_config, seg};

/// A router cannot pass the segment with number `seq` on without fragmenting it: the next link takes `mtu` bytes.
fn too_big(host: &Host, mtu: u16, seq: u32) -> Vec<u8> {
    icmp_error(host, 3, 4, mtu, seq, 1440)
}

#[test]
fn segment_too_big_for_the_path_is_sent_again_in_smaller_ones() {
    let mut host = Host::accepted(plain_config());
    host.write(&BYTES[..1400]);
    host.expect_data(301, 101, &BYTES[..1400]);
    let message = too_big(&host, 1000, 301);
    host.send_raw(&message);
    host.expect_data(301, 101, &BYTES[..960]);
    host.expect_data(1261, 101, &BYTES[960..1400]);
    host.expect_nothing();
    host.send(seg("R", 101, 0));
}

#[test]
fn burst_too_big_for_the_path_is_sent_again_in_smaller_segments_at_once_with_sack_too() {
    let mut config = plain_config();
    config.tcp.sack = true;
    let mut host = Host::server(config);
    let offer = TcpOptions { mss: Some(1460), sack_permitted: true, ..TcpOptions::default() };
    host.send(seg("S", 100, 0).options(offer));
    host.expect("S.", 300, 101);
    host.send(seg(".", 101, 301));
    host.write(&BYTES[..14_600]);
    assert_eq!(host.out.drain(..).map(|s| s.data.len()).collect::<Vec<_>>(), [1460; 10]);
    let message = too_big(&host, 1000, 301);
    host.send_raw(&message);
    // Router by router the path may turn out narrower still.
    assert!(!host.out.is_empty(), "nothing waits for the time-out");
    host.out.clear();
    let message = too_big(&host, 600, 301);
    host.send_raw(&message);
    let mut next = 301;
    for s in std::mem::take(&mut host.out) {
        assert_eq!((s.seg.seq.0, s.data.len()), (next, 560.min(14_901 - next as usize)));
        next += s.data.len() as u32;
    }
    assert_eq!(next, 14_901);
    host.send(seg(".", 101, 14_901));
    host.pass(seconds(10));
    host.expect_nothing();
    over(&mut host, 101);
}

#[test]
fn too_big_on_a_link_with_less_than_the_least_path_mtu_changes_nothing() {
    let mut config = plain_config();
    config.mtu = 500;
    let mut host = Host::accepted(config);
    host.write(&BYTES[..400]);
    host.expect_data(301, 101, &BYTES[..400]);
    let message = too_big(&host, 300, 301);
    host.send_raw(&message);
    host.expect_nothing();
    host.send(seg(".", 101, 701));
    host.expect_nothing();
}

#[test]
fn narrow_path_that_shows_before_the_handshake_is_over_is_remembered() {
    let mut host = Host::client(plain_config());
    host.expect("S", 300, 0);
    let message = too_big(&host, 1000, 300);
    host.send_raw(&message);
    host.out.clear();
    host.send(seg("S.", 500, 301).mss(1460));
    host.out.clear();
    host.write(&BYTES[..1400]);
    host.expect_data(301, 501, &BYTES[..960]);
}

#[test]
fn mss_that_is_offered_does_not_depend_on_the_path_to_the_peer() {
    let mut host = Host::client(plain_config());
    assert_eq!(host.expect("S", 300, 0).seg.options.mss, Some(1460));
    let message = too_big(&host, 1000, 300);
    host.send_raw(&message);
    host.pass_until_output(seconds(3));
    assert_eq!(host.expect("S", 300, 0).seg.options.mss, Some(1460), "what we can receive is the same");
    host.act(|c| c.abort());
    host.assert_clean();
}

/// A connection with SACK; the peer's next byte is 101, ours 301.
fn with_sack() -> Host {
    let mut config = plain_config();
    config.tcp.sack = true;
    let mut host = Host::server(config);
    let options = TcpOptions { mss: Some(1460), sack_permitted: true, ..TcpOptions::default() };
    host.send(seg("S", 100, 0).options(options));
    host.expect("S.", 300, 101);
    // The round trip that the host measures.
    host.pass(ms(10));
    host.send(seg(".", 101, 301));
    host
}

#[test]
fn all_that_is_under_way_goes_out_again_in_the_smaller_size() {
    let mut host = with_sack();
    host.write(&BYTES[..4000]);
    host.out.clear();
    let message = too_big(&host, 1000, 1761);
    host.send_raw(&message);
    for (i, sent) in BYTES[..4000].chunks(960).enumerate() {
        host.expect_data(301 + 960 * i as u32, 101, sent);
    }
    host.expect_nothing();
    assert_eq!(events(&host, Event::PathNarrowed), 1);
    // What is repeated, or says that more would pass, changes nothing.
    for mtu in [1000, 1400] {
        let message = too_big(&host, mtu, 301);
        host.send_raw(&message);
    }
    host.expect_nothing();
    host.act(|c| assert_eq!(c.info().map(|i| i.mss), Some(960)));
}

/// A path and the peer at its end, which acknowledges what comes through.
struct Path {
    host: Host,
    /// Datagrams larger than this are lost, without a word.
    mtu: usize,
    ack: u32,
    /// What came beyond the first gap: from, to.
    beyond: BTreeMap<u32, u32>,
    /// Sizes of segments that came, the latest last.
    sizes: Vec<usize>,
}

impl Path {
    fn new(mtu: usize) -> Path {
        Path { host: with_sack(), mtu, ack: 301, beyond: BTreeMap::new(), sizes: Vec::new() }
    }

    /// The application always has something to send; a round trip is 10 ms.
    fn run(&mut self, time: Duration) {
        let end = self.host.now + time;
        while self.host.now < end {
            self.host.act(|c| {
                while c.queued_bytes() < 200_000 {
                    c.send(Payload::Static(&BYTES)).expect("room");
                }
            });
            if self.host.out.is_empty() {
                self.host.pass_until_output(seconds(60));
            }
            self.round_trip();
        }
    }

    fn round_trip(&mut self) {
        let sent = std::mem::take(&mut self.host.out);
        self.host.pass(ms(10));
        for s in sent {
            self.hear(s.seg.seq.0, s.data.len());
        }
    }

    /// All that is queued gets through, and nothing more is said for a while.
    fn pause(&mut self, time: Duration) {
        while !self.host.out.is_empty() {
            self.round_trip();
        }
        self.host.pass(time);
        assert!(self.host.out.is_empty(), "{:?}", self.host.out);
    }

    fn hear(&mut self, start: u32, len: usize) {
        if len + 40 > self.mtu || len == 0 {
            return;
        }
        self.sizes.push(len);
        self.beyond.insert(start, start + len as u32);
        let mut gaps = Vec::new();
        for (&from, &to) in &self.beyond {
            if from <= self.ack {
                self.ack = self.ack.max(to);
            } else {
                gaps.push(SackBlock { start: Seq(from), end: Seq(to) });
            }
        }
        let ack = self.ack;
        self.beyond.retain(|&from, _| from > ack);
        // The latest first.
        gaps.sort_by_key(|b| b.start.0 != start);
        gaps.truncate(3);
        let mut options = TcpOptions { sack_len: gaps.len() as u8, ..TcpOptions::default() };
        options.sack[..gaps.len()].copy_from_slice(&gaps);
        self.host.send(seg(".", 101, self.ack).options(options));
    }

    fn last_size(&self) -> usize {
        self.sizes.last().copied().unwrap_or(0)
    }
}

#[test]
fn path_that_swallows_full_segments_without_a_word_is_found_out_and_measured() {
    let mut path = Path::new(1400);
    path.run(seconds(20));
    // 1360 bytes would fit.
    assert!((1328..=1360).contains(&path.last_size()), "{}", path.last_size());
    let count = |e| events(&path.host, e);
    assert_eq!(count(Event::RtoExpiries), 3, "only the time-outs that raised the suspicion");
    assert_eq!(count(Event::FastRetransmits), 0, "a probe that is lost tells of no congestion");
    assert!(count(Event::PathProbes) >= 3 && count(Event::PathWidened) >= 1);
}

#[test]
fn outage_that_was_taken_for_a_narrow_path_is_forgotten_soon() {
    let mut path = Path::new(0);
    path.run(seconds(10));
    assert!(path.sizes.is_empty());
    path.mtu = 1500;
    path.run(seconds(20));
    assert_eq!(path.last_size(), 1460);
    assert_eq!((events(&path.host, Event::PathProbes), events(&path.host, Event::PathWidened)), (1, 1));
}

#[test]
fn probe_that_only_comes_late_is_repeated_in_the_same_size() {
    let mut path = Path::new(0);
    path.run(seconds(10));
    path.mtu = 1500;
    while path.host.out.iter().all(|s| s.data.len() < 1460) {
        path.run(ms(10));
    }
    // Neither the probe nor anything behind it is answered in two round trips.
    path.host.out.clear();
    path.host.pass(ms(50));
    path.run(seconds(5));
    assert_eq!(path.last_size(), 1460);
    assert_eq!((events(&path.host, Event::PathProbes), events(&path.host, Event::PathWidened)), (2, 1));
}

#[test]
fn path_that_a_router_called_narrow_is_tried_again_after_ten_minutes() {
    let mut path = Path::new(1500);
    path.run(ms(100));
    let una = path.ack;
    let message = too_big(&path.host, 1000, una);
    path.host.send_raw(&message);
    path.pause(seconds(590));
    path.run(ms(500));
    assert_eq!((path.last_size(), events(&path.host, Event::PathProbes)), (960, 0));
    path.pause(seconds(10));
    path.run(ms(500));
    assert_eq!((path.last_size(), events(&path.host, Event::PathProbes)), (1460, 1));
}

#[test]
fn tail_loss_probe_goes_out_in_the_size_that_gets_through_though_a_larger_one_is_due() {
    let mut path = Path::new(1500);
    path.run(ms(100));
    let una = path.ack;
    let message = too_big(&path.host, 1000, una);
    path.host.send_raw(&message);
    let due = path.host.now + seconds(600);
    path.pause(seconds(590));
    let host = &mut path.host;
    host.pass(Duration::from_nanos(due.nanos_since(host.now)) - ms(5));
    host.act(|c| (0..4).for_each(|_| c.send(Payload::Static(&BYTES)).expect("room")));
    let last = host.out.drain(..).next_back().expect("a window of them");
    let (probes, timeouts) = (events(host, Event::LossProbes), events(host, Event::RtoExpiries));
    host.pass_until_output(seconds(10));
    let probe = host.next();
    assert_eq!((probe.seg.seq, probe.data.len()), (last.seg.seq + 960, 960), "something new");
    assert_eq!(events(host, Event::LossProbes), probes + 1);
    assert_eq!(events(host, Event::RtoExpiries), timeouts);
}

#[test]
fn path_that_carries_hardly_anything_still_gets_the_least_size() {
    let mut path = Path::new(600);
    path.run(seconds(25));
    assert!(path.last_size() >= 512 && path.last_size() <= 560, "{}", path.last_size());
}

/// The peer's port `port` opens a connection, with SACK or without.
fn opened_by(host: &mut Host, port: u16, sack: bool) {
    host.remote.1 = port;
    let options = TcpOptions { mss: Some(1460), sack_permitted: sack, ..TcpOptions::default() };
    host.send(seg("S", 100, 0).options(options));
    host.expect("S.", 300, 101);
    host.send(seg(".", 101, 301));
}

/// A server with SACK, and its first connection's remote port.
fn opened(sack: bool) -> (Host, u16) {
    let mut config = plain_config();
    config.tcp.sack = true;
    let mut host = Host::server(config);
    let port = host.remote.1;
    opened_by(&mut host, port, sack);
    (host, port)
}

/// A router says that the connection's first segment, of 1400 bytes, is too big.
fn tell_narrow(host: &mut Host) {
    host.write(&BYTES[..1400]);
    host.out.clear();
    let message = too_big(host, 1000, 301);
    host.send_raw(&message);
}

fn first_segment(host: &mut Host) -> usize {
    host.write(&BYTES[..1400]);
    let sent = host.next();
    host.out.clear();
    sent.data.len()
}

#[test]
fn what_one_connection_was_told_of_the_path_counts_for_the_next_ones_for_ten_minutes() {
    for sack in [true, false] {
        let (mut host, port) = opened(sack);
        tell_narrow(&mut host);
        host.send(seg("R", 101, 0));
        host.out.clear();
        host.pass(seconds(590));
        opened_by(&mut host, port + 1, sack);
        assert_eq!(first_segment(&mut host), 960);
        host.send(seg("R", 101, 0));
        host.pass(seconds(11));
        opened_by(&mut host, port + 2, sack);
        assert_eq!(first_segment(&mut host), 1400);
        host.send(seg("R", 101, 0));
        host.assert_clean();
    }
}

#[test]
fn what_one_connection_was_told_of_the_path_counts_for_the_others_at_their_next_time_out() {
    for sack in [true, false] {
        let (mut host, port) = opened(sack);
        let first = host.shard.app().conn;
        opened_by(&mut host, port + 1, sack);
        tell_narrow(&mut host);
        host.send(seg("R", 101, 0));
        host.out.clear();
        host.remote.1 = port;
        host.shard.app_mut().conn = first;
        host.write(&BYTES[..1400]);
        host.expect_data(301, 101, &BYTES[..1400]);
        // No router tells this one, and the segment is lost.
        host.pass_until_output(seconds(4));
        host.expect_data(301, 101, &BYTES[..960]);
        host.out.clear();
        host.send(seg(".", 101, 1261));
        host.out.clear();
        host.send(seg(".", 101, 1701));
        host.act(|c| assert_eq!(c.info().map(|i| i.mss), Some(960)));
        host.send(seg("R", 101, 0));
        host.assert_clean();
    }
}

#[test]
fn what_is_lost_is_repeated_also_on_a_connection_that_opened_into_a_narrow_path() {
    for simultaneous in [false, true] {
        let mut config = plain_config();
        config.tcp.sack = true;
        let options = TcpOptions { mss: Some(1460), sack_permitted: true, ..TcpOptions::default() };
        let mut host = Host::client(config);
        host.send(seg("S.", 500, 301).options(options));
        tell_narrow(&mut host);
        host.send(seg("R", 501, 0));
        host.out.clear();
        host.local.1 += 1;
        host.connect().expect("another connect");
        host.turn(Vec::new());
        host.expect("S", 300, 0);
        host.pass(ms(10));
        if simultaneous {
            host.send(seg("S", 500, 0).options(options));
            host.expect("S.", 300, 501);
            host.send(seg(".", 501, 301));
        } else {
            host.send(seg("S.", 500, 301).options(options));
            host.expect(".", 301, 501);
        }
        host.act(|c| assert_eq!(c.info().map(|i| i.mss), Some(960)));
        host.write(&BYTES[..900]);
        // All of these but the last are lost, the probe at the tail among them.
        for _ in 0..4 {
            host.pass_until_output(seconds(10));
            host.expect_data(301, 501, &BYTES[..900]);
            host.expect_nothing();
        }
        host.send(seg("R", 501, 0));
        host.assert_clean();
    }
}

#[test]
fn full_segment_has_room_once_a_narrow_path_is_forgotten() {
    let mut host = with_sack();
    host.write(&BYTES[..1460]);
    for _ in 0..8 {
        host.out.clear();
        host.pass_until_output(seconds(60));
    }
    host.send(seg(".", 101, 1461));
    host.send(seg(".", 101, 1761));
    host.act(|c| assert!(c.info().is_some_and(|i| i.mss == 512 && i.cwnd < 1460)));
    host.out.clear();
    host.pass(seconds(601));
    host.write(&BYTES[..5000]);
    host.expect_data(1761, 101, &BYTES[..1460]);
}

#[test]
fn other_destinations_have_paths_of_their_own() {
    let mut config = plain_config();
    config.locals[0].prefix_len = 0;
    let mut host = Host::server(config);
    let port = host.remote.1;
    opened_by(&mut host, port, false);
    tell_narrow(&mut host);
    host.out.clear();
    host.remote.0 = host.remote.0.plus(1);
    opened_by(&mut host, port, false);
    assert_eq!(first_segment(&mut host), 1400);
}

#[test]
fn larger_segments_are_tried_again_also_where_another_connection_was_told_of_the_path() {
    let mut config = plain_config();
    config.tcp.sack = true;
    let mut host = Host::server(config);
    let port = host.remote.1;
    opened_by(&mut host, port, true);
    tell_narrow(&mut host);
    host.send(seg("R", 101, 0));
    host.out.clear();
    opened_by(&mut host, port + 1, true);
    assert_eq!(first_segment(&mut host), 960);
    host.send(seg(".", 101, 1701));
    // Ten minutes of rest are as good as a word.
    host.pass(seconds(601));
    host.write(&BYTES[..1400]);
    host.expect_data(1701, 101, &BYTES[..1400]);
}
