//! Explicit congestion notification (RFC 3168): routers mark packets instead of dropping them, the receiver echoes the
//! mark (ECE) until it hears of the sender's smaller window (CWR).
//!
//! A connection that has agreed on it carries [`flag::ECN`] and takes the long way in both directions; all others pay
//! nothing. What the sender has to remember of a reduction lives in the recovery block.

use super::env::Env;
use super::recovery;
use super::tcb::{Tcb, flag};
use crate::base::Event;
use crate::wire::{TcpFlags, TcpSegment};

/// What the two bits of the IP header say: not capable, capable, congestion experienced.
const NOT_ECT: u8 = 0;
const ECT_0: u8 = 2;
const CE: u8 = 3;

/// Both bits together: "I can, can you?"
const SETUP: TcpFlags = TcpFlags(TcpFlags::ECE.0 | TcpFlags::CWR.0);

/// SYNs that ask for it; should they all get lost, it may be because of that (RFC 3168 6.1.1.1).
const SYNS_THAT_ASK: u8 = 2;

/// When to use explicit congestion notification, numbered as Linux's `net.ipv4.tcp_ecn`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Ecn {
    #[default]
    Off = 0,
    /// Ask for it, and agree to it.
    Request = 1,
    /// Agree to it if the peer asks.
    Accept = 2,
}

impl Ecn {
    /// By its number.
    pub const fn from_number(n: u32) -> Option<Ecn> {
        match n {
            0 => Some(Ecn::Off),
            1 => Some(Ecn::Request),
            2 => Some(Ecn::Accept),
            _ => None,
        }
    }
}

/// The additional flags of our SYN.
pub fn of_syn(t: &Tcb, ecn: Ecn) -> TcpFlags {
    if ecn == Ecn::Request && t.retries < SYNS_THAT_ASK { SETUP } else { TcpFlags(0) }
}

/// The additional flags of the SYN,ACK of a connection that has its control block already.
pub fn of_syn_ack(t: &Tcb) -> TcpFlags {
    if t.has(flag::ECN) { TcpFlags::ECE } else { TcpFlags(0) }
}

/// A SYN asks for it, and we agree.
pub fn is_accepted(syn: &TcpSegment, ecn: Ecn) -> bool {
    ecn != Ecn::Off && syn.flags.0 & SETUP.0 == SETUP.0
}

/// The SYN,ACK agrees to what our SYN has asked for. One that merely mirrors the SYN's bits does not; and once a SYN went
/// out without them, nobody knows which it answers.
pub fn is_agreed(t: &Tcb, syn_ack: &TcpSegment, ecn: Ecn) -> bool {
    let says_so = syn_ack.flags.0 & SETUP.0 == TcpFlags::ECE.0;
    says_so && syn_ack.flags.ack() && ecn == Ecn::Request && t.retries < SYNS_THAT_ASK
}

/// What an acceptable segment says of the path to us (RFC 3168 6.1.3).
#[inline]
pub(super) fn received(t: &mut Tcb, seg: &TcpSegment, env: &mut Env<'_>) {
    if seg.flags.has(TcpFlags::CWR) {
        t.clear(flag::ECN_ECHO);
    }
    if seg.ecn == CE && seg.payload_len > 0 {
        env.counters.event(Event::CongestionMarksIn);
        if !t.has(flag::ECN_ECHO) {
            // The sooner it is known the better.
            t.set(flag::ECN_ECHO | flag::ACK_NOW);
        }
    }
}

/// What the ACK says of the path from us (RFC 3168 6.1.2): a smaller window, once for each window of data.
/// `outstanding`: what was under way when it came.
#[inline]
pub(super) fn echoed(t: &mut Tcb, outstanding: u32, env: &mut Env<'_>) {
    if recovery::ecn::reduce(t, outstanding, env) {
        env.counters.event(Event::CongestionEchoes);
    }
}

/// Flags and IP bits of a segment that is about to be sent: new data are marked as capable, and the first after a
/// reduction says so; retransmissions, probes and what carries nothing are not (RFC 3168 6.1.4 to 6.1.6).
#[cold]
pub fn outgoing(t: &Tcb, flags: TcpFlags, is_new_data: bool, env: &mut Env<'_>) -> (TcpFlags, u8) {
    let mut flags = echo(t, flags);
    if !t.has(flag::ECN) || flags.syn() || !is_new_data || t.has(flag::PROBE) {
        return (flags, NOT_ECT);
    }
    if recovery::ecn::take_notice(t, env) {
        flags |= TcpFlags::CWR;
    }
    (flags, ECT_0)
}

/// `flags` with the echo of a mark, if one is due.
#[inline(always)]
pub fn echo(t: &Tcb, flags: TcpFlags) -> TcpFlags {
    const NEVER: TcpFlags = TcpFlags(TcpFlags::SYN.0 | TcpFlags::RST.0);
    if t.has(flag::ECN_ECHO) && flags.ack() && !flags.has(NEVER) { flags | TcpFlags::ECE } else { flags }
}
