//! Fifth check of RFC 9293 3.10.7.4: what the ACK field says. RFC 5961 5.2 bounds it, RFC 5681 and 6582
//! read losses out of it, RFC 6298 round-trip times.

use super::State;
use super::congestion::{self, Growth};
use super::ecn;
use super::env::Env;
use super::open;
use super::receive::{Happened, Outcome, Reply};
use super::recovery;
use super::reset::Bare;
use super::rtt;
use super::state::transition;
use super::tcb::{NONE, Tcb, flag};
use super::timers;
use crate::base::{DropReason, Event};
use crate::wire::{Seq, TcpFlags, TcpSegment};

/// Takes the ACK field into account. `Some`: the segment ends here.
#[inline]
pub(super) fn process(t: &mut Tcb, seg: &TcpSegment, env: &mut Env<'_>, out: &mut Outcome) -> Option<Outcome> {
    let ack = seg.ack;
    if t.state() == State::SynReceived {
        if !(ack.after(t.snd_una) && ack.at_or_before(t.snd_max)) {
            let bare = Bare { seq: ack, ack: Seq(0), flags: TcpFlags::RST };
            return Some(Outcome {
                drop: Some(DropReason::AckUnacceptable),
                reply: Reply::Bare(bare),
                ..Outcome::default()
            });
        }
        let fresh_rtt = t.take(flag::RTT_TIMING) && t.retries == 0;
        if fresh_rtt {
            rtt::sample(t, env.clock.us.wrapping_sub(t.rtt_at_us));
        }
        t.snd_una += 1;
        t.snd_nxt = t.snd_nxt.max(t.snd_una);
        open::established(t, env);
        if t.snd_nxt != t.snd_una {
            // Data went out behind the SYN,ACK.
            t.arm_rtx(env.clock.tick.plus(rtt::rto_ticks(t, env.times)));
        }
        out.happened |= Happened::ESTABLISHED;
        // Whatever the handshake's windows were: this one counts.
        t.snd_wl1 = seg.seq - 1;
    }
    if ack.after(t.snd_max) || ack.before(t.snd_una - t.max_snd_wnd()) {
        return Some(unacceptable(t, env));
    }
    let outstanding = t.snd_nxt.since(t.snd_una);
    if ack.after(t.snd_una) {
        let advance = advance::<false>(t, seg, env);
        out.acked_bytes = advance.acked_bytes;
        out.happened |= advance.happened;
    } else if ack == t.snd_una {
        not_advanced(t, seg, env);
    }
    update_window(t, seg, env);
    if t.has(flag::ECN) && seg.flags.has(TcpFlags::ECE) {
        ecn::echoed(t, outstanding, env);
    }
    None
}

/// RFC 5961 5.2: beyond what was sent, or further back than the largest window: challenge and drop.
#[cold]
fn unacceptable(t: &Tcb, env: &mut Env<'_>) -> Outcome {
    let reply = if env.may_challenge(&t.key) {
        env.counters.event(Event::ChallengeAcks);
        Reply::Ack
    } else {
        Reply::None
    };
    Outcome { drop: Some(DropReason::AckUnacceptable), reply, ..Outcome::default() }
}

/// What the acknowledgement of something new brings.
#[derive(Clone, Copy, Default)]
pub(super) struct Advance {
    /// Data bytes, to be released from the send queue.
    pub acked_bytes: u32,
    pub happened: Happened,
}

/// New data (or our FIN) is acknowledged. `QUIET`: no retry, duplicate ACK or probe is to be forgotten.
#[inline(always)]
pub(super) fn advance<const QUIET: bool>(t: &mut Tcb, seg: &TcpSegment, env: &mut Env<'_>) -> Advance {
    let flight = t.flight();
    let resends = t.snd_nxt != t.snd_max;
    let acked = seg.ack.since(t.snd_una);
    // The FIN, behind the last byte, is none.
    let acked_bytes = acked - u32::from(seg.ack.after(t.snd_end));
    t.snd_una = seg.ack;
    t.snd_nxt = t.snd_nxt.max(t.snd_una);
    measure(t, seg, env);
    let mut wait = None;
    if t.recovery != NONE {
        wait = recovery::on_ack(t, seg, acked, false, env);
    } else if flight.saturating_add(u32::from(t.mss)) >= t.cwnd {
        // The window is what limits us.
        congestion::grow(t, None, &Growth { acked, now_us: env.clock.us, after_timeout: resends });
    }
    if !QUIET {
        (t.retries, t.dup_acks) = (0, 0);
        if t.has(flag::PROBE | flag::PERSIST) {
            // The back-off of window probes says nothing about the path.
            t.backoff = 0;
        }
    }
    // RFC 6298 5.2 and 5.3.
    recovery::timer::after_ack(t, true, wait, env);
    if !QUIET {
        t.clear(flag::PROBE | flag::PERSIST);
    }
    let happened = if t.fin_acked() { fin_acked(t, env) } else { Happened::default() };
    Advance { acked_bytes, happened }
}

