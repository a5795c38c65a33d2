//! Fifth check of RFC 9293 3.10.7.4: what the ACK field says. RFC 5961 5.2 bounds it, RFC 5681 and 6582
//! read losses out of it, RFC 6298 round-trip times.

use super::State;
use super::congestion::{Controller, NewReno};
use super::env::Env;
use super::open;
use super::receive::{Happened, Outcome, Reply};
use super::reset::Bare;
use super::rtt;
use super::state::transition;
use super::tcb::{Tcb, flag};
use crate::base::{DropReason, Event};
use crate::wire::{Seq, TcpFlags, TcpSegment};

/// Duplicate ACKs that mean a loss (RFC 5681 3.2).
const DUP_ACK_THRESHOLD: u8 = 3;

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
        open::established(t, env);
        t.snd_una += 1;
        t.snd_nxt = t.snd_nxt.max(t.snd_una);
        out.happened |= Happened::ESTABLISHED;
        // Whatever the handshake's windows were: this one counts.
        t.snd_wl1 = seg.seq - 1;
    }
    if ack.after(t.snd_max) || ack.before(t.snd_una - t.max_snd_wnd) {
        return Some(unacceptable(t, env));
    }
    if ack.after(t.snd_una) {
        advance(t, seg, env, out);
    } else if ack == t.snd_una && is_duplicate(t, seg) {
        duplicate(t, env);
    }
    update_window(t, seg);
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

/// New data (or our FIN) is acknowledged.
#[inline]
pub(super) fn advance(t: &mut Tcb, seg: &TcpSegment, env: &mut Env<'_>, out: &mut Outcome) {
    let flight = t.flight();
    let acked = seg.ack.since(t.snd_una);
    measure(t, seg, env);
    let data_before = t.queued_bytes();
    t.snd_una = seg.ack;
    t.snd_nxt = t.snd_nxt.max(t.snd_una);
    out.acked_bytes = data_before - t.queued_bytes();
    congestion(t, acked, flight);
    t.retries = 0;
    t.dup_acks = 0;
    if t.has(flag::PROBE | flag::PERSIST) {
        // The back-off of window probes says nothing about the path.
        t.backoff = 0;
    }
    // RFC 6298 5.2 and 5.3.
    if t.is_outstanding() {
        let rto = rtt::rto_ticks(t, env.times);
        t.arm_rtx(env.clock.tick.plus(rto));
    } else {
        t.stop_rtx();
    }
    t.clear(flag::PROBE | flag::PERSIST);
    if t.fin_acked() {
        fin_acked(t, env, out);
    }
}

/// RFC 6298 4 and RFC 7323 4: a segment that was sent once, or an echoed timestamp.
#[inline]
fn measure(t: &mut Tcb, seg: &TcpSegment, env: &Env<'_>) {
    if t.has(flag::RTT_TIMING) {
        if seg.ack.at_or_after(t.rtt_seq) {
            t.clear(flag::RTT_TIMING);
            rtt::sample(t, env.clock.us.wrapping_sub(t.rtt_at_us));
        }
        return;
    }
    if t.retries == 0 && !t.has(flag::IN_RECOVERY) {
        return;
    }
    if reports_duplicate(seg) {
        // Sent again for want of an ACK, not of data. The echo is that of an earlier arrival, whose ACK was lost: it
        // would measure our own waiting, and make the next wait as long. Nor is there anything to back off from.
        t.backoff = 0;
    } else if let Some((_, echo)) = seg.options.timestamp.filter(|_| t.has(flag::TIMESTAMPS)) {
        let elapsed = env.clock.ts.wrapping_add(t.ts_offset).wrapping_sub(echo);
        if echo != 0 && elapsed < 1 << 20 {
            rtt::sample(t, elapsed << 10);
        }
    }
}

/// D-SACK (RFC 2883): the first block lies below the ACK, so what brought this ACK had come before.
fn reports_duplicate(seg: &TcpSegment) -> bool {
    seg.options.sack_blocks().first().is_some_and(|b| b.end.at_or_before(seg.ack))
}

