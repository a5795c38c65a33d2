//! Harm on purpose, around any backend, seeded: loss, duplication, corruption, reordering, delay, rate.
//!
//! The same dice and the same schedule as the virtual link's ([`crate::io::sim`]), on real frames: they stay
//! frames of the device's pool while they are delayed, so at most a quarter of the pool is kept in each
//! direction. Frames that a fault drops are counted as `fault_injected`, and none is ever lost from the pool.

use super::ClockFn;
use super::fault_spec::FaultSpec;
use crate::base::{Backlog, Counters, DropReason, Frame, FramePool, Instant};
use crate::io::copy::{complete_checksum_of, copy_frame};
use crate::io::sim::impair::{Impairer, Impairment, LinkStats};
use crate::io::sim::schedule::Schedule;
use crate::io::{IoStats, PacketIo};
use core::time::Duration;

/// Frames moved between this layer and the device at once.
const BURST_FRAMES: usize = 256;

/// One direction.
struct Side {
    dice: Impairer,
    schedule: Schedule<Frame>,
    /// Frames between the device and the schedule.
    staging: Vec<Frame>,
}

impl Side {
    fn new(spec: Impairment, seed: u64, stream: u64, pool_frames: usize) -> Side {
        let in_flight_frames = spec.in_flight_frames.min((pool_frames / 4).max(1));
        let spec = Impairment { in_flight_frames, ..spec };
        let staging = Vec::with_capacity(BURST_FRAMES);
        Side { dice: Impairer::new(spec, seed, stream), schedule: Schedule::with_capacity(in_flight_frames), staging }
    }

    /// Nothing to do on this side.
    fn is_clear(&self) -> bool {
        self.dice.impairment.is_none()
    }

    fn room(&self) -> usize {
        self.dice.impairment.in_flight_frames.saturating_sub(self.schedule.len())
    }

    /// Takes a frame and decides what becomes of it.
    fn take(&mut self, mut frame: Frame, now: Instant, pool: &mut FramePool, counters: &mut Counters) {
        let fate = self.dice.roll();
        if fate.lost {
            counters.drop(DropReason::FaultInjected);
            pool.free(frame);
            return;
        }
        if fate.marked {
            self.dice.mark(frame.bytes_mut());
        }
        let twin = if fate.duplicated { self.duplicate(&frame, pool) } else { None };
        if fate.corrupted {
            // The checksum belongs to the bytes before the damage, or nobody would notice it.
            if let Some((start, offset)) = frame.checksum_request() {
                complete_checksum_of(&mut frame, start, offset);
                frame.request_checksum(0, 0);
            }
            self.dice.flip_bits(frame.bytes_mut());
        }
        self.send_off(frame, now, fate.reordered, pool, counters);
        if let Some(twin) = twin {
            self.send_off(twin, now, false, pool, counters);
        }
    }

    fn duplicate(&mut self, frame: &Frame, pool: &mut FramePool) -> Option<Frame> {
        let mut twin = copy_frame(frame, pool);
        match (&mut twin, frame.checksum_request()) {
            (Some(twin), Some((start, offset))) => twin.request_checksum(start, offset),
            (Some(_), None) => {}
            (None, _) => self.dice.stats.no_frame += 1,
        }
        twin
    }

    fn send_off(&mut self, frame: Frame, now: Instant, hold: bool, pool: &mut FramePool, counters: &mut Counters) {
        let (len, jitter_ns) = (frame.packet_bytes(), self.dice.jitter_ns());
        if let Err(frame) = self.schedule.insert(frame, len, now, &self.dice.impairment, jitter_ns, hold) {
            self.dice.stats.queue_dropped += 1;
            counters.drop(DropReason::FaultInjected);
            pool.free(frame);
        }
    }

    /// Moves what is due into `out`, without growing it.
    fn deliver(&mut self, now: Instant, out: &mut Vec<Frame>) {
        while out.len() < out.capacity() {
            let Some(frame) = self.schedule.pop_due(now) else { break };
            self.dice.stats.delivered += 1;
            out.push(frame);
        }
    }
}

