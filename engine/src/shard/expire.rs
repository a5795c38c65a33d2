//! Deadlines: connections, handshakes, TIME-WAIT, neighbours. Each with a budget per call, so that a mass expiry
//! does not stall the poll loop; what is left over is due at the next call.

use super::Shard;
use super::app::{App, CloseReason};
use super::conn::wants_writable;
use super::core::{Core, Cx};
use super::ingest::BURST;
use super::resolve;
use super::transmit::Sent;
use crate::base::Instant;
use crate::base::prefetch::prefetch;
use crate::tcp::timers::{self, GiveUp};
use crate::tcp::{State, flag};

/// Connections and half-open records handled in one call, each: as many as a burst of received frames
/// can bring, so that expiry keeps pace, and no more, since each may cost several cache misses.
const BUDGET: usize = BURST;

/// The same for TIME-WAIT records, which cost one miss each, and come and go at the rate of connections: a turn may bring
/// several bursts.
const TIME_WAIT_BUDGET: usize = 2 * BUDGET;

/// Slots that one call of `abort_all` looks at.
const ABORT_SLOTS: u32 = 4096;

impl<A: App> Shard<A> {
    /// Handles what is due. Segments that result from it are sent by [`Shard::emit`].
    pub fn expire(&mut self, cx: &mut Cx<'_>) {
        self.core.set_clock(cx.now);
        self.core.wheel.advance(self.core.proto.clock.tick, BUDGET, &mut self.due);
        if !self.due.is_empty() {
            self.expire_due(cx);
        }
        self.core.expire_half_open(BUDGET, cx);
        self.core.expire_time_wait(TIME_WAIT_BUDGET);
        resolve::ask_neighbours(&mut self.core, cx);
        self.neighbours_failed(cx);
        self.feed_starved();
        self.give_back();
    }

    /// The connections whose time has come.
    #[inline(never)]
    fn expire_due(&mut self, cx: &mut Cx<'_>) {
        let mut due = std::mem::take(&mut self.due);
        // All are fetched at once: timers of one time lie anywhere.
        due.iter().filter_map(|&slot| self.core.conns.get(slot)).for_each(prefetch);
        if due.len() == BUDGET {
            // When so many are due, their peers are gone, and they will leave the flow table.
            self.core.prefetch_flows(&due);
        }
        for slot in due.drain(..) {
            self.expire_conn(slot, cx);
        }
        self.due = due;
    }

    /// Gives some of the memory back that no record needs any more.
    #[inline]
    fn give_back(&mut self) {
        if let Some(left) = self.core.conns.give_back() {
            self.give_back_beside(left);
        }
        self.core.halves.give_back();
    }

    /// What lies beside the control blocks that were given back.
    #[cold]
    fn give_back_beside(&mut self, left: u32) {
        let core = &mut self.core;
        core.wheel.truncate(left);
        core.proto.windows.truncate(left);
        core.truncate_pacing(left);
        self.users.truncate(left);
    }

    /// Ends all connections with RST (and `closed(Aborted)`), as there is room in `cx.tx` and frames in `cx.pool`, and no more than a burst
    /// at a time; call until it returns 0. Returns how many are left.
    pub fn abort_all(&mut self, cx: &mut Cx<'_>) -> u32 {
        self.core.set_clock(cx.now);
        let room = (cx.tx.capacity() - cx.tx.len()).min(cx.pool.available()).min(BUDGET);
        let slots = self.core.conns.slots();
        let mut found = std::mem::take(&mut self.due);
        for _ in 0..slots.min(ABORT_SLOTS) {
            if found.len() == room || found.len() == self.core.conns.len() as usize {
                break;
            }
            // On from where the last call stopped: those before are gone.
            let slot = self.abort_next;
            self.abort_next = (slot + 1) % slots;
            if self.core.conns.is_live(slot, self.core.conns.generation(slot)) {
                found.push(slot);
            }
        }
        self.core.prefetch_flows(&found);
        for slot in found.drain(..) {
            if let Some(t) = self.core.conns.get_mut(slot) {
                t.set(flag::ABORT | flag::PENDING);
                self.emit_conn(slot, cx);
            }
        }
        self.due = found;
        self.core.conns.len()
    }

