//! A segment on its way to the record it belongs to: connection, half-open, TIME-WAIT, listener, or nobody.

use super::Shard;
use super::app::{App, CloseReason};
use super::conn::wants_writable;
use super::core::{Core, Cx};
use super::fast_open;
use super::ingest::Item;
use super::send_queue::SendPool;
use super::transmit::Sent;
use crate::base::{DropReason, Event, Instant};
use crate::neigh::NeighTable;
use crate::table::{FlowKind, FlowRef};
use crate::tcp::expected::Expected;
use crate::tcp::receive::{self, Happened, Outcome, Reply};
use crate::tcp::reset;
use crate::tcp::{Env, HalfOpen, NONE, State, Tcb, expected, flag, open};
use crate::wire::segment::SackBlock;
use crate::wire::{Seq, TcpFlags, TcpSegment};

/// How far beyond the old connection's numbers a reopened one starts, should its ISN not be beyond them anyway
/// (RFC 9293 3.4.2, RFC 1122 4.2.2.13).
const REOPEN_STEP: u32 = 128_000;

impl<A: App> Shard<A> {
    /// Nearly always a segment belongs to the record that was found before. One that is gone leaves its slot without a key.
    #[inline(always)]
    pub(super) fn segment(&mut self, item: &mut Item, cx: &mut Cx<'_>) {
        match item.flow.filter(|flow| self.core.is_of(*flow, &item.key)) {
            Some(flow) => self.segment_of(flow, item, cx),
            None => self.segment_anew(item, cx),
        }
    }

    #[inline(always)]
    fn segment_of(&mut self, flow: FlowRef, item: &mut Item, cx: &mut Cx<'_>) {
        match flow.kind() {
            FlowKind::Conn => self.conn_segment(flow.index(), item, cx),
            FlowKind::HalfOpen => self.half_open_segment(flow, item, cx),
        }
    }

    /// Nothing was found for it, or other segments of the burst have changed what was.
    #[inline(never)]
    fn segment_anew(&mut self, item: &mut Item, cx: &mut Cx<'_>) {
        match self.core.find(item.hash, &item.key) {
            Some(flow) => self.segment_of(flow, item, cx),
            None => match self.core.time_wait.find(item.hash) {
                Some(place) => self.core.time_wait_segment(place, item, cx),
                None if item.seg.flags.syn() && self.fast_open(item, cx) => {}
                None if self.core.cookies.are_out(cx.now) && self.redeem_cookie(item, cx) => {}
                None => self.core.stray_segment(item, cx),
            },
        }
    }

    #[inline(never)]
    pub(super) fn conn_segment(&mut self, slot: u32, item: &mut Item, cx: &mut Cx<'_>) {
        if item.seg.flags.syn() && self.syn_sent_segment(slot, item, cx) {
            return;
        }
        let core = &mut self.core;
        let Some(t) = core.conns.get_mut(slot) else { return };
        let before = t.state();
        let expected = match t.has(flag::TUNED) {
            false => expected::receive(t, &item.seg, &mut core.proto.env()),
            true => receive_tuned(t, &item.seg, core.proto.env_of(slot, t.flags)),
        };
        match expected {
            Some(expected) => {
                if core.trace.is_on() {
                    let after = t.state();
                    core.trace_in(&item.seg, before, after);
                }
                self.expected_segment(slot, &expected, item, cx);
            }
            None if before == State::SynReceived && core.repeated_fast_open(slot, item, cx) => {}
            None => self.unexpected_segment(slot, item, cx),
        }
    }

    /// A SYN. False: the connection has not sent one of its own that could be answered by it. What the application says to its
    /// connection being established goes out in the frame of the SYN,ACK.
    fn syn_sent_segment(&mut self, slot: u32, item: &mut Item, cx: &mut Cx<'_>) -> bool {
        let core = &mut self.core;
        let Some(t) = core.conns.get_mut(slot).filter(|t| t.state() == State::SynSent) else { return false };
        let listed = t.has(flag::PENDING);
        t.set(flag::PENDING);
        let own_mss = core.own_mss.to(&t.key.remote);
        if open::answered(t, &item.seg, own_mss, &mut core.proto.env_of(slot, t.flags)) {
            if core.trace.is_on() {
                core.trace_in(&item.seg, State::SynSent, State::Established);
            }
            if core.hears_no_replies {
                core.hear_neighbour(slot, item.sender());
            }
            self.established(slot, item, 0, cx);
        } else {
            self.unexpected_segment(slot, item, cx);
        }
        self.core.answer_expected(slot, listed, &mut item.frame, cx);
        true
    }

