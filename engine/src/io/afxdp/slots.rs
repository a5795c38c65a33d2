//! Which chunk is where: the crate's buffers, kept by chunk while the engine has the frame.
//!
//! A chunk is either free or a [`Frame`] (then its buffer lies in its slot), or in a ring of the crate (then the slot
//! is empty). Buffer and frame point to the same memory; only the frame is read or written while it exists, the
//! buffer in the slot is not touched.

use super::parts::{self, Area, Buffer};
use crate::base::frame::{Arena, TX_HEADROOM_BYTES};
use crate::base::{Frame, FramePool};
use crate::io::IoError;
use crate::io::xsk::XskConfig;
use afxdp::buf::Buf;
use std::ptr::NonNull;

/// Where the crate's buffers begin in their chunks.
const CRATE_HEADROOM_BYTES: usize = 256;
/// The engine's chunks begin so much later than the crate's: both then send from the same byte.
const SHIFT_BYTES: usize = CRATE_HEADROOM_BYTES - TX_HEADROOM_BYTES as usize;

/// Buffers by chunk, and the pool of frames over the same memory.
pub(super) struct Slots {
    buffers: Vec<Option<Buffer>>,
    pub pool: FramePool,
    /// Address of the engine's first chunk.
    base: usize,
    chunk_bytes: usize,
}

impl Slots {
    /// Maps memory for `config.frames_per_queue` frames.
    pub fn map(config: &XskConfig) -> Result<(Area, Slots), IoError> {
        let frames = config.frames_per_queue;
        // One chunk more than frames: the shifted last one ends in it. Its buffer is never used.
        let (area, mut buffers) = parts::map(config, frames + 1)?;
        buffers.truncate(frames as usize);
        let memory = NonNull::new(area.get_ptr().cast::<u8>())
            .ok_or_else(|| IoError::new(format!("no packet memory for {}", config.interface), ""))?;
        // The arena unmaps the memory, at its own time; the crate never does.
        std::mem::forget(area.clone());
        // SAFETY: the mapping has one chunk more than `frames`, so the shifted chunks lie within it.
        let base = unsafe { memory.add(SHIFT_BYTES) };
        // SAFETY: memory of our own mapping, used by the crate's rings only besides, unmapped by `release` alone.
        let arena = unsafe { Arena::from_raw(base, config.chunk_bytes, frames, release) };
        let pool = FramePool::new(arena);
        let buffers = buffers.into_iter().map(Some).collect();
        Ok((area, Slots { buffers, pool, base: base.as_ptr() as usize, chunk_bytes: config.chunk_bytes as usize }))
    }

    /// A free chunk's buffer, for the fill ring.
    pub fn take_free(&mut self) -> Option<Buffer> {
        let index = if self.has_its_pool() { self.pool.take_index()? } else { return None };
        self.buffers.get_mut(index as usize)?.take()
    }

    /// A buffer whose sending is done, or that the fill ring did not take, is free again. False if it is not ours.
    #[must_use]
    pub fn put_free(&mut self, buffer: Buffer) -> bool {
        let Some((index, _)) = self.settle(buffer) else { return false };
        // SAFETY: the crate has handed over the buffer, which is the only right to the chunk: the slot was empty.
        unsafe { self.pool.give_index(index) };
        true
    }

    /// The frame of a received buffer; `None` if it is not ours.
    pub fn lend(&mut self, buffer: Buffer) -> Option<Frame> {
        let len = buffer.get_len();
        let (index, start) = self.settle(buffer)?;
        // SAFETY: as in `put_free`; here the right goes to the frame.
        Some(unsafe { self.pool.adopt(index, start, len) })
    }

    /// The buffer that sends a frame. A frame that cannot be sent is freed, and gives `None`.
    pub fn take_for_sending(&mut self, frame: Frame) -> Option<Buffer> {
        let len = frame.len();
        let room = self.chunk_bytes - CRATE_HEADROOM_BYTES;
        let slot = self.buffers.get_mut(frame.index() as usize).filter(|_| len > 0 && len <= room && !frame.has_more());
        let place = frame.index() as usize * self.chunk_bytes + usize::from(frame.start());
        let ours = frame.bytes().as_ptr() as usize == self.base + place;
        let Some(mut buffer) = slot.filter(|_| ours).and_then(Option::take) else {
            self.pool.free(frame);
            return None;
        };
        let to = buffer.get_data_mut().as_mut_ptr();
        if frame.start() != TX_HEADROOM_BYTES {
            // Only of drivers that do not receive at the usual place: the crate sends from that place alone.
            // SAFETY: both lie in the chunk that `frame` has the right to, with room for `len` bytes; they may overlap.
            unsafe { std::ptr::copy(frame.bytes().as_ptr(), to, len) };
        }
        buffer.set_len(len as u16);
        Some(buffer)
    }

    /// Puts the buffer into its slot; gives its chunk and where in it the data begins.
    fn settle(&mut self, buffer: Buffer) -> Option<(u32, u16)> {
        if !self.has_its_pool() {
            return None;
        }
        let at = (buffer.get_data().as_ptr() as usize).checked_sub(self.base)?;
        let (index, start) = (at / self.chunk_bytes, at % self.chunk_bytes);
        let slot = self.buffers.get_mut(index)?;
        if slot.is_some() {
            return None;
        }
        *slot = Some(buffer);
        Some((index as u32, start as u16))
    }

    /// False when another arena's pool was put in the place of ours, which is lent out.
    fn has_its_pool(&self) -> bool {
        self.pool.arena().base().as_ptr() as usize == self.base
    }

    /// Chunks that are in rings.
    pub fn in_rings(&self) -> usize {
        self.buffers.iter().filter(|b| b.is_none()).count()
    }

    /// Gives back the chunks that were in rings.
    ///
    /// # Safety
    /// The socket must be closed, so that neither the kernel nor the crate uses any ring any more.
    pub unsafe fn reclaim_rings(&mut self) {
        for index in 0..self.buffers.len() {
            if self.has_its_pool() && self.buffers[index].is_none() {
                // SAFETY: an empty slot is a chunk in a ring; by the caller's promise there are no rings.
                unsafe { self.pool.give_index(index as u32) };
            }
        }
        self.buffers.clear();
    }
}

/// Unmaps the memory, from the crate's first chunk on. The length reaches into the one chunk more, and the kernel
/// rounds it up to the page. The crate's own owner of the mapping was forgotten in `Slots::map`.
fn release(base: NonNull<u8>, bytes: usize) {
    // SAFETY: exactly the mapping that `Slots::map` made, unmapped once, when no frame is left.
    unsafe { libc::munmap(base.as_ptr().sub(SHIFT_BYTES).cast(), bytes + SHIFT_BYTES) };
}
