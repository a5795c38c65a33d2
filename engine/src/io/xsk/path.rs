//! Frames into rings and back: the packet path of one queue, in memory alone.
//!
//! Owns the queue's four rings and its frame pool, and counts what moves. It makes no system call, so it runs in
//! tests against a kernel made of plain memory.
//!
//! Whose is a chunk? Pool → fill ring → kernel → RX ring → `Frame` → TX ring → kernel → completion ring → pool.
//! A chunk leaves one station by a move and is then at the next; [`XskPath::in_rings`] tells how many lie between.
//!
//! Left out on purpose: prefetching received packets. Their first line is needed at once by whoever parses it, and
//! ping-pong over veth was not faster with it.

use super::config::XskConfig;
use super::ring::{Consumer, Producer};
use super::umem::TX_METADATA_BYTES;
use crate::base::frame::Arena;
use crate::base::frame::chain::PARTS_MAX;
use crate::base::{Backlog, Frame, FramePool};
use libc::xdp_desc;
use std::sync::Arc;

/// Chunks are put into the fill ring at least this many at a time: one shared store, one look at shared memory.
const RESTOCK_FRAMES: u32 = 64;
/// Chunks that wait for reception at first.
const FILL_START_FRAMES: u32 = 2048;

/// The rings of one socket, as this side holds them.
pub(super) struct Rings {
    pub fill: Producer<u64>,
    pub completion: Consumer<u64>,
    pub rx: Consumer<xdp_desc>,
    pub tx: Producer<xdp_desc>,
}

/// The kernel's `struct xsk_tx_metadata` as a request (linux/if_xdp.h).
#[repr(C)]
struct TxMetadata {
    flags: u64,
    /// Where the summing starts, counted from the packet's first byte.
    start: u16,
    /// Where the checksum goes, counted from `start`.
    at: u16,
    /// Padding and launch time: not asked for.
    launch_time: [u32; 3],
}

const _: () = assert!(size_of::<TxMetadata>() == TX_METADATA_BYTES as usize);

/// What the packet path counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PathCounts {
    pub rx_frames: u64,
    pub tx_frames: u64,
    /// Packets that came in more pieces than one may have, or with a piece lost.
    pub rx_fragmented: u64,
    /// Frames that no kernel would take: empty, of another arena, or with a checksum place outside the packet.
    pub tx_refused: u64,
    /// Ring entries that lie outside our memory: a broken driver.
    pub strange_entries: u64,
}

/// One queue's rings with its pool.
pub(super) struct XskPath {
    pub rings: Rings,
    pub pool: FramePool,
    pub counts: PathCounts,
    /// The memory that the rings were made for. `pool` is lent out, and safe code may put another one in its place.
    arena: Arc<Arena>,
    chunk_shift: u32,
    total_bytes: u64,
    /// Checksum requests are passed on, as metadata in front of the packet.
    offload: bool,
    /// Frames that wait for reception: as few as will do, since each goes round before it is used again, and what lies
    /// between must fit into the cache. See [`XskPath::deepen`].
    fill_target: u32,
    fill_limit: u32,
    /// Frames that can wait to be read, once as many wait for reception as there may be.
    rx_room: u32,
    send_reserve: u32,
    /// The kernel takes packets in several frames.
    multi_buffer: bool,
    /// The last received piece was not the last of its packet.
    in_pieces: bool,
    /// A piece of the packet under way was lost.
    spoilt: bool,
    /// Those that have come.
    pieces: Vec<Frame>,
}

impl XskPath {
    pub fn new(config: &XskConfig, rings: Rings, pool: FramePool) -> XskPath {
        let arena = pool.arena();
        XskPath {
            arena: arena.clone(),
            chunk_shift: arena.chunk_bytes().trailing_zeros(),
            total_bytes: arena.total_bytes() as u64,
            offload: false,
            fill_target: config.fill_target().min(FILL_START_FRAMES),
            fill_limit: config.fill_target(),
            rx_room: config.fill_target().min(rings.rx.size()),
            send_reserve: config.send_reserve(),
            multi_buffer: false,
            in_pieces: false,
            spoilt: false,
            pieces: Vec::with_capacity(PARTS_MAX + 1),
            counts: PathCounts::default(),
            rings,
            pool,
        }
    }

    /// Honours checksum requests from now on.
    pub fn offload_checksums(&mut self) {
        self.offload = true;
    }

    pub fn offloads_checksums(&self) -> bool {
        self.offload
    }

