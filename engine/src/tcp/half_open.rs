//! SYN-RECEIVED of a passive open, as a record of 60 bytes: what a flood of SYNs can make us keep.
//!
//! It lives from the SYN to the segment that acknowledges our SYN,ACK; then `open::promote` makes a control block
//! of it. Never holds data: bytes that come with a SYN are left to be retransmitted (RFC 9293 3.10.7.2 allows
//! it to be queued; a queue for strangers is what floods want).

use super::env::Env;
use super::open::Surroundings;
use super::options::{self, Agreed};
use crate::base::time::Tick;
use crate::base::{DropReason, Event};
use crate::table::FlowKey;
use crate::wire::{Seq, TcpSegment};

#[derive(Clone, Copy, Default, Debug)]
pub struct HalfOpen {
    pub key: FlowKey,
    pub iss: Seq,
    pub irs: Seq,
    pub ts_recent: u32,
    pub ts_offset: u32,
    /// When the SYN,ACK goes out again.
    pub deadline: Tick,
    /// When it was sent first, in units of 1024 ns.
    pub sent_us: u32,
    pub neighbour: u32,
    pub mss: u16,
    /// The window of the SYN, never scaled.
    pub snd_wnd: u16,
    pub scales: u8,
    pub flags: u8,
    pub retries: u8,
}

const _: () = assert!(core::mem::size_of::<HalfOpen>() <= 64);

impl HalfOpen {
    pub const TIMESTAMPS: u8 = 1;
    pub const SACK: u8 = 2;
    /// The SYN asked for window scaling, so the SYN,ACK may carry the option.
    pub const SCALED: u8 = 4;
    /// A repeated SYN was answered: the ACK that comes cannot be timed (Karn).
    pub const RESENT: u8 = 8;

    /// From a SYN that reached a listener (RFC 9293 3.10.7.2).
    pub fn new(seg: &TcpSegment, s: &Surroundings, iss: Seq, env: &mut Env<'_>) -> HalfOpen {
        let Agreed { timestamps, sack, scales, mss } =
            options::agree(env.config, s.own_mss, s.key.remote.is_v4(), &seg.options);
        let mut flags = 0;
        flags |= if timestamps { Self::TIMESTAMPS } else { 0 };
        flags |= if sack { Self::SACK } else { 0 };
        flags |= if seg.options.window_scale.is_some() { Self::SCALED } else { 0 };
        HalfOpen {
            key: s.key,
            iss,
            irs: seg.seq,
            ts_recent: seg.options.timestamp.map_or(0, |(val, _)| val),
            ts_offset: s.ts_offset,
            deadline: env.clock.tick.plus(env.times.rto_initial),
            sent_us: env.clock.us,
            neighbour: s.neighbour,
            mss,
            snd_wnd: seg.window,
            scales,
            flags,
            retries: 0,
        }
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
pub fn receive(h: &HalfOpen, seg: &TcpSegment, env: &mut Env<'_>) -> HalfVerdict {
    let rcv_nxt = h.irs + 1;
    let window = env.config.receive_buffer_bytes.clamp(1, 0xffff);
    if seg.flags.syn() && !seg.flags.rst() {
        if seg.seq == h.irs && !seg.flags.ack() {
            return HalfVerdict::ResendSynAck(DropReason::DataDuplicate);
        }
        return challenge(h, env, DropReason::SynChallenged);
    }
    let timestamps = h.flags & HalfOpen::TIMESTAMPS != 0;
    if timestamps && !seg.flags.rst() {
        match seg.options.timestamp {
            Some((val, _)) if (val.wrapping_sub(h.ts_recent) as i32) < 0 => {
                return limited(h, env, DropReason::PawsOld);
            }
            Some(_) => {}
            None => return HalfVerdict::Drop(DropReason::TimestampMissing),
        }
    }
    let acceptable = seg.seq.within(rcv_nxt, window) || (seg.seq_len() > 0 && (seg.end() - 1).within(rcv_nxt, window));
    if !acceptable {
        if seg.flags.rst() {
            return HalfVerdict::Drop(DropReason::RstOutOfWindow);
        }
        return limited(h, env, DropReason::SeqOutOfWindow);
    }
    if seg.flags.rst() {
        if seg.seq == rcv_nxt {
            return HalfVerdict::Reset;
        }
        return challenge(h, env, DropReason::RstChallenged);
    }
    if !seg.flags.ack() {
        return HalfVerdict::Drop(DropReason::TcpFlagsBad);
    }
    if seg.ack != h.iss + 1 {
        return HalfVerdict::Reject(DropReason::AckUnacceptable);
    }
    HalfVerdict::Promote
}

fn challenge(h: &HalfOpen, env: &mut Env<'_>, reason: DropReason) -> HalfVerdict {
    let verdict = limited(h, env, reason);
    if matches!(verdict, HalfVerdict::Ack(_)) {
        env.counters.event(Event::ChallengeAcks);
    }
    verdict
}

fn limited(h: &HalfOpen, env: &mut Env<'_>, reason: DropReason) -> HalfVerdict {
    if env.may_challenge(&h.key) { HalfVerdict::Ack(reason) } else { HalfVerdict::Drop(DropReason::ChallengeLimited) }
}
