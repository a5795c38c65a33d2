//! Half-open connections: handshakes that a listener has answered and that wait for their last segment.

use super::Shard;
use super::app::App;
use super::core::{Core, Cx};
use super::ingest::Item;
use crate::base::{DropReason, Event, Frame, Instant};
use crate::table::{FlowKind, FlowRef};
use crate::tcp::half_open::{self, HalfVerdict};
use crate::tcp::open::{self, Surroundings};
use crate::tcp::reset::Bare;
use crate::tcp::{Clock, HalfOpen, State};
use crate::wire::{FastOpenCookie, Seq, TcpFlags};

/// Stamps of the retransmission queues are in units of 8.4 ms: this much coarser than [`HalfOpen::sent_us`].
const STAMP_SHIFT: u32 = 13;

impl<A: App> Shard<A> {
    pub(super) fn half_open_segment(&mut self, flow: FlowRef, item: &mut Item, cx: &mut Cx<'_>) {
        let core = &mut self.core;
        let slot = flow.index();
        let Some(h) = core.halves.get(slot) else { return };
        let verdict = half_open::receive(h, &item.seg, &mut core.proto.env_at(item.key.local_port));
        if verdict == HalfVerdict::Promote {
            return self.promote(flow, item, cx);
        }
        if core.trace.is_on() {
            let after = if verdict == HalfVerdict::Reset { State::Closed } else { State::SynReceived };
            core.trace_in(&item.seg, State::SynReceived, after);
        }
        match verdict {
            HalfVerdict::Drop(reason) => core.proto.counters.drop(reason),
            HalfVerdict::ResendSynAck(reason) => {
                core.proto.counters.drop(reason);
                core.proto.counters.event(Event::SynRetransmits);
                if let Some(h) = core.halves.get_mut(slot) {
                    // The timer runs on: a peer that only repeats its SYN neither keeps the record nor fills the queues.
                    h.flags |= HalfOpen::RESENT;
                    // RFC 7323 4.3: the SYN touches Last.ACK.sent.
                    h.ts_recent = item.seg.options.timestamp.map_or(h.ts_recent, |(val, _)| val);
                }
                let grant = core.fast_open_grant(item);
                if let Some(around) = core.half_open_surroundings(slot)
                    && let Some(frame) = item.frame.take()
                {
                    core.repeat_syn_ack(slot, &around, grant, frame, cx);
                }
            }
            HalfVerdict::Ack(reason) => {
                core.proto.counters.drop(reason);
                core.half_open_ack(slot, item, cx);
            }
            HalfVerdict::Reject(reason) => {
                core.proto.counters.drop(reason);
                let bare = Bare { seq: item.seg.ack, ack: Seq(0), flags: TcpFlags::RST };
                core.reset_answer(item, bare, State::SynReceived, cx);
            }
            HalfVerdict::Reset => {
                core.proto.counters.event(Event::HalfOpenReset);
                core.halves.remove(slot);
                core.flows.remove(item.hash, flow);
            }
            HalfVerdict::Promote => {}
        }
    }

    /// The handshake is complete: the half-open record becomes a connection, and the segment that completed it is
    /// handled as that connection's first.
    fn promote(&mut self, flow: FlowRef, item: &mut Item, cx: &mut Cx<'_>) {
        let core = &mut self.core;
        let Some(&half) = core.halves.get(flow.index()) else { return };
        let Some(around) = core.half_open_surroundings(flow.index()) else {
            return core.proto.counters.drop(DropReason::NeighbourUnresolved);
        };
        let Some(slot) = core.establish(&half, &around, Some(flow), item) else { return };
        core.halves.remove(flow.index());
        self.begin(slot, item, cx);
    }

    /// A connection that a listener has taken up goes on with the segment that completed its handshake.
    #[inline(always)]
    pub(super) fn begin(&mut self, slot: u32, item: &mut Item, cx: &mut Cx<'_>) {
        let core = &mut self.core;
        let Some(t) = core.conns.get(slot) else { return };
        core.neigh.confirm(t.neighbour, cx.now);
        core.trace.found_in(State::SynReceived);
        self.users.set(slot, A::Conn::default());
        self.with_app(slot, |app, conn| app.accepted(conn));
        self.conn_segment(slot, item, cx);
    }
}

