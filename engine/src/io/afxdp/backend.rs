//! [`PacketIo`] over the crate's pieces.

use super::descriptor::{self, Descriptor};
use super::parts::{Buffer, Parts};
use super::slots::Slots;
use crate::base::{Backlog, Frame, FramePool};
use crate::io::bpf::{XdpLink, XdpMode};
use crate::io::sys::capabilities::raise_memlock;
use crate::io::xsk::XskConfig;
use crate::io::{IoError, IoStats, PacketIo};
use afxdp::PENDING_LEN;
use arraydeque::{ArrayDeque, Wrapping};
use std::io::Error;
use std::mem::ManuallyDrop;
use std::time::Duration;

/// Frames that a kernel sends for one wake-up at least (TX_BATCH_SIZE in net/xdp/xsk.c).
const KERNEL_TX_BATCH: u32 = 32;
/// Buffers moved between ring and pool at a time.
const BATCH: usize = 256;
/// The fill ring is restocked when it lacks this many.
const RESTOCK_FRAMES: u32 = 64;

/// Opens the sockets of neighbouring queues.
pub struct AfxdpSet;

impl AfxdpSet {
    /// One [`AfxdpIo`] for each queue of `config`, in queue order, each with a memory of its own. `link` is our
    /// program, attached to the interface; the crate enters the sockets into its map. `huge_pages`, `busy_poll_us`,
    /// `need_wakeup` and `checksum_offload` of the configuration have no effect.
    pub fn open(config: &XskConfig, link: &XdpLink) -> Result<Vec<AfxdpIo>, IoError> {
        config.check()?;
        raise_memlock();
        let queues = config.first_queue..config.first_queue + config.queues;
        queues.map(|queue| AfxdpIo::open(config, queue, link.mode())).collect()
    }
}

type Pending = Box<ArrayDeque<[Buffer; PENDING_LEN], Wrapping>>;

/// One socket of the `afxdp` crate on one queue.
pub struct AfxdpIo {
    // Dropped by hand, before the chunks are counted.
    parts: ManuallyDrop<Parts>,
    slots: Slots,
    descriptor: Descriptor,
    /// On their way between the RX ring and the caller.
    received: Pending,
    /// Taken from the caller and not in the TX ring yet.
    unsent: Pending,
    /// On their way between the pool and the fill or completion ring.
    moving: Vec<Buffer>,
    /// Chunks in the fill ring, with the device, or in the RX ring.
    receiving: u32,
    /// Whether the last burst took all that it asked for.
    backlog: Backlog,
    /// Chunks in the TX ring, with the device, or in the completion ring.
    sending: u32,
    /// Frames in the TX ring that one wake-up was not enough for.
    owed: u32,
    /// `sending` at the last kick: no less means that nothing moves.
    sending_at_kick: u32,
    stats: IoStats,
    settings: Settings,
}

struct Settings {
    label: String,
    tx_size: u32,
    fill_target: u32,
    send_reserve: u32,
    /// Frames that one wake-up sends.
    wake_frames: u32,
}

impl AfxdpIo {
    fn open(config: &XskConfig, queue: u32, mode: XdpMode) -> Result<AfxdpIo, IoError> {
        let (area, slots) = Slots::map(config)?;
        let (parts, descriptor) = descriptor::opened_by(|| Parts::open(config, queue, &area))?;
        let budget = descriptor.raise_budget(config);
        let copy = if descriptor.zero_copy() { "zero-copy" } else { "copy" };
        let label = format!(
            "afxdp {}#{queue} {mode} {copy} need-wakeup, rings rx {} tx {} fill {} completion {}, {} frames of {} \
             bytes, tx budget {}, checksum offload off",
            config.interface,
            config.rx_size,
            config.tx_size,
            config.fill_size,
            config.completion_size,
            config.frames_per_queue,
            config.chunk_bytes,
            if budget > 0 { budget.to_string() } else { "kernel's".into() },
        );
        let settings = Settings {
            label,
            tx_size: config.tx_size,
            fill_target: config.fill_target(),
            send_reserve: config.send_reserve(),
            wake_frames: budget.max(KERNEL_TX_BATCH),
        };
        let mut io = AfxdpIo {
            parts: ManuallyDrop::new(parts),
            slots,
            descriptor,
            received: Box::new(ArrayDeque::new()),
            unsent: Box::new(ArrayDeque::new()),
            moving: Vec::with_capacity(BATCH),
            receiving: 0,
            backlog: Backlog::None,
            sending: 0,
            owed: 0,
            sending_at_kick: 0,
            stats: IoStats::default(),
            settings,
        };
        io.reclaim();
        Ok(io)
    }

    /// Chunks that lie in rings or with the device: neither in the pool nor in a frame.
    pub fn frames_in_rings(&self) -> usize {
        self.slots.in_rings()
    }

    fn put_free(&mut self, buffer: Buffer) {
        if !self.slots.put_free(buffer) {
            self.stats.io_errors += 1;
        }
    }

    fn collect_completions(&mut self) {
        loop {
            let came = self.parts.completion.service(&mut self.moving, BATCH).unwrap_or(0);
            while let Some(buffer) = self.moving.pop() {
                self.put_free(buffer);
            }
            self.sending = self.sending.saturating_sub(came as u32);
            if came < BATCH {
                return;
            }
        }
    }

