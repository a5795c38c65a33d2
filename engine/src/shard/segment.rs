//! A segment on its way to the record it belongs to: connection, half-open, TIME-WAIT, listener, or nobody.

use super::Shard;
use super::app::{App, CloseReason};
use super::conn::wants_writable;
use super::core::{Core, Cx};
use super::ingest::Item;
use super::transmit::Sent;
use crate::base::{DropReason, Event};
use crate::table::{FlowKind, FlowRef};
use crate::tcp::half_open::{self, HalfVerdict};
use crate::tcp::receive::{self, Happened, Outcome, Reply};
use crate::tcp::reset::{self, Bare};
use crate::tcp::timewait::{self, TimeWait, TimeWaitVerdict};
use crate::tcp::{HalfOpen, State, expected, flag, open};
use crate::wire::{Seq, TcpFlags};

/// How far beyond the old connection's numbers a reopened one starts, should its ISN not be beyond them anyway
/// (RFC 9293 3.4.2, RFC 1122 4.2.2.13).
const REOPEN_STEP: u32 = 128_000;

/// TIME-WAIT begins anew when at least this fraction of it is over, as a power of two: 1/128 (of 60 s: half a second).
const RESTART_SHIFT: u32 = 7;

impl<A: App> Shard<A> {
    #[inline]
    pub(super) fn segment(&mut self, item: &mut Item, cx: &mut Cx<'_>) {
        match self.core.find_again(item) {
            Some(flow) => match flow.kind() {
                FlowKind::Conn => self.conn_segment(flow.index(), item, cx),
                FlowKind::HalfOpen => self.half_open_segment(flow, item, cx),
                FlowKind::TimeWait => self.core.time_wait_segment(flow, item, cx),
            },
            None if self.core.cookies.are_out(cx.now) && self.redeem_cookie(item, cx) => {}
            None => self.core.stray_segment(item, cx),
        }
    }

    #[inline]
    pub(super) fn conn_segment(&mut self, slot: u32, item: &mut Item, cx: &mut Cx<'_>) {
        let core = &mut self.core;
        let Some(t) = core.conns.get_mut(slot) else { return };
        let before = t.state();
        match expected::receive(t, &item.seg, &mut core.proto.env_of(slot, t.flags)) {
            Some(expected) => {
                if core.trace.is_on() {
                    let after = t.state();
                    core.trace_in(&item.seg, before, after);
                }
                self.expected_segment(slot, &expected, item, cx);
            }
            None if before == State::SynSent => self.syn_sent_segment(slot, item, cx),
            None => self.unexpected_segment(slot, item, cx),
        }
    }

    /// What the application says to its connection being established goes out in the frame of the SYN,ACK.
    fn syn_sent_segment(&mut self, slot: u32, item: &mut Item, cx: &mut Cx<'_>) {
        let Some(t) = self.core.conns.get_mut(slot) else { return };
        let listed = t.has(flag::PENDING);
        t.set(flag::PENDING);
        self.unexpected_segment(slot, item, cx);
        self.answer_expected(slot, listed, item, cx);
    }

    /// The long way: anything may have happened.
    #[inline(never)]
    fn unexpected_segment(&mut self, slot: u32, item: &mut Item, cx: &mut Cx<'_>) {
        let core = &mut self.core;
        let Some(t) = core.conns.get_mut(slot) else { return };
        let before = t.state();
        let own_mss = match before {
            State::SynSent => crate::tcp::options::own_mss(core.config.mtu, t.key.remote.is_v4()),
            _ => 0,
        };
        let out = receive::receive(t, &item.seg, own_mss, &mut core.proto.env_of(slot, t.flags));
        if core.trace.is_on() {
            let after = t.state();
            core.trace_in(&item.seg, before, after);
        }
        if let Some(reason) = out.drop {
            core.proto.counters.drop(reason);
        } else if core.hears_no_replies {
            core.hear_neighbour(slot, item.sender());
        }
        if out.acked_bytes > 0 {
            self.acknowledged(slot, out.acked_bytes);
        }
        if out.happened.any() && self.happened(slot, item, &out, cx) {
            return;
        }
        if out.data_len > 0 || out.fin.is_some() {
            self.take_payload(slot, item, &out, cx);
        }
        self.reply(slot, item, out.reply, cx);
        if self.core.wants_output(slot) {
            self.core.mark_pending(slot);
        } else {
            self.core.reschedule(slot);
        }
    }

    /// Releases acknowledged bytes and tells the application about the room.
    fn acknowledged(&mut self, slot: u32, bytes: u32) {
        let core = &mut self.core;
        let Some(t) = core.conns.get_mut(slot) else { return };
        core.send.release(&mut t.send, bytes);
        core.neigh.confirm(t.neighbour, core.proto.clock.now);
        if wants_writable(t) {
            t.clear(flag::WANT_WRITABLE);
            self.with_app(slot, |app, conn| app.writable(conn));
        }
    }

