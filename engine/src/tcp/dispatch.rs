//! Which rule takes a segment: every state and every combination of SYN, FIN, RST and ACK on one page.

use super::State;
use crate::wire::TcpFlags;

/// The rule that a (state, flags) pair goes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// Nothing arrives in these states: they have no control block. Dropped as `tcp_flags_bad`.
    Drop,
    /// RFC 9293 3.10.7.3.
    SynSent,
    /// RFC 9293 3.10.7.4, second check (with RFC 5961 section 3), before which no other flag counts.
    Reset,
    /// RFC 9293 3.10.7.4, fourth check (with RFC 5961 section 4).
    Syn,
    /// SYN,ACK of a simultaneous open, RFC 9293 figure 8.
    SynAck,
    /// Neither RST, SYN nor ACK: RFC 9293 3.10.7.4, first check, and then the fifth, which drops it.
    Mute,
    /// RFC 9293 3.10.7.4 from the fifth check on.
    Segment,
    /// RST in TIME-WAIT (RFC 1337), where nothing comes without ACK either: all that can is a FIN once more.
    Ignored,
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
const M: Rule = Rule::Mute;
const G: Rule = Rule::Segment;
const I: Rule = Rule::Ignored;

/// TIME-WAIT here is a connection whose application still has bytes to take.
/// Rows: states. Columns: none S F SF R SR FR SFR, then the same with ACK.
#[rustfmt::skip]
const TABLE: [[Rule; 16]; State::COUNT] = [
    //            -  S  F  SF R  SR FR SFR A  SA FA SFA RA SRA FRA SFRA
    /* Closed */ [D, D, D, D, D, D, D, D,  D, D, D, D,  D, D,  D,  D],
    /* Listen */ [D, D, D, D, D, D, D, D,  D, D, D, D,  D, D,  D,  D],
    /* SynSent*/ [O, O, O, O, O, O, O, O,  O, O, O, O,  O, O,  O,  O],
    /* SynRcvd*/ [M, S, M, S, R, R, R, R,  G, B, G, B,  R, R,  R,  R],
    /* Estab  */ [M, S, M, S, R, R, R, R,  G, S, G, S,  R, R,  R,  R],
    /* FinW1  */ [M, S, M, S, R, R, R, R,  G, S, G, S,  R, R,  R,  R],
    /* FinW2  */ [M, S, M, S, R, R, R, R,  G, S, G, S,  R, R,  R,  R],
    /* CloseW */ [M, S, M, S, R, R, R, R,  G, S, G, S,  R, R,  R,  R],
    /* Closing*/ [M, S, M, S, R, R, R, R,  G, S, G, S,  R, R,  R,  R],
    /* LastAck*/ [M, S, M, S, R, R, R, R,  G, S, G, S,  R, R,  R,  R],
    /* TimeW  */ [I, S, I, S, I, I, I, I,  G, S, G, S,  I, I,  I,  I],
];

#[inline(always)]
pub fn rule(state: State, flags: TcpFlags) -> Rule {
    TABLE[state as usize][class(flags)]
}
