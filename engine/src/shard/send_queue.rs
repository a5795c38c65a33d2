//! Send queues: references to the application's bytes, in pooled side blocks that a connection has only while
//! something is queued. Bytes are read when a segment is built and read again when it is retransmitted.

use super::app::{Generator, Payload};
use crate::table::Recycler;
use crate::tcp::NONE;
use crate::wire::Seq;
use std::collections::VecDeque;
use std::sync::Arc;

/// Size of a buffer for bytes that had to be copied.
pub const COPY_BUFFER_BYTES: usize = 2048;
/// References that one connection may have queued.
const MAX_CHUNKS: usize = 1024;

enum Source {
    Static(&'static [u8]),
    Shared(Arc<[u8]>),
    Generated(Generator),
    Copied(u32),
}

struct Chunk {
    source: Source,
    /// First byte of the source that is still unacknowledged.
    offset: u64,
    /// Bytes from there on.
    len: u32,
}

/// Most connections have one thing to say at a time: it stands in `first`, and the queue behind it stays untouched.
#[derive(Default)]
struct Block {
    first: Option<Chunk>,
    /// Empty as long as there is no `first`.
    rest: VecDeque<Chunk>,
    /// Sequence number of the first chunk's first byte.
    base: Seq,
    /// What ends there is the beginning of something that the application has not said yet.
    unfinished: Option<Seq>,
}

impl Block {
    fn is_full(&self) -> bool {
        self.rest.len() >= MAX_CHUNKS
    }

    #[inline]
    fn push(&mut self, source: Source, len: u32) {
        match self.first {
            None => self.first = Some(Chunk { source, offset: 0, len }),
            Some(_) => self.push_behind(source, len),
        }
    }

    #[inline(never)]
    fn push_behind(&mut self, source: Source, len: u32) {
        self.rest.push_back(Chunk { source, offset: 0, len });
    }

    fn last_mut(&mut self) -> Option<&mut Chunk> {
        self.rest.back_mut().or(self.first.as_mut())
    }
}

struct CopyBuffer([u8; COPY_BUFFER_BYTES]);

impl Default for CopyBuffer {
    fn default() -> Self {
        CopyBuffer([0; COPY_BUFFER_BYTES])
    }
}

pub struct SendPool {
    blocks: Recycler<Block>,
    buffers: Recycler<CopyBuffer>,
}

impl SendPool {
    /// Addresses that a block takes, and a buffer.
    pub const BLOCK_BYTES: usize = size_of::<Block>();
    pub const BUFFER_BYTES: usize = size_of::<CopyBuffer>();

    pub fn new(blocks: u32, buffers: u32) -> SendPool {
        SendPool { blocks: Recycler::with_limit(blocks), buffers: Recycler::with_limit(buffers) }
    }

    pub fn blocks_in_use(&self) -> usize {
        self.blocks.in_use()
    }

    pub fn buffers_in_use(&self) -> usize {
        self.buffers.in_use()
    }

    pub fn has_buffer(&self) -> bool {
        self.buffers.has_room()
    }

    /// The block `*block`, or a new one starting at `base`. `None` when the pool is empty or the block is full.
    fn open(&mut self, block: &mut u32, base: Seq) -> Option<&mut Block> {
        if *block != NONE {
            return self.blocks.get_mut(*block).filter(|b| !b.is_full());
        }
        *block = self.blocks.take()?;
        let b = self.blocks.get_mut(*block)?;
        (b.base, b.unfinished) = (base, None);
        Some(b)
    }

    /// Appends `payload`, whose first byte gets number `at`. False: full.
    pub fn push(&mut self, block: &mut u32, at: Seq, payload: Payload) -> bool {
        let len = payload.len() as u32;
        let Some(b) = self.open(block, at) else { return false };
        let source = match payload {
            Payload::Static(bytes) => Source::Static(bytes),
            Payload::Shared(bytes) => Source::Shared(bytes),
            Payload::Generated(g) => Source::Generated(g),
        };
        b.push(source, len);
        true
    }

    /// Copies as many of `bytes` as there is room for; the first gets number `at`. Returns how many.
    pub fn push_copy(&mut self, block: &mut u32, at: Seq, bytes: &[u8]) -> usize {
        let mut done = 0;
        while done < bytes.len() {
            let n = self.append_to_last(*block, &bytes[done..]);
            if n > 0 {
                done += n;
                continue;
            }
            let Some(buffer) = self.buffers.take() else { break };
            let Some(b) = self.open(block, at + done as u32) else {
                self.buffers.give_back(buffer);
                break;
            };
            b.push(Source::Copied(buffer), 0);
        }
        self.drop_if_empty(block);
        done
    }