    /// Sends packets in several frames from now on.
    pub fn allow_parts(&mut self) {
        self.multi_buffer = true;
    }

    pub fn allows_parts(&self) -> bool {
        self.multi_buffer
    }

    /// See [`PacketIo::rx_burst`](crate::io::PacketIo::rx_burst).
    pub fn receive(&mut self, rx: &mut Vec<Frame>) -> usize {
        let room = (rx.capacity() - rx.len()).min(u32::MAX as usize) as u32;
        let before = rx.len();
        // All of it: what is left tells of overload.
        let waiting = self.rings.rx.waiting(u32::MAX).min(room);
        if waiting == 0 || !self.has_its_pool() {
            return 0;
        }
        for _ in 0..waiting {
            let Some(entry) = self.rings.rx.pop() else { break };
            let frame = self.place(entry.addr).map(|(index, start)| {
                // SAFETY: the kernel has handed the chunk over with this entry, which is popped once; `place` checked
                // that it lies in the rings' arena, which is the pool's.
                unsafe { self.pool.adopt(index, start, entry.len.min(u16::MAX.into()) as u16) }
            });
            let more = entry.options & libc::XDP_PKT_CONTD != 0;
            let whole = if more || self.in_pieces { self.put_together(frame, more) } else { frame };
            if let Some(frame) = whole {
                rx.push(frame);
            }
        }
        self.rings.rx.release();
        let came = rx.len() - before;
        self.counts.rx_frames += came as u64;
        came
    }

    /// See [`PacketIo::backlog`](crate::io::PacketIo::backlog).
    pub fn backlog(&self) -> Backlog {
        Backlog::of(self.rings.rx.left() as usize, self.rx_room as usize)
    }

    /// Takes a piece of a packet (`None`: it is lost); returns the packet when that was the last piece.
    #[cold]
    fn put_together(&mut self, piece: Option<Frame>, more: bool) -> Option<Frame> {
        self.in_pieces = more;
        match piece {
            Some(piece) if self.pieces.len() <= PARTS_MAX => self.pieces.push(piece),
            // One too many is there already.
            Some(piece) => self.pool.free(piece),
            None => self.spoilt = true,
        }
        if more {
            return None;
        }
        if std::mem::take(&mut self.spoilt) {
            self.pieces.drain(..).for_each(|piece| self.pool.free(piece));
        }
        let packet = self.pool.chain(&mut self.pieces);
        self.counts.rx_fragmented += u64::from(packet.is_none());
        packet
    }

    /// See [`PacketIo::tx_burst`](crate::io::PacketIo::tx_burst).
    pub fn send(&mut self, tx: &mut Vec<Frame>) -> usize {
        if self.multi_buffer {
            return self.send_parts(tx);
        }
        let wanted = tx.len().min(u32::MAX as usize) as u32;
        let taken = self.rings.tx.room(wanted).min(wanted) as usize;
        if taken == 0 {
            return 0;
        }
        let mut sent = 0;
        for frame in tx.drain(..taken) {
            match self.entry(&frame).filter(|_| !frame.has_more()) {
                // There was room for `taken` entries, so the push succeeds.
                Some(entry) => sent += u64::from(self.rings.tx.push(entry)),
                None => {
                    self.counts.tx_refused += 1;
                    self.pool.free(frame);
                }
            }
        }
        self.rings.tx.publish();
        self.counts.tx_frames += sent;
        taken
    }

    /// As `send`, of packets that may have parts; only whole packets go into the ring.
    fn send_parts(&mut self, tx: &mut Vec<Frame>) -> usize {
        let mut room = self.rings.tx.room(u32::MAX) as usize;
        let fits = |frame: &&Frame| {
            let left = room.checked_sub(frame.parts().count());
            room = left.unwrap_or(0);
            left.is_some()
        };
        let taken = tx.iter().take_while(fits).count();
        if taken == 0 {
            return 0;
        }
        for frame in tx.drain(..taken) {
            if frame.parts().count() > PARTS_MAX || !frame.parts().all(|part| self.entry(part).is_some()) {
                self.counts.tx_refused += 1;
                self.pool.free(frame);
                continue;
            }
            for part in frame.parts() {
                let contd = if part.has_more() { libc::XDP_PKT_CONTD } else { 0 };
                let entry = self.entry(part).map(|e| xdp_desc { options: e.options | contd, ..e });
                // There was room for all, so the push succeeds.
                let _pushed = entry.is_some_and(|entry| self.rings.tx.push(entry));
            }
            self.counts.tx_frames += 1;
        }
        self.rings.tx.publish();
        taken
    }