#[inline]
fn congestion(t: &mut Tcb, acked: u32, flight: u32) {
    if !t.has(flag::IN_RECOVERY) {
        // A mark that is left behind comes along: 2^31 bytes further on it would seem to lie ahead.
        if t.snd_una.after(t.recover) {
            t.recover = t.snd_una - 1;
        }
        NewReno::on_ack(t, acked, flight);
    } else if t.snd_una.at_or_after(t.recover) {
        NewReno::on_recovered(t);
    } else {
        NewReno::on_partial_ack(t, acked);
    }
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

fn duplicate(t: &mut Tcb, env: &mut Env<'_>) {
    env.counters.event(Event::DuplicateAcksIn);
    if t.has(flag::IN_RECOVERY) {
        NewReno::on_duplicate_ack(t);
        return;
    }
    t.dup_acks = t.dup_acks.saturating_add(1);
    // RFC 6582 3.2 step 2: after a time-out, duplicate ACKs up to `recover` tell of our own retransmissions.
    if t.dup_acks == DUP_ACK_THRESHOLD && t.snd_una.after(t.recover) {
        env.counters.event(Event::FastRetransmits);
        t.clear(flag::RTT_TIMING);
        NewReno::on_loss(t);
    }
}

/// RFC 9293 3.10.7.4: SND.WND, SND.WL1, SND.WL2.
#[inline]
pub(super) fn update_window(t: &mut Tcb, seg: &TcpSegment) {
    if t.snd_wl1.after(seg.seq) || seg.ack.before(t.snd_una) {
        return;
    }
    let window = u32::from(seg.window) << t.snd_scale();
    let was_closed = t.snd_wnd == 0;
    t.snd_wnd = window;
    t.max_snd_wnd = t.max_snd_wnd.max(window);
    t.snd_wl1 = seg.seq;
    if t.has(flag::PROBE | flag::PERSIST) {
        // The peer answers: probing may go on for as long as it does (RFC 9293 3.8.6.1), if an application is left that
        // could give up.
        if window > 0 || !t.has(flag::RECEIVE_SHUT) {
            t.retries = 0;
        }
        if was_closed && window > 0 {
            // What was sent as a probe was refused: it counts as not sent.
            t.snd_nxt = t.snd_una;
            t.backoff = 0;
            t.clear(flag::PROBE);
            t.stop_rtx();
        }
    }
}

/// Our FIN is acknowledged.
fn fin_acked(t: &mut Tcb, env: &Env<'_>, out: &mut Outcome) {
    match t.state() {
        State::FinWait1 => {
            transition(t, State::FinWait2);
            t.life_at = env.clock.tick.plus(env.times.fin_wait_2);
            t.set(flag::LIFE_ON);
        }
        State::Closing => {
            transition(t, State::TimeWait);
            out.happened |= Happened::TIME_WAIT;
        }
        State::LastAck => {
            transition(t, State::Closed);
            out.happened |= Happened::FINISHED;
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::TcpConfig;
    use super::super::env::{ChallengeLimiter, Clock, Times};
    use super::super::receive::receive;
    use super::*;
    use crate::base::{Counters, Instant};

    #[test]
    fn losses_are_still_seen_after_more_than_two_gibibytes_without_one() {
        let config = TcpConfig::default();
        let times = Times::new(&config);
        let (mut counters, mut challenge) = (Counters::default(), ChallengeLimiter::new(1, 0));
        let clock = Clock::at(Instant::ZERO);
        let mut env =
            Env { clock: &clock, config: &config, times: &times, counters: &mut counters, challenge: &mut challenge };
        let mut t = Tcb { cwnd: 1 << 30, scales: 14 << 4, ..Tcb::default() };
        t.rcv_adv = t.rcv_nxt + 1000;
        t.write_state(State::Established);
        let ack = |t: &Tcb, number: Seq| TcpSegment {
            seq: t.rcv_nxt,
            ack: number,
            flags: TcpFlags::ACK,
            window: 0xffff,
            ..TcpSegment::default()
        };
        for _ in 0..5 {
            t.snd_max += 1 << 29;
            (t.snd_nxt, t.snd_end) = (t.snd_max, t.snd_max);
            let seg = ack(&t, t.snd_max);
            receive(&mut t, &seg, 0, &mut env);
            assert!(!t.is_outstanding());
        }
        t.snd_max += 10_000;
        (t.snd_nxt, t.snd_end) = (t.snd_max, t.snd_max);
        for _ in 0..3 {
            let seg = ack(&t, t.snd_una);
            receive(&mut t, &seg, 0, &mut env);
        }
        assert!(t.has(flag::RESEND_HEAD), "three duplicate ACKs are a loss");
    }
}
