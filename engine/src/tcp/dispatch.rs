//! Which rule takes a segment: every state and every combination of SYN, FIN, RST and ACK on one page.
//! What is not listed is a counted drop.

use super::State;
use crate::wire::TcpFlags;

/// The rule that a (state, flags) pair goes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// No state takes this combination: dropped as `tcp_flags_bad`.
    Drop,
    /// RFC 9293 3.10.7.3.
    SynSent,
    /// RFC 9293 3.10.7.4, second check (with RFC 5961 section 3).
    Reset,
    /// RFC 9293 3.10.7.4, fourth check (with RFC 5961 section 4).
    Syn,
    /// SYN,ACK of a simultaneous open, RFC 9293 figure 8.
    SynAck,
    /// RFC 9293 3.10.7.4 from the fifth check on.
    Segment,
}

/// Index of a flag combination: SYN 1, FIN 2, RST 4, ACK 8.
const fn class(flags: TcpFlags) -> usize {
    flags.syn() as usize | (flags.fin() as usize) << 1 | (flags.rst() as usize) << 2 | (flags.ack() as usize) << 3
}

const D: Rule = Rule::Drop;
const O: Rule = Rule::SynSent;
const R: Rule = Rule::Reset;
const S: Rule = Rule::Syn;
const B: Rule = Rule::SynAck;
const G: Rule = Rule::Segment;

/// TIME-WAIT here is a connection whose application still has bytes to take; RST does not end it (RFC 1337).
/// Rows: states. Columns: none S F SF R SR FR SFR, then the same with ACK.
#[rustfmt::skip]
const TABLE: [[Rule; 16]; State::COUNT] = [
    //            -  S  F  SF R  SR FR SFR A  SA FA SFA RA SRA FRA SFRA
    /* Closed */ [D, D, D, D, D, D, D, D,  D, D, D, D,  D, D,  D,  D],
    /* Listen */ [D, D, D, D, D, D, D, D,  D, D, D, D,  D, D,  D,  D],
    /* SynSent*/ [D, O, D, D, O, D, D, D,  O, O, O, O,  O, D,  O,  D],
    /* SynRcvd*/ [D, S, D, D, R, D, R, D,  G, B, G, D,  R, D,  R,  D],
    /* Estab  */ [D, S, D, S, R, R, R, D,  G, S, G, S,  R, R,  R,  D],
    /* FinW1  */ [D, S, D, S, R, R, R, D,  G, S, G, S,  R, R,  R,  D],
    /* FinW2  */ [D, S, D, S, R, R, R, D,  G, S, G, S,  R, R,  R,  D],
    /* CloseW */ [D, S, D, S, R, R, R, D,  G, S, G, S,  R, R,  R,  D],
    /* Closing*/ [D, S, D, S, R, R, R, D,  G, S, G, S,  R, R,  R,  D],
    /* LastAck*/ [D, S, D, S, R, R, R, D,  G, S, G, S,  R, R,  R,  D],
    /* TimeW  */ [D, S, D, S, D, D, D, D,  G, S, G, S,  D, D,  D,  D],
];

#[inline(always)]
pub fn rule(state: State, flags: TcpFlags) -> Rule {
    TABLE[state as usize][class(flags)]
}
