//! A segment for a connection that has a control block (RFC 9293 3.10.7.4), up to the point where its payload
//! is handed on. What has to be done about it is returned as an [`Outcome`]; nothing is sent from here.

use super::dispatch::{Rule, rule};
use super::env::{COARSE_SHIFT, Env};
use super::open;
use super::reset::Bare;
use super::state::transition;
use super::tcb::{Tcb, flag};
use super::{State, ack, acknowledge, ecn, timers};
use crate::base::{DropReason, Event};
use crate::wire::{Seq, TcpFlags, TcpSegment};

/// What has happened to the connection, as a set.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Happened(pub u8);

impl Happened {
    pub const ESTABLISHED: Happened = Happened(1);
    /// RST from the peer took effect.
    pub const RESET: Happened = Happened(2);
    /// RST in answer to our SYN.
    pub const REFUSED: Happened = Happened(4);
    /// Everything is closed and acknowledged (LAST-ACK is over).
    pub const FINISHED: Happened = Happened(8);
    /// CLOSING is over: TIME-WAIT begins.
    pub const TIME_WAIT: Happened = Happened(16);

    #[inline(always)]
    pub fn has(self, h: Happened) -> bool {
        self.0 & h.0 != 0
    }

    #[inline(always)]
    pub fn any(self) -> bool {
        self.0 != 0
    }
}

impl core::ops::BitOrAssign for Happened {
    fn bitor_assign(&mut self, o: Happened) {
        self.0 |= o.0;
    }
}

/// What goes back at once, apart from what `output` finds to send.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Reply {
    #[default]
    None,
    /// `<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>`.
    Ack,
    Bare(Bare),
}

/// What a segment leads to.
#[derive(Clone, Copy, Default, Debug)]
pub struct Outcome {
    /// Why the segment had no effect (or no full effect).
    pub drop: Option<DropReason>,
    pub reply: Reply,
    pub happened: Happened,
    /// Newly acknowledged data bytes, to be released from the send queue.
    pub acked_bytes: u32,
    /// Payload inside the window: first sequence number, offset from the segment's payload start, length.
    pub data_seq: Seq,
    pub data_skip: u16,
    pub data_len: u16,
    /// The segment has a FIN in the window, with this sequence number.
    pub fin: Option<Seq>,
}

impl Outcome {
    fn dropped(reason: DropReason) -> Outcome {
        Outcome { drop: Some(reason), ..Outcome::default() }
    }

    fn dropped_with(reason: DropReason, reply: Reply) -> Outcome {
        Outcome { drop: Some(reason), reply, ..Outcome::default() }
    }

    /// Fills in what of the payload and FIN lies in the window. `syn` is 1 when the segment has a SYN.
    pub fn payload(&mut self, seg: &TcpSegment, t: &Tcb, syn: u32) {
        let start = seg.seq + syn;
        let end = start + u32::from(seg.payload_len);
        let left = start.max(t.rcv_nxt);
        let right = end.min(t.rcv_adv);
        (self.data_len, self.fin) = (0, None);
        if left.before(right) {
            self.data_seq = left;
            self.data_skip = left.since(start) as u16;
            self.data_len = right.since(left) as u16;
        }
        // A FIN just beyond the window's last byte is taken too if the data before it was (it needs no buffer).
        if seg.flags.fin() && end.at_or_after(t.rcv_nxt) && end.at_or_before(t.rcv_adv) {
            self.fin = Some(end);
        }
    }
}

/// Handles a segment for `t`, whatever its state.
///
/// `own_mss`: the MSS that we announce.
#[inline(always)]
pub fn receive(t: &mut Tcb, seg: &TcpSegment, own_mss: u16, env: &mut Env<'_>) -> Outcome {
    match rule(t.state(), seg.flags) {
        Rule::Segment => segment(t, seg, env),
        Rule::SynSent => open::syn_sent(t, seg, own_mss, env),
        Rule::Reset => reset(t, seg, env),
        Rule::Syn => challenge(t, env, DropReason::SynChallenged),
        Rule::SynAck => syn_ack(t, seg, env),
        Rule::Mute => mute(t, seg, env),
        Rule::Ignored => Outcome::dropped(DropReason::TimeWaitIgnored),
        Rule::Drop => Outcome::dropped(DropReason::TcpFlagsBad),
    }
}