    /// Fills the reception side up to its target, leaving the pool a reserve for sending.
    fn restock(&mut self) {
        let mut missing = self.settings.fill_target.saturating_sub(self.receiving);
        if missing < RESTOCK_FRAMES.min(self.settings.fill_target) {
            return;
        }
        if self.slots.pool.available() <= self.settings.send_reserve as usize {
            self.slots.pool.collect_returns();
        }
        while missing > 0 {
            let spare = self.slots.pool.available().saturating_sub(self.settings.send_reserve as usize);
            let count = BATCH.min(missing as usize).min(spare);
            self.moving.extend((0..count).map_while(|_| self.slots.take_free()));
            let wanted = self.moving.len();
            let took = self.parts.fill.fill(&mut self.moving, wanted).unwrap_or(0) as u32;
            while let Some(buffer) = self.moving.pop() {
                self.put_free(buffer);
            }
            self.receiving += took;
            missing -= took.min(missing);
            if took == 0 {
                return;
            }
        }
    }

    /// Moves what was taken into the TX ring, in batches that one wake-up can send.
    fn flush(&mut self) {
        while !self.unsent.is_empty() {
            let batch = self.settings.wake_frames as usize;
            let sent = self.parts.tx.try_send(&mut self.unsent, batch).unwrap_or(0) as u32;
            if sent == 0 {
                return;
            }
            self.sending += sent;
            self.stats.tx_frames += u64::from(sent);
            self.owe(sent);
        }
    }

    /// The crate has woken the kernel up after putting `sent` frames into the ring.
    fn owe(&mut self, sent: u32) {
        self.stats.kicks += 1;
        self.owed = (self.owed + sent).saturating_sub(self.settings.wake_frames);
    }

    fn count(&mut self, result: Result<(), Error>) {
        let usual = [libc::EAGAIN, libc::EBUSY, libc::ENOBUFS, libc::EINTR];
        if let Err(e) = result
            && !e.raw_os_error().is_some_and(|code| usual.contains(&code))
        {
            self.stats.io_errors += 1;
        }
    }
}

impl PacketIo for AfxdpIo {
    fn rx_burst(&mut self, rx: &mut Vec<Frame>) -> usize {
        let room = (rx.capacity() - rx.len()).min(PENDING_LEN);
        let came = self.parts.rx.try_recv(&mut self.received, room, ()).unwrap_or(0);
        let before = rx.len();
        while let Some(buffer) = self.received.pop_front() {
            match self.slots.lend(buffer) {
                Some(frame) => rx.push(frame),
                None => self.stats.io_errors += 1,
            }
        }
        self.backlog = if came == room { Backlog::Some } else { Backlog::None };
        self.receiving = self.receiving.saturating_sub(came as u32);
        self.stats.rx_frames += (rx.len() - before) as u64;
        rx.len() - before
    }

    fn backlog(&self) -> Backlog {
        self.backlog
    }

    fn tx_burst(&mut self, tx: &mut Vec<Frame>) -> usize {
        let waiting = self.unsent.len();
        let ring = (self.settings.tx_size - self.sending.min(self.settings.tx_size)) as usize;
        let taken = tx.len().min(ring.saturating_sub(waiting)).min(PENDING_LEN - waiting);
        for frame in tx.drain(..taken) {
            match self.slots.take_for_sending(frame) {
                Some(buffer) => {
                    // There is room for `taken`, so nothing is pushed out.
                    let _none = self.unsent.push_back(buffer);
                }
                None => self.stats.tx_refused += 1,
            }
        }
        self.flush();
        taken
    }

    fn reclaim(&mut self) {
        self.collect_completions();
        self.restock();
    }

    fn kick(&mut self) {
        if self.parts.fill.needs_wakeup() {
            self.stats.kicks += 1;
            self.parts.rx.wake();
        }
        self.flush();
        // Nothing has been completed since the last time: perhaps a wake-up found the device busy.
        let stuck = self.sending > 0 && self.sending >= self.sending_at_kick && self.sending_at_kick > 0;
        self.sending_at_kick = self.sending;
        if stuck {
            self.owed = self.owed.max(1);
        }
        while self.owed > 0 {
            self.owed = self.owed.saturating_sub(self.settings.wake_frames);
            if self.parts.tx.needs_wakeup() {
                self.stats.kicks += 1;
                let woken = self.descriptor.wake_tx();
                self.count(woken);
            }
        }
    }

    fn wait(&mut self, timeout: Duration) {
        let polled = self.descriptor.poll(timeout);
        self.count(polled);
    }

    fn pool(&mut self) -> &mut FramePool {
        &mut self.slots.pool
    }

    fn stats(&self) -> IoStats {
        let mut stats = self.stats;
        if let Ok(kernel) = self.descriptor.statistics() {
            stats.set_kernel(&kernel);
        }
        stats
    }

    fn describe(&self) -> String {
        self.settings.label.clone()
    }
}

impl Drop for AfxdpIo {
    fn drop(&mut self) {
        // SAFETY: `parts` is not used again.
        unsafe { ManuallyDrop::drop(&mut self.parts) };
        // SAFETY: the socket has just been closed, and its rings are unmapped.
        unsafe { self.slots.reclaim_rings() };
    }
}
