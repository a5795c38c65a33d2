//! Frames: packet buffers as owned tokens.
//!
//! A [`Frame`] is the one and only right to a chunk of an [`Arena`]. It is not `Clone`, so a frame can neither
//! be sent twice nor be in a ring and in a queue at once. Every frame that is taken out of a [`FramePool`]
//! must come back to a pool ([`FramePool::free`]) or go into a ring; tests check that none is left over.
//! Dropping a `Frame` without giving it back loses the chunk until the process ends (never memory safety).
//!
//! A packet that is larger than a chunk is a frame with others behind it, see [`chain`].
//!
//! This module and `io` are where raw packet memory is touched; everything above sees slices.

pub mod chain;

use super::pages;
use crossbeam::queue::ArrayQueue;
use std::ptr::NonNull;
use std::sync::Arc;

/// Bytes left free in front of the data of a frame taken for sending: room for AF_XDP TX metadata (24 bytes).
pub const TX_HEADROOM_BYTES: u16 = 64;

/// One contiguous block of memory cut into chunks of equal size.
pub struct Arena {
    base: NonNull<u8>,
    chunk_bytes: u32,
    chunks: u32,
    /// Called with base and total length when the last owner goes.
    release: fn(NonNull<u8>, usize),
}

// SAFETY: the arena only hands out its base address; access to a chunk goes through the one `Frame` that owns it.
unsafe impl Send for Arena {}
// SAFETY: as above; no method of `Arena` reads or writes the memory.
unsafe impl Sync for Arena {}

impl Arena {
    /// Wraps memory that was obtained elsewhere (a UMEM mapping).
    ///
    /// # Safety
    /// `base` must point to `chunks * chunk_bytes` bytes that are readable and writable, used by nobody else
    /// but the kernel's AF_XDP rings, until `release` is called with them.
    pub unsafe fn from_raw(
        base: NonNull<u8>,
        chunk_bytes: u32,
        chunks: u32,
        release: fn(NonNull<u8>, usize),
    ) -> Arc<Arena> {
        Arc::new(Arena { base, chunk_bytes, chunks, release })
    }

    /// Ordinary zeroed memory: for simulations, tests and backends that copy.
    pub fn heap(chunk_bytes: u32, chunks: u32) -> Arc<Arena> {
        let bytes = chunk_bytes as usize * chunks as usize;
        assert!(bytes > 0, "an arena has at least one chunk");
        fn release(base: NonNull<u8>, bytes: usize) {
            // SAFETY: `base` was mapped with this size and is released once, by `Arena::drop`, after the last frame.
            unsafe { pages::unmap(base, bytes) }
        }
        // SAFETY: freshly mapped, exclusively ours, and released by the matching function.
        unsafe { Arena::from_raw(pages::map(bytes), chunk_bytes, chunks, release) }
    }

    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub fn chunk_bytes(&self) -> u32 {
        self.chunk_bytes
    }

    pub fn chunks(&self) -> u32 {
        self.chunks
    }

    pub fn total_bytes(&self) -> usize {
        self.chunk_bytes as usize * self.chunks as usize
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        (self.release)(self.base, self.total_bytes());
    }
}

/// The right to one chunk, with the place of the packet in it, and to the frames behind it. 24 bytes, moved freely, never
/// copied.
#[must_use = "a frame must go back to a pool or into a ring"]
pub struct Frame {
    chunk: NonNull<u8>,
    index: u32,
    chunk_bytes: u16,
    start: u16,
    len: u16,
    csum_start: u16,
    csum_offset: u16,
    /// Not 0: the next frame of the packet stands in the first bytes of the chunk. (A `bool` here would be where `None` of an
    /// `Option<Frame>` stands, and moving one then means taking it apart, as it does with padding.)
    more: u16,
}

// SAFETY: a `Frame` is the exclusive right to its chunk; moving it to another thread moves that right.
unsafe impl Send for Frame {}

impl Frame {
    /// # Safety
    /// The chunk must be live memory of an arena that outlives the frame, no other `Frame`, ring or free list
    /// may hold it, and `start + len` must not exceed `chunk_bytes`.
    unsafe fn new(chunk: NonNull<u8>, index: u32, chunk_bytes: u16, start: u16, len: u16) -> Frame {
        Frame { chunk, index, chunk_bytes, start, len, csum_start: 0, csum_offset: 0, more: 0 }
    }