/// The SYN,ACK of a simultaneous open: the SYN we know already, the ACK is what counts.
fn syn_ack(t: &mut Tcb, seg: &TcpSegment, env: &mut Env<'_>) -> Outcome {
    if seg.seq + 1 != t.rcv_nxt {
        return challenge(t, env, DropReason::SynChallenged);
    }
    let mut stripped = *seg;
    stripped.flags = seg.flags.without(TcpFlags::SYN);
    stripped.seq += 1;
    let out = segment(t, &stripped, env);
    if out.happened.has(Happened::ESTABLISHED) {
        // The window of a SYN is never scaled (RFC 7323 2.2).
        t.first_window(seg.window);
        t.set(flag::ACK_NOW);
    }
    out
}

/// First check of RFC 9293 3.10.7.4: does the segment touch the window?
fn acceptable(t: &Tcb, seg: &TcpSegment) -> bool {
    let wnd = t.rcv_wnd();
    if wnd == 0 {
        // Only ACKs; but those that also bring data are worth their ACK field (RFC 9293 3.10.7.4: "special allowance").
        return seg.seq == t.rcv_nxt;
    }
    // Right at the edge: what a peer that has filled our window and lost a part of it sends its ACKs with. RFC 9293
    // would refuse them, and with them the duplicate ACKs that repair our own losses.
    seg.touches(t.rcv_nxt, wnd) || (seg.seq_len() == 0 && seg.seq == t.rcv_adv)
}

/// Second check (RFC 5961 section 3).
fn reset(t: &mut Tcb, seg: &TcpSegment, env: &mut Env<'_>) -> Outcome {
    if seg.seq == t.rcv_nxt {
        let refused = t.state() == State::SynReceived;
        transition(t, State::Closed);
        env.counters.event(Event::ResetsIn);
        let mut out = Outcome::default();
        out.happened |= if refused { Happened::REFUSED } else { Happened::RESET };
        return out;
    }
    if seg.seq.within(t.rcv_nxt, t.rcv_wnd().max(1)) {
        return challenge(t, env, DropReason::RstChallenged);
    }
    Outcome::dropped(DropReason::RstOutOfWindow)
}

fn challenge(t: &Tcb, env: &mut Env<'_>, reason: DropReason) -> Outcome {
    if !env.may_challenge(&t.key) {
        return Outcome::dropped(DropReason::ChallengeLimited);
    }
    env.counters.event(Event::ChallengeAcks);
    Outcome::dropped_with(reason, Reply::Ack)
}

/// 24 days in units of `Clock::coarse` (a tick's 32 bits wrap after six days): after so long a silence ts_recent says
/// nothing any more (RFC 7323 5.5).
const TS_RECENT_VALID: u16 = ((24u64 * 86_400 * 1_000_000_000) >> COARSE_SHIFT) as u16;

/// An answer to what lies outside the window.
fn unacceptable(t: &Tcb, seg: &TcpSegment, env: &mut Env<'_>) -> Outcome {
    let reason = if seg.end().at_or_before(t.rcv_nxt) && seg.seq_len() > 0 {
        DropReason::DataDuplicate
    } else {
        DropReason::SeqOutOfWindow
    };
    // What a peer repeats because our ACKs were lost, and a keepalive probe, one below rcv_nxt, always get their answer.
    // Two ends that disagree would answer each other's bare ACKs for ever, and strangers would have us send the peer
    // as many as they like: those are limited.
    let buffer = env.config.receive_window_max();
    let repeated = seg.seq_len() > 0 && seg.seq.within(t.rcv_nxt - buffer, buffer);
    if !repeated && seg.seq + 1 != t.rcv_nxt && !env.may_challenge(&t.key) {
        return Outcome::dropped(DropReason::ChallengeLimited);
    }
    Outcome::dropped_with(reason, Reply::Ack)
}