    /// See [`PacketIo::reclaim`](crate::io::PacketIo::reclaim).
    pub fn reclaim(&mut self) {
        if !self.has_its_pool() {
            return;
        }
        if self.rings.completion.waiting(u32::MAX) > 0 {
            while let Some(address) = self.rings.completion.pop() {
                if let Some((index, _)) = self.place(address) {
                    // SAFETY: the kernel has handed the chunk back with this entry, which is popped once; the rings'
                    // arena is the pool's.
                    unsafe { self.pool.give_index(index) };
                }
            }
            self.rings.completion.release();
        }
        self.restock();
    }

    /// Fills the reception side up to its target, leaving the pool a reserve for sending.
    fn restock(&mut self) {
        if self.fill_target < self.fill_limit {
            self.deepen();
        }
        let missing = self.fill_target.saturating_sub(self.receiving());
        if missing < RESTOCK_FRAMES.min(self.fill_target) {
            return;
        }
        if self.pool.available() <= self.send_reserve as usize {
            self.pool.collect_returns();
        }
        let spare = self.pool.available().saturating_sub(self.send_reserve as usize) as u32;
        let wanted = missing.min(spare);
        let count = self.rings.fill.room(wanted).min(wanted);
        for _ in 0..count {
            let Some(index) = self.pool.take_index() else { break };
            // There was room for `count` entries, so the push succeeds.
            let _pushed = self.rings.fill.push(u64::from(index) << self.chunk_shift);
        }
        self.rings.fill.publish();
    }

    /// More frames wait for reception from now on if the kernel has used up half of them while we were away, and as many as
    /// there may be if it has used up nearly all: the next such absence must not cost any.
    fn deepen(&mut self) {
        let waiting = self.rings.rx.waiting(u32::MAX);
        if waiting > self.fill_target / 8 * 7 {
            self.fill_target = self.fill_limit;
        } else if waiting > self.fill_target / 2 {
            self.fill_target = (self.fill_target * 2).min(self.fill_limit);
        }
    }

    /// False when another arena's pool was put in the place of ours: then nothing moves but what is sent.
    #[inline(always)]
    fn has_its_pool(&self) -> bool {
        Arc::ptr_eq(&self.arena, self.pool.arena())
    }

    /// Chunks on their way through the fill ring, the device and the RX ring.
    fn receiving(&self) -> u32 {
        self.rings.fill.pushed().wrapping_sub(self.rings.rx.popped())
    }

    /// Chunks that are neither in the pool nor in a `Frame`.
    pub fn in_rings(&self) -> u32 {
        let sending = self.rings.tx.pushed().wrapping_sub(self.rings.completion.popped());
        self.receiving() + sending + self.pieces.len() as u32
    }

    /// The ring entry that sends a frame; `None` when no kernel would take it.
    #[inline(always)]
    fn entry(&self, frame: &Frame) -> Option<xdp_desc> {
        let offset = (u64::from(frame.index()) << self.chunk_shift) + u64::from(frame.start());
        let base = self.arena.base();
        let ours = frame.bytes().as_ptr() as usize == base.as_ptr() as usize + offset as usize;
        if !ours || frame.is_empty() || frame.start() < TX_METADATA_BYTES {
            return None;
        }
        let mut options = 0;
        if let Some((start, at)) = frame.checksum_request()
            && self.offload
        {
            if usize::from(start) + usize::from(at) + 2 > frame.len() {
                return None;
            }
            let metadata = TxMetadata { flags: libc::XDP_TXMD_FLAGS_CHECKSUM.into(), start, at, launch_time: [0; 3] };
            // SAFETY: the chunk is ours through `frame`, and the size of this struct lies between
            // the chunk's beginning and the packet, checked above.
            unsafe {
                let place = base.as_ptr().add(offset as usize - usize::from(TX_METADATA_BYTES));
                place.cast::<TxMetadata>().write_unaligned(metadata);
            }
            options = libc::XDP_TX_METADATA;
        }
        Some(xdp_desc { addr: offset, len: frame.len() as u32, options })
    }

    /// Chunk and offset of an address from the kernel; `None`, and counted, when it is not ours.
    #[inline(always)]
    fn place(&mut self, address: u64) -> Option<(u32, u16)> {
        if address >= self.total_bytes {
            self.counts.strange_entries += 1;
            return None;
        }
        let within = address & ((1 << self.chunk_shift) - 1);
        Some(((address >> self.chunk_shift) as u32, within as u16))
    }
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
