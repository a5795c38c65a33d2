//! What applications are told beyond the stream itself (RFC 9293 3.9.1.8): ICMP errors, retransmissions without an answer,
//! urgent data. Nothing of it changes a connection.

use super::Shard;
use super::app::{App, ConnId, Report};
use super::core::Core;
use super::ingest::Item;
use crate::base::DropReason;
use crate::tcp::receive::Outcome;
use crate::wire::parse;

/// R1 of RFC 9293 3.8.3: so many time-outs in a row are told.
const NO_ANSWER_RETRIES: u8 = 3;

impl Core {
    /// To be told at the end of the burst, if connection `slot` is still there.
    #[cold]
    pub(super) fn report(&mut self, slot: u32, what: Report) {
        self.reports.push((ConnId { slot, generation: self.conns.generation(slot) }, what));
    }
}

impl<A: App> Shard<A> {
    /// Tells what was noted in this burst.
    #[inline]
    pub(super) fn tell_reports(&mut self) {
        if !self.core.reports.is_empty() {
            self.tell_all();
        }
    }

    #[cold]
    fn tell_all(&mut self) {
        let mut reports = std::mem::take(&mut self.core.reports);
        for (id, what) in reports.drain(..) {
            if self.core.conns.is_live(id.slot, id.generation) {
                self.with_app(id.slot, |app, conn| app.reported(conn, what));
            }
        }
        self.core.reports = reports;
    }

    /// A deadline of connection `slot` has passed; it had `before` time-outs in a row until then. At the third, IP is
    /// advised to look for the next hop again, and the application is told.
    pub(super) fn tell_no_answer(&mut self, slot: u32, before: u8) {
        let Some(t) = self.core.conns.get(slot) else { return };
        if before < NO_ANSWER_RETRIES && t.retries >= NO_ANSWER_RETRIES {
            self.core.neigh.doubt(t.neighbour, self.core.proto.clock.now);
            self.with_app(slot, |app, conn| app.reported(conn, Report::NoAnswer));
        }
    }

    /// A segment of connection `slot` has URG. The pointer counts though the window may be closed (RFC 9293 3.4).
    #[cold]
    pub(super) fn tell_urgent(&mut self, slot: u32, item: &Item, out: &Outcome) {
        let Some(t) = self.core.conns.get(slot) else { return };
        let is_in_window = matches!(out.drop, None | Some(DropReason::WindowExceeded));
        if !is_in_window || item.seg.flags.syn() || !t.state().receives_data() {
            return;
        }
        let Some(pointer) = item.frame.as_ref().and_then(|frame| parse::peek_urgent(frame.bytes())) else { return };
        let (end, next) = (item.seg.seq + u32::from(pointer), t.rcv_nxt - self.core.recv.unread(t.recv, t.rcv_nxt));
        if end.after(next) {
            let bytes = end.since(next);
            self.with_app(slot, |app, conn| app.reported(conn, Report::Urgent { bytes }));
        }
    }
}
