//! Segments in several frames: their payload is handed on part by part, as if it had come in as many segments.
//!
//! The frame with the headers stays a frame like any other, in which an answer may go out; the rest of the packet stands
//! beside it in [`Item::rest`](super::ingest::Item).

use super::Shard;
use super::app::App;
use super::core::{Core, Cx};
use super::ingest::Item;
use super::recv_queue::Hold;
use crate::base::frame::chain::PARTS_MAX;
use crate::base::{DropReason, Event, Frame};
use crate::tcp::{NONE, Tcb, flag};
use crate::wire::Seq;
use crate::wire::parse::{LinkInfo, Packet, ParseOptions, parse_parts};

/// Where in the payload a walk over the parts stands.
struct Walk {
    /// Bytes in front of the payload that are still to be passed.
    skip: usize,
    left: usize,
    seq: Seq,
}

impl Walk {
    /// Of what `frame` holds of the payload: place, length, and the number after the last byte.
    fn step(&mut self, frame: &Frame) -> Option<(u16, u16, Seq)> {
        let start = self.skip.min(frame.len());
        let len = (frame.len() - start).min(self.left);
        self.skip -= start;
        self.left -= len;
        self.seq += len as u32;
        (len > 0).then_some((start as u16, len as u16, self.seq))
    }
}

impl<A: App> Shard<A> {
    /// The payload's `len` bytes from place `start` of the packet on, which are the next of the stream and acknowledged.
    #[cold]
    pub(super) fn take_parts(&mut self, slot: u32, item: &mut Item, start: u16, len: u16, cx: &mut Cx<'_>) {
        let Some(t) = self.core.conns.get(slot) else { return };
        let mut walk = Walk { skip: start.into(), left: len.into(), seq: t.rcv_nxt - u32::from(len) };
        let first = item.frame.take();
        item.frame = first.and_then(|frame| self.take_part(slot, frame, &mut walk, cx));
        let mut rest = item.rest.take();
        while let Some(mut frame) = rest {
            rest = frame.take_rest();
            if let Some(free) = self.take_part(slot, frame, &mut walk, cx) {
                cx.pool.free(free);
            }
        }
    }

    /// Lends the application one part. What it leaves stays, with all that follows. Where there was no room for that,
    /// RCV.NXT has gone back to it, and what lies beyond has not come either. Returns the frame if it is free.
    fn take_part(&mut self, slot: u32, frame: Frame, walk: &mut Walk, cx: &mut Cx<'_>) -> Option<Frame> {
        let core = &mut self.core;
        let Some((start, len, end)) = walk.step(&frame) else { return Some(frame) };
        let takes = |t: &&mut Tcb| !t.has(flag::ABORT) && end.at_or_before(t.rcv_nxt);
        let Some(t) = core.conns.get_mut(slot).filter(takes) else { return Some(frame) };
        if t.recv != NONE {
            let mut frame = Some(frame);
            core.recv.hold(&mut t.recv, true, end - u32::from(len), start, len, &mut frame, cx.pool);
            return frame;
        }
        // It may have closed at one of the parts before.
        if core.takes_bytes(slot) { self.lend(slot, frame, (start, len, end), cx) } else { Some(frame) }
    }
}

impl Core {
    /// Parses a packet in several frames; a TCP segment or the reason why not.
    pub(super) fn parse_parts(&mut self, frame: &Frame) -> Result<(LinkInfo, Packet), DropReason> {
        let mut behind: [&[u8]; PARTS_MAX - 1] = Default::default();
        for (place, part) in behind.iter_mut().zip(frame.parts().skip(1)) {
            *place = part.bytes();
        }
        self.proto.counters.add(Event::BytesIn, behind.iter().map(|part| part.len() as u64).sum());
        parse_parts(frame.bytes(), &behind, ParseOptions { verify_checksums: self.config.verify_checksums })
    }

    /// Keeps a payload in several frames as [`RecvPool::hold`](super::recv_queue::RecvPool::hold) does with one: `Kept`
    /// if any of it was kept, `Full` if there was no room for some.
    #[cold]
    pub(super) fn hold_parts(
        &mut self,
        slot: u32,
        mut passing: bool,
        payload: (Seq, u16, u16),
        item: &mut Item,
        cx: &mut Cx<'_>,
    ) -> Hold {
        let (seq, start, len) = payload;
        let mut walk = Walk { skip: start.into(), left: len.into(), seq };
        let (mut all, mut is_first, mut next) = (Hold::Duplicate, true, item.frame.take());
        while let Some(mut frame) = next {
            next = if is_first { item.rest.take() } else { frame.take_rest() };
            let (step, mut frame) = (walk.step(&frame), Some(frame));
            if let (Some((start, len, end)), Some(t)) = (step, self.conns.get_mut(slot)) {
                let (seq, block) = (end - u32::from(len), &mut t.recv);
                let kept = self.recv.hold(block, passing, seq, start, len, &mut frame, cx.pool);
                passing &= kept != Hold::Full;
                all = match (all, kept) {
                    (Hold::Full, _) | (_, Hold::Full) => Hold::Full,
                    (Hold::Kept, _) | (_, Hold::Kept) => Hold::Kept,
                    _ => Hold::Duplicate,
                };
            }
            match frame {
                Some(frame) if is_first => item.frame = Some(frame),
                Some(frame) => cx.pool.free(frame),
                None => {}
            }
            is_first = false;
        }
        all
    }
}
