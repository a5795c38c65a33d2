//! The one timer of what is under way: retransmission time-out, RACK's reordering timer, tail loss probe (RFC 8985
//! section 8). `rtx_at` has the one that comes first; the block remembers the time-out meanwhile.

use super::acked::{Progress, after_detection};
use super::frto::Frto;
use super::path_mtu;
use super::{Block, Phase, Rest, rewind};
use crate::base::Event;
use crate::base::time::Tick;
use crate::tcp::congestion;
use crate::tcp::env::{Clock, Common, Env, Times};
use crate::tcp::output::Plan;
use crate::tcp::rtt;
use crate::tcp::tcb::{NONE, Tcb, flag};

/// On a short path it is the hosts that take their time, not the network: no probe earlier than this, 5 ms.
const PROBE_MIN_US: u32 = 4_883;

/// After an ACK. `advanced`: it moved SND.UNA. `wait`: when segments have to be judged again.
#[inline(always)]
pub fn after_ack(t: &mut Tcb, advanced: bool, wait: Option<u32>, env: &mut Env<'_>) {
    if t.is_outstanding() {
        return rearm(t, advanced, wait, env);
    }
    // What was timed may have been sent again, and so gave no measurement: the next segment gets a time of its own.
    t.clear(flag::RTT_TIMING);
    if !t.is_resting() {
        t.stop_rtx();
        settle(t, env);
    }
}

/// As [`after_ack`], with something still under way.
#[inline(never)]
fn rearm(t: &mut Tcb, advanced: bool, wait: Option<u32>, env: &mut Env<'_>) {
    let Env { times, common: Common { clock, recovery, .. }, .. } = env;
    let rto_at = clock.tick.plus(rtt::rto_ticks(t, times));
    let Some((b, _)) = recovery.parts(t.recovery).filter(|(b, _)| b.is_tracking) else {
        if advanced {
            t.arm_rtx(rto_at);
        }
        return;
    };
    if t.has(flag::PERSIST) && !advanced {
        return;
    }
    if !advanced && wait.is_none() && t.has(flag::PROBE_TIMER) && probe_after_us(t, b, times).is_some() {
        // Only news moves the probe (RFC 8985 7.2).
        return;
    }
    let rto_at = if advanced { rto_at } else { timeout_at(t, b).unwrap_or(rto_at) };
    arm(t, b, rto_at, wait, clock, times);
}

/// Nothing is under way any more: the block goes, at once or when the connection has rested.
#[inline(always)]
pub(super) fn settle(t: &mut Tcb, env: &mut Env<'_>) {
    if t.recovery != NONE
        && let Some(rest) = env.recovery.settle(t)
    {
        let ticks = match rest {
            Rest::TimeOut => rtt::rto_ticks(t, env.times),
            Rest::PathAge => path_mtu::REST_TICKS,
        };
        t.rest(env.clock.tick.plus(ticks));
    }
}

/// After `plan` was sent. New data put the probe off (RFC 8985 7.2), but not the time-out; that runs anew from the
/// retransmission of the first segment on, whose ACK cannot come before another round trip (RFC 6675 section 6).
pub fn after_send(t: &mut Tcb, plan: &Plan, env: &mut Env<'_>) {
    let Env { times, common: Common { clock, recovery, .. }, .. } = env;
    let Some((b, _)) = recovery.parts(t.recovery).filter(|(b, _)| b.is_tracking) else { return };
    if plan.out_of_turn && plan.seq == t.snd_una {
        let rto_at = clock.tick.plus(rtt::rto_ticks(t, times));
        match t.has(flag::REORDER_TIMER | flag::PROBE_TIMER) {
            true => b.rto_at = rto_at,
            false => t.arm_rtx(rto_at),
        }
    }
    if plan.retransmit || t.has(flag::REORDER_TIMER | flag::PERSIST | flag::PROBE) {
        return;
    }
    if let Some(rto_at) = timeout_at(t, b) {
        arm(t, b, rto_at, None, clock, times);
    }
}

/// When the time-out proper is.
fn timeout_at(t: &Tcb, b: &Block) -> Option<Tick> {
    if t.has(flag::REORDER_TIMER | flag::PROBE_TIMER) {
        Some(b.rto_at)
    } else {
        t.has(flag::RTX_ON).then_some(t.rtx_at)
    }
}

fn arm(t: &mut Tcb, b: &mut Block, rto_at: Tick, wait: Option<u32>, clock: &Clock, times: &Times) {
    let (kind, after_us) = match (wait, probe_after_us(t, b, times)) {
        (Some(us), _) => (flag::REORDER_TIMER, us + times.reorder_margin_us),
        (None, Some(us)) => (flag::PROBE_TIMER, us),
        (None, None) => return t.arm_rtx(rto_at),
    };
    let at = clock.tick.plus(rtt::ticks(after_us));
    if kind == flag::REORDER_TIMER && at.since(rto_at) >= 0 {
        return t.arm_rtx(rto_at);
    }
    b.rto_at = rto_at;
    // A probe that would be later than the time-out takes its place.
    t.arm_rtx(if at.since(rto_at) < 0 { at } else { rto_at });
    t.set(kind);
}

