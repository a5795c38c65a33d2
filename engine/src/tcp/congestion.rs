//! Congestion control behind one trait. A controller decides how large cwnd is; when to send is `output`'s
//! business and what to send again `ack`'s. CUBIC, PRR and the like implement the same trait; what they have to
//! remember beyond [`Tcb`]'s `cwnd`, `ssthresh` and `recover` belongs into the send side block.

use super::tcb::{Tcb, flag};

/// Reactions to what the acknowledgements tell. All sizes in bytes.
pub trait Controller {
    /// The connection became established (RFC 5681 3.1, RFC 6928).
    fn on_established(t: &mut Tcb, initial_segments: u8);
    /// `acked` new bytes were acknowledged outside recovery; `flight` was outstanding before.
    fn on_ack(t: &mut Tcb, acked: u32, flight: u32);
    /// The third duplicate ACK: recovery begins.
    fn on_loss(t: &mut Tcb);
    /// One more duplicate ACK during recovery: a segment has left the network.
    fn on_duplicate_ack(t: &mut Tcb);
    /// An ACK in recovery that does not cover `recover` (RFC 6582 3.2 step 3).
    fn on_partial_ack(t: &mut Tcb, acked: u32);
    /// An ACK that covers `recover`.
    fn on_recovered(t: &mut Tcb);
    /// The retransmission timer ran out (RFC 5681 3.1, equation 4).
    fn on_timeout(t: &mut Tcb, first: bool);
}

/// Slow start and congestion avoidance of RFC 5681, fast recovery of RFC 6582.
pub struct NewReno;

impl Controller for NewReno {
    fn on_established(t: &mut Tcb, initial_segments: u8) {
        t.cwnd = u32::from(initial_segments.max(1)) * u32::from(t.mss);
        t.ssthresh = u32::MAX;
    }

    fn on_ack(t: &mut Tcb, acked: u32, flight: u32) {
        let mss = u32::from(t.mss);
        // Grow only while the window is what limits us (RFC 7661's concern): else idle periods inflate it.
        if flight.saturating_add(mss) < t.cwnd {
            return;
        }
        let step = if t.cwnd < t.ssthresh {
            // RFC 3465 with L = 2: stretch ACKs count, up to two segments.
            acked.min(2 * mss)
        } else {
            (u64::from(mss) * u64::from(mss) / u64::from(t.cwnd.max(1))).max(1) as u32
        };
        t.cwnd = t.cwnd.saturating_add(step).min(1 << 30);
    }

    fn on_loss(t: &mut Tcb) {
        t.ssthresh = half_flight(t);
        t.cwnd = t.ssthresh + 3 * u32::from(t.mss);
        t.recover = t.snd_max;
        t.set(flag::IN_RECOVERY | flag::RESEND_HEAD);
    }

    fn on_duplicate_ack(t: &mut Tcb) {
        t.cwnd = t.cwnd.saturating_add(u32::from(t.mss)).min(1 << 30);
    }

    fn on_partial_ack(t: &mut Tcb, acked: u32) {
        let mss = u32::from(t.mss);
        let inflate = if acked >= mss { mss } else { 0 };
        t.cwnd = (t.cwnd.saturating_sub(acked) + inflate).max(mss);
        t.set(flag::RESEND_HEAD);
    }

    fn on_recovered(t: &mut Tcb) {
        let mss = u32::from(t.mss);
        t.cwnd = t.ssthresh.min(t.flight().max(mss) + mss);
        t.clear(flag::IN_RECOVERY | flag::RESEND_HEAD);
    }

    fn on_timeout(t: &mut Tcb, first: bool) {
        if first {
            t.ssthresh = half_flight(t);
        }
        t.cwnd = u32::from(t.mss);
        t.recover = t.snd_max;
        t.clear(flag::IN_RECOVERY | flag::RESEND_HEAD);
    }
}

fn half_flight(t: &Tcb) -> u32 {
    (t.flight() / 2).max(2 * u32::from(t.mss))
}