    /// The long way: anything may have happened.
    #[inline(never)]
    fn unexpected_segment(&mut self, slot: u32, item: &mut Item, cx: &mut Cx<'_>) {
        let core = &mut self.core;
        let Some(t) = core.conns.get_mut(slot) else { return };
        let before = t.state();
        let own_mss = core.own_mss.to(&t.key.remote);
        let mut out = receive::receive(t, &item.seg, own_mss, &mut core.proto.env_of(slot, t.flags));
        if core.trace.is_on() {
            let after = t.state();
            core.trace_in(&item.seg, before, after);
        }
        if let Some(reason) = out.drop {
            core.proto.counters.drop(reason);
        } else if core.hears_no_replies {
            core.hear_neighbour(slot, item.sender());
        }
        if out.happened.has(Happened::ESTABLISHED) {
            self.established(slot, item, out.acked_bytes, cx);
            self.take_early(slot, item, &mut out, cx);
        }
        if out.acked_bytes > 0 && self.core.acknowledged(slot, out.acked_bytes) {
            self.tell_writable(slot);
        }
        if out.happened.any() && self.happened(slot, item, &out, cx) {
            return;
        }
        if item.seg.flags.has(TcpFlags::URG) {
            self.tell_urgent(slot, item, &out);
        }
        if before == State::SynSent && !out.happened.any() {
            self.keep_early(slot, item, &out, cx);
        } else if out.data_len > 0 || out.fin.is_some() {
            self.take_payload(slot, item, &out, cx);
        }
        self.reply(slot, item, &out, cx);
        if self.core.wants_output(slot) {
            self.core.mark_pending(slot);
        } else {
            self.core.reschedule(slot);
        }
    }

    /// Tells the application about the room that an acknowledgement has made.
    #[inline(never)]
    pub(super) fn tell_writable(&mut self, slot: u32) {
        let Some(t) = self.core.conns.get_mut(slot) else { return };
        t.clear(flag::WANT_WRITABLE);
        self.with_app(slot, |app, conn| app.writable(conn));
    }

    /// The handshake is complete.
    fn established(&mut self, slot: u32, item: &Item, acked_bytes: u32, cx: &mut Cx<'_>) {
        let Some(t) = self.core.conns.get_mut(slot) else { return };
        self.core.neigh.confirm(t.neighbour, cx.now);
        if !self.core.fast_open_established(slot, item, acked_bytes) {
            self.with_app(slot, |app, conn| app.connected(conn));
        }
    }

    /// Tells the application what happened; true when the connection is gone.
    fn happened(&mut self, slot: u32, item: &mut Item, out: &Outcome, cx: &mut Cx<'_>) -> bool {
        let h = out.happened;
        if h.has(Happened::RESET) {
            self.finish(slot, item.hash, CloseReason::Reset, cx);
        } else if h.has(Happened::REFUSED) {
            self.finish(slot, item.hash, fast_open::refused(&self.core, slot), cx);
        } else if h.has(Happened::FINISHED) || h.has(Happened::TIME_WAIT) {
            self.conclude(slot, item.hash, cx);
        } else {
            return false;
        }
        true
    }

    /// Sends what must not wait for the end of the burst.
    fn reply(&mut self, slot: u32, item: &mut Item, out: &Outcome, cx: &mut Cx<'_>) {
        match out.reply {
            Reply::None => {}
            Reply::Ack => {
                let (start, len) = (item.seg.seq, u32::from(item.seg.payload_len));
                let is_old = out.drop == Some(DropReason::DataDuplicate) && len > 0;
                let dsack = is_old.then_some(SackBlock { start, end: start + len });
                // The frame may have been kept for reassembly: then a new one is taken.
                let frame = item.frame.take();
                if self.core.send_duplicate_ack(slot, dsack, frame, cx) == Sent::NoRoom
                    && let Some(t) = self.core.conns.get_mut(slot)
                {
                    t.set(flag::ACK_NOW);
                }
            }
            Reply::Bare(bare) => {
                let state = self.core.conns.get(slot).map_or(State::Closed, |t| t.state());
                self.core.reset_answer(item, bare, state, cx);
            }
        }
    }
}

impl Core {
    /// Releases acknowledged bytes. True: `writable` is due.
    fn acknowledged(&mut self, slot: u32, bytes: u32) -> bool {
        let Some(t) = self.conns.get_mut(slot) else { return false };
        acknowledged(t, bytes, &mut self.send, &mut self.neigh, self.proto.clock.now)
    }

