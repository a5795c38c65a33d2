//! A record of every segment, for people who want to watch a connection live. Kept as values; whoever takes them
//! formats them. Off unless asked for, and bounded: what does not fit is counted.

use crate::base::Instant;
use crate::tcp::State;
use crate::wire::{Addr, Seq, TcpFlags, TcpOptions};

/// Events kept between two calls of `Shard::take_trace`.
const LIMIT: usize = 65_536;

/// One segment as it was received or sent, and what it did to the connection's state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceEvent {
    pub at: Instant,
    /// We sent it.
    pub outgoing: bool,
    pub src: Addr,
    pub dst: Addr,
    pub src_port: u16,
    pub dst_port: u16,
    pub seq: Seq,
    pub ack: Seq,
    pub flags: TcpFlags,
    /// As in the header, not scaled.
    pub window: u16,
    pub options: TcpOptions,
    pub payload_len: u16,
    pub before: State,
    pub after: State,
}

/// Collects events while tracing is on.
#[derive(Default)]
pub struct Trace {
    on: bool,
    events: Vec<TraceEvent>,
    /// The state in which the next segment that comes in found its connection, if it has left it already.
    found_in: Option<State>,
    /// Events that found no room.
    pub missed: u64,
}

impl Trace {
    pub fn new(on: bool) -> Trace {
        Trace { on, ..Trace::default() }
    }

    #[inline(always)]
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// The connection has left `state` because of the segment that is about to be pushed.
    pub fn found_in(&mut self, state: State) {
        self.found_in = self.on.then_some(state);
    }

    #[cold]
    pub fn push(&mut self, mut event: TraceEvent) {
        event.before = self.found_in.take().unwrap_or(event.before);
        if self.events.len() < LIMIT {
            self.events.push(event);
        } else {
            self.missed += 1;
        }
    }

    /// The last segment that came in on the connection of `local_port` and `remote_port` has led on to `after` (its FIN was
    /// taken after its acknowledgement).
    #[cold]
    pub fn amend(&mut self, local_port: u16, remote_port: u16, after: State) {
        let is_it = |e: &&mut TraceEvent| !e.outgoing && e.dst_port == local_port && e.src_port == remote_port;
        if let Some(event) = self.events.iter_mut().rev().find(is_it) {
            event.after = after;
        }
    }

    pub fn take(&mut self) -> Vec<TraceEvent> {
        std::mem::take(&mut self.events)
    }
}
