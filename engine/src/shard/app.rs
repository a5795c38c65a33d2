//! The face an application sees: callbacks with static dispatch and user data per connection.

use super::conn::{Conn, Net};
use crate::base::Instant;
use crate::wire::parse::IcmpErrorKind;
use std::sync::Arc;

/// An application on one shard. All methods run on the shard's own thread, one at a time. What they ask for
/// (send, close …) goes out at the end of the burst, so an ACK, data and a FIN that belong together travel
/// together.
///
/// For each connection: `accepted` or `connected` at most once, first; then any number of `data`, `writable` and
/// at most one `peer_closed`; then `closed` exactly once, last. An attempt that fails gets only `closed`.
pub trait App: Sized {
    /// Kept by the shard for each connection, from `accepted` (as `Default`) or `Net::connect` to `closed`.
    type Conn: Default;

    /// A listener's handshake is complete.
    fn accepted(&mut self, _conn: &mut Conn<'_, Self::Conn>) {}

    /// Our own handshake is complete.
    fn connected(&mut self, _conn: &mut Conn<'_, Self::Conn>) {}

    /// The next bytes of the stream, lent from the received frame. Returns how many it took: what is left is
    /// kept, closes the window, and is offered again after [`Conn::resume_receive`].
    fn data(&mut self, _conn: &mut Conn<'_, Self::Conn>, bytes: &[u8]) -> usize {
        bytes.len()
    }

    /// There is room again after [`SendError::Full`] or [`Conn::want_writable`].
    fn writable(&mut self, _conn: &mut Conn<'_, Self::Conn>) {}

    /// The peer has sent its FIN and every byte before it was taken. Sending may go on (half-close).
    fn peer_closed(&mut self, _conn: &mut Conn<'_, Self::Conn>) {}

    /// Something that may mend itself or needs no answer (RFC 9293 3.9.1.8), possibly before `connected`. The connection
    /// goes on, whether or not anything is done about it.
    fn reported(&mut self, _conn: &mut Conn<'_, Self::Conn>, _what: Report) {}

    /// The connection is about to be over: the last look at it, and at bytes that were not taken. Nothing can be asked of it
    /// any more.
    fn ending(&mut self, _conn: &Conn<'_, Self::Conn>, _why: CloseReason) {}

    /// The connection is over (for the closing side: it has reached TIME-WAIT).
    fn closed(&mut self, _user: Self::Conn, _why: CloseReason, _now: Instant) {}

    /// Called once per turn of the poll loop: open connections here.
    fn poll(&mut self, _net: &mut Net<'_, Self::Conn>) {}

    /// When `poll` next has something to do, for workers that sleep.
    fn next_wakeup(&self) -> Option<Instant> {
        None
    }
}

/// What [`App::reported`] tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Report {
    /// An ICMP error about one of our segments that is under way.
    Icmp(IcmpErrorKind),
    /// The third time-out in a row (R1 of RFC 9293 3.8.3): the path or the peer may be gone.
    NoAnswer,
    /// The next so many bytes of the stream are urgent, whether or not they have come yet.
    Urgent { bytes: u32 },
}

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum CloseReason {
    /// Both directions were closed in order and everything was acknowledged.
    Graceful,
    /// RST from the peer.
    Reset,
    /// RST in answer to our SYN, or word by ICMP that nobody there takes it.
    Refused,
    /// Retries used up: SYN, data, FIN, or window and keepalive probes.
    TimedOut,
    /// The host cannot be reached: a hard ICMP error while opening, any that came before the retries were used up, or
    /// the next hop answers neither ARP nor neighbour solicitations.
    Unreachable,
    /// As before, but it is the network that cannot be reached.
    NetUnreachable,
    /// We reset it ourselves: `abort`, data after `close`, or shutdown of the shard.
    Aborted,
    /// We closed and were acknowledged, but the peer never closed its side (FIN-WAIT-2 limit).
    Orphaned,
}

impl CloseReason {
    pub const ALL: [CloseReason; 8] = [
        CloseReason::Graceful,
        CloseReason::Reset,
        CloseReason::Refused,
        CloseReason::TimedOut,
        CloseReason::Unreachable,
        CloseReason::NetUnreachable,
        CloseReason::Aborted,
        CloseReason::Orphaned,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            CloseReason::Graceful => "graceful",
            CloseReason::Reset => "reset",
            CloseReason::Refused => "refused",
            CloseReason::TimedOut => "timed_out",
            CloseReason::Unreachable => "unreachable",
            CloseReason::NetUnreachable => "net_unreachable",
            CloseReason::Aborted => "aborted",
            CloseReason::Orphaned => "orphaned",
        }
    }
}

/// Names a connection of one shard. Never reused within 2^31 connections of the same slot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ConnId {
    pub slot: u32,
    pub generation: u32,
}

/// Bytes to send, by reference: they are read when a segment is built, and read again when it has to be
/// retransmitted.
#[derive(Clone, Debug)]
pub enum Payload {
    Static(&'static [u8]),
    Shared(Arc<[u8]>),
    Generated(Generator),
}

impl Payload {
    pub fn len(&self) -> u64 {
        match self {
            Payload::Static(b) => b.len() as u64,
            Payload::Shared(b) => b.len() as u64,
            Payload::Generated(g) => g.len,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A stretch of bytes that a function computes: `fill(seed, offset, out)` writes the bytes at
/// `offset..offset + out.len()`, and always the same ones.
#[derive(Clone, Copy, Debug)]
pub struct Generator {
    pub len: u64,
    pub seed: u64,
    pub fill: fn(seed: u64, offset: u64, out: &mut [u8]),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SendError {
    /// The send queue (or the pool behind it) is full; `writable` will be called.
    Full,
    /// More than the send queue can ever hold (`Limits::send_queue_bytes`): it has to be sent in pieces.
    TooLarge,
    /// Our side is closed already, or the connection is not open.
    Closed,
}

/// Where to connect to, and from where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connect {
    pub local: crate::wire::Addr,
    pub local_port: u16,
    pub remote: crate::wire::Addr,
    pub remote_port: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnectError {
    /// This 4-tuple is in use or in TIME-WAIT.
    AddressInUse,
    /// `local` is none of the shard's addresses.
    NotLocal,
    /// No route: not on-link and no gateway of that family, or the families differ.
    NoRoute,
    /// The connection limit is reached.
    TableFull,
}
