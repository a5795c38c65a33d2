//! Congestion control: how large cwnd is. When to send is `output`'s business, what to send again and how the window
//! comes down during a recovery `recovery`'s.
//!
//! A controller answers two questions: how far to grow for an ACK, and where to after a loss. What it has to
//! remember beyond the control block's `cwnd` and `ssthresh` lives in the recovery block; a connection without one (a
//! single segment under way, or the pool exhausted) grows as NewReno does, which in slow start is the same.

mod cubic;
mod hystart;
mod newreno;

pub use cubic::Cubic;
pub use hystart::HyStart;

use super::tcb::{Tcb, flag};

const CWND_MAX: u32 = 1 << 30;
/// Nothing has shown yet how much the path takes.
const SSTHRESH_UNKNOWN: u32 = u32::MAX;
/// What one ACK can add in slow start after a time-out, in segments (RFC 3465): it may be about bytes that had arrived long
/// before. Otherwise it adds what it acknowledges, however much that is: on fast paths receivers acknowledge whole bursts,
/// and a limit of some segments would end the doubling there.
const SEGMENTS_AFTER_TIMEOUT: u32 = 1;

/// The controllers there are.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Algorithm {
    /// RFC 5681 and 6582.
    NewReno,
    /// RFC 9438, with HyStart++ (RFC 9406) in slow start.
    #[default]
    Cubic,
}

/// An acknowledgement as the controllers see it.
#[derive(Clone, Copy, Debug)]
pub struct Growth {
    pub acked: u32,
    pub now_us: u32,
    /// The connection sends again what a time-out took for lost.
    pub after_timeout: bool,
}

/// What a controller remembers of a connection.
#[derive(Clone, Copy, Default, Debug)]
pub struct Memory {
    pub cubic: Cubic,
    pub hystart: HyStart,
}

impl Tcb {
    pub fn algorithm(&self) -> Algorithm {
        if self.has(flag::CUBIC) { Algorithm::Cubic } else { Algorithm::NewReno }
    }

    pub fn set_algorithm(&mut self, algorithm: Algorithm) {
        match algorithm {
            Algorithm::NewReno => self.clear(flag::CUBIC),
            Algorithm::Cubic => self.set(flag::CUBIC),
        }
    }
}

/// RFC 6928: ten segments, but no more than 14600 bytes unless two segments are.
pub fn initial_window(mss: u16, segments: u8) -> u32 {
    let (mss, n) = (u32::from(mss), u32::from(segments.max(1)));
    (n * mss).min((2 * mss).max(n * 1460))
}

/// The connection became established.
pub fn on_established(t: &mut Tcb, initial_segments: u8) {
    t.cwnd = initial_window(t.mss, initial_segments);
    t.ssthresh = SSTHRESH_UNKNOWN;
}

/// Nothing was sent for longer than a time-out: what was known of the path is stale (RFC 5681 4.1).
pub fn restart_after_idle(t: &mut Tcb, initial_segments: u8) {
    t.cwnd = t.cwnd.min(initial_window(t.mss, initial_segments));
}

/// New bytes were acknowledged while the window was what limited us.
pub fn grow(t: &mut Tcb, memory: Option<&mut Memory>, g: &Growth) {
    let mss = u32::from(t.mss);
    let step = if t.cwnd < t.ssthresh {
        let step = if g.after_timeout { g.acked.min(SEGMENTS_AFTER_TIMEOUT * mss) } else { g.acked };
        memory.map_or(step, |m| m.hystart.step(step))
    } else {
        match memory {
            Some(m) if t.has(flag::CUBIC) => m.cubic.step(t.cwnd, mss, g.acked, t.srtt_us, g.now_us),
            _ => newreno::step(t.cwnd, mss, g.acked),
        }
    };
    t.cwnd = t.cwnd.saturating_add(step).min(CWND_MAX);
}

/// An ACK of slow start that measured `rtt_us`: the first one of a connection may be over (RFC 9406 4.3). Later ones end where
/// the path was found to be full.
pub fn watch_slow_start(t: &mut Tcb, memory: &mut Memory, rtt_us: Option<u32>) {
    if t.ssthresh == SSTHRESH_UNKNOWN
        && t.has(flag::CUBIC)
        && let Some(ssthresh) = memory.hystart.on_ack(t.snd_una, t.snd_nxt, rtt_us, t.cwnd)
    {
        t.ssthresh = ssthresh;
    }
}

/// Bytes that leave in `nanos` when the window leaves evenly in 5/6 of a round trip, in half of one while it doubles.
pub fn rate_bytes(t: &Tcb, nanos: u64, rtt_nanos: u64) -> u64 {
    let (times, of) = if t.cwnd < t.ssthresh / 2 { (2, 1) } else { (6, 5) };
    u64::from(t.cwnd) * nanos / rtt_nanos * times / of
}

