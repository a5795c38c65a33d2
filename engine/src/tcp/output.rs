//! What to send next (RFC 9293 3.10.2, 3.8.6.2; RFC 5681). `next` only decides; the shard builds the segment and
//! then calls `commit`, so a segment for which there is no frame leaves no trace.

use super::State;
use super::boundaries::Boundaries;
use super::env::Env;
use super::options::window_field;
use super::recovery::path_mtu;
use super::state::transition;
use super::tcb::{NONE, Tcb, flag};
use super::{acknowledge, congestion, ecn, recovery, rtt};
use crate::base::Event;
use crate::wire::{Seq, TcpFlags};

/// A segment to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    pub seq: Seq,
    /// Payload bytes.
    pub len: u32,
    pub flags: TcpFlags,
    /// It was sent before, in whole or in part.
    pub retransmit: bool,
    /// A loss is repaired: snd_nxt stays where it is.
    pub out_of_turn: bool,
    /// Nothing new can follow at once: it is the last, or the windows or Nagle's algorithm hold back the rest.
    pub is_last: bool,
    /// It ends a burst of so many segments ([`burst`](super::burst)), and is pushed if that is more than one; 0: it ends none.
    pub burst: u32,
}

impl Plan {
    /// A segment without payload.
    #[inline(always)]
    pub const fn bare(seq: Seq, flags: TcpFlags) -> Plan {
        Plan { seq, len: 0, flags, retransmit: false, out_of_turn: false, is_last: true, burst: 1 }
    }
}

/// The next segment that may be sent now, bare ACKs not counted. No segment reaches across `boundaries`, if there are any.
pub fn next(t: &mut Tcb, env: &Env<'_>, boundaries: Option<&Boundaries>) -> Option<Plan> {
    match t.state() {
        State::SynSent => first(t, env),
        State::SynReceived => {
            syn(t, TcpFlags::SYN | TcpFlags::ACK | ecn::of_syn_ack(t)).or_else(|| early(t, env, boundaries))
        }
        State::Closed | State::Listen | State::TimeWait => None,
        _ => repair(t, env, boundaries).or_else(|| data(t, t.snd_una, env, boundaries)),
    }
}

/// The SYN with which a connection begins.
#[inline(always)]
pub fn first(t: &Tcb, env: &Env<'_>) -> Option<Plan> {
    syn(t, TcpFlags::SYN | ecn::of_syn(t, env.config.ecn))
}

#[inline(always)]
fn syn(t: &Tcb, flags: TcpFlags) -> Option<Plan> {
    (t.snd_nxt == t.snd_una).then(|| Plan {
        seq: t.snd_una,
        len: 0,
        flags,
        retransmit: t.snd_max != t.snd_una,
        out_of_turn: false,
        is_last: true,
        burst: 1,
    })
}

/// What was lost. Nothing that was never sent goes with it: the window may have no room.
fn repair(t: &Tcb, env: &Env<'_>, boundaries: Option<&Boundaries>) -> Option<Plan> {
    if !t.has(flag::RESEND) {
        return None;
    }
    let recovery::Again { seq, len: numbers, pushed, is_joined } = recovery::to_resend(t, &env.recovery)?;
    let left = if seq.before(t.snd_end) { t.snd_end.since(seq) } else { 0 };
    // Without a record of it, a segment is sent again that may have been several.
    let joinable = joinable(boundaries, seq, left);
    let len = joinable.min(numbers).min(u32::from(t.mss));
    let mut flags = TcpFlags::ACK;
    if t.has(flag::FIN_SENT) && len == left && seq.at_or_before(t.snd_end) {
        flags |= TcpFlags::FIN;
    }
    if len > 0 && ((pushed && len == left.min(numbers)) || (len == joinable && joinable < left)) {
        flags |= TcpFlags::PSH;
    }
    let plan = Plan { seq, len, flags, retransmit: true, out_of_turn: true, is_last: !is_joined, burst: 1 };
    (len > 0 || flags.fin()).then_some(plan)
}

/// Data behind a SYN,ACK (RFC 7413 4.2.2): the congestion window is there only if the SYN has brought a cookie. Once the
/// SYN,ACK had to be sent again, they wait for the handshake, as the FIN does in any case.
fn early(t: &mut Tcb, env: &Env<'_>, boundaries: Option<&Boundaries>) -> Option<Plan> {
    let mut plan = data(t, t.snd_una + 1, env, boundaries).filter(|plan| plan.len > 0 && t.retries == 0)?;
    plan.flags = plan.flags.without(TcpFlags::FIN);
    Some(plan)
}

