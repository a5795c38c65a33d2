//! What a transmission does to the recovery state, and what that allows to be sent.

use super::frto::{self, Frto};
use super::records::{Marks, Record};
use super::reno::LIMITED_TRANSMIT;
use super::{Phase, Pool, SEGMENTS_MAX, is_tracking};
use crate::base::Event;
use crate::tcp::env::{Common, Env};
use crate::tcp::output::Plan;
use crate::tcp::tcb::{NONE, Tcb, flag};
use crate::wire::{Seq, TcpFlags};

/// A segment that has to be sent again.
#[derive(Clone, Copy, Debug)]
pub struct Again {
    pub seq: Seq,
    /// Sequence numbers taken, FIN included.
    pub len: u32,
    /// It has PSH because of its bytes.
    pub pushed: bool,
    /// The next one follows at once, as it did before.
    pub is_joined: bool,
}

impl From<&Record> for Again {
    fn from(r: &Record) -> Again {
        Again { seq: r.seq, len: u32::from(r.len), pushed: r.marks.is_pushed(), is_joined: false }
    }
}

/// What has to be sent again now. `None`: nothing, or no room.
pub fn to_resend(t: &Tcb, pool: &Pool) -> Option<Again> {
    let Some(b) = pool.get(t.recovery).filter(|b| b.is_tracking) else {
        // Without records it is the first segment.
        let len = t.flight().min(u32::from(t.mss));
        let pushed = t.snd_una + len == t.snd_end || len < u32::from(t.mss);
        return (len > 0).then_some(Again { seq: t.snd_una, len, pushed, is_joined: false });
    };
    if b.is_forced && b.phase == Phase::Open {
        return b.board.last(&pool.chunks).map(Again::from);
    }
    let mut again = Again::from(b.board.next_lost(&pool.chunks)?);
    let room = t.cwnd.saturating_sub(b.board.flight_bytes());
    let has_room = b.is_forced || room >= again.len;
    let joined = b.board.next_lost_joined(&pool.chunks);
    again.is_joined = joined.is_some_and(|next| room >= again.len + u32::from(next.len));
    // A peer that took its window back gets nothing beyond it; the time-out turns into a probe.
    (has_room && again.seq.since(t.snd_una) < t.snd_wnd).then_some(again)
}

/// Bytes of new data that the congestion window has room for.
pub fn room(t: &Tcb, pool: &Pool) -> u32 {
    let used = t.snd_nxt.since(t.snd_una);
    let Some(b) = pool.get(t.recovery) else { return t.cwnd.saturating_sub(used) };
    if b.is_tracking {
        if b.board.segments() >= SEGMENTS_MAX {
            return 0;
        }
        if b.frto == Frto::Testing {
            return frto::room(t, b);
        }
        if b.board.has_lost() {
            return 0;
        }
        let room = t.cwnd.saturating_sub(b.board.flight_bytes()).min(b.path.room_behind(t.snd_nxt, t.mss));
        // A probe may be one segment more.
        return if b.is_forced { room.max(u32::from(t.mss)) } else { room };
    }
    if b.frto == Frto::Testing {
        return frto::room(t, b);
    }
    let extra = if b.in_recovery() { 0 } else { u32::from(t.dup_acks.min(LIMITED_TRANSMIT)) * u32::from(t.mss) };
    t.cwnd.saturating_add(extra).saturating_sub(used)
}

/// `plan`, which takes the numbers up to `end`, was sent; SND.NXT is still as it was before.
pub fn on_sent(t: &mut Tcb, plan: &Plan, end: Seq, env: &mut Env<'_>) {
    if t.recovery == NONE {
        // The first segment needs no block: its number and the time it was sent are in the control block.
        if t.snd_nxt == t.snd_una || plan.flags.syn() {
            return;
        }
        if !env.open_recovery(t) {
            return env.counters.event(Event::RecoveryExhausted);
        }
        if t.has(flag::SACK) && !is_tracking(t, &env.recovery) {
            env.counters.event(Event::RecoveryExhausted);
        }
    }
    let Common { clock, recovery, counters, .. } = &mut *env.common;
    let now_us = clock.us;
    let Some((b, chunks)) = recovery.parts(t.recovery) else { return };
    let len = end.since(plan.seq);
    if b.is_tracking {
        let is_kept = if plan.out_of_turn {
            b.board.resent(chunks, plan.seq, now_us)
        } else {
            b.board.push(
                chunks,
                plan.seq,
                len as u16,
                now_us,
                Marks::new(plan.retransmit, plan.flags.has(TcpFlags::PSH), plan.burst > 0),
            )
        };
        debug_assert!(is_kept || !plan.out_of_turn, "only what is neither acknowledged nor SACKed is sent again");
        let is_exempt = plan.len == 0 || b.is_forced || b.frto == Frto::Testing || t.has(flag::PROBE);
        let is_within = is_exempt || b.board.flight_bytes() <= t.cwnd;
        debug_assert!(is_within, "more under way than the window allows");
        if !is_kept {
            b.board.clear(chunks);
            b.is_tracking = false;
            t.clear(flag::RTT_TIMING);
            counters.event(Event::RecoveryExhausted);
        }
    }
    if plan.len > u32::from(t.mss) {
        b.path.sent(plan.seq, end);
        counters.event(Event::PathProbes);
    }
    if plan.retransmit && b.in_recovery() {
        b.undo.resent(end, plan.seq == t.snd_una, now_us);
    }
    if b.is_forced && b.phase == Phase::Open {
        b.probe.sent(end.max(t.snd_nxt), plan.out_of_turn);
    }
    b.is_forced = false;
    b.prr.sent(len);
    let under_way = if b.is_tracking { b.board.flight_bytes() } else { end.since(t.snd_una) };
    let is_full = under_way.saturating_add(u32::from(t.mss)) > t.cwnd;
    // In slow start, half of it is enough (RFC 7661 section 4.3): the window doubles in a round trip anyway.
    let is_half_full = t.cwnd < t.ssthresh && under_way > t.cwnd / 2;
    if is_full || is_half_full {
        b.burst = if b.was_limited(t.snd_una) { b.burst.max(under_way) } else { under_way };
        b.limited_until = Some(end.max(t.snd_nxt));
    }
    if !b.is_tracking || !b.board.has_lost() {
        t.clear(flag::RESEND);
    }
}