    /// A segment for no connection: a SYN for a listener, or something to refuse (RFC 9293 3.10.7.1, 3.10.7.2).
    #[inline(always)]
    fn stray_segment(&mut self, item: &mut Item, cx: &mut Cx<'_>) {
        if !self.locals.is_peer(item.key.local, &item.key.remote) {
            // RFC 9293 3.9.2.3. Addresses that are nobody's, whatever the subnet, were refused when they were read.
            return self.proto.counters.drop(DropReason::PeerImpossible);
        }
        let flags = item.seg.flags;
        let listening = self.is_listening(item.key.local_port);
        let taken_up = listening && flags.is_bare_syn();
        if taken_up && self.conns.len() < self.conns.limit() {
            if self.cookies.wanted(self.halves.len(), self.halves.limit()) {
                return self.send_cookie(item, cx);
            }
            self.open_half(item, None, cx);
            return;
        }
        if self.trace.is_on() {
            let state = if listening { State::Listen } else { State::Closed };
            self.trace_in(&item.seg, state, state);
        }
        let reason = if flags.rst() {
            DropReason::RstNoConnection
        } else if flags.syn() && !listening {
            DropReason::SynToClosedPort
        } else if taken_up {
            // No connection could be made of it: the peer asks again, and need not believe that it has one meanwhile.
            DropReason::TableFull
        } else if listening && !flags.ack() {
            // RFC 9293 3.10.7.2, fourth: neither RST, ACK nor SYN: nothing to be done.
            DropReason::TcpFlagsBad
        } else {
            DropReason::NoConnection
        };
        self.proto.counters.drop(reason);
        if matches!(reason, DropReason::TcpFlagsBad | DropReason::TableFull) || self.config.abandons {
            return;
        }
        if let Some(bare) = reset::for_unknown(&item.seg) {
            self.reset_answer(item, bare, State::Closed, cx);
        }
    }

    /// Takes up a SYN. `beyond`: the last number of the connection whose TIME-WAIT this one ends. False: there is no room.
    pub(super) fn open_half(&mut self, item: &mut Item, beyond: Option<Seq>, cx: &mut Cx<'_>) -> bool {
        let Some(hop) = self.locals.next_hop(item.key.local, &item.key.remote) else {
            self.proto.counters.drop(DropReason::NeighbourUnresolved);
            return false;
        };
        // The SYN came from there: what better could ARP tell us? A later message may correct it.
        let Some(neighbour) = self.neigh.caller(hop, item.sender(), cx.now, false) else {
            return self.no_room_for_half(item, beyond, DropReason::TableFull, cx);
        };
        let (around, mut iss) = self.surroundings(item.key, neighbour);
        if let Some(old) = beyond
            && !iss.after(old)
        {
            iss = old + REOPEN_STEP;
        }
        let half = HalfOpen::new(&item.seg, &around, iss, &mut self.proto.env_at(item.key.local_port));
        let Some(slot) = self.halves.insert(half) else {
            return self.no_room_for_half(item, beyond, DropReason::BacklogFull, cx);
        };
        // Without an entry in a queue nothing would ever end it.
        if !self.flows.insert(item.hash, FlowRef::new(FlowKind::HalfOpen, slot)) || !self.queue_half_open(slot) {
            self.flows.remove(item.hash, FlowRef::new(FlowKind::HalfOpen, slot));
            self.halves.remove(slot);
            return self.no_room_for_half(item, beyond, DropReason::BacklogFull, cx);
        }
        if self.trace.is_on() {
            self.trace_in(&item.seg, State::Listen, State::SynReceived);
        }
        self.proto.counters.event(Event::PassiveOpens);
        let grant = self.fast_open_grant(item);
        if let Some(frame) = item.frame.take() {
            self.send_syn_ack(slot, &around, grant, frame, cx);
        }
        true
    }

    /// After an ordinary segment: is there anything to send?
    #[inline]
    pub(super) fn wants_output(&self, slot: u32) -> bool {
        const REASONS: u32 = flag::ACK_NOW | flag::ABORT | flag::RESUME | flag::RESEND;
        self.conns.get(slot).is_some_and(|t| {
            let more = t.has_unsent() && t.state().is_synchronized();
            t.has(REASONS) || more || t.state() == State::SynReceived
        })
    }
}

/// [`expected::receive`] for a connection with times and limits of its own.
#[cold]
fn receive_tuned(t: &mut Tcb, seg: &TcpSegment, mut env: Env<'_>) -> Option<Expected> {
    expected::receive(t, seg, &mut env)
}

/// Releases acknowledged bytes, if any, and takes note that the peer can be reached. True: `writable` is due.
#[inline(always)]
pub(super) fn acknowledged(t: &mut Tcb, bytes: u32, send: &mut SendPool, neigh: &mut NeighTable, now: Instant) -> bool {
    if t.send != NONE {
        send.release(&mut t.send, bytes);
    }
    neigh.confirm(t.neighbour, now);
    wants_writable(t)
}
