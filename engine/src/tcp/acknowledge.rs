//! When to acknowledge what has come (RFC 9293 3.8.6.3, RFC 5681 4.2).

use super::env::Env;
use super::tcb::{Tcb, flag};
use crate::base::time::Tick;

/// The connection is established: the peer, in slow start, waits for ACKs.
pub fn begin(t: &mut Tcb, env: &Env<'_>) {
    if env.config.quick_acks > 0 {
        t.ack_at = Tick(env.config.quick_acks.into());
        t.set(flag::QUICK_ACKS);
    }
}

/// The next `len` bytes have come: acknowledge at once what is full-sized while the connection is young, and the second of two
/// segments (RFC 5681 4.2 asks for that of full ones only), else within the delay.
#[inline(always)]
pub fn data_received(t: &mut Tcb, len: u16, env: &Env<'_>) {
    if t.has(flag::QUICK_ACKS) {
        let is_small = len < env.config.quick_ack_bytes_min;
        t.ack_at.0 -= 1;
        if t.ack_at.0 == 0 || is_small {
            t.clear(flag::QUICK_ACKS);
        }
        if !is_small {
            return t.set(flag::ACK_NOW);
        }
    }
    if t.has(flag::ACK_ON) || t.rcv_nxt.since(t.last_ack_sent) >= 2 * u32::from(t.mss) {
        t.set(flag::ACK_NOW);
    } else {
        delay(t, env);
    }
}

fn delay(t: &mut Tcb, env: &Env<'_>) {
    t.ack_at = env.clock.tick.plus(env.times.delayed_ack);
    t.set(flag::ACK_ON);
}

/// The FIN of the peer, who is the first to close, has come: at once, or within the delay.
pub fn fin_received(t: &mut Tcb, env: &Env<'_>) {
    let is_first = t.has(flag::QUICK_ACKS) && t.ack_at.0 == env.config.quick_acks.into();
    if !env.config.delays_fin_acks || is_first || t.rcv_nxt.since(t.last_ack_sent) > u32::from(t.mss) {
        return t.set(flag::ACK_NOW);
    }
    t.clear(flag::QUICK_ACKS);
    if !t.has(flag::ACK_ON) {
        delay(t, env);
    }
}

/// Data goes out. Once it follows something that has come, both sides are talking: an ACK that is put off will travel with
/// the next answer.
#[inline(always)]
pub fn data_sent(t: &mut Tcb, env: &Env<'_>) {
    if t.has(flag::QUICK_ACKS) && t.ack_at.0 < env.config.quick_acks.into() {
        t.clear(flag::QUICK_ACKS);
    }
}
