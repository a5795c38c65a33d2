//! Records what passes through a backend into a pcap file that Wireshark opens.
//!
//! Each tap collects whole records in a buffer of its own and writes them in blocks: when the buffer is full,
//! when a second has passed, and when the tap is dropped; so the file is complete after Ctrl-C. Several workers
//! share one file ([`PcapSink`]): a block is written under a lock, so records of different workers may be out of
//! order by up to a second (`reordercap` sorts them). A file that cannot be written or that has reached its
//! limit never stops the run: the frames that are missing are counted.

use super::ClockFn;
use super::pcap_format::{append_record, file_header};
use crate::base::{Backlog, Counters, Frame, FramePool, Instant};
use crate::io::{IoStats, PacketIo};
use core::time::Duration;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A tap writes its buffer out once it holds this much.
const BLOCK_BYTES: usize = 256 * 1024;
/// Nothing stays longer in the buffer.
const FLUSH_INTERVAL_NS: u64 = 1_000_000_000;

/// A file being written, shared by the taps of all workers.
#[derive(Clone)]
pub struct PcapSink {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    file: File,
    /// Bytes that may still be written.
    left_bytes: u64,
    missing_frames: u64,
    error: Option<io::Error>,
}

impl PcapSink {
    /// Creates (or empties) the file and writes its header. At most `max_bytes` are written.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create(path: impl AsRef<Path>, max_bytes: u64) -> io::Result<PcapSink> {
        let mut file = File::create(path)?;
        file.write_all(&file_header())?;
        let left_bytes = max_bytes.saturating_sub(file_header().len() as u64);
        let shared = Shared { file, left_bytes, missing_frames: 0, error: None };
        Ok(PcapSink { shared: Arc::new(Mutex::new(shared)) })
    }

    /// Frames that are not in the file because of its limit or an error.
    pub fn missing_frames(&self) -> u64 {
        self.lock().missing_frames
    }

    /// The error that ended the recording, if one did.
    pub fn error(&self) -> Option<String> {
        self.lock().error.as_ref().map(io::Error::to_string)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        // A worker that panicked elsewhere leaves nothing half done in here.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_block(&self, block: &[u8], frames: u64) {
        let mut shared = self.lock();
        if shared.error.is_some() || (block.len() as u64) > shared.left_bytes {
            shared.left_bytes = 0;
            shared.missing_frames += frames;
            return;
        }
        shared.left_bytes -= block.len() as u64;
        if let Err(e) = shared.file.write_all(block) {
            shared.missing_frames += frames;
            shared.error = Some(e);
        }
    }
}

/// The tap. A received frame is recorded when the device hands it over, a sent one when the device takes it.
pub struct Pcap<I: PacketIo> {
    inner: I,
    sink: PcapSink,
    clock: ClockFn,
    wall_offset_ns: u64,
    block: Vec<u8>,
    block_frames: u64,
    last_flush: Instant,
    /// Where each record of the burst being sent ends in `block`.
    ends: Vec<usize>,
}

impl<I: PacketIo> Pcap<I> {
    /// `wall_offset_ns` added to the clock's nanoseconds gives nanoseconds since 1970.
    pub fn new(inner: I, sink: PcapSink, clock: ClockFn, wall_offset_ns: u64) -> Pcap<I> {
        let last_flush = clock();
        let block = Vec::with_capacity(2 * BLOCK_BYTES);
        Pcap { inner, sink, clock, wall_offset_ns, block, block_frames: 0, last_flush, ends: Vec::with_capacity(1024) }
    }

    pub fn inner(&mut self) -> &mut I {
        &mut self.inner
    }

    /// Writes out what is in the buffer.
    pub fn flush(&mut self) {
        if !self.block.is_empty() {
            self.sink.write_block(&self.block, self.block_frames);
            self.block.clear();
            self.block_frames = 0;
        }
    }

    fn wall_ns(&self, now: Instant) -> u64 {
        self.wall_offset_ns.wrapping_add(now.as_nanos())
    }

    fn flush_if_due(&mut self, now: Instant) {
        if self.block.len() >= BLOCK_BYTES || now.nanos_since(self.last_flush) >= FLUSH_INTERVAL_NS {
            self.flush();
            self.last_flush = now;
        }
    }
}

impl<I: PacketIo> PacketIo for Pcap<I> {
    fn rx_burst(&mut self, rx: &mut Vec<Frame>) -> usize {
        let came = self.inner.rx_burst(rx);
        let now = (self.clock)();
        let wall_ns = self.wall_ns(now);
        let first = rx.len() - came;
        for frame in rx.iter().skip(first) {
            append_record(&mut self.block, wall_ns, frame.parts().map(Frame::bytes), None);
        }
        self.block_frames += came as u64;
        self.flush_if_due(now);
        came
    }

    fn backlog(&self) -> Backlog {
        self.inner.backlog()
    }

    fn tx_burst(&mut self, tx: &mut Vec<Frame>) -> usize {
        if tx.is_empty() {
            return self.inner.tx_burst(tx);
        }
        // Taken frames are gone, so all are recorded first, and those that were not taken struck out again.
        let now = (self.clock)();
        let wall_ns = self.wall_ns(now);
        self.ends.clear();
        self.ends.push(self.block.len());
        for frame in tx.iter() {
            append_record(&mut self.block, wall_ns, frame.parts().map(Frame::bytes), frame.checksum_request());
            self.ends.push(self.block.len());
        }
        let taken = self.inner.tx_burst(tx);
        if let Some(&end) = self.ends.get(taken) {
            self.block.truncate(end);
        }
        self.block_frames += taken as u64;
        self.flush_if_due(now);
        taken
    }

    fn reclaim(&mut self) {
        self.inner.reclaim();
    }

    fn kick(&mut self) {
        self.inner.kick();
    }

    fn wait(&mut self, timeout: Duration) {
        self.inner.wait(timeout);
    }

    fn pool(&mut self) -> &mut FramePool {
        self.inner.pool()
    }

    fn stats(&self) -> IoStats {
        self.inner.stats()
    }

    fn describe(&self) -> String {
        format!("{} with pcap", self.inner.describe())
    }

    fn mtu_max(&self) -> u32 {
        self.inner.mtu_max()
    }

    fn checksum_offload(&self) -> bool {
        self.inner.checksum_offload()
    }

    fn tap_counters(&self) -> Option<&Counters> {
        self.inner.tap_counters()
    }
}

impl<I: PacketIo> Drop for Pcap<I> {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
#[path = "pcap_tests.rs"]
mod tests;
