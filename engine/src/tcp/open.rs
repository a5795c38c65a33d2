//! Opening: SYN-SENT (RFC 9293 3.10.7.3), and how a control block comes into being.

use super::State;
use super::acknowledge;
use super::congestion;
use super::ecn;
use super::env::Env;
use super::half_open::HalfOpen;
use super::options::{self, Agreed};
use super::receive::{Happened, Outcome, Reply};
use super::recovery::path_mtu;
use super::reset::Bare;
use super::rtt;
use super::state::transition;
use super::tcb::{Tcb, flag};
use crate::base::{DropReason, Event};
use crate::table::FlowKey;
use crate::wire::{Seq, TcpFlags, TcpSegment};

/// What the shard knows about a connection's surroundings when it is opened.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings {
    pub key: FlowKey,
    /// The MSS we announce.
    pub own_mss: u16,
    pub neighbour: u32,
    pub ts_offset: u32,
}

/// A control block that nobody has is as [`Tcb::default`] says, but for marks that somebody may have left who did not know
/// that its connection was over.
#[inline(always)]
fn blank(t: &mut Tcb) {
    t.flags = 0;
    debug_assert_eq!(*t, Tcb::default());
}

/// Makes a new control block one in SYN-SENT, its SYN not yet sent.
pub fn active(t: &mut Tcb, s: &Surroundings, iss: Seq, env: &mut Env<'_>) {
    blank(t);
    t.key = s.key;
    t.mss = s.own_mss;
    t.neighbour = s.neighbour;
    t.ts_offset = s.ts_offset;
    (t.snd_una, t.snd_nxt, t.snd_max) = (iss, iss, iss);
    t.snd_end = iss + 1;
    if env.config.nodelay {
        t.set(flag::NODELAY);
    }
    t.set_algorithm(env.config.congestion);
    transition(t, State::SynSent);
}

/// Makes a new control block that of a half-open connection whose handshake `seg` completes ([`half_open::receive`] has found it
/// acceptable and its ACK right): established, and `seg` is its first segment.
///
/// [`half_open::receive`]: super::half_open::receive
pub fn promote(t: &mut Tcb, h: &HalfOpen, s: &Surroundings, seg: &TcpSegment, env: &mut Env<'_>) {
    of_half(t, h, s, seg, env);
    if h.retries() == 0 && !h.has(HalfOpen::RESENT) {
        // The SYN,ACK was sent once: the segment that acknowledges it gives a first round-trip time.
        rtt::sample(t, env.clock.us.wrapping_sub(h.sent_us));
    }
    established(t, env);
}

/// Makes a new control block that of a connection that opens with the data of its SYN (RFC 7413): in SYN-RECEIVED, its SYN,ACK not yet
/// sent, but with a congestion window.
pub fn fast(t: &mut Tcb, h: &HalfOpen, s: &Surroundings, syn: &TcpSegment, env: &mut Env<'_>) {
    of_half(t, h, s, syn, env);
    (t.snd_una, t.snd_nxt, t.snd_max) = (h.iss, h.iss, h.iss);
    congestion::on_established(t, env.config.initial_window_segments);
}

#[inline(always)]
fn of_half(t: &mut Tcb, h: &HalfOpen, s: &Surroundings, seg: &TcpSegment, env: &mut Env<'_>) {
    let config = env.config;
    blank(t);
    t.key = s.key;
    t.mss = h.mss;
    t.neighbour = s.neighbour;
    t.ts_offset = s.ts_offset;
    t.scales = h.scales();
    let (first, next) = (h.iss + 1, h.irs + 1);
    (t.snd_una, t.snd_nxt, t.snd_max, t.snd_end) = (first, first, first, first);
    // Whatever the handshake's windows were: that of this segment counts.
    t.snd_wl1 = seg.seq - 1;
    (t.rcv_nxt, t.last_ack_sent) = (next, next);
    t.rcv_adv = next + config.receive_buffer_bytes.min(0xffff);
    t.ts_recent = h.ts_recent;
    t.first_window(h.snd_wnd);
    t.ts_recent_at = env.clock.coarse;
    t.retries = h.retries();
    if h.has(HalfOpen::TIMESTAMPS) {
        t.set(flag::TIMESTAMPS);
    }
    if h.has(HalfOpen::SACK) {
        t.set(flag::SACK);
    }
    if h.has(HalfOpen::ECN) {
        t.set(flag::ECN);
        env.counters.event(Event::EcnAgreed);
    }
    if config.nodelay {
        t.set(flag::NODELAY);
    }
    t.set_algorithm(config.congestion);
    t.write_state(State::SynReceived);
}

