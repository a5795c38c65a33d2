//! Header prediction: the segment that an established connection expects next, taken note of in one go (the idea is
//! V. Jacobson's, 1990). Whatever is out of the ordinary in the segment or in the connection goes the long way
//! ([`receive`](super::receive)), which alone knows all of RFC 9293 3.10.7.4; for what is taken here the outcome is the
//! same.

use super::ack::Advance;
use super::env::Env;
use super::output::{self, Plan};
use super::receive::Happened;
use super::state::transition;
use super::tcb::{NONE, Tcb, flag};
use super::timers;
use super::{State, ack, acknowledge, rtt};
use crate::base::Event;
use crate::wire::{TcpFlags, TcpSegment};

/// What keeps a connection on the long way.
const UNUSUAL: u32 =
    flag::PROBE | flag::PERSIST | flag::RESEND | flag::ABORT | flag::RESUME | flag::RECEIVE_STALLED | flag::ECN;

/// What an expected segment brings, besides its payload, all of which is in the window and next in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expected {
    /// Newly acknowledged data bytes, to be released from the send queue.
    pub acked_bytes: u32,
    /// Anything new is acknowledged (a FIN of ours, for example).
    pub progress: bool,
    /// `FINISHED` or `TIME_WAIT`, if the connection is over.
    pub happened: Happened,
}

/// `Some`: the segment was the expected one, and its ACK field, timestamp and window are taken into account.
/// `None`: nothing has changed.
#[inline(always)]
pub fn receive(t: &mut Tcb, seg: &TcpSegment, env: &mut Env<'_>) -> Option<Expected> {
    is_expected(t, seg).then(|| take(t, seg, env))
}

/// By itself, so that nothing of it has to be kept.
#[inline(never)]
fn is_expected(t: &Tcb, seg: &TcpSegment) -> bool {
    let fin = seg.flags.fin();
    let carries = seg.payload_len > 0 || fin;
    let plain = seg.flags.0 & !(TcpFlags::PSH.0 | TcpFlags::FIN.0) == TcpFlags::ACK.0 && seg.options.sack_len == 0;
    let usual = plain && seg.seq == t.rcv_nxt && t.flags & UNUSUAL == 0 && t.retries | t.dup_acks == 0;
    let acked = seg.ack.since(t.snd_una);
    if !usual || acked > t.flight() || !t.state().is_synchronized() {
        return false;
    }
    if carries {
        let room = u32::from(seg.payload_len) <= t.rcv_wnd();
        let wanted = t.state().receives_data() && t.recv == NONE && (fin || !t.has(flag::RECEIVE_SHUT));
        if !room || !wanted || (seg.payload_len > 0 && t.has(flag::RECEIVE_SHUT)) {
            return false;
        }
    } else if acked == 0 {
        // A duplicate ACK or a window update.
        return false;
    }
    match seg.options.timestamp {
        Some((val, _)) => t.has(flag::TIMESTAMPS) && val.wrapping_sub(t.ts_recent) as i32 >= 0,
        None => !t.has(flag::TIMESTAMPS),
    }
}

/// Takes the segment into account, which [is expected](is_expected).
#[inline(always)]
fn take(t: &mut Tcb, seg: &TcpSegment, env: &mut Env<'_>) -> Expected {
    if let Some((val, _)) = seg.options.timestamp
        // RFC 7323 4.3 (2).
        && seg.seq.at_or_before(t.last_ack_sent)
    {
        t.ts_recent = val;
        t.ts_recent_at = env.clock.coarse;
    }
    let acked = seg.ack.since(t.snd_una);
    let advance = if acked > 0 { ack::advance::<true>(t, seg, env) } else { Advance::default() };
    if seg.seq.at_or_after(t.snd_wl1) {
        ack::note_window(t, seg);
    }
    if t.has(flag::LIFE_ON) {
        timers::alive(t, env);
    }
    Expected { acked_bytes: advance.acked_bytes, progress: acked > 0, happened: advance.happened }
}

/// The segment that says everything there is to say, taken note of as sent. `None`: nothing has changed, and
/// [`output`] has to see what may be sent: something is under way or remembered of a loss, or it takes more
/// than one segment.
#[inline(always)]
pub fn speak(t: &mut Tcb, env: &mut Env<'_>) -> Option<Plan> {
    let seq = t.snd_max;
    let alone = t.snd_una == seq && t.snd_nxt == seq && t.recovery == NONE;
    let quiet = alone && env.config.pacing.is_none() && t.flags & (UNUSUAL | flag::FIN_SENT | flag::CORKED) == 0;
    let fin = t.has(flag::FIN_QUEUED);
    let len = t.snd_end.since(seq);
    let room = t.snd_wnd.min(t.cwnd);
    if !quiet || len > u32::from(t.mss) || len + u32::from(fin) > room || len + u32::from(fin) == 0 {
        return None;
    }
    let mut flags = TcpFlags::ACK;
    match (fin, t.state()) {
        (false, State::Established | State::CloseWait) => {}
        (true, State::Established) => transition(t, State::FinWait1),
        (true, State::CloseWait) => transition(t, State::LastAck),
        _ => return None,
    }
    if fin {
        flags |= TcpFlags::FIN;
        t.set(flag::FIN_SENT);
    }
    if len > 0 {
        flags |= TcpFlags::PSH;
        acknowledge::data_sent(t, env);
    }
    let rto = rtt::rto_ticks(t, env.times);
    output::restart_if_idle(t, rto, env);
    let end = seq + len + u32::from(fin);
    (t.snd_nxt, t.snd_max, t.rtt_seq, t.rtt_at_us) = (end, end, end, env.clock.us);
    t.set(flag::RTT_TIMING);
    t.arm_rtx(env.clock.tick.plus(rto));
    env.counters.add(Event::PayloadOut, u64::from(len));
    Some(Plan { seq, len, flags, retransmit: false, out_of_turn: false, is_last: true, burst: 1 })
}
