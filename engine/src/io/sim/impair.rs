//! What may happen to a frame on its way, and the dice that decide it.

use super::mark;
use crate::base::{Instant, Rng};
use core::time::Duration;

/// What one direction of a link does to its frames. The default does nothing at all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Impairment {
    /// Share of frames that vanish, 0.0 to 1.0, as all shares here.
    pub loss: f64,
    /// Share of frames that arrive twice.
    pub duplicate: f64,
    /// Share of frames that are held back: until `reorder_frames` later ones have passed (0: however many
    /// pass), but no longer than `reorder_delay`.
    pub reorder: f64,
    pub reorder_frames: u32,
    pub reorder_delay: Duration,
    /// Share of frames in which 1 to `corrupt_bits_max` random bits are flipped.
    pub corrupt: f64,
    pub corrupt_bits_max: u32,
    /// Share of the frames that get a congestion mark if their sender has said that it heeds such (RFC 3168).
    pub mark: f64,
    /// Time every frame takes.
    pub delay: Duration,
    /// Random time on top, uniform from 0. It never changes the order: that is `reorder`'s job.
    pub jitter: Duration,
    /// Bits per second of the frames as given (no preamble, no gap); 0: unlimited.
    pub rate_bits_per_s: u64,
    /// What may wait for the rate limit before frames are dropped at the tail, in bytes.
    pub queue_bytes: u64,
    /// How many frames may be on their way at all; more are dropped at the tail.
    pub in_flight_frames: usize,
}

impl Default for Impairment {
    fn default() -> Self {
        Impairment {
            loss: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            reorder_frames: 3,
            reorder_delay: Duration::from_millis(1),
            corrupt: 0.0,
            corrupt_bits_max: 3,
            mark: 0.0,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            rate_bits_per_s: 0,
            queue_bytes: 256 * 1024,
            in_flight_frames: 65_536,
        }
    }
}

impl Impairment {
    /// Frames pass untouched and at once, as long as fewer than `in_flight_frames` are on their way.
    pub fn is_none(&self) -> bool {
        let shares = [self.loss, self.duplicate, self.reorder, self.corrupt, self.mark];
        shares.iter().all(|&p| p <= 0.0) && self.delay.is_zero() && self.jitter.is_zero() && self.rate_bits_per_s == 0
    }
}

/// Counted since the start, for one direction. A frame that was sent is counted in `sent`, and then once for
/// each thing that happened to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    pub sent: u64,
    /// Frames handed to the receiver, duplicates included.
    pub delivered: u64,
    pub lost: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub corrupted: u64,
    pub marked: u64,
    /// Dropped because the link's queue was full.
    pub queue_dropped: u64,
    /// Lost because the receiver (or a duplicate) found no free frame, or none that is large enough.
    pub no_frame: u64,
    /// How much later than it should have come the latest frame was handed over. On a real clock only: it tells how far
    /// the link itself can be believed.
    pub late_max_ns: u64,
    /// Of all delivered frames together.
    pub late_total_ns: u64,
    /// Frames that were late by more than [`LATE`].
    pub late: u64,
}

/// Beyond this a frame counts as late: a tenth of the shortest delays that are worth imitating.
pub const LATE: Duration = Duration::from_millis(1);

impl LinkStats {
    /// A frame that was due at `due` is handed over at `now`.
    pub fn delivered_at(&mut self, due: Instant, now: Instant) {
        let late_ns = now.nanos_since(due);
        self.delivered += 1;
        self.late_max_ns = self.late_max_ns.max(late_ns);
        self.late_total_ns += late_ns;
        self.late += u64::from(u128::from(late_ns) > LATE.as_nanos());
    }
}

/// What happens to one frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fate {
    pub lost: bool,
    pub duplicated: bool,
    pub reordered: bool,
    pub corrupted: bool,
    /// The frame is to be marked, if it can be.
    pub marked: bool,
}

/// The dice of one direction: an [`Impairment`] with its own seeded generator.
#[derive(Clone, Debug)]
pub struct Impairer {
    pub impairment: Impairment,
    pub stats: LinkStats,
    rng: Rng,
}