/// How many of the `waiting` bytes from number `seq` on may share a segment.
fn joinable(boundaries: Option<&Boundaries>, seq: Seq, waiting: u32) -> u32 {
    boundaries.map_or(waiting, |b| b.joinable(seq, waiting))
}

/// `first`: the first number under way that is data.
fn data(t: &mut Tcb, first: Seq, env: &Env<'_>, boundaries: Option<&Boundaries>) -> Option<Plan> {
    let seq = t.snd_nxt;
    let waiting = if seq.before(t.snd_end) { t.snd_end.since(seq) } else { 0 };
    let fin_due = t.has(flag::FIN_QUEUED) && seq.at_or_before(t.snd_end);
    if waiting == 0 && !fin_due {
        return None;
    }
    if !t.is_outstanding() {
        restart_if_idle(t, rtt::rto_ticks(t, env.times), env);
    }
    let used = seq.since(first);
    let room = usable_window(t, used, env);
    let mss = u32::from(t.mss);
    let joinable = joinable(boundaries, seq, waiting);
    let full = if t.recovery == NONE { mss } else { path_mtu::size_of_next(t, joinable, env) };
    if full > mss && room < full {
        // A probe waits until there is room for all of it.
        return None;
    }
    let len = joinable.min(room).min(full);
    // Nothing that waits could make it any larger.
    let is_whole = len == joinable && joinable < waiting;
    // A FIN alone weighs nothing: the congestion window need not have room for it, unless it comes down just then.
    let is_light =
        waiting == 0 && t.snd_wnd > used && !t.has(flag::RESEND) && !recovery::is_recovering(t, &env.recovery);
    let fin = fin_due && len == waiting && (room > len || is_light);
    if len == 0 && !fin {
        return None;
    }
    if len < mss && !fin && !is_whole && !may_send_small(t, len, joinable, used) {
        return None;
    }
    let mut flags = TcpFlags::ACK;
    if fin {
        flags |= TcpFlags::FIN;
    }
    if len > 0 && (is_whole || (len == waiting && !t.has(flag::CORKED))) {
        flags |= TcpFlags::PSH;
    }
    let rest = waiting - len;
    let follows = room - len >= rest.min(mss) && (rest >= mss || may_send_small(t, rest, rest, used + len));
    let is_last = rest == 0 || !follows;
    Some(Plan { seq, len, flags, retransmit: seq.before(t.snd_max), out_of_turn: false, is_last, burst: 1 })
}

/// A burst into a path of which nothing has been heard for longer than a time-out may be more than it takes. Modulo 73
/// minutes, since that is how long the clock is that says when something was sent last.
#[inline(always)]
pub(super) fn restart_if_idle(t: &mut Tcb, rto_ticks: u32, env: &Env<'_>) {
    let idle_us = env.clock.us.wrapping_sub(t.rtt_at_us);
    if env.config.restarts_after_idle && idle_us > rtt::us(rto_ticks) {
        congestion::restart_after_idle(t, env.config.initial_window_segments);
    }
}

/// Bytes that may be sent from snd_nxt on: the peer's window and ours, less what is under way.
fn usable_window(t: &Tcb, used: u32, env: &Env<'_>) -> u32 {
    let room = t.snd_wnd.saturating_sub(used).min(recovery::room(t, &env.recovery));
    if t.has(flag::PROBE) && used == 0 { room.max(1) } else { room }
}

/// Less than a full segment: silly-window avoidance (RFC 9293 3.8.6.2.1) and Nagle (3.7.4).
fn may_send_small(t: &Tcb, len: u32, waiting: u32, used: u32) -> bool {
    if used == 0 && (t.has(flag::PROBE) || (t.snd_nxt + len).at_or_before(t.snd_max)) {
        // What was sent before is sent again, as far as a window that was taken back still reaches (RFC 9293 3.8.6).
        return true;
    }
    if len < waiting {
        // Cut by the window: wait for a better one, unless this is half of the best we ever saw.
        return len >= t.max_snd_wnd() / 2;
    }
    if t.has(flag::CORKED) {
        return t.has(flag::FIN_QUEUED);
    }
    // Nagle's algorithm as RFC 9293 A.3 has it: only another small segment has to be acknowledged first.
    let is_small_under_way = !used.is_multiple_of(u32::from(t.mss).max(1));
    !is_small_under_way || t.has(flag::NODELAY) || t.has(flag::FIN_QUEUED)
}

