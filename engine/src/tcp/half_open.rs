//! SYN-RECEIVED of a passive open, as a record of 44 bytes: what a flood of SYNs can make us keep.
//!
//! It lives from the SYN to the segment that acknowledges our SYN,ACK; then `open::promote` makes a control block
//! of it. Never holds data: bytes that come with a SYN are left to be retransmitted (RFC 9293 3.10.7.2 allows
//! it to be queued; a queue for strangers is what floods want). What the shard can look up again or compute again from
//! the 4-tuple (next hop, timestamp offset) is not kept either.

use super::ecn;
use super::env::{Clock, Env, Times};
use super::open::Surroundings;
use super::options::{self, Agreed};
use crate::base::time::TICK_SHIFT;
use crate::base::{DropReason, Event, Instant};
use crate::table::FlowKey;
use crate::wire::{Addr, Seq, TcpSegment};

/// From nanoseconds to the units of [`Clock::us`], and from ticks to those.
const US_SHIFT: u32 = 10;
const TICK_IN_US_SHIFT: u32 = TICK_SHIFT - US_SHIFT;

#[derive(Clone, Copy, Default, Debug)]
pub struct HalfOpen {
    /// Fields of the [`FlowKey`], one by one, since that is padded.
    remote: Addr,
    remote_port: u16,
    local_port: u16,
    local: u16,
    pub mss: u16,
    pub iss: Seq,
    pub irs: Seq,
    pub ts_recent: u32,
    /// When the SYN,ACK was sent last of its own accord, in units of 1024 ns.
    pub sent_us: u32,
    /// The window of the SYN, never scaled.
    pub snd_wnd: u16,
    /// The peer's shift count (at most 14) in the high nibble.
    pub flags: u8,
    /// How often the SYN,ACK was sent again, and in the high nibble the shift count that it announced: whatever is
    /// configured meanwhile, the peer goes by that.
    tries: u8,
}

// A flood makes as many of them as it may.
const _: () = assert!(core::mem::size_of::<HalfOpen>() == 44);

impl HalfOpen {
    pub const TIMESTAMPS: u8 = 1;
    pub const SACK: u8 = 2;
    /// The SYN asked for explicit congestion notification, and we agree.
    pub const ECN: u8 = 4;
    /// A repeated SYN was answered: the ACK that comes cannot be timed (Karn).
    pub const RESENT: u8 = 8;
    /// The most that `syn_retries` can be for a half-open connection.
    pub const RETRIES_MAX: u8 = 15;
    /// In place of a shift count: the SYN did not ask for window scaling, so the SYN,ACK must not carry the option.
    const UNSCALED: u8 = 0xf0;

    /// From a SYN that reached a listener (RFC 9293 3.10.7.2).
    pub fn new(seg: &TcpSegment, s: &Surroundings, iss: Seq, env: &mut Env<'_>) -> HalfOpen {
        let Agreed { timestamps, sack, scales, mss } =
            options::agree(env.config, env.times.own_scale, s.own_mss, s.key.remote.is_v4(), &seg.options);
        let mut flags = if seg.options.window_scale.is_some() { scales & 0xf0 } else { Self::UNSCALED };
        flags |= if timestamps { Self::TIMESTAMPS } else { 0 };
        flags |= if sack { Self::SACK } else { 0 };
        flags |= if ecn::is_accepted(seg, env.config.ecn) { Self::ECN } else { 0 };
        let FlowKey { remote, remote_port, local_port, local, .. } = s.key;
        HalfOpen {
            remote,
            remote_port,
            local_port,
            local,
            mss,
            iss,
            irs: seg.seq,
            ts_recent: seg.options.timestamp.map_or(0, |(val, _)| val),
            sent_us: env.clock.us,
            snd_wnd: seg.window,
            flags,
            tries: scales << 4,
        }
    }

    #[inline(always)]
    pub fn key(&self) -> FlowKey {
        let HalfOpen { remote, remote_port, local_port, local, .. } = *self;
        FlowKey { remote, remote_port, local_port, local, reserved: 0 }
    }

    #[inline(always)]
    pub fn has(&self, mask: u8) -> bool {
        self.flags & mask != 0
    }

    /// Shift counts as in [`super::Tcb::scales`].
    pub fn scales(&self) -> u8 {
        if self.is_scaled() { self.flags & 0xf0 | self.own_scale() } else { 0 }
    }

    /// The shift count that the SYN,ACK announces, if it does.
    pub fn own_scale(&self) -> u8 {
        self.tries >> 4
    }

    /// The SYN,ACK has announced this shift count.
    pub fn was_announced(&mut self, own_scale: u8) {
        self.tries = own_scale << 4 | self.retries();
    }

    #[inline(always)]
    pub fn retries(&self) -> u8 {
        self.tries & Self::RETRIES_MAX
    }