impl Impairer {
    /// Directions of one link take the same seed and different `stream`s.
    pub fn new(impairment: Impairment, seed: u64, stream: u64) -> Impairer {
        // An odd multiplier keeps streams of one seed apart, and apart from other seeds' streams.
        let rng = Rng::new(seed ^ stream.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Impairer { impairment, stats: LinkStats::default(), rng }
    }

    /// Rolls for the next frame and counts what comes out. A lost frame has no other fate.
    pub fn roll(&mut self) -> Fate {
        self.stats.sent += 1;
        let Impairment { loss, duplicate, reorder, corrupt, mark, .. } = self.impairment;
        if self.chance(loss) {
            self.stats.lost += 1;
            return Fate { lost: true, ..Fate::default() };
        }
        let duplicated = self.chance(duplicate);
        let reordered = self.chance(reorder);
        let corrupted = self.chance(corrupt);
        let marked = self.chance(mark);
        self.stats.duplicated += u64::from(duplicated);
        self.stats.reordered += u64::from(reordered);
        self.stats.corrupted += u64::from(corrupted);
        Fate { lost: false, duplicated, reordered, corrupted, marked }
    }

    /// Gives the frame a congestion mark, and counts it, if it can have one.
    pub fn mark(&mut self, bytes: &mut [u8]) {
        self.stats.marked += u64::from(mark::mark(bytes));
    }

    /// Flips 1 to `corrupt_bits_max` different bits.
    pub fn flip_bits(&mut self, bytes: &mut [u8]) {
        let bits = bytes.len() as u64 * 8;
        let wanted = 1 + self.rng.below(u64::from(self.impairment.corrupt_bits_max));
        let first = self.rng.below(bits);
        // Steps through the frame by a stride below `bits / wanted`, so no bit is flipped back.
        let stride = 1 + self.rng.below(bits / wanted.max(1));
        for i in 0..wanted.min(bits) {
            let bit = (first + i * stride) % bits;
            if let Some(byte) = bytes.get_mut((bit / 8) as usize) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    /// This frame's share of the jitter, in nanoseconds.
    pub fn jitter_ns(&mut self) -> u64 {
        let max = self.impairment.jitter.as_nanos().min(u128::from(u64::MAX - 1)) as u64;
        if max == 0 { 0 } else { self.rng.below(max + 1) }
    }

    /// No roll for what cannot happen: switching one impairment on leaves a clean direction as fast as before.
    fn chance(&mut self, p: f64) -> bool {
        p > 0.0 && self.rng.chance(p)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_impairment_leaves_every_frame_alone() {
        let mut dice = Impairer::new(Impairment::default(), 1, 0);
        assert!(dice.impairment.is_none());
        assert!((0..1000).all(|_| dice.roll() == Fate::default()));
        assert_eq!(dice.stats, LinkStats { sent: 1000, ..LinkStats::default() });
    }

    #[test]
    fn directions_of_one_seed_roll_differently_and_equal_seeds_alike() {
        let half = Impairment { loss: 0.5, ..Impairment::default() };
        let rolls = |seed, stream| {
            let mut dice = Impairer::new(half, seed, stream);
            (0..64).map(|_| dice.roll().lost).collect::<Vec<_>>()
        };
        assert_eq!(rolls(7, 0), rolls(7, 0));
        assert_ne!(rolls(7, 0), rolls(7, 1));
        assert_ne!(rolls(7, 0), rolls(8, 0));
    }

    #[test]
    fn corruption_flips_between_one_and_the_wanted_number_of_bits() {
        let spec = Impairment { corrupt: 1.0, corrupt_bits_max: 4, ..Impairment::default() };
        let mut dice = Impairer::new(spec, 3, 0);
        let mut seen = [0u32; 5];
        for len in (1..400).chain(1..400) {
            let mut bytes = vec![0xa5u8; len];
            dice.flip_bits(&mut bytes);
            let flipped: u32 = bytes.iter().map(|b| (b ^ 0xa5).count_ones()).sum();
            assert!((1..=4).contains(&flipped), "{flipped} bits of {len} bytes");
            seen[flipped as usize] += 1;
        }
        assert!(seen[1..].iter().all(|&n| n > 0), "every number of bits comes up: {seen:?}");
    }

    #[test]
    fn corrupting_an_empty_frame_does_nothing() {
        let mut dice = Impairer::new(Impairment { corrupt: 1.0, ..Impairment::default() }, 3, 0);
        dice.flip_bits(&mut []);
    }
}