/// A segment for a connection in SYN-SENT: true, and the connection is established, if it is nothing but the SYN,ACK that was
/// expected. False: nothing has changed.
#[inline(always)]
pub fn answered(t: &mut Tcb, seg: &TcpSegment, own_mss: u16, env: &mut Env<'_>) -> bool {
    let is_bare = seg.flags == TcpFlags::SYN | TcpFlags::ACK && seg.payload_len == 0;
    let is_answer = is_bare && seg.ack == t.snd_max && t.snd_max == t.snd_una + 1;
    if is_answer {
        take_syn(t, seg, own_mss, env);
        syn_acked(t, seg, env);
    }
    is_answer
}

/// A segment for a connection in SYN-SENT.
pub fn syn_sent(t: &mut Tcb, seg: &TcpSegment, own_mss: u16, env: &mut Env<'_>) -> Outcome {
    let mut out = Outcome::default();
    // First check: the ACK. Only our SYN can be acknowledged (nothing else was ever sent), and only once sent.
    if seg.flags.ack() && !(seg.ack.after(t.snd_una) && seg.ack.at_or_before(t.snd_max)) {
        out.drop = Some(DropReason::AckUnacceptable);
        if !seg.flags.rst() {
            out.reply = Reply::Bare(Bare { seq: seg.ack, ack: Seq(0), flags: TcpFlags::RST });
        }
        return out;
    }
    // Second check: RST. Without ACK it could come from anybody (RFC 9293: "drop the segment").
    if seg.flags.rst() {
        if seg.flags.ack() {
            transition(t, State::Closed);
            env.counters.event(Event::ResetsIn);
            out.happened |= Happened::REFUSED;
        } else {
            out.drop = Some(DropReason::RstOutOfWindow);
        }
        return out;
    }
    // Fourth check: SYN.
    if !seg.flags.syn() {
        out.drop = Some(DropReason::TcpFlagsBad);
        return out;
    }
    take_syn(t, seg, own_mss, env);
    if ecn::is_agreed(t, seg, env.config.ecn) {
        t.set(flag::ECN);
        env.counters.event(Event::EcnAgreed);
    }
    if seg.flags.ack() {
        out.acked_bytes = seg.ack.since(t.snd_una) - 1;
        syn_acked(t, seg, env);
        out.happened |= Happened::ESTABLISHED;
        out.payload(seg, t, 1);
    } else {
        // Simultaneous open (RFC 9293 3.5, figure 8): answer with SYN,ACK.
        transition(t, State::SynReceived);
        t.snd_nxt = t.snd_una;
        // Its bytes are kept until the handshake is complete; a FIN is left to be repeated.
        out.payload(seg, t, 1);
        out.fin = None;
    }
    out
}

/// Our SYN is acknowledged, and the peer's has come.
#[inline(always)]
fn syn_acked(t: &mut Tcb, seg: &TcpSegment, env: &mut Env<'_>) {
    if t.take(flag::RTT_TIMING) && t.retries == 0 {
        rtt::sample(t, env.clock.us.wrapping_sub(t.rtt_at_us));
    }
    t.snd_una = seg.ack;
    // What of the SYN's data is not acknowledged goes out again.
    t.snd_nxt = seg.ack;
    established(t, env);
    t.set(flag::ACK_NOW);
}

/// Takes over the peer's initial sequence number, options and window.
#[inline(always)]
fn take_syn(t: &mut Tcb, seg: &TcpSegment, own_mss: u16, env: &Env<'_>) {
    // The path may have turned out narrower than our link already.
    let Agreed { timestamps, sack, scales, mss } =
        options::agree(env.config, env.times.own_scale, own_mss.min(t.mss), t.key.remote.is_v4(), &seg.options);
    t.rcv_nxt = seg.seq + 1;
    t.last_ack_sent = t.rcv_nxt;
    t.rcv_adv = t.rcv_nxt + env.config.receive_buffer_bytes.min(0xffff);
    t.mss = mss;
    t.scales = scales;
    if timestamps {
        t.set(flag::TIMESTAMPS);
        t.ts_recent = seg.options.timestamp.map_or(0, |(val, _)| val);
        t.ts_recent_at = env.clock.coarse;
    }
    if sack {
        t.set(flag::SACK);
    }
    // The window of a SYN is never scaled (RFC 7323 2.2).
    t.first_window(seg.window);
    t.snd_wl1 = seg.seq;
}

/// Enters ESTABLISHED: timers, congestion window, keepalive. SND.UNA is beyond our SYN already.
pub(super) fn established(t: &mut Tcb, env: &mut Env<'_>) {
    transition(t, State::Established);
    t.stop_rtx();
    path_mtu::inherit(t, env);
    congestion::on_established(t, env.config.initial_window_segments);
    if t.retries > 0 {
        // RFC 5681 3.1: a lost SYN or SYN,ACK means an initial window of one segment.
        t.cwnd = u32::from(t.mss);
        t.set(flag::SYN_LOST);
    }
    t.retries = 0;
    t.backoff = 0;
    acknowledge::begin(t, env);
    if env.times.keepalive_idle > 0 {
        t.life_at = env.clock.tick.plus(env.times.keepalive_idle);
        t.set(flag::LIFE_ON);
    }
    env.counters.event(Event::Established);
}
