//! The byte stream: from segments to the application, and the end of it.

use super::Shard;
use super::app::{App, CloseReason};
use super::conn::Conn;
use super::core::{Core, Cx};
use super::ingest::Item;
use super::recv_queue::Hold;
use super::transmit::Sent;
use crate::base::{DropReason, Event, Frame};
use crate::table::{FlowKind, FlowRef};
use crate::tcp::receive::{self, Outcome};
use crate::tcp::{NONE, State, TimeWait, acknowledge, flag, reset};
use crate::wire::Seq;
use crate::wire::segment::SackBlock;

impl<A: App> Shard<A> {
    /// Calls the application with a handle of connection `slot`.
    #[inline(always)]
    pub(super) fn with_app<R: Default>(
        &mut self,
        slot: u32,
        call: impl FnOnce(&mut A, &mut Conn<'_, A::Conn>) -> R,
    ) -> R {
        let Some(user) = self.users.get_mut(slot) else { return R::default() };
        call(&mut self.app, &mut Conn { user, core: &mut self.core, slot })
    }

    /// What of a segment's payload and FIN lies in the window.
    pub(super) fn take_payload(&mut self, slot: u32, item: &mut Item, out: &Outcome, cx: &mut Cx<'_>) {
        if let Some(t) = self.core.conns.get_mut(slot)
            && let Some(fin) = out.fin.filter(|_| out.data_len > 0 && out.data_seq.after(t.rcv_nxt))
        {
            // Before its bytes, so that their duplicate ACK tells of the FIN too.
            self.core.recv.note_fin(&mut t.recv, fin);
        }
        if out.data_len > 0 {
            let is_over = self.core.conns.get(slot).is_none_or(|t| t.has(flag::ABORT));
            if !self.core.takes_bytes(slot) {
                if !is_over {
                    self.refuse_bytes(slot, item, cx);
                }
                return;
            }
            self.take_bytes(slot, item, out, cx);
        }
        let core = &mut self.core;
        let Some(t) = core.conns.get_mut(slot) else { return };
        if let Some(fin) = out.fin.filter(|&fin| fin != t.rcv_nxt) {
            core.recv.note_fin(&mut t.recv, fin);
            // With bytes it had its duplicate ACK already, and one is enough.
            if out.data_len == 0 {
                t.set(flag::ACK_NOW);
            }
        }
        if out.fin == Some(t.rcv_nxt) || core.recv.fin_due(t.recv, t.rcv_nxt) {
            let fin = t.rcv_nxt;
            core.recv.clear_fin(&mut t.recv);
            core.pass_fin(slot, fin);
        }
        self.offer_held(slot, cx);
        self.stream_ended(slot, item, cx);
    }

    /// If the peer's FIN is passed: tells the application, and if ours is acknowledged too, that is the end.
    #[inline(always)]
    pub(super) fn stream_ended(&mut self, slot: u32, item: &mut Item, cx: &mut Cx<'_>) {
        self.tell_peer_closed(slot);
        if self.core.conns.get(slot).is_some_and(|t| t.state() == State::TimeWait)
            && self.acknowledge_last(slot, item, cx)
        {
            self.conclude(slot, item.hash, cx);
        }
    }

    fn take_bytes(&mut self, slot: u32, item: &mut Item, out: &Outcome, cx: &mut Cx<'_>) {
        let start = item.seg.payload_start + out.data_skip;
        let Some(t) = self.core.conns.get(slot) else { return };
        // Both ends of what comes may have come before (RFC 2883 section 4.2).
        let again = match out.data_skip {
            0 => self.core.recv.first_overlap(t.recv, out.data_seq, out.data_seq + u32::from(out.data_len)),
            skip => Some(SackBlock { start: out.data_seq - u32::from(skip), end: out.data_seq }),
        };
        // A FIN has its ACK at once in any case, and one is enough.
        let again = again.filter(|_| out.fin.is_none());
        if out.data_seq != t.rcv_nxt || t.recv != NONE {
            return self.hold(slot, item, start, out, again, cx);
        }
        self.take_in_order(slot, item, start, out.data_len, cx);
        if again.is_some() {
            self.core.acknowledge_duplicate(slot, again, cx);
        }
    }

    /// Nobody reads this any more: the RST has the number that the segment acknowledges, as if there were no connection,
    /// so that it is right whatever of ours is still under way.
    #[cold]
    fn refuse_bytes(&mut self, slot: u32, item: &mut Item, cx: &mut Cx<'_>) {
        let state = self.core.conns.get(slot).map_or(State::Closed, |t| t.state());
        if let Some(bare) = reset::for_unknown(&item.seg) {
            self.core.reset_answer(item, bare, state, cx);
        }
        self.finish(slot, item.hash, CloseReason::Aborted, cx);
    }

    /// The ordinary case: the next bytes, and nothing is waiting.
    #[inline(always)]
    pub(super) fn take_in_order(&mut self, slot: u32, item: &mut Item, start: u16, len: u16, cx: &mut Cx<'_>) {
        let core = &mut self.core;
        let Some(t) = core.conns.get_mut(slot) else { return };
        t.rcv_nxt += u32::from(len);
        let end = t.rcv_nxt;
        acknowledge::data_received(t, len, &core.proto.env_of(slot, t.flags));
        core.proto.counters.add(Event::PayloadIn, u64::from(len));
        if item.rest.is_some() {
            return self.take_parts(slot, item, start, len, cx);
        }
        // Where it stands: mostly all is taken, and the frame goes on to be the answer.
        let Some(frame) = &item.frame else { return };
        let bytes = frame.bytes().get(usize::from(start)..usize::from(start) + usize::from(len)).unwrap_or(&[]);
        let taken = self.with_app(slot, |app, conn| app.data(conn, bytes)).min(usize::from(len)) as u16;
        if taken < len
            && let Some(frame) = item.frame.take()
        {
            self.leave(slot, frame, start + taken, len - taken, end, cx);
        }
    }

    /// Lends the application `len` bytes from place `start` of `frame` on, which end before number `end`. Returns the frame
    /// if all of them were taken; what was left stays.
    #[inline(always)]
    pub(super) fn lend(
        &mut self,
        slot: u32,
        frame: Frame,
        (start, len, end): (u16, u16, Seq),
        cx: &mut Cx<'_>,
    ) -> Option<Frame> {
        let bytes = frame.bytes().get(usize::from(start)..usize::from(start) + usize::from(len)).unwrap_or(&[]);
        let taken = self.with_app(slot, |app, conn| app.data(conn, bytes)).min(usize::from(len)) as u16;
        if taken == len {
            return Some(frame);
        }
        self.leave(slot, frame, start + taken, len - taken, end, cx);
        None
    }

    /// Out of order, or behind bytes that the application has not taken.
    fn hold(
        &mut self,
        slot: u32,
        item: &mut Item,
        start: u16,
        out: &Outcome,
        again: Option<SackBlock>,
        cx: &mut Cx<'_>,
    ) {
        let core = &mut self.core;
        let Some(t) = core.conns.get_mut(slot) else { return };
        let ahead = out.data_seq.after(t.rcv_nxt);
        let had_gap = core.recv.has_gap(t.recv, t.rcv_nxt);
        let passing = !ahead && core.recv.unread(t.recv, t.rcv_nxt) == 0;
        let kept = match item.rest {
            None => core.recv.hold(&mut t.recv, passing, out.data_seq, start, out.data_len, &mut item.frame, cx.pool),
            Some(_) => core.hold_parts(slot, passing, (out.data_seq, start, out.data_len), item, cx),
        };
        let Some(t) = core.conns.get_mut(slot) else { return };
        match kept {
            Hold::Kept if ahead => core.proto.counters.event(Event::OutOfOrderIn),
            Hold::Kept => {}
            Hold::Duplicate => core.proto.counters.drop(DropReason::DataDuplicate),
            Hold::Full => core.proto.counters.drop(DropReason::ReassemblyFull),
        }
        let edge = core.recv.contiguous_from(t.recv, t.rcv_nxt);
        core.proto.counters.add(Event::PayloadIn, u64::from(edge.since(t.rcv_nxt)));
        t.rcv_nxt = edge;
        if ahead || kept != Hold::Kept || again.is_some() {
            // One duplicate ACK for each such segment, at once (RFC 5681 4.2): the peer counts them.
            let (start, len) = (out.data_seq, u32::from(out.data_len));
            let all = (kept == Hold::Duplicate).then_some(SackBlock { start, end: start + len });
            core.acknowledge_duplicate(slot, all.or(again), cx);
        } else if had_gap {
            // Fills all or part of a gap (RFC 5681 4.2).
            t.set(flag::ACK_NOW);
        } else {
            acknowledge::data_received(t, out.data_len, &core.proto.env_of(slot, t.flags));
        }
    }

    /// Bytes of a SYN that has crossed ours: they wait until the handshake is complete (RFC 9293 3.10.7.3).
    pub(super) fn keep_early(&mut self, slot: u32, item: &mut Item, out: &Outcome, cx: &mut Cx<'_>) {
        let core = &mut self.core;
        let Some(t) = core.conns.get_mut(slot).filter(|_| out.data_len > 0) else { return };
        let start = item.seg.payload_start + out.data_skip;
        let kept = match item.rest {
            None => core.recv.hold(&mut t.recv, true, out.data_seq, start, out.data_len, &mut item.frame, cx.pool),
            Some(_) => core.hold_parts(slot, true, (out.data_seq, start, out.data_len), item, cx),
        };
        if kept == Hold::Full {
            core.proto.counters.drop(DropReason::ReassemblyFull);
        }
    }

    /// The handshake is complete: what had to wait for it comes before what `item` brings.
    pub(super) fn take_early(&mut self, slot: u32, item: &Item, out: &mut Outcome, cx: &mut Cx<'_>) {
        let core = &mut self.core;
        let Some(t) = core.conns.get(slot).filter(|t| t.recv != NONE) else { return };
        let (recv, start) = (t.recv, t.rcv_nxt);
        let edge = core.recv.contiguous_from(recv, start);
        if edge == start || !core.takes_bytes(slot) {
            return;
        }
        let Some(t) = core.conns.get_mut(slot) else { return };
        t.rcv_nxt = edge;
        acknowledge::data_received(t, edge.since(start) as u16, &core.proto.env_of(slot, t.flags));
        core.proto.counters.add(Event::PayloadIn, u64::from(edge.since(start)));
        out.payload(&item.seg, t, u32::from(item.seg.flags.syn()));
        self.offer_held(slot, cx);
    }

    /// Offers the application what is held and in order, until it has enough.
    pub(super) fn offer_held(&mut self, slot: u32, cx: &mut Cx<'_>) {
        loop {
            let core = &mut self.core;
            let Some(t) = core.conns.get_mut(slot) else { return };
            if t.recv == NONE || t.has(flag::RECEIVE_STALLED | flag::ABORT) {
                return;
            }
            let Some((frame, start, len, end)) = core.recv.take_ready(t.recv, t.stream_end()) else {
                return core.recv.give_back_if_empty(&mut t.recv);
            };
            if let Some(frame) = self.lend(slot, frame, (start, len, end), cx) {
                cx.pool.free(frame);
            }
        }
    }

    /// The application has left the last `len` bytes of `frame`, which end before number `end`: they wait for
    /// `resume_receive`, or, if it has closed meanwhile, the peer learns that nobody reads them. Where there is no room for
    /// them, they have not come, and the peer sends them again.
    #[inline(never)]
    pub(super) fn leave(&mut self, slot: u32, frame: Frame, start: u16, len: u16, end: Seq, cx: &mut Cx<'_>) {
        let core = &mut self.core;
        let Some(t) = core.conns.get_mut(slot) else { return cx.pool.free(frame) };
        let is_kept = core.recv.put_back(&mut t.recv, frame, start, len, end, cx.pool);
        if t.has(flag::RECEIVE_SHUT) {
            t.set(flag::ABORT);
        } else if is_kept {
            t.set(flag::RECEIVE_STALLED);
        } else {
            let kept = end - u32::from(len);
            core.proto.counters.take_back(Event::PayloadIn, t.rcv_nxt.since(kept).into());
            core.proto.counters.drop(DropReason::ReassemblyFull);
            t.rcv_nxt = kept;
        }
    }

    /// The stream has ended and everything before was taken: the application learns of it, once.
    pub(super) fn tell_peer_closed(&mut self, slot: u32) {
        let core = &mut self.core;
        let Some(t) = core.conns.get_mut(slot) else { return };
        let ended = matches!(t.state(), State::CloseWait | State::Closing | State::LastAck | State::TimeWait);
        if !ended || t.has(flag::ABORT) || t.has(flag::PEER_CLOSED_TOLD) || core.recv.unread(t.recv, t.stream_end()) > 0
        {
            return;
        }
        t.set(flag::PEER_CLOSED_TOLD);
        if !t.has(flag::RECEIVE_SHUT) {
            self.with_app(slot, |app, conn| app.peer_closed(conn));
        }
    }

    /// The ACK of the peer's FIN goes out before the connection becomes a TIME-WAIT record. False: there was no room for
    /// it, and both wait for the next burst.
    pub(super) fn acknowledge_last(&mut self, slot: u32, item: &mut Item, cx: &mut Cx<'_>) -> bool {
        let due = self.core.conns.get(slot).is_some_and(|t| t.has(flag::ACK_NOW));
        !due || self.core.send_ack_in(slot, &mut item.frame, cx) != Sent::NoRoom
    }

    /// Both FINs are acknowledged. As soon as the application has taken everything, the connection ends: as a
    /// TIME-WAIT record for the side that closed first, at once for the other.
    #[inline(always)]
    pub(super) fn conclude(&mut self, slot: u32, hash: u64, cx: &mut Cx<'_>) {
        let Some(t) = self.core.conns.get(slot) else { return };
        if t.has(flag::ABORT) || self.core.recv.unread(t.recv, t.stream_end()) > 0 {
            return;
        }
        match t.state() {
            State::TimeWait => self.enter_time_wait(slot, hash, cx),
            State::Closed => self.finish(slot, hash, CloseReason::Graceful, cx),
            _ => {}
        }
    }

    #[inline(never)]
    fn enter_time_wait(&mut self, slot: u32, hash: u64, cx: &mut Cx<'_>) {
        let core = &mut self.core;
        let Some(t) = core.conns.get(slot) else { return };
        let (record, agreed) = TimeWait::new(t);
        core.flows.remove(hash, FlowRef::new(FlowKind::Conn, slot));
        core.keep_time_wait(hash, record, agreed);
        self.release(slot, CloseReason::Graceful, cx);
    }

    /// Ends a connection for good.
    #[inline(never)]
    pub(super) fn finish(&mut self, slot: u32, hash: u64, why: CloseReason, cx: &mut Cx<'_>) {
        self.core.flows.remove(hash, FlowRef::new(FlowKind::Conn, slot));
        self.release(slot, why, cx);
    }

    /// Gives back all that a connection holds and tells the application. Its table entry is gone already.
    #[inline(always)]
    fn release(&mut self, slot: u32, why: CloseReason, cx: &mut Cx<'_>) {
        self.with_app(slot, |app, conn| app.ending(conn, why));
        let core = &mut self.core;
        let Some(t) = core.conns.get_mut(slot) else { return };
        let (key, flags) = (t.key, t.flags);
        core.send.discard(&mut t.send);
        core.recv.discard(&mut t.recv, cx.pool);
        core.proto.recovery.release(t);
        if !core.conns.remove(slot) {
            return;
        }
        core.forget_tuning(slot, flags);
        core.forget_window(slot, flags);
        core.forget_pacing(slot);
        core.forget_fast_open(slot, &key, why);
        core.troubles.forget(slot);
        core.proto.counters.event(match why {
            CloseReason::Graceful => Event::ClosedGraceful,
            CloseReason::Reset => Event::ClosedReset,
            CloseReason::Refused => Event::ClosedRefused,
            CloseReason::TimedOut => Event::ClosedTimeout,
            CloseReason::Unreachable | CloseReason::NetUnreachable => Event::ClosedUnreachable,
            CloseReason::Aborted => Event::ClosedAborted,
            CloseReason::Orphaned => Event::ClosedOrphan,
        });
        let user = self.users.take(slot);
        self.app.closed(user, why, cx.now);
    }
}

impl Core {
    /// The application may be given bytes. False: the connection is being reset, perhaps because of them.
    #[inline(always)]
    pub(super) fn takes_bytes(&mut self, slot: u32) -> bool {
        let Some(t) = self.conns.get_mut(slot) else { return false };
        if t.flags & (flag::ABORT | flag::RECEIVE_SHUT) == 0 {
            return true;
        }
        if !t.has(flag::ABORT) {
            // RFC 9293 3.10.4: nobody will ever read this.
            self.proto.counters.drop(DropReason::DataAfterClose);
            t.set(flag::ABORT);
        }
        false
    }

    /// The peer's FIN, number `fin`, is passed if it is next in order.
    #[inline(always)]
    pub(super) fn pass_fin(&mut self, slot: u32, fin: Seq) -> bool {
        let Some(t) = self.conns.get_mut(slot).filter(|t| t.rcv_nxt == fin) else { return false };
        t.rcv_nxt += 1;
        t.rcv_adv = t.rcv_adv.max(t.rcv_nxt);
        receive::on_fin(t, &self.proto.env_of(slot, t.flags));
        if self.trace.is_on() {
            self.trace.amend(t.key.local_port, t.key.remote_port, t.state());
        }
        true
    }
}
