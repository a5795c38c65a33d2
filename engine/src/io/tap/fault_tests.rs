use super::*;
use crate::io::copy::complete_checksum;
use crate::io::sim::SimIo;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A clock that stands still until it is moved.
#[derive(Clone, Default)]
struct HandClock(Arc<AtomicU64>);

impl HandClock {
    fn clock(&self) -> ClockFn {
        let time = self.0.clone();
        Box::new(move || Instant::from_nanos(time.load(Ordering::Relaxed)))
    }

    fn advance(&self, ns: u64) {
        self.0.fetch_add(ns, Ordering::Relaxed);
    }
}

/// A at the application's side with faults, B the plain peer.
struct Rig {
    a: Fault<SimIo>,
    b: SimIo,
    time: HandClock,
}

const FRAMES: u32 = 256;

fn rig(spec: &str, seed: u64) -> Rig {
    let (a, b) = SimIo::pair(FRAMES, 2048, 128);
    let time = HandClock::default();
    Rig { a: Fault::new(a, spec.parse().unwrap(), seed, time.clock()), b, time }
}

fn numbered(pool: &mut FramePool, i: u32) -> Frame {
    let mut f = pool.alloc().unwrap();
    assert!(f.set_len(100));
    f.bytes_mut().fill(0x33);
    f.bytes_mut()[..4].copy_from_slice(&i.to_be_bytes());
    f
}

fn numbers(frames: &[Frame]) -> Vec<u32> {
    frames.iter().map(|f| u32::from_be_bytes(f.bytes()[..4].try_into().unwrap())).collect()
}

impl Rig {
    /// B sends frames to A, ten at a time, 1 µs apart; returns the bytes that A got.
    fn receive(&mut self, n: u32) -> Vec<Vec<u8>> {
        let (mut rx, mut got) = (Vec::with_capacity(64), Vec::new());
        for first in (0..n + 1000).step_by(10) {
            let mut tx = (first..(first + 10).min(n)).map(|i| numbered(self.b.pool(), i)).collect();
            self.b.tx_burst(&mut tx);
            self.time.advance(if tx.is_empty() && first >= n { 1_000_000 } else { 1000 });
            self.a.rx_burst(&mut rx);
            for f in rx.drain(..) {
                got.push(f.bytes().to_vec());
                self.a.pool().free(f);
            }
            self.b.reclaim();
        }
        got
    }

    fn assert_no_frame_is_missing(&mut self) {
        self.a.reclaim();
        self.b.reclaim();
        assert_eq!(self.a.pool().available(), FRAMES as usize);
        assert_eq!(self.b.pool().available(), FRAMES as usize);
    }
}

#[test]
fn without_faults_frames_pass_in_order_and_whole() {
    let mut r = rig("seed=1", 0);
    let got = r.receive(500);
    let want: Vec<u8> = [&[0u8; 4][..], &[0x33; 96]].concat();
    assert_eq!(got.len(), 500);
    for (i, bytes) in got.iter().enumerate() {
        assert_eq!(bytes[..4], (i as u32).to_be_bytes());
        assert_eq!(bytes[4..], want[4..]);
    }
    r.assert_no_frame_is_missing();
    assert_eq!(r.a.tap_counters().unwrap().dropped_total(), 0);
}

#[test]
fn the_same_seed_harms_the_same_frames_and_the_specifications_seed_wins() {
    let spec = "loss=0.1,dup=0.1,reorder=0.1,corrupt=0.1,jitter=3us";
    let got = |spec: &str, seed| rig(spec, seed).receive(2000);
    assert_eq!(got(spec, 5), got(spec, 5));
    assert_ne!(got(spec, 5), got(spec, 6));
    let named = format!("{spec},seed=9");
    assert_eq!(got(&named, 5), got(spec, 9));
}

#[test]
fn received_frames_are_all_accounted_for() {
    let mut r = rig("rx.loss=0.2,rx.dup=0.1,rx.reorder=0.1,rx.corrupt=0.1,rx.delay=3us", 3);
    let got = r.receive(5000).len() as u64;
    let s = r.a.rx_stats();
    assert_eq!((s.sent, s.delivered), (5000, got));
    assert_eq!(s.sent + s.duplicated - s.lost - s.queue_dropped - s.no_frame, got);
    assert!((800..1200).contains(&s.lost), "{s:?}");
    assert!(s.duplicated > 0 && s.reordered > 0 && s.corrupted > 0, "{s:?}");
    assert_eq!(r.a.tap_counters().unwrap().dropped(DropReason::FaultInjected), s.lost + s.queue_dropped);
    assert_eq!(r.a.tx_stats(), LinkStats::default());
    r.assert_no_frame_is_missing();
}

#[test]
fn a_sent_frame_leaves_after_its_delay_with_a_later_kick() {
    let mut r = rig("tx.delay=10us", 3);
    let mut tx = vec![numbered(r.a.pool(), 0), numbered(r.a.pool(), 1)];
    let mut rx = Vec::with_capacity(8);
    assert_eq!(r.a.tx_burst(&mut tx), 2);
    r.time.advance(9_999);
    r.a.kick();
    assert_eq!(r.b.rx_burst(&mut rx), 0);
    r.time.advance(1);
    r.a.kick();
    assert_eq!(r.b.rx_burst(&mut rx), 2);
    assert_eq!(numbers(&rx), [0, 1]);
    rx.drain(..).for_each(|f| r.b.pool().free(f));
    r.assert_no_frame_is_missing();
}

