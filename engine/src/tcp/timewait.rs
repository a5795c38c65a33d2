//! TIME-WAIT as a record of 48 bytes: what is left of a connection for 2MSL.
//!
//! It answers a retransmitted FIN with the same ACK and starts 2MSL anew; it keeps old duplicates out of the next
//! connection with the same 4-tuple; it gives way early to a SYN that cannot be an old one (RFC 6191,
//! RFC 9293 3.10.7.4). RST never ends it (RFC 1337).

use super::env::Env;
use super::tcb::{Tcb, flag};
use crate::base::time::Tick;
use crate::base::{DropReason, Event};
use crate::table::FlowKey;
use crate::wire::{Seq, TcpSegment};

#[derive(Clone, Copy, Default, Debug)]
pub struct TimeWait {
    pub key: FlowKey,
    pub snd_nxt: Seq,
    pub rcv_nxt: Seq,
    pub ts_recent: u32,
    pub ts_offset: u32,
    pub expires: Tick,
    /// The window field that its ACKs carry.
    pub window: u16,
    /// Timestamps were agreed on.
    pub timestamps: bool,
    /// False once it gave way: the ring still holds the place until its turn comes.
    pub live: bool,
}

const _: () = assert!(core::mem::size_of::<TimeWait>() <= 48);

impl TimeWait {
    pub fn new(t: &Tcb, now: Tick, time_wait_ticks: u32) -> TimeWait {
        TimeWait {
            key: t.key,
            snd_nxt: t.snd_max,
            rcv_nxt: t.rcv_nxt,
            ts_recent: t.ts_recent,
            ts_offset: t.ts_offset,
            expires: now.plus(time_wait_ticks),
            window: super::options::window_field(t.rcv_wnd(), t.rcv_scale()),
            timestamps: t.has(flag::TIMESTAMPS),
            live: true,
        }
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

pub fn receive(w: &TimeWait, seg: &TcpSegment, env: &mut Env<'_>) -> TimeWaitVerdict {
    use TimeWaitVerdict::*;
    if seg.flags.rst() {
        return Ignore(DropReason::TimeWaitIgnored);
    }
    if seg.flags.syn() {
        let bare = !seg.flags.ack() && !seg.flags.fin();
        return if bare && is_fresh(w, seg) { Reopen } else { limited(w, env, DropReason::SynChallenged) };
    }
    if !seg.flags.ack() {
        return Ignore(DropReason::TcpFlagsBad);
    }
    if seg.flags.fin() && seg.end() == w.rcv_nxt {
        env.counters.event(Event::TimeWaitReacked);
        return AckAndRestart;
    }
    if seg.seq == w.rcv_nxt && seg.seq_len() == 0 {
        return Ignore(DropReason::TimeWaitIgnored);
    }
    limited(w, env, DropReason::SeqOutOfWindow)
}

/// The SYN cannot be an old duplicate: its timestamp is newer, or, where timestamps do not tell, its number is beyond
/// the old connection's (RFC 6191 section 2).
fn is_fresh(w: &TimeWait, seg: &TcpSegment) -> bool {
    let age = match seg.options.timestamp {
        Some((val, _)) if w.timestamps => val.wrapping_sub(w.ts_recent) as i32,
        _ => 0,
    };
    age > 0 || (age == 0 && seg.seq.after(w.rcv_nxt))
}

fn limited(w: &TimeWait, env: &mut Env<'_>, reason: DropReason) -> TimeWaitVerdict {
    if env.may_challenge(&w.key) {
        TimeWaitVerdict::Ack(reason)
    } else {
        TimeWaitVerdict::Ignore(DropReason::ChallengeLimited)
    }
}