/// ssthresh after a loss, `outstanding` bytes being unacknowledged.
pub fn reduce(t: &Tcb, memory: &mut Memory, outstanding: u32) -> u32 {
    let mss = u32::from(t.mss);
    // What is outstanding can be more than the window (what was SACKed) or less (the application had no more).
    let window = t.cwnd.min(outstanding);
    // The first slow start is over.
    memory.hystart = HyStart::default();
    let to = if t.has(flag::CUBIC) { memory.cubic.reduce(window, mss) } else { newreno::reduce(window) };
    to.max(2 * mss)
}

/// ssthresh after a time-out.
pub fn reduce_on_timeout(t: &Tcb, memory: &mut Memory, outstanding: u32) -> u32 {
    let to = reduce(t, memory, outstanding);
    memory.cubic.on_timeout();
    to
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Seq;

    #[test]
    fn initial_window_is_ten_segments_or_14600_bytes_or_two_segments() {
        assert_eq!(initial_window(536, 10), 5_360);
        assert_eq!(initial_window(1460, 10), 14_600);
        assert_eq!(initial_window(4_000, 10), 14_600);
        assert_eq!(initial_window(8_960, 10), 17_920);
        assert_eq!(initial_window(1460, 4), 5_840);
    }

    #[test]
    fn slow_start_adds_what_is_acknowledged_and_after_a_time_out_one_segment_at_a_time() {
        let mut t = Tcb { mss: 1000, cwnd: 10_000, ..Tcb::default() };
        for _ in 0..5 {
            grow(&mut t, None, &Growth { acked: 2_000, now_us: 0, after_timeout: false });
        }
        assert_eq!(t.cwnd, 20_000);
        grow(&mut t, None, &Growth { acked: 20_000, now_us: 0, after_timeout: false });
        assert_eq!(t.cwnd, 40_000);
        grow(&mut t, None, &Growth { acked: 40_000, now_us: 0, after_timeout: true });
        assert_eq!(t.cwnd, 41_000);
    }

    /// Rounds of slow start, of which those from the fifth on take a fifth longer.
    fn slow_start(t: &mut Tcb, memory: &mut Memory, rounds: u32) {
        for n in 0..rounds {
            for i in 1..=10 {
                (t.snd_una, t.snd_nxt) = (Seq(1000 * n + i * 100), Seq(1000 * (n + 1)));
                watch_slow_start(t, memory, Some(if n < 5 { 100_000 } else { 120_000 }));
            }
        }
    }

    #[test]
    fn longer_round_trips_end_the_first_slow_start_and_no_other() {
        let fresh = || Tcb { mss: 1000, cwnd: 50_000, ssthresh: u32::MAX, flags: flag::CUBIC, ..Tcb::default() };
        let mut t = fresh();
        slow_start(&mut t, &mut Memory::default(), 14);
        assert_eq!(t.ssthresh, 50_000);
        let mut t = Tcb { ssthresh: 900_000, ..fresh() };
        slow_start(&mut t, &mut Memory::default(), 14);
        assert_eq!(t.ssthresh, 900_000);
    }

    #[test]
    fn slow_start_after_a_loss_is_not_slowed_down_by_what_was_seen_in_the_first() {
        let mut t = Tcb { mss: 1000, cwnd: 50_000, ssthresh: u32::MAX, flags: flag::CUBIC, ..Tcb::default() };
        let mut memory = Memory::default();
        slow_start(&mut t, &mut memory, 7);
        let step = |t: &mut Tcb, memory: &mut Memory| {
            let before = t.cwnd;
            grow(t, Some(memory), &Growth { acked: 4_000, now_us: 0, after_timeout: false });
            t.cwnd - before
        };
        assert_eq!(step(&mut t, &mut memory), 1_000, "a quarter");
        t.ssthresh = reduce(&t, &mut memory, 50_000);
        t.cwnd = 10_000;
        assert_eq!(step(&mut t, &mut memory), 4_000);
    }

    #[test]
    fn newreno_adds_one_segment_per_window_and_halves_on_loss() {
        let mut t = Tcb { mss: 1000, cwnd: 20_000, ssthresh: 10_000, ..Tcb::default() };
        for _ in 0..20 {
            grow(&mut t, None, &Growth { acked: 1_000, now_us: 0, after_timeout: false });
        }
        assert!((20_900..=21_000).contains(&t.cwnd), "{}", t.cwnd);
        assert_eq!(reduce(&t, &mut Memory::default(), 30_000), t.cwnd / 2);
        assert_eq!(reduce(&t, &mut Memory::default(), 10_000), 5_000);
        assert_eq!(reduce(&t, &mut Memory::default(), 100), 2_000);
    }
}
