//! A virtual full-duplex link for sans-IO simulations: bytes and the time go in, frames come out.
//!
//! Deterministic: the same seed and the same calls give the same arrivals, bit for bit. The link copies, so each
//! end has a pool of its own, and a simulation finds every frame that either side fails to give back.

use super::impair::{Impairer, Impairment, LinkStats};
use super::schedule::Schedule;
use crate::base::{Frame, FramePool, Instant};
use crate::io::copy::copy_bytes;

/// One of the two ends of a link.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum End {
    A,
    B,
}

impl End {
    pub const fn other(self) -> End {
        match self {
            End::A => End::B,
            End::B => End::A,
        }
    }
}

/// What is on its way from one end to the other.
struct Direction {
    dice: Impairer,
    schedule: Schedule<Vec<u8>>,
}

/// The link. See the module's essay.
pub struct SimLink {
    /// Indexed by the sending end.
    directions: [Direction; 2],
    /// Emptied buffers, used again.
    spare: Vec<Vec<u8>>,
}

impl SimLink {
    /// `impairments[0]` befalls what A sends, `impairments[1]` what B sends.
    pub fn new(seed: u64, impairments: [Impairment; 2]) -> SimLink {
        let [a, b] = impairments;
        let direction =
            |spec, stream| Direction { dice: Impairer::new(spec, seed, stream), schedule: Schedule::default() };
        SimLink { directions: [direction(a, 0), direction(b, 1)], spare: Vec::new() }
    }

    /// Sends a copy of these bytes. `now` must not run backwards.
    pub fn send(&mut self, from: End, frame_bytes: &[u8], now: Instant) {
        let Direction { dice, schedule } = &mut self.directions[from as usize];
        let fate = dice.roll();
        if fate.lost {
            return;
        }
        for is_duplicate in [false, true] {
            if is_duplicate && !fate.duplicated {
                break;
            }
            let mut bytes = self.spare.pop().unwrap_or_default();
            bytes.extend_from_slice(frame_bytes);
            if fate.marked {
                dice.mark(&mut bytes);
            }
            if fate.corrupted && !is_duplicate {
                dice.flip_bits(&mut bytes);
            }
            let hold_back = fate.reordered && !is_duplicate;
            let jitter_ns = dice.jitter_ns();
            let sent = schedule.insert(bytes, frame_bytes.len(), now, &dice.impairment, jitter_ns, hold_back);
            if let Err(mut bytes) = sent {
                dice.stats.queue_dropped += 1;
                bytes.clear();
                self.spare.push(bytes);
            }
        }
    }

    /// Sends copies of all frames, in order, and gives the frames back to `pool`. A pending checksum request is
    /// not carried out: simulations compute their checksums in full.
    pub fn send_all(&mut self, from: End, tx: &mut Vec<Frame>, pool: &mut FramePool, now: Instant) {
        for frame in tx.drain(..) {
            match frame.has_more() {
                false => self.send(from, frame.bytes(), now),
                true => self.send(from, &frame.parts().flat_map(Frame::bytes).copied().collect::<Vec<u8>>(), now),
            }
            pool.free(frame);
        }
    }

    /// Hands over what has arrived at this end by `now`: as many frames as fit into `rx` without growing it.
    /// A frame for which `pool` has no room is lost and counted. Returns how many came.
    pub fn receive(&mut self, at: End, now: Instant, pool: &mut FramePool, rx: &mut Vec<Frame>) -> usize {
        let Direction { dice, schedule } = &mut self.directions[at.other() as usize];
        let before = rx.len();
        while rx.len() < rx.capacity() {
            let due = schedule.next_arrival().unwrap_or(now);
            let Some(mut bytes) = schedule.pop_due(now) else { break };
            match copy_bytes(&bytes, pool) {
                Some(frame) => {
                    dice.stats.delivered_at(due, now);
                    rx.push(frame);
                }
                None => dice.stats.no_frame += 1,
            }
            bytes.clear();
            self.spare.push(bytes);
        }
        rx.len() - before
    }

