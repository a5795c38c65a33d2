//! F3: one core's world: its connections, timers, neighbours and counters. Sans-IO: frames and the time come in by
//! argument ([`Cx`]), frames go out by argument; it neither knows `io` nor asks the operating system for anything.
//!
//! One turn of the poll loop is `ingest` (received frames), `expire` (deadlines), `poll_app` (the application opens
//! connections), `emit` (segments of all connections that have something to send). All records live in slabs under
//! slot numbers; one keyed hash table leads from the 4-tuple to a connection, a half-open or a TIME-WAIT record.

pub mod app;
pub mod config;
pub mod conn;
mod control;
mod cookies;
mod core;
mod expected;
mod expire;
mod fast_open;
mod half_open;
mod icmp_errors;
mod ingest;
mod locals;
mod pacing;
mod parts;
mod recv_queue;
mod recv_ranges;
mod report;
mod resolve;
mod segment;
mod send_queue;
mod starved;
mod stream;
mod time_wait;
pub mod trace;
mod transmit;
pub mod tuning;
mod users;
mod window;

pub use app::{App, CloseReason, ConnId, Connect, ConnectError, Generator, Payload, Report, SendError};
pub use config::{Limits, LocalNet, Secrets, ShardConfig};
pub use conn::{Conn, Net};
pub use control::ConnInfo;
pub use core::Cx;
pub use ingest::BURST;
pub use trace::TraceEvent;

use crate::base::{Counters, Instant};
use crate::neigh::NeighState;
use crate::tcp::{State, TcpConfig, flag};
use crate::wire::Addr;
use core::Core;
use ingest::Batch;
use transmit::Sent;
use users::Users;

/// One core's share of the stack, with the application that runs on it.
pub struct Shard<A: App> {
    core: Core,
    users: Users<A::Conn>,
    app: A,
    /// Scratch space, kept for its capacity.
    batch: Option<Box<Batch>>,
    due: Vec<u32>,
    touched: Vec<u32>,
    /// The slot at which `abort_all` goes on.
    abort_next: u32,
}

impl<A: App> Shard<A> {
    /// A shard whose clock starts at `now`.
    pub fn new(config: ShardConfig, app: A, now: Instant) -> Self {
        Shard {
            users: Users::new(config.limits.connections),
            core: Core::new(config, now),
            app,
            batch: Some(Box::new(Batch::new())),
            due: Vec::new(),
            touched: Vec::new(),
            abort_next: 0,
        }
    }

    /// Accepts connections to `port` on all of the shard's addresses. Listening twice changes nothing.
    pub fn listen(&mut self, port: u16) {
        self.core.listen(port);
    }

    /// Connections that begin from now on do so with these settings; the others keep what their handshakes agreed on.
    pub fn configure(&mut self, tcp: TcpConfig) {
        self.core.configure(tcp);
    }

    /// Takes no new connections any more; half-open ones may still complete.
    pub fn stop_listening(&mut self) {
        self.core.listeners.clear();
    }

    /// Lets the application act on its own account ([`App::poll`]).
    pub fn poll_app(&mut self, cx: &mut Cx<'_>) {
        self.core.set_clock(cx.now);
        self.app.poll(&mut Net { core: &mut self.core, users: &mut self.users });
    }

