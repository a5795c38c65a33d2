//! RACK (RFC 8985 section 6): a segment is lost when one that was sent later has arrived and the reordering window has
//! passed. All times in units of 1024 ns, modulo 2^32.

use super::records::Chunks;
use super::scoreboard::{Delivered, Scoreboard};
use crate::wire::Seq;

/// SACKed segments that mean a loss on a path that has never been seen to reorder (RFC 5681).
const DUP_THRESHOLD: u32 = 3;
/// Recoveries for which a widened reordering window is kept.
const WIDE_RECOVERIES: u8 = 16;
/// How long the smallest round trip is remembered, at least: 8.6 s.
const MIN_RTT_SPAN_US: u32 = 1 << 23;

/// What an ACK says about the time, besides what it acknowledges.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub now_us: u32,
    /// Age of the echoed timestamp in units of 2^20 ns, if there is one.
    pub echo_age: Option<u32>,
}

impl Moment {
    /// The ACK was brought about by something that was sent before `sent_us`.
    pub fn echoes_earlier(&self, sent_us: u32) -> bool {
        // Differences of the truncated clocks, as the echoed timestamp was truncated.
        let age = ((self.now_us >> 10).wrapping_sub(sent_us >> 10)) & (u32::MAX >> 10);
        self.echo_age.is_some_and(|echo| echo > age && echo < 1 << 21)
    }
}

/// The smallest round trip of the last seconds: that of the span before and of this one.
#[derive(Clone, Copy, Debug)]
struct MinRtt {
    before: u32,
    now: u32,
    span_start_us: u32,
}

impl MinRtt {
    fn take(&mut self, rtt_us: u32, now_us: u32) {
        if now_us.wrapping_sub(self.span_start_us) >= MIN_RTT_SPAN_US {
            (self.before, self.now, self.span_start_us) = (self.now, rtt_us, now_us);
        }
        self.now = self.now.min(rtt_us);
    }

