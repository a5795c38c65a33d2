//! The short way of an expected segment through the shard: what it brings is handed on, and what the application says
//! to it goes back at once, in the frame that it came in.

use super::Shard;
use super::app::App;
use super::core::Cx;
use super::ingest::Item;
use super::segment::acknowledged;
use crate::tcp::expected::Expected;
use crate::tcp::flag;

impl<A: App> Shard<A> {
    /// Goes on with a segment that [`expected::receive`](crate::tcp::expected::receive) has taken.
    #[inline]
    pub(super) fn expected_segment(&mut self, slot: u32, expected: &Expected, item: &mut Item, cx: &mut Cx<'_>) {
        let core = &mut self.core;
        if core.hears_no_replies {
            core.hear_neighbour(slot, item.sender());
        }
        let Some(mut t) = core.conns.get_mut(slot) else { return };
        // What the application asks for in the callbacks is sent below, not with the burst.
        let listed = t.has(flag::PENDING);
        t.set(flag::PENDING);
        if expected.progress
            && acknowledged(t, expected.acked_bytes, &mut core.send, &mut core.neigh, core.proto.clock.now)
        {
            self.tell_writable(slot);
            let Some(same) = self.core.conns.get_mut(slot) else { return };
            t = same;
        }
        if expected.happened.any() {
            self.conclude(slot, item.hash, cx);
        } else {
            let (start, len) = (item.seg.payload_start, item.seg.payload_len);
            // `writable` may have closed the connection just now.
            let takes = len == 0 || t.flags & (flag::ABORT | flag::RECEIVE_SHUT) == 0 || self.core.takes_bytes(slot);
            if takes && len > 0 {
                self.take_in_order(slot, item, start, len, cx);
            }
            // Bytes for which there was no room keep the FIN behind them waiting.
            if takes && item.seg.flags.fin() && self.core.pass_fin(slot, item.seg.end() - 1) {
                self.stream_ended(slot, item, cx);
            }
        }
        self.core.answer_expected(slot, listed, &mut item.frame, cx);
    }
}
