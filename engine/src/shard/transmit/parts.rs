//! Segments that take several frames.

use crate::base::frame::chain::PARTS_MAX;
use crate::base::{Counters, Event, Frame, FramePool};
use crate::shard::send_queue::SendPool;
use crate::wire::emit::{self, HEADERS_BYTES_MAX, LinkOut, SegmentOut};

/// Whether a segment with `len` bytes of payload fits into the chunk of `frame`, whatever its headers.
#[inline(always)]
pub(super) fn holds(frame: &Frame, len: u32) -> bool {
    frame.has_capacity(len as usize + HEADERS_BYTES_MAX)
}

/// `frame`, with as many frames behind it as a payload of `len` bytes takes. `None`, and the frame given back, when there are
/// not so many.
#[inline(always)]
pub(super) fn with_room(frame: Frame, len: u32, pool: &mut FramePool) -> Option<Frame> {
    if holds(&frame, len) { Some(frame) } else { extended(frame, len, pool) }
}

#[cold]
fn extended(mut frame: Frame, len: u32, pool: &mut FramePool) -> Option<Frame> {
    let each = frame.capacity_bytes() & !1;
    let here = each.saturating_sub(HEADERS_BYTES_MAX);
    let behind = (len as usize).saturating_sub(here).div_ceil(each.max(1));
    let mut rest = None;
    // Too few for a segment that no packet could hold: writing it will fail.
    for _ in 0..behind.min(PARTS_MAX - 1) {
        let Some(mut part) = pool.alloc() else {
            rest.into_iter().for_each(|part| pool.free(part));
            pool.free(frame);
            return None;
        };
        if let Some(Err(refused)) = rest.take().map(|rest| part.append(rest)) {
            pool.free(refused);
        }
        rest = Some(part);
    }
    if let Some(Err(refused)) = rest.map(|rest| frame.append(rest)) {
        pool.free(refused);
    }
    Some(frame)
}

/// Writes a segment with the bytes queued in a block over `frame` and those behind it.
#[cold]
pub(super) fn write_parts(
    frame: &mut Frame,
    link: &LinkOut,
    s: &SegmentOut<'_>,
    (send, block): (&SendPool, u32),
    counters: &mut Counters,
) -> bool {
    let read = |at: usize, out: &mut [u8]| send.read(block, s.seq + at as u32, out);
    let written = emit::tcp_in_parts(frame, link, s, read);
    let behind = frame.parts().skip(1).map(Frame::len).sum::<usize>();
    counters.add(Event::BytesOut, behind as u64);
    written
}
