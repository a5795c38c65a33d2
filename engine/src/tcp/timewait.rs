//! TIME-WAIT: what is left of a connection for 2MSL, in twelve bytes and two bits.
//!
//! It answers a retransmitted FIN with the same ACK and starts 2MSL anew; it keeps old duplicates out of the next
//! connection with the same 4-tuple; it gives way early to a SYN that cannot be an old one (RFC 6191,
//! RFC 9293 3.10.7.4). RST never ends it (RFC 1337).
//!
//! What can be had otherwise is not kept: the 4-tuple stands in the segment that asks, the timestamp offset comes from
//! the 4-tuple, and the window is the whole receive buffer, since the application has taken everything.

use super::TcpConfig;
use super::env::Env;
use super::options;
use super::tcb::{Tcb, flag};
use crate::base::{DropReason, Event};
use crate::table::FlowKey;
use crate::wire::{Seq, TcpSegment};

#[derive(Clone, Copy, Debug)]
pub struct TimeWait {
    pub snd_nxt: Seq,
    pub rcv_nxt: Seq,
    pub ts_recent: u32,
}

const _: () = assert!(core::mem::size_of::<TimeWait>() == 12);

/// The two bits beside a [`TimeWait`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Agreed(pub u8);

impl Agreed {
    const TIMESTAMPS: u8 = 1;
    const SCALED: u8 = 2;

    pub fn timestamps(self) -> bool {
        self.0 & Self::TIMESTAMPS != 0
    }

    /// The window field that its ACKs carry.
    pub fn window(self, config: &TcpConfig) -> u16 {
        let buffer = config.receive_buffer_bytes;
        let scale = if self.0 & Self::SCALED != 0 { options::own_scale(config) } else { 0 };
        options::window_field(buffer, scale)
    }
}

impl TimeWait {
    pub fn new(t: &Tcb) -> (TimeWait, Agreed) {
        let timestamps = if t.has(flag::TIMESTAMPS) { Agreed::TIMESTAMPS } else { 0 };
        let scaled = if t.rcv_scale() > 0 { Agreed::SCALED } else { 0 };
        let record = TimeWait { snd_nxt: t.snd_max, rcv_nxt: t.rcv_nxt, ts_recent: t.ts_recent };
        (record, Agreed(timestamps | scaled))
    }
}

/// What a segment for a connection in TIME-WAIT leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeWaitVerdict {
    Ignore(DropReason),
    Ack(DropReason),
    /// The peer's FIN came again: our last ACK was lost. Acknowledge and start 2MSL anew.
    AckAndRestart,
    /// A new connection may take the 4-tuple, with an ISN beyond the old one's numbers.
    Reopen,
}

pub fn receive(w: &TimeWait, agreed: Agreed, key: &FlowKey, seg: &TcpSegment, env: &mut Env<'_>) -> TimeWaitVerdict {
    use TimeWaitVerdict::*;
    if seg.flags.rst() {
        return Ignore(DropReason::TimeWaitIgnored);
    }
    if seg.flags.syn() {
        let bare = !seg.flags.ack() && !seg.flags.fin();
        return if bare && is_fresh(w, agreed, seg) { Reopen } else { limited(key, env, DropReason::SynChallenged) };
    }
    if agreed.timestamps() {
        // RFC 7323 5.3 and 3.2.
        match seg.options.timestamp {
            Some((val, _)) if (val.wrapping_sub(w.ts_recent) as i32) < 0 => {
                return limited(key, env, DropReason::PawsOld);
            }
            None if !env.config.takes_unstamped => return Ignore(DropReason::TimestampMissing),
            _ => {}
        }
    }
    if !seg.flags.ack() {
        return Ignore(DropReason::TcpFlagsBad);
    }
    if seg.flags.fin() && seg.end() == w.rcv_nxt {
        env.counters.event(Event::TimeWaitReacked);
        return AckAndRestart;
    }
    let is_next = seg.seq == w.rcv_nxt;
    if seg.ack.after(w.snd_nxt) {
        // RFC 5961 5.2.
        return limited(key, env, DropReason::AckUnacceptable);
    }
    if is_next && seg.seq_len() == 0 {
        return Ignore(DropReason::TimeWaitIgnored);
    }
    limited(key, env, if is_next { DropReason::DataAfterFin } else { DropReason::SeqOutOfWindow })
}

/// The SYN cannot be an old duplicate: its timestamp is newer, or, where timestamps do not tell, its number is beyond
/// the old connection's (RFC 6191 section 2).
fn is_fresh(w: &TimeWait, agreed: Agreed, seg: &TcpSegment) -> bool {
    let age = match seg.options.timestamp {
        Some((val, _)) if agreed.timestamps() => val.wrapping_sub(w.ts_recent) as i32,
        _ => 0,
    };
    age > 0 || (age == 0 && seg.seq.after(w.rcv_nxt))
}

fn limited(key: &FlowKey, env: &mut Env<'_>, reason: DropReason) -> TimeWaitVerdict {
    if env.may_challenge(key) {
        TimeWaitVerdict::Ack(reason)
    } else {
        TimeWaitVerdict::Ignore(DropReason::ChallengeLimited)
    }
}