    /// When the next frame arrives at either end; `None` when nothing is on its way.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.directions.iter().filter_map(|d| d.schedule.next_arrival()).min()
    }

    /// Frames on their way, both directions together.
    pub fn in_flight_frames(&self) -> usize {
        self.directions.iter().map(|d| d.schedule.len()).sum()
    }

    /// What became of the frames that this end sent.
    pub fn stats(&self, sent_by: End) -> LinkStats {
        self.directions[sent_by as usize].dice.stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    fn at(ns: u64) -> Instant {
        Instant::from_nanos(ns)
    }

    /// Sends numbered frames from A, one each microsecond, and returns what B got: (time, first byte pair, bytes).
    fn run(link: &mut SimLink, frames: u32) -> Vec<(u64, Vec<u8>)> {
        let mut pool = FramePool::heap(64, 2048);
        let mut rx = Vec::with_capacity(16);
        let mut got = Vec::new();
        let mut drain = |link: &mut SimLink, now: Instant| {
            while link.receive(End::B, now, &mut pool, &mut rx) > 0 {
                for f in rx.drain(..) {
                    got.push((now.as_nanos(), f.bytes().to_vec()));
                    pool.free(f);
                }
            }
            assert_eq!(pool.available(), pool.capacity());
        };
        let mut now = at(0);
        for i in 0..frames {
            now = at(u64::from(i) * 1000);
            link.send(End::A, &numbered(i), now);
            drain(link, now);
        }
        while let Some(next) = link.next_arrival() {
            now = now.max(next);
            drain(link, now);
        }
        assert_eq!(link.in_flight_frames(), 0);
        got
    }

    fn numbered(i: u32) -> Vec<u8> {
        let mut bytes = vec![0x5a; 60 + i as usize % 500];
        bytes[..4].copy_from_slice(&i.to_be_bytes());
        bytes
    }

    fn rough() -> Impairment {
        Impairment {
            loss: 0.1,
            duplicate: 0.05,
            reorder: 0.1,
            corrupt: 0.02,
            delay: Duration::from_micros(50),
            jitter: Duration::from_micros(20),
            ..Impairment::default()
        }
    }

    #[test]
    fn a_plain_link_delivers_every_frame_at_once_in_order_and_whole() {
        let mut link = SimLink::new(1, [Impairment::default(); 2]);
        let got = run(&mut link, 500);
        let want: Vec<_> = (0..500).map(|i| (u64::from(i) * 1000, numbered(i))).collect();
        assert_eq!(got, want);
        assert_eq!(link.stats(End::A), LinkStats { sent: 500, delivered: 500, ..LinkStats::default() });
        assert_eq!(link.stats(End::B), LinkStats::default());
    }

    #[test]
    fn the_same_seed_gives_the_same_arrivals_and_another_seed_others() {
        let result = |seed| {
            let mut link = SimLink::new(seed, [rough(); 2]);
            (run(&mut link, 3000), link.stats(End::A))
        };
        assert_eq!(result(42), result(42));
        assert_ne!(result(42), result(43));
    }

    #[test]
    fn every_frame_is_accounted_for_and_shares_come_out_as_asked() {
        let mut link = SimLink::new(7, [rough(); 2]);
        let n = 20_000u32;
        let got = run(&mut link, n);
        let s = link.stats(End::A);
        assert_eq!(s.sent, u64::from(n));
        assert_eq!(s.delivered, got.len() as u64);
        assert_eq!(s.sent - s.lost + s.duplicated, s.delivered + s.queue_dropped + s.no_frame);
        // Five standard deviations around the expected number.
        let near = |count: u64, p: f64, of: u64| {
            let (mean, sd) = (p * of as f64, (p * (1.0 - p) * of as f64).sqrt());
            assert!((count as f64 - mean).abs() < 5.0 * sd, "{count} of {of}, expected {mean}");
        };
        near(s.lost, 0.1, s.sent);
        let rest = s.sent - s.lost;
        near(s.duplicated, 0.05, rest);
        near(s.reordered, 0.1, rest);
        near(s.corrupted, 0.02, rest);
    }

    #[test]
    fn frames_held_back_arrive_late_and_the_others_stay_in_order() {
        let spec = Impairment { reorder: 0.2, ..Impairment::default() };
        let got = run(&mut SimLink::new(5, [spec; 2]), 1000);
        let order: Vec<u32> = got.iter().map(|(_, b)| u32::from_be_bytes([b[0], b[1], b[2], b[3]])).collect();
        let late = order.windows(2).filter(|w| w[1] < w[0]).count();
        assert!(late > 50, "{late} steps backwards");
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn delay_is_kept_and_jitter_stays_within_its_bound() {
        let spec =
            Impairment { delay: Duration::from_micros(10), jitter: Duration::from_micros(5), ..Impairment::default() };
        let mut link = SimLink::new(5, [spec; 2]);
        for i in 0..100 {
            let now = at(i * 100_000);
            link.send(End::B, &[0; 60], now);
            let ns = link.next_arrival().unwrap().nanos_since(now);
            assert!((10_000..=15_000).contains(&ns), "{ns}");
            let mut pool = FramePool::heap(1, 2048);
            let mut rx = Vec::with_capacity(1);
            assert_eq!(link.receive(End::A, now.plus_nanos(9_999), &mut pool, &mut rx), 0);
            assert_eq!(link.receive(End::A, now.plus_nanos(15_000), &mut pool, &mut rx), 1);
            rx.drain(..).for_each(|f| pool.free(f));
        }
    }

    #[test]
    fn an_exhausted_receiving_pool_loses_the_frame_and_counts_it() {
        let mut link = SimLink::new(1, [Impairment::default(); 2]);
        (0..3).for_each(|_| link.send(End::A, &[0; 60], at(0)));
        let mut pool = FramePool::heap(2, 2048);
        let mut rx = Vec::with_capacity(8);
        assert_eq!(link.receive(End::B, at(0), &mut pool, &mut rx), 2);
        assert_eq!((link.stats(End::A).delivered, link.stats(End::A).no_frame), (2, 1));
        rx.drain(..).for_each(|f| pool.free(f));
    }

    #[test]
    fn frames_that_are_fetched_late_say_by_how_much() {
        let spec = Impairment { delay: Duration::from_micros(10), ..Impairment::default() };
        let mut link = SimLink::new(1, [spec; 2]);
        (0..3).for_each(|i| link.send(End::A, &[0; 60], at(i * 1_000_000)));
        let mut pool = FramePool::heap(4, 2048);
        let mut rx = Vec::with_capacity(4);
        assert_eq!(link.receive(End::B, at(1_510_000), &mut pool, &mut rx), 2);
        assert_eq!(link.receive(End::B, at(2_010_000), &mut pool, &mut rx), 1);
        rx.drain(..).for_each(|f| pool.free(f));
        let stats = link.stats(End::A);
        assert_eq!((stats.late_max_ns, stats.late_total_ns, stats.late), (1_500_000, 2_000_000, 1));
    }

    #[test]
    fn receiving_never_grows_the_callers_vector() {
        let mut link = SimLink::new(1, [Impairment::default(); 2]);
        (0..20).for_each(|_| link.send(End::A, &[0; 60], at(0)));
        let mut pool = FramePool::heap(32, 2048);
        let mut rx = Vec::with_capacity(8);
        let room = rx.capacity();
        assert_eq!(link.receive(End::B, at(0), &mut pool, &mut rx), room);
        assert_eq!(link.receive(End::B, at(0), &mut pool, &mut rx), 0);
        assert_eq!(rx.capacity(), room);
        assert_eq!(link.in_flight_frames(), 20 - room);
        rx.drain(..).for_each(|f| pool.free(f));
    }

    #[test]
    fn a_full_queue_drops_at_the_tail_and_counts() {
        let spec = Impairment { in_flight_frames: 4, delay: Duration::from_secs(1), ..Impairment::default() };
        let mut link = SimLink::new(1, [spec; 2]);
        (0..10).for_each(|_| link.send(End::A, &[0; 60], at(0)));
        assert_eq!((link.stats(End::A).queue_dropped, link.in_flight_frames()), (6, 4));
    }
}
