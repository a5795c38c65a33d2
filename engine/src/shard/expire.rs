//! Deadlines: connections, handshakes, TIME-WAIT, neighbours. Each with a budget per call, so that a mass expiry
//! does not stall the poll loop; what is left over is due at the next call.

use super::Shard;
use super::app::{App, CloseReason};
use super::conn::wants_writable;
use super::core::{Core, Cx};
use super::resolve;
use super::transmit::Sent;
use crate::base::time::Tick;
use crate::base::{Event, Instant};
use crate::tcp::timers::{self, GiveUp};
use crate::tcp::{State, flag};

/// Connections, half-open records and TIME-WAIT records handled in one call, each.
const BUDGET: usize = 256;

impl<A: App> Shard<A> {
    /// Handles what is due. Segments that result from it are sent by [`Shard::emit`].
    pub fn expire(&mut self, cx: &mut Cx<'_>) {
        self.core.set_clock(cx.now);
        let mut due = std::mem::take(&mut self.due);
        self.core.wheel.advance(self.core.proto.clock.tick, BUDGET, &mut due);
        for slot in due.drain(..) {
            self.expire_conn(slot, cx);
        }
        self.due = due;
        self.core.expire_half_open(cx);
        self.core.expire_time_wait();
        resolve::ask_neighbours(&mut self.core, cx);
        self.neighbours_failed(cx);
        self.feed_starved();
    }

    /// Tells connections that had no buffer for their bytes, as long as there are some.
    fn feed_starved(&mut self) {
        for _ in 0..self.core.starved.len().min(BUDGET) {
            if !self.core.send.has_buffer() {
                return;
            }
            let Some(slot) = self.core.starved.pop_front() else { return };
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
        let why = match timers::expire(t, &mut core.proto.env_of(slot, t.flags)) {
            None => return core.mark_pending(slot),
            Some(GiveUp::TimedOut) => CloseReason::TimedOut,
            Some(GiveUp::Orphaned) => CloseReason::Orphaned,
        };
        let hash = core.flows.hash(&t.key);
        // It may be one direction only that is dead: a peer that hears this need not wait for ever.
        if why == CloseReason::TimedOut && core.send_reset(slot, cx) == Sent::NoRoom {
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
    pub(super) fn wake_waiters(&mut self, _cx: &mut Cx<'_>) {
        let mut waiting = std::mem::take(&mut self.touched);
        for slot in waiting.drain(..) {
            self.core.mark_pending(slot);
        }
        self.touched = waiting;
    }

    /// When the shard next has something to do on its own account; `now` if it has already.
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let core = &self.core;
        if !core.pending.is_empty() {
            return Some(now);
        }
        let ticks = [
            core.wheel.next_deadline(),
            core.half_timers.iter().filter_map(|q| q.next_deadline()).min_by_key(|t| t.since(now.tick())),
            core.time_wait.front().map(|(_, w)| w.expires),
        ];
        let soonest = ticks.into_iter().flatten().min_by_key(|t| t.since(now.tick()));
        let soonest = soonest.map(|tick| tick.to_instant(now));
        [soonest, core.neigh.next_deadline(), self.app.next_wakeup()].into_iter().flatten().min()
    }
}

impl Core {
    /// Queues the next retransmission of a SYN,ACK.
    pub(super) fn requeue_half_open(&mut self, slot: u32) {
        let Some(h) = self.halves.get_mut(slot) else { return };
        let wait = self.proto.times.rto_initial.checked_shl(u32::from(h.retries)).unwrap_or(u32::MAX);
        h.deadline = self.proto.clock.tick.plus(wait.min(self.proto.times.rto_max));
        if let Some(queue) = self.half_timers.get_mut(usize::from(h.retries)) {
            queue.push(h.deadline, (slot, h.deadline));
        }
    }

    fn expire_half_open(&mut self, cx: &mut Cx<'_>) {
        let now = self.proto.clock.tick;
        for level in 0..self.half_timers.len() {
            for _ in 0..BUDGET {
                let Some((slot, deadline)) = self.half_timers[level].pop_due(now) else { break };
                self.expire_one_half_open(slot, level, deadline, cx);
            }
        }
    }

    fn expire_one_half_open(&mut self, slot: u32, level: usize, deadline: Tick, cx: &mut Cx<'_>) {
        // An entry may have outlived its record, or the record may have been queued anew.
        let Some(h) = self.halves.get_mut(slot) else { return };
        if usize::from(h.retries) != level || h.deadline != deadline {
            return;
        }
        if h.retries >= self.proto.config.syn_retries {
            let key = h.key;
            let hash = self.flows.hash(&key);
            if let Some(flow) = self.find(hash, &key) {
                self.flows.remove(hash, flow);
            }
            self.halves.remove(slot);
            self.proto.counters.event(Event::HalfOpenExpired);
            return;
        }
        h.retries += 1;
        self.requeue_half_open(slot);
        if let Some(frame) = cx.pool.alloc() {
            self.proto.counters.event(Event::SynRetransmits);
            self.send_syn_ack(slot, frame, cx);
        }
    }

    fn expire_time_wait(&mut self) {
        let now = self.proto.clock.tick;
        for _ in 0..BUDGET {
            match self.time_wait.front() {
                Some((_, w)) if !w.live => {}
                Some((_, w)) if w.expires.is_due(now) => self.proto.counters.event(Event::TimeWaitExpired),
                _ => return,
            }
            self.drop_oldest_time_wait();
        }
    }
}
