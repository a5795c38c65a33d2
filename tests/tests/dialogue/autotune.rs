//! The window grows with what the application takes in a round trip.

use crate::{BYTES, drops, ms};
use synfin_engine::base::DropReason;
use synfin_engine::shard::ShardConfig;
use synfin_engine::wire::TcpOptions;
use synfin_tests::host::{Host, plain_config, seg};

const MSS: u32 = 1000;
const FIRST_BYTES: u32 = 64_000;

/// A peer that is `rtt_ms` away and sends as the window lets it.
struct Peer {
    host: Host,
    next: u32,
    /// Right edge of the window that was offered.
    edge: u32,
    scale: u8,
}

fn config(max: u32) -> ShardConfig {
    let mut config = plain_config();
    config.tcp.receive_buffer_bytes = FIRST_BYTES;
    config.tcp.receive_buffer_max_bytes = max;
    config.limits.held_frames = 4_096;
    config
}

impl Peer {
    fn new(config: ShardConfig) -> Peer {
        let mut host = Host::server(config);
        let options = TcpOptions { mss: Some(MSS as u16), window_scale: Some(0), ..TcpOptions::default() };
        host.send(seg("S", 100, 0).options(options));
        let scale = host.expect("S.", 300, 101).seg.options.window_scale.expect("scaling");
        // The round trip that the host measures.
        host.pass(ms(10));
        host.send(seg(".", 101, 301));
        Peer { host, next: 101, edge: 101 + FIRST_BYTES, scale }
    }

    /// Another connection, from `port`.
    fn open_another(&mut self, port: u16) {
        self.host.remote.1 = port;
        let options = TcpOptions { mss: Some(MSS as u16), window_scale: Some(0), ..TcpOptions::default() };
        self.host.send(seg("S", 100, 0).options(options));
        self.host.pass(ms(10));
        self.host.send(seg(".", 101, 301));
        self.host.out.clear();
        (self.next, self.edge) = (101, 101 + FIRST_BYTES);
    }

    /// Takes note of what was offered: the edge never moves left.
    fn hear(&mut self) {
        for sent in std::mem::take(&mut self.host.out) {
            let edge = sent.seg.ack.0 + (u32::from(sent.seg.window) << self.scale);
            assert!(edge >= self.edge, "the edge moved left by {}", self.edge - edge);
            self.edge = edge;
        }
    }

    /// One round trip in which `bytes` come, at most as many as the window has room for.
    fn round(&mut self, bytes: u32) {
        let segments = bytes.min(self.edge - self.next) / MSS;
        for _ in 0..segments {
            self.host.send(seg(".", self.next, 301).data(&BYTES[..MSS as usize]));
            self.next += MSS;
            self.hear();
        }
        self.host.pass(ms(10));
        self.hear();
    }

    fn window(&self) -> u32 {
        self.edge - self.next
    }

    fn rounds(&mut self, n: u32, bytes: u32) -> u32 {
        (0..n).for_each(|_| self.round(bytes));
        self.window()
    }
}

#[test]
fn window_grows_as_long_as_the_sender_fills_it_up_to_the_limit() {
    let mut peer = Peer::new(config(1 << 20));
    assert!(peer.rounds(4, u32::MAX) > 2 * FIRST_BYTES);
    let grown = peer.rounds(10, u32::MAX);
    assert!(((1 << 20) - 10_000..=1 << 20).contains(&grown), "{grown}");
    assert_eq!(peer.host.shard.counters().dropped_total(), 0);
}

#[test]
fn window_has_room_for_twice_what_comes_in_a_round_trip() {
    let mut peer = Peer::new(config(1 << 20));
    let window = peer.rounds(20, 60_000);
    assert!((2 * 58_000..=4 * 60_000).contains(&window), "{window}");
}

#[test]
fn window_that_is_not_filled_stays_as_it_is() {
    let mut peer = Peer::new(config(1 << 20));
    assert_eq!(peer.rounds(40, 20_000), FIRST_BYTES);
}

#[test]
fn window_of_an_application_that_takes_nothing_does_not_grow() {
    let mut peer = Peer::new(config(1 << 20));
    peer.host.shard.app_mut().appetite = 0;
    let left = peer.rounds(5, u32::MAX);
    // Windows are told in multiples of 32, rounded up.
    assert!(left < MSS && peer.next - 101 <= FIRST_BYTES + MSS, "{left} after {}", peer.next - 101);
}

#[test]
fn fixed_window_does_not_grow() {
    for max in [0, FIRST_BYTES] {
        let mut peer = Peer::new(config(max));
        assert_eq!(peer.rounds(10, u32::MAX), FIRST_BYTES);
    }
}

#[test]
fn windows_grow_no_further_than_frames_can_hold_and_give_back_when_they_end() {
    let mut small = config(1 << 20);
    small.limits.held_frames = 100;
    let mut peer = Peer::new(small);
    let budget = 100 * 1_448;
    let one = peer.rounds(3, u32::MAX);
    assert!(one > FIRST_BYTES && one <= FIRST_BYTES + budget / 2 + MSS, "{one}");
    let all = peer.rounds(20, u32::MAX);
    assert!(all > one && all <= FIRST_BYTES + budget + MSS, "{all} after {one}");
    // The next connection finds the whole budget again.
    peer.host.send(seg("R", peer.next, 0));
    peer.host.assert_clean();
    peer.open_another(peer.host.remote.1 + 1);
    let again = peer.rounds(23, u32::MAX);
    assert!(again.abs_diff(all) <= MSS, "{again} after {all}");
}

#[test]
fn buffer_that_is_fixed_after_it_has_grown_takes_nothing_back() {
    let mut peer = Peer::new(config(1 << 20));
    let grown = peer.rounds(6, u32::MAX);
    assert!(grown > 2 * FIRST_BYTES);
    peer.host.act(|c| c.tune(&c.config().with_fixed_receive_buffer(10_000)));
    peer.hear();
    assert_eq!(peer.window(), grown);
    // What was offered may still be sent.
    let left = peer.rounds(1, u32::MAX);
    assert!(left <= 11_000, "{left}");
    assert_eq!(drops(&peer.host, DropReason::WindowExceeded), 0);
}

#[test]
fn idle_connection_gives_back_what_it_was_granted_and_what_it_has_offered_stays() {
    let mut small = config(1 << 20);
    small.limits.held_frames = 100;
    let mut peer = Peer::new(small);
    let all = peer.rounds(23, u32::MAX);
    assert!(all > FIRST_BYTES + 100_000, "{all}");
    let (first_next, first_edge) = (peer.next, peer.edge);
    // As long as it brings something, others get nothing of it.
    let second = |peer: &mut Peer, port: u16| {
        peer.open_another(port);
        peer.rounds(23, u32::MAX)
    };
    let first_port = peer.host.remote.1;
    assert!(second(&mut peer, first_port + 1) < FIRST_BYTES + 20_000);
    peer.host.send(seg("R", peer.next, 0));
    peer.host.pass(ms(3_000));
    let again = second(&mut peer, first_port + 2);
    assert!(again.abs_diff(all) <= MSS, "{again} after {all}");
    // The first one's peer uses up what it was offered; then its window is as at first.
    peer.host.remote.1 = first_port;
    (peer.next, peer.edge) = (first_next, first_edge);
    let left = peer.rounds(3, u32::MAX);
    assert!(left <= FIRST_BYTES + MSS, "{left}");
    assert_eq!(peer.host.shard.counters().dropped_total(), 0);
}