/// RFC 6298 4 and RFC 7323 4: a segment that was sent once, or, after a time-out, an echoed timestamp. With records of
/// what was sent, these give the former.
#[inline(always)]
fn measure(t: &mut Tcb, seg: &TcpSegment, env: &mut Env<'_>) {
    if !t.has(flag::RTT_TIMING) {
        if t.retries > 0 || t.recovery != NONE {
            measure_by_echo(t, seg, env);
        }
    } else if seg.ack.at_or_after(t.rtt_seq) && !recovery::is_tracking(t, &env.recovery) {
        t.clear(flag::RTT_TIMING);
        rtt::sample(t, env.clock.us.wrapping_sub(t.rtt_at_us));
    }
}

/// No segment is timed.
#[inline(never)]
fn measure_by_echo(t: &mut Tcb, seg: &TcpSegment, env: &mut Env<'_>) {
    let repairs_blindly = recovery::is_recovering(t, &env.recovery) && !recovery::is_tracking(t, &env.recovery);
    if t.retries == 0 && !repairs_blindly {
        return;
    }
    if reports_duplicate(seg) {
        // Sent again for want of an ACK, not of data. The echo is that of an earlier arrival, whose ACK was lost: it
        // would measure our own waiting, and make the next wait as long. Nor is there anything to back off from.
        t.backoff = 0;
    } else if let Some((_, echo)) = seg.options.timestamp.filter(|_| t.has(flag::TIMESTAMPS)) {
        let elapsed = env.clock.ts.wrapping_add(t.ts_offset).wrapping_sub(echo);
        if echo != 0 && elapsed < 1 << 20 {
            // Less than a tick of that clock counts as one.
            rtt::sample(t, elapsed.max(1) << 10);
            recovery::measured(t, &mut env.recovery);
        }
    }
}

/// D-SACK (RFC 2883): the first block lies below the ACK, so what brought this ACK had come before.
fn reports_duplicate(seg: &TcpSegment) -> bool {
    seg.options.sack_blocks().first().is_some_and(|b| b.end.at_or_before(seg.ack))
}

/// RFC 5681 section 2: same ACK, no data, no FIN, same window, and something is outstanding.
#[inline]
fn is_duplicate(t: &Tcb, seg: &TcpSegment) -> bool {
    seg.payload_len == 0
        && !seg.flags.fin()
        && t.is_outstanding()
        && u32::from(seg.window) << t.snd_scale() == t.snd_wnd
        && t.snd_wnd > 0
}

/// An ACK that repeats the last one can tell of a loss all the same.
#[inline]
fn not_advanced(t: &mut Tcb, seg: &TcpSegment, env: &mut Env<'_>) {
    let is_duplicate = is_duplicate(t, seg);
    if is_duplicate {
        env.counters.event(Event::DuplicateAcksIn);
        t.dup_acks = t.dup_acks.saturating_add(1);
    }
    if t.recovery != NONE && (is_duplicate || seg.options.sack_len > 0 || !t.is_outstanding()) {
        let wait = recovery::on_ack(t, seg, 0, is_duplicate, env);
        recovery::timer::after_ack(t, false, wait, env);
    }
}

/// RFC 9293 3.10.7.4: SND.WND, SND.WL1, SND.WL2.
#[inline(always)]
pub(super) fn update_window(t: &mut Tcb, seg: &TcpSegment, env: &mut Env<'_>) {
    if t.snd_wl1.after(seg.seq) || seg.ack.before(t.snd_una) {
        return;
    }
    let was_closed = t.snd_wnd == 0;
    let window = note_window(t, seg);
    if t.has(flag::PROBE | flag::PERSIST) {
        // The peer answers: probing may go on for as long as it does (RFC 9293 3.8.6.1), if an application is left that
        // could give up.
        if window > 0 || !t.has(flag::RECEIVE_SHUT) {
            t.retries = 0;
        }
        if was_closed && window > 0 {
            // What was sent as a probe was refused: it counts as not sent.
            env.recovery.go_back(t);
            t.backoff = 0;
            t.clear(flag::PROBE);
            t.stop_rtx();
        }
    }
}

/// The window of a segment is the latest.
#[inline(always)]
pub(super) fn note_window(t: &mut Tcb, seg: &TcpSegment) -> u32 {
    t.snd_wnd = u32::from(seg.window) << t.snd_scale();
    t.max_snd_field = t.max_snd_field.max(seg.window);
    t.snd_wl1 = seg.seq;
    t.snd_wnd
}

/// Our FIN is acknowledged.
#[inline(always)]
fn fin_acked(t: &mut Tcb, env: &Env<'_>) -> Happened {
    match t.state() {
        State::FinWait1 => {
            transition(t, State::FinWait2);
            timers::limit_fin_wait_2(t, env);
        }
        State::Closing => {
            transition(t, State::TimeWait);
            return Happened::TIME_WAIT;
        }
        State::LastAck => {
            transition(t, State::Closed);
            return Happened::FINISHED;
        }
        _ => {}
    }
    Happened::default()
}