/// RFC 8985 7.2: whether and when to probe.
fn probe_after_us(t: &Tcb, b: &Block, times: &Times) -> Option<u32> {
    let is_quiet = b.phase == Phase::Open && b.board.sacked_segments() == 0 && !b.board.has_lost();
    if !is_quiet || !b.probe.is_allowed() || !t.has(flag::RTT_VALID) || t.backoff > 0 || b.board.segments() == 0 {
        return None;
    }
    // Who gets less than two full segments may wait with the ACK; our smallest time-out allows for that.
    let may_wait = b.board.flight_bytes() < 2 * u32::from(t.mss);
    let delay_us = if may_wait { rtt::us(times.rto_min) } else { 0 };
    Some(t.srtt_us.saturating_mul(2).max(PROBE_MIN_US).saturating_add(delay_us))
}

/// A deadline has come. True: it was not the time-out.
pub fn on_deadline(t: &mut Tcb, env: &mut Env<'_>) -> bool {
    if t.take(flag::REORDER_TIMER) {
        judge_again(t, env);
        return true;
    }
    t.take(flag::PROBE_TIMER) && send_probe(t, env)
}

/// The reordering window has passed.
fn judge_again(t: &mut Tcb, env: &mut Env<'_>) {
    let Env { times, common: Common { clock, recovery, counters, .. }, .. } = env;
    let Some((b, chunks)) = recovery.parts(t.recovery) else { return t.stop_rtx() };
    b.take_note(0, clock.us);
    let in_recovery = b.in_recovery();
    let wait = b.rack.detect(&mut b.board, chunks, clock.us, in_recovery, t.srtt_us);
    if !path_mtu::on_loss(t, b, chunks, clock, counters) {
        after_detection(t, b, Progress::default(), counters);
    }
    let earliest = clock.tick.plus(1);
    let rto_at = if b.rto_at.since(earliest) > 0 { b.rto_at } else { earliest };
    arm(t, b, rto_at, wait, clock, times);
}

/// RFC 8985 7.3: new data if there is some and the peer has room for it, else the last segment again. False: there is no
/// block any more, and this is a time-out.
fn send_probe(t: &mut Tcb, env: &mut Env<'_>) -> bool {
    let Env { times, common: Common { clock, recovery, counters, .. }, .. } = env;
    let Some((b, chunks)) = recovery.parts(t.recovery).filter(|(b, _)| b.is_tracking) else { return false };
    if b.path.is_probing() {
        // Nothing behind it has come either, or that would have shown its loss: this says nothing about its size.
        path_mtu::give_up(t, b, chunks, false, clock);
        t.arm_rtx(clock.tick.plus(rtt::rto_ticks(t, times)));
        return true;
    }
    let mss = u32::from(t.mss);
    let waiting = if t.snd_nxt.before(t.snd_end) { t.snd_end.since(t.snd_nxt) } else { 0 };
    let has_new = waiting >= mss || (waiting > 0 && t.has(flag::NODELAY | flag::FIN_QUEUED));
    let fits = t.snd_nxt.since(t.snd_una) + waiting.min(mss) <= t.snd_wnd;
    if !(has_new && fits) {
        t.set(flag::RESEND);
    }
    b.is_forced = true;
    counters.event(Event::LossProbes);
    t.arm_rtx(clock.tick.plus(rtt::rto_ticks(t, times)));
    true
}

/// As `send_probe`, for a segment that is under way alone: its connection has no block, which now has to remember the probe.
/// False: there is none to be had, and this is a time-out.
pub fn probe_alone(t: &mut Tcb, env: &mut Env<'_>) -> bool {
    if !env.open_recovery(t) {
        return false;
    }
    if path_mtu::share(t, env) {
        // It goes out anew, in smaller pieces.
        env.counters.event(Event::LossProbes);
        t.arm_rtx(env.clock.tick.plus(rtt::rto_ticks(t, env.times)));
        return true;
    }
    t.clear(flag::RTT_TIMING);
    send_probe(t, env)
}

/// The retransmission time-out (RFC 5681 3.1, RFC 8985 6.3). SND.NXT falls back if there are no records of what
/// was sent.
pub fn on_timeout(t: &mut Tcb, env: &mut Env<'_>) {
    if t.recovery == NONE && !env.open_recovery(t) {
        env.counters.event(Event::RecoveryExhausted);
        if t.retries == 1 {
            t.ssthresh = (t.flight() / 2).max(2 * u32::from(t.mss));
        }
        t.cwnd = u32::from(t.mss);
        t.snd_nxt = t.snd_una;
        return;
    }
    let Env { common: Common { clock, recovery, .. }, .. } = env;
    let Some((b, chunks)) = recovery.parts(t.recovery) else { return };
    let is_first = !b.in_recovery() || t.snd_una.at_or_after(b.recover);
    if is_first {
        b.save_for_undo(t, true);
    }
    // In a recovery it tells of a retransmission that was lost, which counts once more (RFC 5681 4.3).
    if is_first || b.phase == Phase::Recovery {
        let outstanding = t.snd_nxt.since(t.snd_una);
        t.ssthresh = congestion::reduce_on_timeout(t, &mut b.memory, outstanding).min(t.ssthresh);
        b.notice.reduced(t);
    }
    t.cwnd = u32::from(t.mss);
    b.phase = Phase::Timeout;
    b.recover = t.snd_max;
    b.limited_until = Some(t.snd_max);
    b.probe.forget();
    if b.is_tracking {
        b.rack.on_timeout(&mut b.board, chunks, clock.us, t.srtt_us);
        b.is_forced = true;
        t.set(flag::RESEND);
    } else {
        rewind(t, b, chunks);
    }
    // Timestamps tell more simply.
    b.frto = if is_first && !t.has(flag::TIMESTAMPS) { Frto::Resent } else { Frto::Off };
}