    #[inline(always)]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the frame owns the chunk, and `start + len <= chunk_bytes` is kept by every method.
        unsafe { std::slice::from_raw_parts(self.chunk.as_ptr().add(self.start as usize), self.len as usize) }
    }

    #[inline(always)]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; `&mut self` makes it exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.chunk.as_ptr().add(self.start as usize), self.len as usize) }
    }

    pub fn len(&self) -> usize {
        self.len as usize
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that the packet could have, from its start to the end of the chunk.
    pub fn room_bytes(&self) -> usize {
        self.chunk_bytes as usize - self.start as usize
    }

    /// Bytes that a packet could have at the standard place for sending.
    #[inline(always)]
    pub fn capacity_bytes(&self) -> usize {
        self.chunk_bytes.saturating_sub(TX_HEADROOM_BYTES).into()
    }

    /// A packet of `len` bytes could have that place.
    #[inline(always)]
    pub fn has_capacity(&self, len: usize) -> bool {
        len + usize::from(TX_HEADROOM_BYTES) <= self.chunk_bytes.into()
    }

    /// Changes the packet's length in place (new bytes hold whatever the chunk held).
    /// Returns false and changes nothing when the chunk is too small.
    #[must_use]
    pub fn set_len(&mut self, len: usize) -> bool {
        let fits = len <= self.room_bytes();
        if fits {
            self.len = len as u16;
        }
        fits
    }

    /// Moves the start to the standard place for sending (to the end of a chunk that has no room for it) and empties
    /// the frame.
    pub fn reset(&mut self) {
        self.start = TX_HEADROOM_BYTES.min(self.chunk_bytes);
        self.len = 0;
        self.csum_start = 0;
        self.csum_offset = 0;
    }

    /// Index of the chunk in its arena.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Offset of the packet in its chunk.
    pub fn start(&self) -> u16 {
        self.start
    }

    /// Asks the device to fill in the checksum: sum from `start`, store at `start + offset` (bytes from the
    /// packet's first byte). The pseudo-header sum must stand in the checksum field already.
    pub fn request_checksum(&mut self, start: u16, offset: u16) {
        self.csum_start = start;
        self.csum_offset = offset;
    }

    /// The pending checksum request as (start, offset), if there is one.
    pub fn checksum_request(&self) -> Option<(u16, u16)> {
        (self.csum_start != 0).then_some((self.csum_start, self.csum_offset))
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame#{}[{}..+{}]", self.index, self.start, self.len)
    }
}

/// Rings on which chunks travel back to the pool they belong to, one per pool. Shared by all workers.
pub type ReturnRings = Arc<[ArrayQueue<u32>]>;

/// A worker's free chunks. Pools of several workers may share one arena; each then owns an equal range of
/// chunks, and a chunk freed by another worker goes home over a lock-free ring.
pub struct FramePool {
    arena: Arc<Arena>,
    free: Vec<u32>,
    first: u32,
    count: u32,
    returns: Option<ReturnRings>,
    me: usize,
    /// Frames of another arena that were offered to `free`: a bug, made visible instead of a crash.
    pub foreign_frames: u64,
}

impl FramePool {
    /// A pool that owns the whole arena.
    pub fn new(arena: Arc<Arena>) -> FramePool {
        let count = arena.chunks();
        Self::over(arena, 0, count, None, 0)
    }

    /// A heap-backed pool of `frames` frames of `chunk_bytes` each.
    pub fn heap(frames: u32, chunk_bytes: u32) -> FramePool {
        Self::new(Arena::heap(chunk_bytes, frames))
    }

    /// `n` pools over equal shares of one arena, wired so that frames freed by any of them go home.
    pub fn split(arena: Arc<Arena>, n: usize) -> Vec<FramePool> {
        let n = n.max(1);
        let each = arena.chunks() / n as u32;
        let rings: ReturnRings = (0..n).map(|_| ArrayQueue::new(each.max(1) as usize)).collect();
        (0..n).map(|me| Self::over(arena.clone(), me as u32 * each, each, Some(rings.clone()), me)).collect()
    }

    fn over(arena: Arc<Arena>, first: u32, count: u32, returns: Option<ReturnRings>, me: usize) -> FramePool {
        let free = (first..first + count).rev().collect();
        FramePool { arena, free, first, count, returns, me, foreign_frames: 0 }
    }

    pub fn arena(&self) -> &Arc<Arena> {
        &self.arena
    }

    /// Chunks that belong to this pool.
    pub fn capacity(&self) -> usize {
        self.count as usize
    }

    /// Free chunks at hand (without those on their way home).
    pub fn available(&self) -> usize {
        self.free.len()
    }

    /// Takes an empty frame with [`TX_HEADROOM_BYTES`] in front; `None` when the pool is exhausted.
    #[inline(always)]
    pub fn alloc(&mut self) -> Option<Frame> {
        let index = self.take_index()?;
        // SAFETY: the index came off the free list, so this frame is the only right to the chunk; the arena
        // outlives it (see `Drop`).
        Some(unsafe { self.adopt(index, TX_HEADROOM_BYTES, 0) })
    }

    /// An empty frame with its packet at `start`, as if it had been received there.
    #[cfg(test)]
    pub(crate) fn alloc_at(&mut self, start: u16) -> Option<Frame> {
        let index = self.take_index()?;
        // SAFETY: as in `alloc`.
        Some(unsafe { self.adopt(index, start, 0) })
    }

    /// Gives a frame back, and those behind it.
    #[inline]
    pub fn free(&mut self, mut frame: Frame) {
        if frame.has_more() {
            self.free_rest(&mut frame);
        }
        let home = self.chunk_ptr(frame.index);
        if home != Some(frame.chunk) {
            self.foreign_frames += 1;
            return;
        }
        // SAFETY: the frame was the only right to this chunk and is consumed here.
        unsafe { self.give_index(frame.index) }
    }