#[test]
fn waiting_ends_when_a_delayed_frame_is_due() {
    let mut r = rig("tx.delay=1ns", 3);
    let mut tx = vec![numbered(r.a.pool(), 0)];
    r.a.tx_burst(&mut tx);
    r.time.advance(1);
    // Due already: a wait of an hour returns at once.
    r.a.wait(Duration::from_secs(3600));
    r.a.kick();
    let mut rx = Vec::with_capacity(8);
    assert_eq!(r.b.rx_burst(&mut rx), 1);
    rx.drain(..).for_each(|f| r.b.pool().free(f));
}

#[test]
fn no_more_than_a_quarter_of_the_pool_is_held_and_the_rest_stays_with_the_sender() {
    let mut r = rig("tx.delay=1s", 3);
    let mut tx: Vec<Frame> = (0..100).map(|i| numbered(r.a.pool(), i)).collect();
    assert_eq!(r.a.tx_burst(&mut tx), FRAMES as usize / 4);
    assert_eq!(tx.len(), 100 - FRAMES as usize / 4);
    assert_eq!(numbers(&tx[..1]), [64]);
    tx.drain(..).for_each(|f| r.a.pool().free(f));
}

#[test]
fn a_device_that_takes_nothing_loses_nothing_and_order_stays() {
    let (a, mut b) = SimIo::pair(FRAMES, 2048, 4);
    let time = HandClock::default();
    let mut a = Fault::new(a, "tx.delay=1us".parse().unwrap(), 1, time.clock());
    let mut tx: Vec<Frame> = (0..40).map(|i| numbered(a.pool(), i)).collect();
    assert_eq!(a.tx_burst(&mut tx), 40);
    let (mut rx, mut got) = (Vec::with_capacity(8), Vec::new());
    for _ in 0..20 {
        time.advance(1000);
        a.kick();
        b.rx_burst(&mut rx);
        got.extend(numbers(&rx));
        rx.drain(..).for_each(|f| b.pool().free(f));
    }
    assert_eq!(got, (0..40).collect::<Vec<_>>());
    a.reclaim();
    assert_eq!(a.pool().available(), FRAMES as usize);
}

#[test]
fn damage_is_done_after_the_checksum_so_that_the_receiver_can_see_it() {
    let (a, mut b) = SimIo::pair(8, 2048, 8);
    let time = HandClock::default();
    let mut a = Fault::new(a.with_checksum_offload(), "corrupt=1".parse().unwrap(), 1, time.clock());
    let mut frame = numbered(a.pool(), 0);
    frame.bytes_mut()[10..12].fill(0);
    frame.request_checksum(2, 8);
    let mut honest = frame.bytes().to_vec();
    complete_checksum(&mut honest, 2, 8);
    a.tx_burst(&mut vec![frame]);
    let mut rx = Vec::with_capacity(8);
    assert_eq!(b.rx_burst(&mut rx), 1);
    let wrong_bits: u32 = rx[0].bytes().iter().zip(&honest).map(|(x, y)| (x ^ y).count_ones()).sum();
    assert!((1..=3).contains(&wrong_bits), "{wrong_bits}");
    rx.drain(..).for_each(|f| b.pool().free(f));
}

#[test]
fn dropping_the_layer_returns_the_frames_it_holds() {
    struct Watched(SimIo, Arc<AtomicU64>);
    impl Drop for Watched {
        fn drop(&mut self) {
            self.0.reclaim();
            self.1.store(self.0.pool().available() as u64, Ordering::Relaxed);
        }
    }
    impl PacketIo for Watched {
        fn rx_burst(&mut self, rx: &mut Vec<Frame>) -> usize {
            self.0.rx_burst(rx)
        }
        fn tx_burst(&mut self, tx: &mut Vec<Frame>) -> usize {
            self.0.tx_burst(tx)
        }
        fn reclaim(&mut self) {
            self.0.reclaim();
        }
        fn kick(&mut self) {
            self.0.kick();
        }
        fn wait(&mut self, timeout: Duration) {
            self.0.wait(timeout);
        }
        fn pool(&mut self) -> &mut FramePool {
            self.0.pool()
        }
        fn stats(&self) -> IoStats {
            self.0.stats()
        }
        fn describe(&self) -> String {
            self.0.describe()
        }
    }
    let ((a, _b), left) = (SimIo::pair(FRAMES, 2048, 8), Arc::new(AtomicU64::new(0)));
    let spec = "tx.delay=1s,tx.reorder=0.5".parse().unwrap();
    let mut a = Fault::new(Watched(a, left.clone()), spec, 1, HandClock::default().clock());
    let mut tx: Vec<Frame> = (0..20).map(|i| numbered(a.pool(), i)).collect();
    assert_eq!(a.tx_burst(&mut tx), 20);
    assert_eq!(a.pool().available(), FRAMES as usize - 20);
    drop(a);
    assert_eq!(left.load(Ordering::Relaxed), u64::from(FRAMES));
}
