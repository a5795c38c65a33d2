//! Recovery without records: duplicate ACKs are counted, and partial ACKs bring one retransmission each (RFC 5681 3.2,
//! RFC 6582). For peers without SACK, and while there is no room for records.

use super::acked::{Ack, count_undo, grow};
use super::frto::{self, Frto};
use super::records::Chunks;
use super::{Block, Phase, enter_recovery, rewind, undo};
use crate::base::{Counters, Event};
use crate::tcp::tcb::{Tcb, flag};

/// Duplicate ACKs that mean a loss (RFC 5681 3.2).
const DUP_ACK_THRESHOLD: u8 = 3;
/// So many let a new segment out each (RFC 3042).
pub const LIMITED_TRANSMIT: u8 = 2;

pub fn on_ack(t: &mut Tcb, b: &mut Block, chunks: &mut Chunks, ack: &Ack<'_>, counters: &mut Counters) {
    if b.frto != Frto::Off && (ack.advanced > 0 || ack.is_duplicate) {
        let was_testing = b.frto == Frto::Testing;
        if frto::on_ack(t, b, ack, ack.advanced > 0) && b.undo.is_set() {
            count_undo(b, counters);
            return undo(t, b, chunks);
        }
        match b.frto {
            // New segments instead of old ones.
            Frto::Testing => t.snd_nxt = t.snd_max,
            _ if was_testing => rewind(t, b, chunks),
            _ => {}
        }
    }
    if ack.advanced == 0 {
        if ack.is_duplicate {
            duplicate(t, b, counters);
        }
        return;
    }
    if b.in_recovery() && b.undo.is_refuted_by_echo(t.snd_una, &ack.at) {
        count_undo(b, counters);
        undo(t, b, chunks);
        // What had been sent before the time-out is on its way (RFC 4015).
        t.snd_nxt = t.snd_max;
        return;
    }
    if b.phase == Phase::Recovery {
        if t.snd_una.at_or_after(b.recover) {
            let mss = u32::from(t.mss);
            t.cwnd = t.ssthresh.min(t.flight().max(mss) + mss);
            b.phase = Phase::Open;
            t.clear(flag::RESEND);
        } else {
            partial(t, ack.advanced);
        }
        return;
    }
    // RFC 6582 section 4: until more is acknowledged than was outstanding at the time-out, duplicate ACKs tell of
    // our own retransmissions.
    if b.phase == Phase::Timeout && t.snd_una.after(b.recover) {
        b.phase = Phase::Open;
    }
    if b.was_limited(t.snd_una - ack.advanced) {
        // Limited transmit has let new segments out for what the duplicate ACKs told.
        let ahead = u32::from(t.dup_acks.min(LIMITED_TRANSMIT)) * u32::from(t.mss);
        grow(t, b, ack.advanced.saturating_sub(ahead), None, ack.at.now_us);
    }
}

/// One more segment has left the network.
fn duplicate(t: &mut Tcb, b: &mut Block, counters: &mut Counters) {
    let mss = u32::from(t.mss);
    if b.phase == Phase::Recovery {
        t.cwnd = t.cwnd.saturating_add(mss).min(1 << 30);
    } else if b.phase == Phase::Open && t.dup_acks == DUP_ACK_THRESHOLD {
        counters.event(Event::FastRetransmits);
        enter_recovery(t, b, 0);
        t.cwnd = t.ssthresh + u32::from(DUP_ACK_THRESHOLD) * mss;
        t.set(flag::RESEND);
    }
}

/// An ACK in recovery that does not end it (RFC 6582 3.2 step 3): the next hole.
fn partial(t: &mut Tcb, acked: u32) {
    let mss = u32::from(t.mss);
    let inflate = if acked >= mss { mss } else { 0 };
    t.cwnd = (t.cwnd.saturating_sub(acked) + inflate).max(mss);
    t.set(flag::RESEND);
}