    fn get(&self) -> u32 {
        self.before.min(self.now)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Rack {
    /// The segment that was sent last of all that have arrived: when, and its end.
    sent_us: u32,
    end: Seq,
    /// The round trip of the one that was sent last of those that the last ACK has reported.
    rtt_us: u32,
    is_valid: bool,
    min_rtt: MinRtt,
    /// Highest number reported as received ("forward ACK").
    forward: Seq,
    pub reordering_seen: bool,
    /// How far behind the highest number one came in, at most, and how many did.
    reordering_bytes: u32,
    reordered: u32,
    /// Quarters of the smallest round trip that the reordering window is wide.
    quarters: u8,
    wide_for: u8,
    /// No second widening before this number is acknowledged.
    widened_until: Option<Seq>,
}

impl Rack {
    pub fn new(una: Seq, now_us: u32) -> Rack {
        Rack {
            sent_us: 0,
            end: una,
            rtt_us: 0,
            is_valid: false,
            min_rtt: MinRtt { before: u32::MAX, now: u32::MAX, span_start_us: now_us },
            forward: una,
            reordering_seen: false,
            reordering_bytes: 0,
            reordered: 0,
            quarters: 1,
            wide_for: 0,
            widened_until: None,
        }
    }

    /// Nothing has been learnt that another flight of segments would have to know.
    pub fn is_plain(&self) -> bool {
        !self.reordering_seen && self.quarters == 1
    }

    /// How far back a segment came in, in bytes, at most, and how many did.
    pub fn reordering(&self) -> (u32, u32) {
        (self.reordering_bytes, self.reordered)
    }

    pub fn rtt_us(&self) -> Option<u32> {
        self.is_valid.then_some(self.rtt_us)
    }

    pub fn min_rtt_us(&self) -> u32 {
        self.min_rtt.get()
    }

    /// Steps 1 to 3 for one segment, `newest` being the one that was sent last of those that the same ACK has reported so far.
    /// Returns its round trip if that can be trusted for a measurement (Karn).
    pub fn delivered(&mut self, d: &Delivered, at: &Moment, newest: &mut Option<(u32, Seq)>) -> Option<u32> {
        let rtt = at.now_us.wrapping_sub(d.sent_us);
        if d.retransmitted && (at.echoes_earlier(d.sent_us) || rtt < self.min_rtt.get()) {
            // It was an earlier copy that arrived.
            self.move_forward(d);
            return None;
        }
        let sent = (d.sent_us, d.end);
        if newest.is_none_or(|newest| sent_after(sent, newest)) {
            (*newest, self.rtt_us) = (Some(sent), rtt);
        }
        if !self.is_valid || sent_after(sent, (self.sent_us, self.end)) {
            (self.sent_us, self.end, self.is_valid) = (d.sent_us, d.end, true);
        }
        self.move_forward(d);
        if d.retransmitted {
            return None;
        }
        self.min_rtt.take(rtt, at.now_us);
        Some(rtt)
    }

    fn move_forward(&mut self, d: &Delivered) {
        if d.end.after(self.forward) {
            self.forward = d.end;
        } else if d.end.before(self.forward) && !d.retransmitted {
            self.reordering_seen = true;
            let extent = self.forward.since(d.end) + d.len;
            self.reordering_bytes = self.reordering_bytes.max(extent);
            self.reordered = self.reordered.saturating_add(1);
        }
    }

    /// A segment was reported to have come twice: it was sent again too early (step 4).
    pub fn on_duplicate_report(&mut self, una: Seq, nxt: Seq) {
        if self.widened_until.is_some_and(|until| una.at_or_after(until)) {
            self.widened_until = None;
        }
        if self.widened_until.is_none() {
            self.widened_until = Some(nxt);
            self.quarters = self.quarters.saturating_add(1);
            self.wide_for = WIDE_RECOVERIES;
        }
    }

    /// A recovery is over (step 4).
    pub fn on_recovered(&mut self) {
        self.wide_for = self.wide_for.saturating_sub(1);
        if self.wide_for == 0 {
            self.quarters = 1;
        }
    }

    /// Step 4: the reordering window.
    fn window_us(&self, in_recovery: bool, sacked_segments: u32, srtt_us: u32) -> u32 {
        if !self.reordering_seen && (in_recovery || sacked_segments >= DUP_THRESHOLD) {
            return 0;
        }
        let quarter = self.min_rtt.get().min(srtt_us) / 4;
        quarter.saturating_mul(u32::from(self.quarters)).min(srtt_us)
    }

    /// Step 5: takes for lost what has to be. Returns in how many units of time some of what was sent before the last
    /// arrival will have to be judged again.
    pub fn detect(
        &self,
        board: &mut Scoreboard,
        store: &mut Chunks,
        now_us: u32,
        in_recovery: bool,
        srtt_us: u32,
    ) -> Option<u32> {
        if !self.is_valid {
            return None;
        }
        let patience = self.rtt_us.saturating_add(self.window_us(in_recovery, board.sacked_segments(), srtt_us));
        while let Some(oldest) = board.oldest_in_flight(store) {
            if !sent_after((self.sent_us, self.end), (oldest.sent_us, oldest.end())) {
                return None;
            }
            if now_us.wrapping_sub(oldest.sent_us) < patience {
                // By then all of them are: the last of them was sent when the segment that arrived was.
                return Some(patience.saturating_sub(now_us.wrapping_sub(self.sent_us)).max(1));
            }
            board.lose_oldest(store, true);
        }
        None
    }

    /// The retransmission timer ran out (section 6.3): the first segment is lost, and all that should have arrived.
    pub fn on_timeout(&self, board: &mut Scoreboard, store: &mut Chunks, now_us: u32, srtt_us: u32) {
        let rtt_us = self.rtt_us().unwrap_or(srtt_us);
        let patience = rtt_us.saturating_add(self.window_us(true, 0, srtt_us));
        while let Some(oldest) = board.oldest_in_flight(store) {
            if now_us.wrapping_sub(oldest.sent_us) < patience {
                break;
            }
            board.lose_oldest(store, false);
        }
        board.lose_first(store);
    }
}

/// Sent later; of two sent at the same time, the one with the higher number.
fn sent_after(a: (u32, Seq), b: (u32, Seq)) -> bool {
    let later = a.0.wrapping_sub(b.0) as i32;
    later > 0 || (later == 0 && a.1.after(b.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_is_that_of_the_last_ack_even_if_what_it_reports_was_sent_before_others_that_have_arrived() {
        let mut rack = Rack::new(Seq(0), 0);
        let mut ack = |now_us, segments: &[(u32, u32)]| {
            let (at, mut newest) = (Moment { now_us, echo_age: None }, None);
            for &(end, sent_us) in segments {
                let d = Delivered { end: Seq(end), len: 1000, sent_us, retransmitted: false };
                rack.delivered(&d, &at, &mut newest);
            }
            (rack.rtt_us, rack.sent_us)
        };
        assert_eq!(ack(20_000, &[(5_000, 10_000)]), (10_000, 10_000));
        // Late, and in whatever order the ACK names them.
        assert_eq!(ack(24_000, &[(2_000, 1_000), (1_000, 0)]), (23_000, 10_000));
        assert_eq!(ack(30_000, &[(9_000, 18_000), (8_000, 19_000), (3_000, 2_000)]), (11_000, 19_000));
    }

    #[test]
    fn reordering_window_widens_with_reports_but_not_beyond_a_round_trip() {
        let mut rack = Rack::new(Seq(0), 0);
        let (rtt, srtt) = (8_000, 10_000);
        let d = Delivered { end: Seq(1000), len: 1000, sent_us: 0, retransmitted: false };
        assert_eq!(rack.delivered(&d, &Moment { now_us: rtt, echo_age: None }, &mut None), Some(rtt));
        rack.reordering_seen = true;
        assert_eq!(rack.window_us(false, 3, srtt), rtt / 4);
        let mut widest = 0;
        for n in 1..400 {
            // One widening in each round trip.
            rack.on_duplicate_report(Seq(n * 1000), Seq((n + 1) * 1000));
            rack.on_duplicate_report(Seq(n * 1000), Seq((n + 1) * 1000));
            let wide = rack.window_us(false, 3, srtt);
            assert!(wide >= widest && wide <= srtt, "{wide}");
            widest = wide;
            assert_eq!(wide, (rtt / 4 * (n + 1)).min(srtt));
        }
        assert_eq!(widest, srtt);
    }
}