    /// Tells the application what happened; true when the connection is gone.
    fn happened(&mut self, slot: u32, item: &mut Item, out: &Outcome, cx: &mut Cx<'_>) -> bool {
        let h = out.happened;
        if h.has(Happened::ESTABLISHED) {
            let Some(t) = self.core.conns.get_mut(slot) else { return true };
            self.core.neigh.confirm(t.neighbour, cx.now);
            self.with_app(slot, |app, conn| app.connected(conn));
        }
        if h.has(Happened::RESET) {
            self.finish(slot, item.hash, CloseReason::Reset, cx);
        } else if h.has(Happened::REFUSED) {
            self.finish(slot, item.hash, CloseReason::Refused, cx);
        } else if h.has(Happened::FINISHED) || h.has(Happened::TIME_WAIT) {
            self.conclude(slot, item.hash, cx);
        } else {
            return false;
        }
        true
    }

    /// Sends what must not wait for the end of the burst.
    fn reply(&mut self, slot: u32, item: &mut Item, reply: Reply, cx: &mut Cx<'_>) {
        match reply {
            Reply::None => {}
            Reply::Ack => {
                let Some(t) = self.core.conns.get(slot) else { return };
                let seq = t.snd_max;
                // The frame may have been kept for reassembly: then a new one is taken.
                let frame = item.frame.take();
                if self.core.send_ack(slot, seq, frame, cx) == Sent::NoRoom
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

    fn half_open_segment(&mut self, flow: FlowRef, item: &mut Item, cx: &mut Cx<'_>) {
        let core = &mut self.core;
        let slot = flow.index();
        let Some(h) = core.halves.get(slot) else { return };
        let verdict = half_open::receive(h, &item.seg, &mut core.proto.env_at(h.key.local_port));
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
                if let Some(frame) = item.frame.take() {
                    core.send_syn_ack(slot, frame, cx);
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
        let Some(slot) = core.establish(half, item) else { return };
        core.halves.remove(flow.index());
        core.flows.replace(item.hash, flow, FlowRef::new(FlowKind::Conn, slot));
        self.begin(slot, item, cx);
    }

    /// A connection that a listener has taken up goes on with the segment that completed its handshake.
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
    /// Makes a connection of a half-open one. `None`: there is no room.
    pub(super) fn establish(&mut self, half: HalfOpen, item: &Item) -> Option<u32> {
        if self.conns.len() == self.conns.limit() {
            self.proto.counters.drop(DropReason::TableFull);
            return None;
        }
        let port = half.key.local_port;
        let slot = self.conns.insert(open::promote(&half, &item.seg, &mut self.proto.env_at(port)))?;
        self.inherit_tuning(slot, port);
        Some(slot)
    }

    fn time_wait_segment(&mut self, flow: FlowRef, item: &mut Item, cx: &mut Cx<'_>) {
        let Some(&w) = self.time_wait.get(flow.index()) else { return };
        let verdict = timewait::receive(&w, &item.seg, &mut self.proto.env());
        if self.trace.is_on() {
            self.trace_in(&item.seg, State::TimeWait, State::TimeWait);
        }
        match verdict {
            TimeWaitVerdict::Ignore(reason) => self.proto.counters.drop(reason),
            TimeWaitVerdict::Ack(reason) => {
                self.proto.counters.drop(reason);
                self.time_wait_ack(&w, item, cx);
            }
            TimeWaitVerdict::AckAndRestart => {
                self.restart_time_wait(flow, item.hash);
                if !self.time_wait_ack(&w, item, cx) {
                    self.proto.counters.drop(DropReason::TxFull);
                }
            }
            TimeWaitVerdict::Reopen if self.is_listening(item.key.local_port) => {
                self.proto.counters.event(Event::TimeWaitReused);
                self.retire_time_wait(flow, item.hash);
                self.open_half(item, Some(w.snd_nxt), cx);
            }
            TimeWaitVerdict::Reopen => {
                self.proto.counters.drop(DropReason::SynChallenged);
                self.time_wait_ack(&w, item, cx);
            }
        }
    }

    /// 2MSL begins anew: the record goes to the end of the ring. One that has hardly begun stays where it is, since each
    /// move leaves an empty place behind: a peer that repeats its FIN for ever must not fill the ring with them.
    fn restart_time_wait(&mut self, flow: FlowRef, hash: u64) {
        let Some(w) = self.time_wait.get_mut(flow.index()) else { return };
        let mut moved = *w;
        moved.expires = self.proto.clock.tick.plus(self.proto.times.time_wait);
        if moved.expires.since(w.expires) <= (self.proto.times.time_wait >> RESTART_SHIFT) as i32 {
            return;
        }
        w.live = false;
        let mut index = self.time_wait.push_back(moved);
        if index.is_none() {
            self.drop_oldest_time_wait();
            index = self.time_wait.push_back(moved);
        }
        match index {
            Some(index) => {
                self.flows.replace(hash, flow, FlowRef::new(FlowKind::TimeWait, index));
            }
            None => {
                self.flows.remove(hash, flow);
            }
        }
    }

    fn retire_time_wait(&mut self, flow: FlowRef, hash: u64) {
        self.flows.remove(hash, flow);
        if let Some(w) = self.time_wait.get_mut(flow.index()) {
            w.live = false;
        }
    }

    /// A segment for no connection: a SYN for a listener, or something to refuse (RFC 9293 3.10.7.1, 3.10.7.2).
    fn stray_segment(&mut self, item: &mut Item, cx: &mut Cx<'_>) {
        let flags = item.seg.flags;
        let listening = self.is_listening(item.key.local_port);
        let bare_syn = flags.syn() && !flags.ack() && !flags.rst() && !flags.fin();
        if listening && bare_syn {
            if self.cookies.wanted(self.halves.len(), self.halves.limit()) {
                return self.send_cookie(item, cx);
            }
            return self.open_half(item, None, cx);
        }
        if self.trace.is_on() {
            let state = if listening { State::Listen } else { State::Closed };
            self.trace_in(&item.seg, state, state);
        }
        let reason = if flags.rst() {
            DropReason::RstNoConnection
        } else if flags.syn() && !listening {
            DropReason::SynToClosedPort
        } else if listening && !flags.ack() {
            // RFC 9293 3.10.7.2, fourth: neither RST, ACK nor SYN: nothing to be done.
            DropReason::TcpFlagsBad
        } else {
            DropReason::NoConnection
        };
        self.proto.counters.drop(reason);
        if reason == DropReason::TcpFlagsBad {
            return;
        }
        if let Some(bare) = reset::for_unknown(&item.seg) {
            self.reset_answer(item, bare, State::Closed, cx);
        }
    }

    /// Takes up a SYN. `beyond`: the last number of the connection whose TIME-WAIT this one ends.
    fn open_half(&mut self, item: &mut Item, beyond: Option<Seq>, cx: &mut Cx<'_>) {
        if self.trace.is_on() {
            self.trace_in(&item.seg, State::Listen, State::SynReceived);
        }
        let Some(hop) = self.locals.next_hop(item.key.local, &item.key.remote) else {
            return self.proto.counters.drop(DropReason::NeighbourUnresolved);
        };
        // The SYN came from there: what better could ARP tell us? A later message may correct it.
        let Some(neighbour) = self.neigh.caller(hop, item.sender(), cx.now, false) else {
            return self.no_room_for_half(item, DropReason::TableFull, cx);
        };
        let (around, mut iss) = self.surroundings(item.key, neighbour);
        if let Some(old) = beyond
            && !iss.after(old)
        {
            iss = old + REOPEN_STEP;
        }
        let half = HalfOpen::new(&item.seg, &around, iss, &mut self.proto.env_at(item.key.local_port));
        let Some(slot) = self.halves.insert(half) else {
            return self.no_room_for_half(item, DropReason::BacklogFull, cx);
        };
        let timed = self.half_timers.first_mut().is_some_and(|q| q.push(half.deadline, (slot, half.deadline)));
        if !timed {
            // Nothing would ever end it.
            self.halves.remove(slot);
            return self.no_room_for_half(item, DropReason::BacklogFull, cx);
        }
        self.proto.counters.event(Event::PassiveOpens);
        self.flows.insert(item.hash, FlowRef::new(FlowKind::HalfOpen, slot));
        if let Some(frame) = item.frame.take() {
            self.send_syn_ack(slot, frame, cx);
        }
    }

    /// After an ordinary segment: is there anything to send?
    #[inline]
    pub(super) fn wants_output(&self, slot: u32) -> bool {
        const REASONS: u32 = flag::ACK_NOW | flag::ABORT | flag::RESUME | flag::RESEND_HEAD;
        self.conns.get(slot).is_some_and(|t| {
            let more = t.has_unsent() && t.state().is_synchronized();
            t.has(REASONS) || more || t.state() == State::SynReceived
        })
    }

    /// The TIME-WAIT record of a connection that is over; the oldest one gives way when there is no room.
    pub(super) fn keep_time_wait(&mut self, record: TimeWait, hash: u64, old: FlowRef) {
        let mut index = self.time_wait.push_back(record);
        if index.is_none() {
            self.drop_oldest_time_wait();
            index = self.time_wait.push_back(record);
        }
        match index {
            Some(index) => {
                self.proto.counters.event(Event::TimeWaitEntered);
                self.flows.replace(hash, old, FlowRef::new(FlowKind::TimeWait, index));
            }
            None => {
                self.flows.remove(hash, old);
            }
        }
    }

    pub(super) fn drop_oldest_time_wait(&mut self) {
        let Some((index, &w)) = self.time_wait.front() else { return };
        self.time_wait.pop_front();
        if w.live {
            let hash = self.flows.hash(&w.key);
            self.flows.remove(hash, FlowRef::new(FlowKind::TimeWait, index));
        }
    }
}