    /// Tells connections that had no buffer for their bytes, as long as there are some.
    fn feed_starved(&mut self) {
        for _ in 0..self.core.starved.len().min(BUDGET) {
            if !self.core.send.has_buffer() {
                return;
            }
            let Some(slot) = self.core.starved.pop() else { return };
            // It may be over by now, and its slot another's.
            let Some(t) = self.core.conns.get_mut(slot).filter(|t| wants_writable(t)) else { continue };
            t.clear(flag::WANT_WRITABLE);
            self.with_app(slot, |app, conn| app.writable(conn));
        }
    }

    fn expire_conn(&mut self, slot: u32, cx: &mut Cx<'_>) {
        let core = &mut self.core;
        // Timers are not cancelled when a connection ends: the slot's next tenant will most likely want one by then.
        let Some(t) = core.conns.get_mut(slot).filter(|t| t.state() != State::Closed) else { return };
        if t.next_deadline().is_none_or(|at| !at.is_due(core.proto.clock.tick)) {
            if core.proto.config_of(slot, t.flags).pacing.is_some() {
                // The time for its next segment may have come.
                return core.mark_pending(slot);
            }
            // The deadline that the timer was armed for has moved or gone since.
            return core.reschedule(slot);
        }
        let retries = t.retries;
        let why = match timers::expire(t, &mut core.proto.env_of(slot, t.flags)) {
            None => {
                core.mark_pending(slot);
                return self.tell_no_answer(slot, retries);
            }
            Some(GiveUp::TimedOut) => core.troubles.since(slot, t.snd_una).unwrap_or(CloseReason::TimedOut),
            Some(GiveUp::Orphaned) => CloseReason::Orphaned,
        };
        let hash = core.flows.hash(&t.key);
        // It may be one direction only that is dead: a peer that hears this need not wait for ever.
        if why != CloseReason::Orphaned && core.send_reset(slot, cx) == Sent::NoRoom {
            return core.wheel.arm(slot, core.proto.clock.tick.plus(1));
        }
        self.finish(slot, hash, why, cx);
    }

    /// Connections that wait for a neighbour that does not answer: those that are being opened end here, the others are
    /// left to their retransmission timers (RFC 1122 4.2.3.9: a soft error).
    fn neighbours_failed(&mut self, cx: &mut Cx<'_>) {
        while let Some(id) = self.core.neigh.pop_failed() {
            let mut waiting = std::mem::take(&mut self.touched);
            self.core.neigh.take_waiters(id, &mut waiting);
            for slot in waiting.drain(..) {
                let Some(t) = self.core.conns.get(slot) else { continue };
                if t.neighbour == id && t.state() == State::SynSent {
                    let hash = self.core.flows.hash(&t.key);
                    self.finish(slot, hash, CloseReason::Unreachable, cx);
                }
            }
            self.touched = waiting;
        }
    }

    /// Neighbours were resolved: whoever waited for them is tried again.
    pub(super) fn wake_waiters(&mut self) {
        if self.touched.is_empty() {
            return;
        }
        let mut waiting = std::mem::take(&mut self.touched);
        for slot in waiting.drain(..) {
            self.core.mark_pending(slot);
        }
        self.touched = waiting;
    }

    /// When the shard next has something to do on its own account; `now` if it has already.
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let core = &self.core;
        let feeds = !core.starved.is_empty() && core.send.has_buffer();
        if !core.pending.is_empty() || feeds || core.conns.is_giving_back() || core.halves.is_giving_back() {
            return Some(now);
        }
        let ticks = [core.wheel.next_deadline(), core.time_wait.next_deadline()];
        let soonest = ticks.into_iter().flatten().min_by_key(|t| t.since(now.tick()));
        let soonest = soonest.map(|tick| tick.to_instant(now));
        [soonest, core.next_half_open(now), core.neigh.next_deadline(), self.app.next_wakeup()]
            .into_iter()
            .flatten()
            .min()
    }
}

impl Core {
    /// Fetches the places of these connections in the flow table.
    fn prefetch_flows(&self, slots: &[u32]) {
        let connections = slots.iter().filter_map(|&slot| self.conns.get(slot));
        connections
            .filter(|t| t.state() != State::Closed)
            .for_each(|t| _ = self.flows.prefetch(self.flows.hash(&t.key)));
    }
}