    /// Runs `act` with the shard's connections, outside of a callback.
    pub fn with_net<R>(&mut self, now: Instant, act: impl FnOnce(&mut A, &mut Net<'_, A::Conn>) -> R) -> R {
        let (app, mut net) = self.parts(now);
        act(app, &mut net)
    }

    /// The application and the shard's connections, outside of a callback.
    pub fn parts(&mut self, now: Instant) -> (&mut A, Net<'_, A::Conn>) {
        self.core.set_clock(now);
        (&mut self.app, Net { core: &mut self.core, users: &mut self.users })
    }

    /// Sends what connections have to send, as far as there is room in `cx.tx` and there are frames; the rest stays
    /// for the next call.
    pub fn emit(&mut self, cx: &mut Cx<'_>) {
        self.core.set_clock(cx.now);
        if !self.core.spent.is_empty() {
            self.core.spent.drain(..).for_each(|frame| cx.pool.free(frame));
        }
        for _ in 0..self.core.pending.len() {
            // Once there is no room, nobody else is asked: many who wait must not cost more than those who are served.
            if cx.tx.len() == cx.tx.capacity() {
                return;
            }
            let Some(slot) = self.core.pending.pop_front() else { return };
            if self.emit_conn(slot, cx) == Sent::NoRoom {
                return;
            }
        }
    }

    /// `NoRoom`: the connection has more to send and stands at the end of the list again.
    fn emit_conn(&mut self, slot: u32, cx: &mut Cx<'_>) -> Sent {
        let Some(t) = self.core.conns.get_mut(slot) else { return Sent::Done };
        if !t.take(flag::PENDING) {
            return Sent::Done;
        }
        if t.has(flag::RESUME | flag::ABORT) && self.emit_special(slot, cx) {
            return Sent::Done;
        }
        let sent = self.core.output(slot, cx);
        if sent == Sent::NoRoom {
            self.core.mark_pending(slot);
        } else if let Some(t) = self.core.conns.get(slot).filter(|t| t.state() == State::TimeWait) {
            // Its last ACK has found room only now.
            let hash = self.core.flows.hash(&t.key);
            self.conclude(slot, hash, cx);
        }
        self.core.reschedule(slot);
        sent
    }

    /// What an application or an ICMP error asked for, other than sending. True: the connection is over, or will be once
    /// there is room for its RST.
    #[cold]
    fn emit_special(&mut self, slot: u32, cx: &mut Cx<'_>) -> bool {
        let Some(t) = self.core.conns.get_mut(slot) else { return true };
        let hash = self.core.flows.hash(&t.key);
        if t.take(flag::RESUME) {
            self.offer_held(slot, cx);
            self.tell_peer_closed(slot);
            self.core.window_opened(slot);
            self.conclude(slot, hash, cx);
        }
        // The application may have aborted just now.
        let Some(t) = self.core.conns.get(slot) else { return true };
        if !t.has(flag::ABORT) {
            return false;
        }
        let why = self.core.troubles.end_of(slot).unwrap_or(CloseReason::Aborted);
        if self.core.send_reset(slot, cx) == Sent::NoRoom {
            self.core.mark_pending(slot);
        } else {
            self.finish(slot, hash, why, cx);
        }
        true
    }

    pub fn app(&self) -> &A {
        &self.app
    }

    pub fn app_mut(&mut self) -> &mut A {
        &mut self.app
    }

    /// Ends the shard; whatever it still held goes with it.
    pub fn into_app(self) -> A {
        self.app
    }

    pub fn counters(&self) -> &Counters {
        &self.core.proto.counters
    }

    pub fn config(&self) -> &ShardConfig {
        &self.core.config
    }

    /// The segments since the last call, if tracing is on.
    pub fn take_trace(&mut self) -> Vec<TraceEvent> {
        self.core.trace.take()
    }

    /// Connections, half-open and TIME-WAIT records.
    pub fn live(&self) -> (u32, u32, u32) {
        (self.core.conns.len(), self.core.halves.len(), self.core.time_wait.len())
    }

    /// Connections that have loss-recovery state.
    pub fn recovering(&self) -> usize {
        self.core.proto.recovery.blocks_in_use()
    }

    /// True when no record, side block or held frame is left.
    pub fn is_empty(&self) -> bool {
        self.core.is_empty()
    }

    /// Begins to resolve the next hop from `local` to `remote` and tells how far that is; `None` without a route.
    pub fn resolve(&mut self, local: &Addr, remote: &Addr, now: Instant) -> Option<(Addr, NeighState)> {
        let id = self.core.locals.id_of(local)?;
        let hop = self.core.locals.next_hop(id, remote)?;
        let neighbour = self.core.neigh.lookup_or_create(hop, now)?;
        Some((hop, self.core.neigh.state(neighbour)))
    }
}
