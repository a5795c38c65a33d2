//! The short way of an expected segment through the shard: what it brings is handed on, and what the application says
//! to it goes back at once, in the frame that it came in.

use super::Shard;
use super::app::App;
use super::conn::wants_writable;
use super::core::Cx;
use super::ingest::Item;
use super::transmit::Sent;
use crate::base::{DropReason, Event};
use crate::tcp::expected::Expected;
use crate::tcp::receive::{self, Happened};
use crate::tcp::{State, flag, output};

impl<A: App> Shard<A> {
    /// Goes on with a segment that [`expected::receive`](crate::tcp::expected::receive) has taken.
    #[inline]
    pub(super) fn expected_segment(&mut self, slot: u32, expected: &Expected, item: &mut Item, cx: &mut Cx<'_>) {
        let core = &mut self.core;
        if core.hears_no_replies {
            core.hear_neighbour(slot, item.sender());
        }
        let Some(t) = core.conns.get_mut(slot) else { return };
        // What the application asks for in the callbacks is sent below, not with the burst.
        let listed = t.has(flag::PENDING);
        t.set(flag::PENDING);
        if expected.progress {
            core.send.release(&mut t.send, expected.acked_bytes);
            core.neigh.confirm(t.neighbour, core.proto.clock.now);
            if wants_writable(t) {
                t.clear(flag::WANT_WRITABLE);
                self.with_app(slot, |app, conn| app.writable(conn));
            }
        }
        if expected.happened.has(Happened::FINISHED) || expected.happened.has(Happened::TIME_WAIT) {
            self.conclude(slot, item.hash, cx);
        } else {
            if item.seg.payload_len > 0 {
                self.take_expected(slot, item, cx);
            }
            if item.seg.flags.fin() {
                self.take_expected_fin(slot, item, cx);
            }
        }
        self.answer_expected(slot, listed, item, cx);
    }

    /// The payload: the next bytes, and nothing waits in front of them.
    #[inline(always)]
    fn take_expected(&mut self, slot: u32, item: &mut Item, cx: &mut Cx<'_>) {
        let core = &mut self.core;
        let Some(t) = core.conns.get_mut(slot) else { return };
        let (start, len) = (item.seg.payload_start, item.seg.payload_len);
        if t.has(flag::RECEIVE_SHUT) {
            // `writable` has closed the connection just now.
            core.proto.counters.drop(DropReason::DataAfterClose);
            return t.set(flag::ABORT);
        }
        t.rcv_nxt += u32::from(len);
        let end = t.rcv_nxt;
        output::data_received(t, &core.proto.env_of(slot, t.flags));
        core.proto.counters.add(Event::PayloadIn, u64::from(len));
        if item.rest.is_some() {
            return self.take_parts(slot, item, start, len, cx);
        }
        let Some(frame) = item.frame.take() else { return };
        let bytes = frame.bytes().get(usize::from(start)..usize::from(start) + usize::from(len)).unwrap_or(&[]);
        let taken = self.with_app(slot, |app, conn| app.data(conn, bytes)).min(usize::from(len)) as u16;
        if taken == len {
            item.frame = Some(frame);
        } else {
            self.leave(slot, frame, start + taken, len - taken, end, cx);
        }
    }

    /// The FIN behind the payload.
    #[inline(always)]
    fn take_expected_fin(&mut self, slot: u32, item: &mut Item, cx: &mut Cx<'_>) {
        let core = &mut self.core;
        let Some(t) = core.conns.get_mut(slot).filter(|t| !t.has(flag::ABORT)) else { return };
        t.rcv_nxt += 1;
        t.rcv_adv = t.rcv_adv.max(t.rcv_nxt);
        receive::on_fin(t);
        let over = t.state() == State::TimeWait;
        if core.trace.is_on() {
            core.trace.amend(t.key.local_port, t.key.remote_port, t.state());
        }
        self.tell_peer_closed(slot);
        if over {
            self.acknowledge_last(slot, item, cx);
            self.conclude(slot, item.hash, cx);
        }
    }

    /// Sends what the application has said, and with it the ACK, unless the connection is over. A bare ACK waits for the end of the burst, which may
    /// bring more that it can acknowledge.
    #[inline(always)]
    pub(super) fn answer_expected(&mut self, slot: u32, listed: bool, item: &mut Item, cx: &mut Cx<'_>) {
        let core = &mut self.core;
        let Some(t) = core.conns.get_mut(slot).filter(|t| t.has(flag::PENDING) && !listed) else { return };
        t.clear(flag::PENDING);
        let speaks = t.has_unsent() && t.flags & (flag::ABORT | flag::RESUME) == 0;
        if speaks && (core.speak(slot, &mut item.frame, cx) || core.output(slot, cx) != Sent::NoRoom) {
            return core.reschedule(slot);
        }
        if core.wants_output(slot) {
            core.mark_pending(slot);
        } else {
            core.reschedule(slot);
        }
    }
}