    /// The SYN,ACK goes out once more. False: it has as often as may be.
    pub fn retry(&mut self, syn_retries: u8) -> bool {
        let goes_on = self.retries() < syn_retries.min(Self::RETRIES_MAX);
        self.tries += u8::from(goes_on);
        goes_on
    }

    #[inline(always)]
    pub fn is_scaled(&self) -> bool {
        self.flags & 0xf0 != Self::UNSCALED
    }

    /// The SYN had the options of an ordinary one, and all of them were taken up.
    #[inline(always)]
    pub fn offers_all(&self) -> bool {
        self.has(Self::TIMESTAMPS) && self.has(Self::SACK) && self.is_scaled()
    }

    /// When the SYN,ACK goes out again.
    pub fn deadline(&self, clock: &Clock, times: &Times) -> Instant {
        let waited_us = clock.us.wrapping_sub(self.sent_us);
        clock.now.plus_nanos(u64::from(self.wait_us(times).saturating_sub(waited_us)) << US_SHIFT)
    }

    /// From the last SYN,ACK to the next, in units of 1024 ns.
    fn wait_us(&self, times: &Times) -> u32 {
        let ticks = times.rto_initial.checked_shl(u32::from(self.retries())).unwrap_or(u32::MAX);
        ticks.min(times.rto_max).min(u32::MAX >> TICK_IN_US_SHIFT) << TICK_IN_US_SHIFT
    }
}

/// What a segment for a half-open connection leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HalfVerdict {
    Drop(DropReason),
    /// Send the SYN,ACK again: the peer has not seen it.
    ResendSynAck(DropReason),
    /// Send `<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>`.
    Ack(DropReason),
    /// RST with SEQ = SEG.ACK: it acknowledges something we never sent.
    Reject(DropReason),
    /// The peer took its SYN back.
    Reset,
    /// Our SYN is acknowledged: make a control block and let the segment go its ordinary way.
    Promote,
}

/// RFC 9293 3.10.7.4 for SYN-RECEIVED, with RFC 5961 and RFC 7323 checks.
#[inline(always)]
pub fn receive(h: &HalfOpen, seg: &TcpSegment, env: &mut Env<'_>) -> HalfVerdict {
    let rcv_nxt = h.irs + 1;
    let window = env.config.receive_buffer_bytes.clamp(1, 0xffff);
    if seg.flags.rst() {
        return reset(h, seg, window, env);
    }
    if seg.flags.syn() {
        if seg.seq == h.irs && !seg.flags.ack() {
            return HalfVerdict::ResendSynAck(DropReason::DataDuplicate);
        }
        // RFC 9293 would return to LISTEN if it lies in the window. Then anybody who hits that could break the handshake; a
        // peer that has begun anew answers the challenge with RST, which leads to LISTEN as well.
        return challenge(h, env, DropReason::SynChallenged);
    }
    if h.has(HalfOpen::TIMESTAMPS) {
        match seg.options.timestamp {
            Some((val, _)) if (val.wrapping_sub(h.ts_recent) as i32) < 0 => {
                return limited(h, env, DropReason::PawsOld);
            }
            Some(_) => {}
            None if env.config.takes_unstamped => {}
            None => return HalfVerdict::Drop(DropReason::TimestampMissing),
        }
    }
    if !seg.touches(rcv_nxt, window) {
        return limited(h, env, DropReason::SeqOutOfWindow);
    }
    if !seg.flags.ack() {
        return HalfVerdict::Drop(DropReason::TcpFlagsBad);
    }
    if seg.ack != h.iss + 1 {
        return HalfVerdict::Reject(DropReason::AckUnacceptable);
    }
    HalfVerdict::Promote
}

/// RFC 5961 section 3.
fn reset(h: &HalfOpen, seg: &TcpSegment, window: u32, env: &mut Env<'_>) -> HalfVerdict {
    let rcv_nxt = h.irs + 1;
    match seg.seq {
        seq if seq == rcv_nxt => HalfVerdict::Reset,
        seq if seq.within(rcv_nxt, window) => challenge(h, env, DropReason::RstChallenged),
        _ => HalfVerdict::Drop(DropReason::RstOutOfWindow),
    }
}

fn challenge(h: &HalfOpen, env: &mut Env<'_>, reason: DropReason) -> HalfVerdict {
    let verdict = limited(h, env, reason);
    if matches!(verdict, HalfVerdict::Ack(_)) {
        env.counters.event(Event::ChallengeAcks);
    }
    verdict
}

fn limited(h: &HalfOpen, env: &mut Env<'_>, reason: DropReason) -> HalfVerdict {
    if env.may_challenge(&h.key()) { HalfVerdict::Ack(reason) } else { HalfVerdict::Drop(DropReason::ChallengeLimited) }
}
