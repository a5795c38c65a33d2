//! What a connection does when a deadline has come.

use super::env::Env;
use super::recovery::{path_mtu, timer};
use super::tcb::{NONE, Tcb, flag};
use super::{State, rtt};
use crate::base::Event;

/// Why a connection has to be given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GiveUp {
    /// No sign of life after all retries.
    TimedOut,
    /// FIN-WAIT-2 lasted too long.
    Orphaned,
}

/// Handles every deadline of `t` that has come. What has to be sent is left to `output`.
pub fn expire(t: &mut Tcb, env: &mut Env<'_>) -> Option<GiveUp> {
    let now = env.clock.tick;
    if t.has(flag::ACK_ON) && t.ack_at.is_due(now) {
        t.clear(flag::ACK_ON);
        t.set(flag::ACK_NOW);
        env.counters.event(Event::DelayedAcks);
    }
    if t.is_resting() && t.rtx_at.is_due(now) {
        t.stop_rtx();
        env.recovery.forget(t);
    }
    if t.has(flag::RTX_ON)
        && t.rtx_at.is_due(now)
        && let Some(end) = retransmission(t, env)
    {
        return Some(end);
    }
    if t.has(flag::LIFE_ON) && t.life_at.is_due(now) {
        return life(t, env);
    }
    None
}

/// RFC 6298 5.4 to 5.7, and the persist timer of RFC 9293 3.8.6.1.
fn retransmission(t: &mut Tcb, env: &mut Env<'_>) -> Option<GiveUp> {
    if t.has(flag::REORDER_TIMER | flag::PROBE_TIMER) && timer::on_deadline(t, env) {
        return None;
    }
    let opening = !t.state().is_synchronized();
    let limit = if opening { env.config.syn_retries } else { env.config.data_retries };
    if t.retries >= limit || (env.times.user_timeout > 0 && rtt::waited_ticks(t, env.times) >= env.times.user_timeout) {
        return Some(GiveUp::TimedOut);
    }
    t.retries += 1;
    t.dup_acks = 0;
    if !opening && is_lone_probe(t) && timer::probe_alone(t, env) {
        return None;
    }
    t.backoff = t.backoff.saturating_add(1);
    if !opening && (t.has(flag::PERSIST) || t.snd_wnd == 0) {
        env.counters.event(Event::ZeroWindowProbes);
        t.set(flag::PROBE);
        env.recovery.go_back(t);
    } else {
        env.counters.event(Event::RtoExpiries);
        if opening {
            env.recovery.go_back(t);
        } else {
            timer::on_timeout(t, env);
            path_mtu::on_timeout(t, env);
        }
    }
    t.clear(flag::RTT_TIMING);
    t.stop_rtx();
    // The segment that goes out next starts the timer again; should none go out, this keeps the clock running.
    let rto = rtt::rto_ticks(t, env.times);
    t.arm_rtx(env.clock.tick.plus(rto));
    None
}

/// RFC 8985 7.2 on a connection with a single segment under way: its tail loss probe would come two round trips and the
/// peer's longest delay after it, which is later than the time-out, and then takes the time-out's place.
fn is_lone_probe(t: &Tcb) -> bool {
    let measured = t.has(flag::SACK) && t.has(flag::RTT_VALID) && !t.has(flag::SYN_LOST) && t.snd_wnd > 0;
    let alone = t.recovery == NONE && t.flight() <= u32::from(t.mss) + 1;
    measured && alone && t.retries == 1 && t.backoff == 0 && !t.has(flag::PERSIST)
}

/// From now on FIN-WAIT-2 lasts no longer than it may: an orphan has nobody else to end it. A connection that is only half
/// closed is its application's business, and may be limited or not.
pub fn limit_fin_wait_2(t: &mut Tcb, env: &Env<'_>) {
    if is_limited(t, env) {
        let limit = if t.has(flag::RECEIVE_SHUT) { env.times.fin_wait_2 } else { env.times.half_closed };
        t.life_at = env.clock.tick.plus(limit);
        t.set(flag::LIFE_ON);
    }
}

/// FIN-WAIT-2 has its limit in the place of keepalive.
pub fn is_limited(t: &Tcb, env: &Env<'_>) -> bool {
    t.state() == State::FinWait2 && (t.has(flag::RECEIVE_SHUT) || env.times.half_closed > 0)
}

/// A sign of life puts keepalive and the half-closed limit off (that of an orphan is a limit); the wheel learns of it when
/// it next looks.
#[inline(never)]
pub(super) fn alive(t: &mut Tcb, env: &Env<'_>) {
    t.keepalive_probes = 0;
    if is_limited(t, env) {
        if !t.has(flag::RECEIVE_SHUT) {
            limit_fin_wait_2(t, env);
        }
    } else if env.times.keepalive_idle > 0 {
        t.life_at = env.clock.tick.plus(env.times.keepalive_idle);
    }
}

/// Keepalive (RFC 9293 3.8.4), or the limit of FIN-WAIT-2.
fn life(t: &mut Tcb, env: &mut Env<'_>) -> Option<GiveUp> {
    if is_limited(t, env) {
        return Some(GiveUp::Orphaned);
    }
    let Some(keepalive) = env.config.keepalive else {
        t.clear(flag::LIFE_ON);
        return None;
    };
    if t.is_outstanding() {
        // Retransmissions find out whether the peer lives.
        t.life_at = env.clock.tick.plus(env.times.keepalive_idle);
        return None;
    }
    if t.keepalive_probes >= keepalive.probes {
        return Some(GiveUp::TimedOut);
    }
    t.keepalive_probes += 1;
    t.set(flag::KEEPALIVE_PROBE);
    t.life_at = env.clock.tick.plus(env.times.keepalive_interval);
    env.counters.event(Event::KeepaliveProbes);
    None
}
