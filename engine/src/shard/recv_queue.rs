//! Received bytes that cannot be handed on yet: out of order, or not wanted by the application so far. The
//! frames themselves are kept, in pooled side blocks that a connection has only while it needs one; a budget over
//! all connections keeps the frame pool from running dry. A connection may hold as many as are still free: one
//! alone gets half of them, each of n one part in n + 1, and there is always something left for the next.

use super::recv_ranges::Ranges;
use crate::base::{Frame, FramePool};
use crate::table::Recycler;
use crate::tcp::NONE;
use crate::wire::Seq;
use crate::wire::segment::SackBlock;
use std::collections::VecDeque;

/// Segments kept for one connection: as many as fill the largest window worth having.
const MAX_HELD: usize = 1 << 18;

struct Held {
    seq: Seq,
    /// Where the bytes lie in the frame.
    start: u16,
    len: u16,
    frame: Frame,
}

impl Held {
    fn end(&self) -> Seq {
        self.seq + u32::from(self.len)
    }
}

#[derive(Default)]
struct Block {
    /// In sequence order, without overlaps.
    held: VecDeque<Held>,
    fin: Option<Seq>,
    /// What of the stream the segments cover.
    ranges: Ranges,
}

pub struct RecvPool {
    blocks: Recycler<Block>,
    frames: u32,
    limit_frames: u32,
}

/// What became of a segment offered to [`RecvPool::hold`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hold {
    Kept,
    Duplicate,
    Full,
}

impl RecvPool {
    /// Addresses that a block takes.
    pub const BLOCK_BYTES: usize = size_of::<Block>();

    pub fn new(blocks: u32, limit_frames: u32) -> RecvPool {
        RecvPool { blocks: Recycler::with_limit(blocks), frames: 0, limit_frames }
    }

    pub fn blocks_in_use(&self) -> usize {
        self.blocks.in_use()
    }

    pub fn frames_held(&self) -> u32 {
        self.frames
    }

    /// Keeps the bytes `start..start + len` of `frame`, numbered from `seq` on, clipped to what is not held yet. On
    /// anything but `Kept` the frame is given back through `frame`. `passing`: they can be handed on at once, so they
    /// are taken even when the store is full (else what fills it could never leave it).
    #[allow(clippy::too_many_arguments)]
    pub fn hold(
        &mut self,
        block: &mut u32,
        passing: bool,
        mut seq: Seq,
        mut start: u16,
        mut len: u16,
        frame: &mut Option<Frame>,
        pool: &mut FramePool,
    ) -> Hold {
        let free = self.limit_frames.saturating_sub(self.frames);
        if !passing && free == 0 {
            return Hold::Full;
        }
        if *block == NONE {
            let Some(index) = self.blocks.take() else { return Hold::Full };
            *block = index;
        }
        let Some(b) = self.blocks.get_mut(*block) else { return Hold::Full };
        if !passing && b.held.len() >= MAX_HELD.min(free as usize) {
            return Hold::Full;
        }
        let whole = (seq, seq + u32::from(len));
        let at = match b.held.back() {
            // Almost always it belongs at the end.
            Some(last) if last.seq.after(seq) => b.held.partition_point(|h| !h.seq.after(seq)),
            _ => b.held.len(),
        };
        if at > 0 {
            let covered = b.held[at - 1].end();
            if covered.after(seq) {
                let cut = covered.since(seq).min(u32::from(len)) as u16;
                seq += u32::from(cut);
                start += cut;
                len -= cut;
            }
        }
        let end = seq + u32::from(len);
        while len > 0 && at < b.held.len() && b.held[at].end().at_or_before(end) {
            if let Some(covered) = b.held.remove(at) {
                pool.free(covered.frame);
                self.frames -= 1;
            }
        }
        if len > 0 && at < b.held.len() && b.held[at].seq.before(end) {
            len = b.held[at].seq.since(seq).min(u32::from(len)) as u16;
        }
        if len == 0 {
            // Its range is the latest news all the same.
            b.ranges.add(whole.0, whole.1);
            self.give_back_if_empty(block);
            return Hold::Duplicate;
        }
        let Some(frame) = frame.take() else { return Hold::Full };
        b.ranges.add(seq, seq + u32::from(len));
        b.held.insert(at, Held { seq, start, len, frame });
        self.frames += 1;
        Hold::Kept
    }

    /// Remembers a FIN that came before bytes in front of it. The first number counts.
    pub fn note_fin(&mut self, block: &mut u32, fin: Seq) {
        if *block == NONE {
            match self.blocks.take() {
                Some(index) => *block = index,
                None => return,
            }
        }
        if let Some(b) = self.blocks.get_mut(*block) {
            b.fin.get_or_insert(fin);
        }
    }

    /// The FIN, if it is known and next in line.
    pub fn fin_due(&self, block: u32, rcv_nxt: Seq) -> bool {
        self.blocks.get(block).is_some_and(|b| b.fin == Some(rcv_nxt))
    }

    pub fn clear_fin(&mut self, block: &mut u32) {
        if let Some(b) = self.blocks.get_mut(*block) {
            b.fin = None;
        }
        self.give_back_if_empty(block);
    }

    /// The number after the last byte that follows `rcv_nxt` without a gap.
    pub fn contiguous_from(&mut self, block: u32, rcv_nxt: Seq) -> Seq {
        let Some(b) = self.blocks.get_mut(block) else { return rcv_nxt };
        b.ranges.pass(rcv_nxt);
        b.ranges.contiguous_from(rcv_nxt)
    }