/// Without ACK a segment has no effect, but one outside the window has its answer all the same.
fn mute(t: &Tcb, seg: &TcpSegment, env: &mut Env<'_>) -> Outcome {
    if t.has(flag::TIMESTAMPS)
        && let Some(out) = paws(t, seg, env)
    {
        return out;
    }
    // A closed window has room for nothing, and here is no ACK field for which an exception would be made.
    if acceptable(t, seg) && (seg.seq_len() == 0 || t.rcv_wnd() > 0) {
        return Outcome::dropped(DropReason::TcpFlagsBad);
    }
    unacceptable(t, seg, env)
}

/// PAWS (RFC 7323 5.3). `None`: passed.
#[inline(always)]
fn paws(t: &Tcb, seg: &TcpSegment, env: &mut Env<'_>) -> Option<Outcome> {
    let Some((val, _)) = seg.options.timestamp else {
        return (!env.config.takes_unstamped).then(|| Outcome::dropped(DropReason::TimestampMissing));
    };
    let older = (val.wrapping_sub(t.ts_recent) as i32) < 0;
    if older && env.clock.coarse.wrapping_sub(t.ts_recent_at) < TS_RECENT_VALID {
        return Some(if env.may_challenge(&t.key) {
            Outcome::dropped_with(DropReason::PawsOld, Reply::Ack)
        } else {
            Outcome::dropped(DropReason::ChallengeLimited)
        });
    }
    None
}

/// An ordinary segment: ACK set, neither SYN nor RST.
#[inline]
fn segment(t: &mut Tcb, seg: &TcpSegment, env: &mut Env<'_>) -> Outcome {
    if t.has(flag::TIMESTAMPS)
        && let Some(out) = paws(t, seg, env)
    {
        return out;
    }
    if !acceptable(t, seg) {
        return unacceptable(t, seg, env);
    }
    let mut out = Outcome::default();
    if let Some(refusal) = ack::process(t, seg, env, &mut out) {
        return refusal;
    }
    if let Some((val, _)) = seg.options.timestamp {
        // RFC 7323 4.3 (2): only a segment at or before the last ACK updates ts_recent. One whose ACK field is wrong is none
        // of the peer's.
        if t.has(flag::TIMESTAMPS)
            && (val.wrapping_sub(t.ts_recent) as i32) >= 0
            && seg.seq.at_or_before(t.last_ack_sent)
        {
            t.ts_recent = val;
            t.ts_recent_at = env.clock.coarse;
        }
    }
    if t.has(flag::ECN) {
        ecn::received(t, seg, env);
    }
    if t.has(flag::LIFE_ON) {
        timers::alive(t, env);
    }
    if u32::from(seg.payload_len) > 0 || seg.flags.fin() {
        payload(t, seg, &mut out);
    }
    out
}

/// Seventh and eighth check: text and FIN.
fn payload(t: &mut Tcb, seg: &TcpSegment, out: &mut Outcome) {
    if !t.state().receives_data() {
        // The peer's FIN has come already; what comes now is either old or beyond it.
        let old = seg.end().at_or_before(t.rcv_nxt);
        out.drop = Some(if old { DropReason::DataDuplicate } else { DropReason::DataAfterFin });
        out.reply = Reply::Ack;
        return;
    }
    out.payload(seg, t, 0);
    let beyond = (seg.seq + u32::from(seg.payload_len)).after(t.rcv_adv);
    if beyond && out.data_len > 0 {
        out.drop = Some(DropReason::WindowExceeded);
        t.set(flag::ACK_NOW);
    } else if beyond {
        out.drop = Some(DropReason::WindowExceeded);
        out.reply = Reply::Ack;
    } else if out.data_len == 0 && out.fin.is_none() {
        out.drop = Some(DropReason::DataDuplicate);
        out.reply = Reply::Ack;
    }
}

/// Enters the state that follows from the peer's FIN (RFC 9293 3.10.7.4, eighth check), its number just having been
/// taken into rcv_nxt.
#[inline(always)]
pub fn on_fin(t: &mut Tcb, env: &Env<'_>) {
    match t.state() {
        State::Established => acknowledge::fin_received(t, env),
        _ => t.set(flag::ACK_NOW),
    }
    match t.state() {
        State::Established | State::SynReceived => transition(t, State::CloseWait),
        State::FinWait1 => transition(t, State::Closing),
        State::FinWait2 => transition(t, State::TimeWait),
        _ => {}
    }
}