/// The layer. Directions without any fault pass straight through.
pub struct Fault<I: PacketIo> {
    inner: I,
    clock: ClockFn,
    rx: Side,
    tx: Side,
    counters: Counters,
}

impl<I: PacketIo> Fault<I> {
    /// `seed` decides when the specification itself names none.
    pub fn new(mut inner: I, spec: FaultSpec, seed: u64, clock: ClockFn) -> Fault<I> {
        let seed = spec.seed.unwrap_or(seed);
        let frames = inner.pool().capacity();
        let (rx, tx) = (Side::new(spec.rx, seed, 0, frames), Side::new(spec.tx, seed, 1, frames));
        Fault { inner, clock, rx, tx, counters: Counters::default() }
    }

    /// What became of received frames.
    pub fn rx_stats(&self) -> LinkStats {
        self.rx.dice.stats
    }

    /// What became of sent frames.
    pub fn tx_stats(&self) -> LinkStats {
        self.tx.dice.stats
    }

    pub fn inner(&mut self) -> &mut I {
        &mut self.inner
    }

    /// Gives the frames that are held for later back to the pool: they are lost, like on a link that is cut.
    pub fn release(&mut self) {
        for side in [&mut self.rx, &mut self.tx] {
            let pool = self.inner.pool();
            side.staging.drain(..).for_each(|f| pool.free(f));
            side.schedule.drain().for_each(|f| pool.free(f));
        }
    }

    /// Hands the device what is due for sending. A full device keeps it waiting here.
    fn push_out(&mut self, now: Instant) {
        let mut out = std::mem::take(&mut self.tx.staging);
        self.tx.deliver(now, &mut out);
        if !out.is_empty() {
            self.inner.tx_burst(&mut out);
        }
        self.tx.staging = out;
    }
}

impl<I: PacketIo> PacketIo for Fault<I> {
    fn rx_burst(&mut self, rx: &mut Vec<Frame>) -> usize {
        if self.rx.is_clear() {
            return self.inner.rx_burst(rx);
        }
        let (now, before) = ((self.clock)(), rx.len());
        if self.rx.room() > 0 {
            let mut came = std::mem::take(&mut self.rx.staging);
            self.inner.rx_burst(&mut came);
            for frame in came.drain(..) {
                self.rx.take(frame, now, self.inner.pool(), &mut self.counters);
            }
            self.rx.staging = came;
        }
        self.rx.deliver(now, rx);
        rx.len() - before
    }

    fn backlog(&self) -> Backlog {
        self.inner.backlog()
    }

    fn tx_burst(&mut self, tx: &mut Vec<Frame>) -> usize {
        if self.tx.is_clear() {
            return self.inner.tx_burst(tx);
        }
        let now = (self.clock)();
        let taken = self.tx.room().min(tx.len());
        for frame in tx.drain(..taken) {
            self.tx.take(frame, now, self.inner.pool(), &mut self.counters);
        }
        self.push_out(now);
        taken
    }

    fn reclaim(&mut self) {
        self.inner.reclaim();
    }

    fn kick(&mut self) {
        if !self.tx.is_clear() {
            let now = (self.clock)();
            self.push_out(now);
        }
        self.inner.kick();
    }

    fn wait(&mut self, timeout: Duration) {
        let next = [&self.rx, &self.tx].into_iter().filter_map(|side| side.schedule.next_arrival()).min();
        let timeout = match next {
            Some(next) => timeout.min(Duration::from_nanos(next.nanos_since((self.clock)()))),
            None => timeout,
        };
        if !timeout.is_zero() {
            self.inner.wait(timeout);
        }
    }

    fn pool(&mut self) -> &mut FramePool {
        self.inner.pool()
    }

    fn stats(&self) -> IoStats {
        self.inner.stats()
    }

    fn describe(&self) -> String {
        format!("{} with faults", self.inner.describe())
    }

    fn mtu_max(&self) -> u32 {
        self.inner.mtu_max()
    }

    fn checksum_offload(&self) -> bool {
        self.inner.checksum_offload()
    }

    fn tap_counters(&self) -> Option<&Counters> {
        Some(&self.counters)
    }
}

impl<I: PacketIo> Drop for Fault<I> {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
#[path = "fault_tests.rs"]
mod tests;
