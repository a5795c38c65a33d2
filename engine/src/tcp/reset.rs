//! RST for segments that belong to no connection (RFC 9293 3.5.2, group 1).

use crate::wire::{Seq, TcpFlags, TcpSegment};

/// A segment without payload that answers another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bare {
    pub seq: Seq,
    pub ack: Seq,
    pub flags: TcpFlags,
}

/// The answer to a segment for which there is no connection; none to a RST.
pub fn for_unknown(seg: &TcpSegment) -> Option<Bare> {
    if seg.flags.rst() {
        return None;
    }
    Some(if seg.flags.ack() {
        Bare { seq: seg.ack, ack: Seq(0), flags: TcpFlags::RST }
    } else {
        Bare { seq: Seq(0), ack: seg.end(), flags: TcpFlags::RST | TcpFlags::ACK }
    })
}