impl Core {
    /// Makes a connection of a half-open one, whose entry in the flow table is `flow` if it has one. `None`: there is no
    /// room, and nothing has changed.
    #[inline(always)]
    pub(super) fn establish(
        &mut self,
        half: &HalfOpen,
        around: &Surroundings,
        flow: Option<FlowRef>,
        item: &Item,
    ) -> Option<u32> {
        if self.conns.len() == self.conns.limit() {
            self.proto.counters.drop(DropReason::TableFull);
            return None;
        }
        let port = around.key.local_port;
        let Some(slot) = self.enter(item.hash, flow) else {
            self.proto.counters.drop(DropReason::TableFull);
            return None;
        };
        let t = self.conns.get_mut(slot)?;
        open::promote(t, half, around, &item.seg, &mut self.proto.env_at(port));
        self.inherit_tuning(slot, port);
        Some(slot)
    }

    /// A new connection gets a slot, with a control block to be filled in, and, in the flow table, an entry of its own or
    /// that of `flow`. `None`: there is no room, and nothing has changed.
    #[inline(always)]
    pub(super) fn enter(&mut self, hash: u64, flow: Option<FlowRef>) -> Option<u32> {
        let slot = self.conns.take()?;
        let entry = FlowRef::new(FlowKind::Conn, slot);
        let is_in = match flow {
            Some(flow) => self.flows.replace(hash, flow, entry),
            None => self.flows.insert(hash, entry),
        };
        if !is_in {
            self.conns.remove(slot);
        }
        is_in.then_some(slot)
    }

    /// What the record of a half-open connection leaves out.
    #[inline(always)]
    fn half_open_surroundings(&mut self, slot: u32) -> Option<Surroundings> {
        let key = self.halves.get(slot)?.key();
        let hop = self.locals.next_hop(key.local, &key.remote)?;
        let neighbour = self.neigh.lookup_or_create(hop, self.proto.clock.now)?;
        Some(self.surroundings(key, neighbour).0)
    }

    /// Queues the next retransmission of the SYN,ACK that is being sent. False: there is no room.
    pub(super) fn queue_half_open(&mut self, slot: u32) -> bool {
        let Some(h) = self.halves.get_mut(slot) else { return false };
        h.sent_us = self.proto.clock.us;
        self.half_timers_in_use |= 1 << h.retries();
        let queue = self.half_timers.get_mut(usize::from(h.retries()));
        queue.is_some_and(|queue| queue.push(h.sent_us >> STAMP_SHIFT, slot))
    }

    /// The record that the first entry of a queue means: none when it is over, when its SYN,ACK was sent anew since, or
    /// when the slot has another tenant. (One that came within the same stamp is handled at its own time all the same,
    /// and the entry that was meant for it finds nothing more to do.)
    fn front_half_open(&self, tries: usize) -> Option<(u32, Option<&HalfOpen>)> {
        let (stamp, slot) = self.half_timers.get(tries)?.front()?;
        let meant = |h: &&HalfOpen| usize::from(h.retries()) == tries && h.sent_us >> STAMP_SHIFT == stamp;
        Some((slot, self.halves.get(slot).filter(meant).filter(|_| self.halves.is_taken(slot))))
    }

    /// Handles the SYN,ACKs that are due, as many as `budget` for each number of tries, and as there is room for in the burst:
    /// the others are due at the next call.
    #[inline]
    pub(super) fn expire_half_open(&mut self, budget: usize, cx: &mut Cx<'_>) {
        if self.half_timers_in_use != 0 {
            self.expire_half_timers(budget, cx);
        }
    }