/// Takes note that `plan` was sent.
#[inline(always)]
pub fn commit(t: &mut Tcb, plan: &Plan, env: &mut Env<'_>) {
    let end = plan.seq + plan.len + u32::from(plan.flags.syn()) + u32::from(plan.flags.fin());
    if !plan.flags.syn() {
        recovery::on_sent(t, plan, end, env);
    }
    if plan.len > 0 {
        acknowledge::data_sent(t, env);
    }
    t.snd_nxt = if plan.out_of_turn { t.snd_nxt.max(end) } else { end };
    if plan.retransmit {
        let event = if plan.flags.syn() { Event::SynRetransmits } else { Event::Retransmits };
        env.counters.event(event);
        env.counters.add(Event::PayloadOut, u64::from(end.max(t.snd_max).since(t.snd_max)));
    } else {
        env.counters.add(Event::PayloadOut, u64::from(plan.len));
        if !t.has(flag::RTT_TIMING) {
            t.rtt_seq = end;
            t.rtt_at_us = env.clock.us;
            t.set(flag::RTT_TIMING);
        }
    }
    t.snd_max = t.snd_max.max(end);
    if !t.has(flag::RTX_ON) || t.has(flag::PERSIST) {
        t.clear(flag::PERSIST);
        let rto = rtt::rto_ticks(t, env.times);
        t.arm_rtx(env.clock.tick.plus(rto));
    }
    if t.recovery != NONE {
        recovery::timer::after_send(t, plan, env);
    }
    if plan.flags.fin() && !t.has(flag::FIN_SENT) {
        t.set(flag::FIN_SENT);
        match t.state() {
            State::Established => transition(t, State::FinWait1),
            State::CloseWait => transition(t, State::LastAck),
            _ => {}
        }
    }
}

/// Nothing more can be sent now. If that is because of the peer's window and nothing is under way whose ACK could
/// open it (a refused probe does not count), the persist timer has to (RFC 9293 3.8.6.1).
pub fn settle(t: &mut Tcb, env: &Env<'_>) {
    let waits = t.snd_nxt.before(t.snd_end) || (t.has(flag::FIN_QUEUED) && t.snd_nxt.at_or_before(t.snd_end));
    let corked = t.has(flag::CORKED) && t.snd_end.since(t.snd_nxt) < u32::from(t.mss);
    if waits && !corked && t.state().is_synchronized() && !t.has(flag::RTX_ON) {
        t.set(flag::PERSIST);
        let rto = rtt::rto_ticks(t, env.times);
        t.arm_rtx(env.clock.tick.plus(rto));
    }
}

/// The right edge that could be offered with `unread` bytes of the buffer taken, if it is a worthwhile step ahead of the one
/// that is offered (RFC 9293 3.8.6.2.2).
#[inline(always)]
pub fn better_edge(t: &Tcb, unread: u32, receive_buffer_bytes: u32, scale: u8) -> Option<Seq> {
    let buffer = receive_buffer_bytes.min(0xffff << scale);
    let edge = t.rcv_nxt + buffer.saturating_sub(unread);
    let step = (buffer / 2).min(u32::from(t.mss)).max(1);
    (edge.since(t.rcv_adv) as i32 >= step as i32).then_some(edge)
}

/// The window field of a segment about to be sent, `unread` bytes of a buffer of `buffer_bytes` being taken. Moves the
/// offered edge (never left; only by worthwhile steps, RFC 9293 3.8.6.2.2) and takes note of the ACK that goes with it.
#[inline(always)]
pub fn acknowledge(t: &mut Tcb, unread: u32, buffer_bytes: u32, is_syn: bool) -> u16 {
    let scale = if is_syn { 0 } else { t.rcv_scale() };
    if let Some(edge) = better_edge(t, unread, buffer_bytes, scale) {
        t.rcv_adv = edge;
    }
    let field = window_field(t.rcv_wnd(), scale);
    t.rcv_adv = t.rcv_adv.max(t.rcv_nxt + (u32::from(field) << scale));
    t.last_ack_sent = t.rcv_nxt;
    t.clear(flag::ACK_NOW | flag::ACK_ON);
    field
}
