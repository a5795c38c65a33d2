//! Finished segments on their way into the burst, with the Diffserv field and TTL that their connection has.

use super::core::{Core, Cx};
use crate::base::{DropReason, Event, Frame};
use crate::wire::remark::{IpFields, remark};

impl Core {
    /// A segment of no connection, or of none any more. `written`: there was room for it in the frame.
    #[inline]
    pub(super) fn push(&mut self, frame: Frame, written: bool, cx: &mut Cx<'_>) {
        self.push_with(self.proto.config.ip, frame, written, cx);
    }

    /// A segment of a connection whose configuration says `ip`.
    #[inline]
    pub(super) fn push_with(&mut self, ip: IpFields, mut frame: Frame, written: bool, cx: &mut Cx<'_>) {
        if !written {
            self.proto.counters.drop(DropReason::NoFrame);
            return cx.pool.free(frame);
        }
        if ip != IpFields::default() {
            remark(&mut frame, ip);
        }
        self.proto.counters.event(Event::SegmentsOut);
        self.push_frame(frame, cx);
    }

    /// Puts a finished frame into the burst.
    #[inline]
    pub(super) fn push_frame(&mut self, frame: Frame, cx: &mut Cx<'_>) {
        self.proto.counters.event(Event::FramesOut);
        self.proto.counters.add(Event::BytesOut, frame.len() as u64);
        cx.tx.push(frame);
    }
}