    #[inline(never)]
    fn expire_half_timers(&mut self, budget: usize, cx: &mut Cx<'_>) {
        let mut in_use = self.half_timers_in_use;
        while in_use != 0 {
            let tries = in_use.trailing_zeros() as usize;
            in_use &= in_use - 1;
            for _ in 0..budget {
                let Some((slot, record)) = self.front_half_open(tries) else {
                    self.half_timers_in_use &= !(1 << tries);
                    break;
                };
                let is_meant = record.is_some();
                let times = &self.proto.times;
                let is_due = record.is_none_or(|h| h.deadline(&self.proto.clock, times) <= self.proto.clock.now);
                if !is_due || cx.tx.len() == cx.tx.capacity() {
                    break;
                }
                if let Some(queue) = self.half_timers.get_mut(tries) {
                    queue.pop();
                }
                if is_meant {
                    self.expire_one_half_open(slot, cx);
                }
            }
        }
    }

    #[inline(never)]
    fn repeat_syn_ack(
        &mut self,
        slot: u32,
        around: &Surroundings,
        grant: Option<FastOpenCookie>,
        frame: Frame,
        cx: &mut Cx<'_>,
    ) {
        self.send_syn_ack(slot, around, grant, frame, cx);
    }

    fn expire_one_half_open(&mut self, slot: u32, cx: &mut Cx<'_>) {
        let Some(h) = self.halves.get_mut(slot) else { return };
        if !h.retry(self.proto.config_at(h.key().local_port).syn_retries) {
            let hash = self.flows.hash(&h.key());
            self.flows.remove(hash, FlowRef::new(FlowKind::HalfOpen, slot));
            self.halves.remove(slot);
            self.proto.counters.event(Event::HalfOpenExpired);
            return;
        }
        self.queue_half_open(slot);
        let Some(around) = self.half_open_surroundings(slot) else {
            return self.proto.counters.drop(DropReason::NeighbourUnresolved);
        };
        let Some(frame) = cx.pool.alloc() else { return self.proto.counters.drop(DropReason::NoFrame) };
        self.proto.counters.event(Event::SynRetransmits);
        self.repeat_syn_ack(slot, &around, None, frame, cx);
    }

    /// When [`Core::expire_half_open`] next has something to do.
    pub(super) fn next_half_open(&self, now: Instant) -> Option<Instant> {
        let clock = Clock::at(now);
        let deadline = |tries| {
            let (_, record) = self.front_half_open(tries)?;
            Some(record.map_or(now, |h| h.deadline(&clock, &self.proto.times)))
        };
        (0..self.half_timers.len()).filter_map(deadline).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::SipKey;
    use crate::shard::ShardConfig;
    use crate::table::{FlowKey, FlowTable};
    use crate::tcp::TcpConfig;
    use crate::wire::{Mac, TcpSegment};

    #[test]
    fn connection_that_finds_no_room_in_the_flow_table_leaves_nothing_behind() {
        let mut core = Core::new(ShardConfig::new(Mac([2, 0, 0, 0, 0, 1]), Vec::new()), Instant::from_nanos(1 << 40));
        core.flows = FlowTable::new(SipKey { k0: 1, k1: 2 }, 0);
        let mut n = 0;
        while core.flows.insert(n << 32, FlowRef::new(FlowKind::HalfOpen, 0)) {
            n += 1;
            assert!(n < 1 << 20, "it has to be full some time");
        }
        core.tune_port(80, Some(&TcpConfig { nodelay: true, ..TcpConfig::default() }));
        let key = FlowKey { local_port: 80, ..FlowKey::default() };
        let (around, iss) = core.surroundings(key, 0);
        let seg = TcpSegment::default();
        let half = HalfOpen::new(&seg, &around, iss, &mut core.proto.env_at(80));
        let item = Item { seg, key, hash: n << 32, ..Item::default() };
        assert_eq!(core.establish(&half, &around, None, &item), None);
        assert!(core.conns.is_empty());
        assert_eq!(core.proto.tunings.of_conns(), 0);
        assert_eq!(core.proto.counters.dropped(DropReason::TableFull), 1);
    }
}