    /// Fills the free rest of the last chunk's buffer, if it has one.
    fn append_to_last(&mut self, block: u32, bytes: &[u8]) -> usize {
        let Some(last) = self.blocks.get_mut(block).and_then(Block::last_mut) else { return 0 };
        let Source::Copied(buffer) = last.source else { return 0 };
        let end = last.offset as usize + last.len as usize;
        let Some(room) = self.buffers.get_mut(buffer).and_then(|b| b.0.get_mut(end..)) else { return 0 };
        let n = room.len().min(bytes.len());
        room[..n].copy_from_slice(&bytes[..n]);
        last.len += n as u32;
        n
    }

    /// An exhausted pool can leave a block with an empty last chunk, or without any.
    fn drop_if_empty(&mut self, block: &mut u32) {
        let Some(b) = self.blocks.get_mut(*block) else { return };
        if b.first.is_none() {
            self.blocks.give_back(*block);
            *block = NONE;
        }
    }

    /// Writes the bytes from number `seq` on into `out`. What is not queued is left as it is.
    #[inline(always)]
    pub fn read(&self, block: u32, seq: Seq, out: &mut [u8]) {
        let Some(b) = self.blocks.get(block) else { return };
        if let Some(Chunk { source: Source::Static(bytes), offset: 0, .. }) = &b.first
            && seq == b.base
            && bytes.len() == out.len()
        {
            return out.copy_from_slice(bytes);
        }
        self.read_any(b, seq, out);
    }

    #[inline(never)]
    fn read_any(&self, b: &Block, seq: Seq, mut out: &mut [u8]) {
        let mut skip = u64::from(seq.since(b.base));
        for chunk in b.first.iter().chain(&b.rest) {
            if out.is_empty() {
                return;
            }
            let len = u64::from(chunk.len);
            if skip >= len {
                skip -= len;
                continue;
            }
            let n = (len - skip).min(out.len() as u64) as usize;
            let (now, rest) = out.split_at_mut(n);
            self.copy_out(chunk, chunk.offset + skip, now);
            out = rest;
            skip = 0;
        }
    }

    fn copy_out(&self, chunk: &Chunk, offset: u64, out: &mut [u8]) {
        let from = |bytes: &[u8], out: &mut [u8]| {
            let start = (offset as usize).min(bytes.len());
            let n = out.len().min(bytes.len() - start);
            out[..n].copy_from_slice(&bytes[start..start + n]);
        };
        match &chunk.source {
            Source::Static(bytes) => from(bytes, out),
            Source::Shared(bytes) => from(bytes, out),
            Source::Generated(g) => (g.fill)(g.seed, offset, out),
            Source::Copied(buffer) => {
                if let Some(b) = self.buffers.get(*buffer) {
                    from(&b.0, out);
                }
            }
        }
    }

    /// What is queued, up to `end`, is to be followed by more; `None`: that was all.
    pub fn set_unfinished(&mut self, block: u32, end: Option<Seq>) {
        if let Some(b) = self.blocks.get_mut(block) {
            b.unfinished = end;
        }
    }

    /// More is to follow what ends at `end`.
    pub fn is_unfinished(&self, block: u32, end: Seq) -> bool {
        self.blocks.get(block).is_some_and(|b| b.unfinished == Some(end))
    }

    /// Lets go of the first `acked` bytes; gives the block back once nothing is left.
    #[inline]
    pub fn release(&mut self, block: &mut u32, acked: u32) {
        let Some(b) = self.blocks.get_mut(*block) else { return };
        match &b.first {
            // All of a single thing that takes nothing to let go of.
            Some(Chunk { source: Source::Static(_) | Source::Generated(_), len, .. })
                if *len == acked && b.rest.is_empty() =>
            {
                core::mem::forget(b.first.take());
                self.blocks.give_back(*block);
                *block = NONE;
            }
            _ => self.release_any(block, acked),
        }
    }

    #[inline(never)]
    fn release_any(&mut self, block: &mut u32, mut acked: u32) {
        let Some(b) = self.blocks.get_mut(*block) else { return };
        b.base += acked;
        while let Some(first) = &mut b.first {
            if acked < first.len {
                first.offset += u64::from(acked);
                first.len -= acked;
                return;
            }
            acked -= first.len;
            if let Source::Copied(buffer) = first.source {
                self.buffers.give_back(buffer);
            }
            b.first = if b.rest.is_empty() { None } else { b.rest.pop_front() };
        }
        self.blocks.give_back(*block);
        *block = NONE;
    }

    /// Gives everything back.
    #[inline(always)]
    pub fn discard(&mut self, block: &mut u32) {
        if *block != NONE {
            self.release(block, u32::MAX);
        }
    }
}