    /// Something is held that does not follow `rcv_nxt` without a gap.
    pub fn has_gap(&self, block: u32, rcv_nxt: Seq) -> bool {
        self.blocks.get(block).and_then(|b| b.held.back()).is_some_and(|last| last.seq.after(rcv_nxt))
    }

    /// What of `start..end` has come before: the first of such ranges.
    pub fn first_overlap(&self, block: u32, start: Seq, end: Seq) -> Option<SackBlock> {
        self.blocks.get(block)?.ranges.first_overlap(start, end)
    }

    /// Bytes below `rcv_nxt` that the application has not taken.
    pub fn unread(&self, block: u32, rcv_nxt: Seq) -> u32 {
        match self.blocks.get(block).and_then(|b| b.held.front()) {
            Some(first) if first.seq.before(rcv_nxt) => rcv_nxt.since(first.seq),
            _ => 0,
        }
    }

    /// The first held segment, taken out, if all of it lies below `rcv_nxt`: (frame, start, length, number after its
    /// last byte).
    pub fn take_ready(&mut self, block: u32, rcv_nxt: Seq) -> Option<(Frame, u16, u16, Seq)> {
        let b = self.blocks.get_mut(block)?;
        if !b.held.front()?.end().at_or_before(rcv_nxt) {
            return None;
        }
        let h = b.held.pop_front()?;
        self.frames -= 1;
        let end = h.end();
        Some((h.frame, h.start, h.len, end))
    }

    /// Copies the bytes in front of `end` into `out`, as far as there is room for them, and returns how many.
    pub fn peek(&self, block: u32, end: Seq, out: &mut [u8]) -> usize {
        let Some(b) = self.blocks.get(block) else { return 0 };
        let mut done = 0;
        for h in &b.held {
            let n = if h.seq.before(end) { usize::from(h.len).min(out.len() - done) } else { 0 };
            let bytes = h.frame.bytes().get(usize::from(h.start)..usize::from(h.start) + n);
            let Some(bytes) = bytes.filter(|b| !b.is_empty()) else { break };
            out[done..done + n].copy_from_slice(bytes);
            done += n;
        }
        done
    }

    /// As [`peek`](Self::peek), and those bytes are read: frames that hold nothing else go to `spent`.
    pub fn read(&mut self, block: u32, end: Seq, out: &mut [u8], spent: &mut Vec<Frame>) -> usize {
        let done = self.peek(block, end, out);
        let Some(b) = self.blocks.get_mut(block) else { return 0 };
        let mut left = done;
        while left > 0 {
            let Some(first) = b.held.front_mut() else { break };
            let n = usize::from(first.len).min(left) as u16;
            (first.seq, first.start, first.len) = (first.seq + u32::from(n), first.start + n, first.len - n);
            left -= usize::from(n);
            if first.len == 0
                && let Some(h) = b.held.pop_front()
            {
                self.frames -= 1;
                spent.push(h.frame);
            }
        }
        done
    }

    /// Puts back what the application left of a segment, of one from `take_ready` or one that has just come; `end` is the
    /// number after its last byte. False: no room, and the frame is given back.
    pub fn put_back(
        &mut self,
        block: &mut u32,
        frame: Frame,
        start: u16,
        len: u16,
        end: Seq,
        pool: &mut FramePool,
    ) -> bool {
        // Those that have a block hold frames already: theirs are counted.
        if *block == NONE && self.frames < self.limit_frames {
            *block = self.blocks.take().unwrap_or(NONE);
        }
        match self.blocks.get_mut(*block) {
            Some(b) => {
                b.held.push_front(Held { seq: end - u32::from(len), start, len, frame });
                self.frames += 1;
                true
            }
            None => {
                pool.free(frame);
                false
            }
        }
    }

    /// SACK blocks for what lies beyond `rcv_nxt`, the latest first (RFC 2018 section 4). Returns how many.
    pub fn sack_blocks(&self, block: u32, rcv_nxt: Seq, out: &mut [SackBlock]) -> usize {
        let Some(b) = self.blocks.get(block) else { return 0 };
        let count = b.ranges.report(rcv_nxt, out);
        // The FIN behind the last byte has come too.
        if let Some(last) = out[..count].iter_mut().find(|block| b.fin == Some(block.end)) {
            last.end += 1;
        }
        count
    }

    pub fn give_back_if_empty(&mut self, block: &mut u32) {
        if let Some(b) = self.blocks.get_mut(*block)
            && b.held.is_empty()
            && b.fin.is_none()
        {
            b.ranges.clear();
            self.blocks.give_back(*block);
            *block = NONE;
        }
    }

    /// Frees everything.
    #[inline(always)]
    pub fn discard(&mut self, block: &mut u32, pool: &mut FramePool) {
        if *block != NONE {
            self.discard_block(block, pool);
        }
    }

    #[inline(never)]
    fn discard_block(&mut self, block: &mut u32, pool: &mut FramePool) {
        let Some(b) = self.blocks.get_mut(*block) else { return };
        for h in b.held.drain(..) {
            pool.free(h.frame);
            self.frames -= 1;
        }
        b.fin = None;
        b.ranges.clear();
        self.blocks.give_back(*block);
        *block = NONE;
    }
}