    /// Takes a bare chunk index (for a fill ring).
    #[inline]
    pub fn take_index(&mut self) -> Option<u32> {
        if self.free.is_empty() {
            self.collect_returns();
        }
        self.free.pop()
    }

    /// Fetches chunks that other workers have sent home.
    pub fn collect_returns(&mut self) {
        if let Some(rings) = &self.returns {
            while let Some(index) = rings[self.me].pop() {
                self.free.push(index);
            }
        }
    }

    /// Gives a bare chunk index back (from a completion ring).
    ///
    /// # Safety
    /// The caller must hold the only right to the chunk: no `Frame`, ring or free list may still hold it.
    #[inline]
    pub unsafe fn give_index(&mut self, index: u32) {
        let own = index.wrapping_sub(self.first) < self.count;
        if own {
            self.free.push(index);
            return;
        }
        match &self.returns {
            Some(rings) if self.count > 0 => {
                let home = (index / self.count) as usize;
                // The ring holds every chunk of its pool, so it is never full.
                if home >= rings.len() || rings[home].push(index).is_err() {
                    self.foreign_frames += 1;
                }
            }
            _ => self.foreign_frames += 1,
        }
    }

    /// Makes the frame for a chunk that came out of a ring, with its packet at `start..start + len`.
    /// The place is clipped to the chunk.
    ///
    /// # Safety
    /// The caller must hold the only right to the chunk `index` (it came off a ring of this arena).
    #[inline]
    pub unsafe fn adopt(&self, index: u32, start: u16, len: u16) -> Frame {
        let size = self.arena.chunk_bytes.min(u16::MAX.into());
        let start = u32::from(start).min(size);
        let len = u32::from(len).min(size - start);
        let chunk = self.chunk_ptr(index).expect("a ring only returns chunks of its own arena");
        // SAFETY: exclusive by the caller's promise; in bounds by the clipping above.
        unsafe { Frame::new(chunk, index, size as u16, start as u16, len as u16) }
    }

    #[inline]
    fn chunk_ptr(&self, index: u32) -> Option<NonNull<u8>> {
        if index >= self.arena.chunks {
            return None;
        }
        let offset = index as usize * self.arena.chunk_bytes as usize;
        // SAFETY: `index < chunks`, so the offset lies inside the arena's allocation.
        Some(unsafe { self.arena.base.add(offset) })
    }
}

impl Drop for FramePool {
    fn drop(&mut self) {
        self.collect_returns();
        if self.free.len() < self.capacity() {
            // Frames are still out there and point into the arena: keep its memory for ever.
            std::mem::forget(self.arena.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_hands_out_each_chunk_once_and_takes_it_back() {
        let mut pool = FramePool::heap(4, 2048);
        let mut out: Vec<Frame> = std::iter::from_fn(|| pool.alloc()).collect();
        assert_eq!(out.len(), 4);
        for (i, f) in out.iter_mut().enumerate() {
            assert!(f.set_len(100));
            f.bytes_mut().fill(i as u8);
        }
        assert!(out.iter().enumerate().all(|(i, f)| f.bytes().iter().all(|&b| b == i as u8)));
        out.drain(..).for_each(|f| pool.free(f));
        assert_eq!(pool.available(), 4);
    }

    #[test]
    fn a_frame_cannot_grow_past_its_chunk() {
        let mut pool = FramePool::heap(1, 2048);
        let mut f = pool.alloc().unwrap();
        assert!(!f.set_len(2048 - TX_HEADROOM_BYTES as usize + 1));
        assert!(f.set_len(2048 - TX_HEADROOM_BYTES as usize));
        pool.free(f);
    }

    #[test]
    fn a_frame_of_a_chunk_without_room_for_the_headroom_stays_empty() {
        let mut pool = FramePool::heap(1, 32);
        let mut f = pool.alloc().unwrap();
        f.reset();
        assert_eq!(f.room_bytes(), 0);
        assert!(!f.set_len(1));
        pool.free(f);
    }

    #[test]
    fn a_frame_freed_by_another_worker_goes_home() {
        let mut pools = FramePool::split(Arena::heap(2048, 8), 2);
        let (mut b, mut a) = (pools.pop().unwrap(), pools.pop().unwrap());
        let out: Vec<Frame> = std::iter::from_fn(|| a.alloc()).collect();
        assert_eq!(out.len(), 4);
        out.into_iter().for_each(|f| b.free(f));
        assert_eq!((a.available(), b.available()), (0, 4));
        let back: Vec<Frame> = std::iter::from_fn(|| a.alloc()).collect();
        assert_eq!(back.len(), 4);
        back.into_iter().for_each(|f| a.free(f));
        assert_eq!(a.foreign_frames + b.foreign_frames, 0);
    }

    #[test]
    fn a_frame_of_another_arena_is_refused_and_counted() {
        let (mut a, mut b) = (FramePool::heap(1, 2048), FramePool::heap(1, 2048));
        b.free(a.alloc().unwrap());
        assert_eq!((b.foreign_frames, b.available()), (1, 1));
    }
}
