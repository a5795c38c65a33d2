//! Plays a recording as if a device received it. What is sent goes nowhere.

use super::ClockFn;
use super::pcap_format::PcapRecord;
use crate::base::frame::chain::PARTS_MAX;
use crate::base::{Frame, FramePool, Instant};
use crate::io::copy::copy_bytes;
use crate::io::{IoStats, PacketIo};
use core::time::Duration;

/// How fast a recording is played.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// With the gaps of the recording, counted from the first call.
    AsRecorded,
    /// As fast as frames are taken.
    Flat,
}

/// A backend that receives the frames of a file.
pub struct PcapReplay {
    records: std::iter::Peekable<std::vec::IntoIter<PcapRecord>>,
    pool: FramePool,
    clock: ClockFn,
    pace: Pace,
    /// Clock and recording at the first frame.
    start: Option<(Instant, u64)>,
    stats: IoStats,
}

impl PcapReplay {
    pub fn new(records: Vec<PcapRecord>, pool: FramePool, pace: Pace, clock: ClockFn) -> PcapReplay {
        let records = records.into_iter().peekable();
        PcapReplay { records, pool, clock, pace, start: None, stats: IoStats::default() }
    }

    /// Everything has been played.
    pub fn is_finished(&self) -> bool {
        self.records.len() == 0
    }

    /// When the next frame is due; `None` when there is none left.
    fn next_due(&mut self, now: Instant) -> Option<Instant> {
        let next = self.records.peek()?;
        let (start, first_ns) = *self.start.get_or_insert((now, next.wall_ns));
        match self.pace {
            Pace::Flat => Some(start),
            Pace::AsRecorded => Some(start.plus_nanos(next.wall_ns.saturating_sub(first_ns))),
        }
    }
}

impl PacketIo for PcapReplay {
    fn rx_burst(&mut self, rx: &mut Vec<Frame>) -> usize {
        let (now, before) = ((self.clock)(), rx.len());
        while rx.len() < rx.capacity()
            && self.pool.available() >= PARTS_MAX
            && self.next_due(now).is_some_and(|at| at <= now)
        {
            let Some(record) = self.records.next() else { break };
            match copy_bytes(&record.bytes, &mut self.pool) {
                Some(frame) => rx.push(frame),
                // Frames were free, so the record is larger than a packet may be.
                None => self.stats.rx_fragmented += 1,
            }
        }
        let came = rx.len() - before;
        self.stats.rx_frames += came as u64;
        came
    }

    fn tx_burst(&mut self, tx: &mut Vec<Frame>) -> usize {
        let taken = tx.len();
        tx.drain(..).for_each(|frame| self.pool.free(frame));
        self.stats.tx_frames += taken as u64;
        taken
    }

    fn reclaim(&mut self) {
        self.pool.collect_returns();
    }

    fn kick(&mut self) {}

    fn wait(&mut self, timeout: Duration) {
        let now = (self.clock)();
        let until_next = self.next_due(now).map(|at| Duration::from_nanos(at.nanos_since(now)));
        std::thread::sleep(until_next.map_or(timeout, |d| d.min(timeout)));
    }

    fn pool(&mut self) -> &mut FramePool {
        &mut self.pool
    }

    fn stats(&self) -> IoStats {
        self.stats
    }

    fn describe(&self) -> String {
        "pcap replay".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn records(n: u64, gap_ns: u64) -> Vec<PcapRecord> {
        (0..n).map(|i| PcapRecord { wall_ns: 5_000 + i * gap_ns, wire_bytes: 60, bytes: vec![i as u8; 60] }).collect()
    }

    fn play(records: Vec<PcapRecord>, frames: u32, pace: Pace) -> (PcapReplay, Arc<AtomicU64>) {
        let time = Arc::new(AtomicU64::new(1_000_000));
        let read = time.clone();
        let clock = Box::new(move || Instant::from_nanos(read.load(Ordering::Relaxed)));
        (PcapReplay::new(records, FramePool::heap(frames, 2048), pace, clock), time)
    }

    #[test]
    fn frames_come_with_the_gaps_of_the_recording() {
        let (mut io, time) = play(records(3, 100), 8, Pace::AsRecorded);
        let mut rx = Vec::with_capacity(8);
        let mut came = Vec::new();
        for _ in 0..4 {
            came.push(io.rx_burst(&mut rx));
            time.fetch_add(70, Ordering::Relaxed);
        }
        assert_eq!(came, [1, 0, 1, 1]);
        assert!(io.is_finished());
        assert_eq!(rx.iter().map(|f| f.bytes()[0]).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(io.tx_burst(&mut rx), 3);
        assert_eq!(io.pool().available(), 8);
    }

    #[test]
    fn at_a_flat_pace_frames_come_as_fast_as_there_is_room_and_none_is_lost() {
        let (mut io, _time) = play(records(10, 1_000_000), 4, Pace::Flat);
        let (mut rx, mut came) = (Vec::with_capacity(8), Vec::new());
        while !io.is_finished() {
            io.rx_burst(&mut rx);
            came.extend(rx.iter().map(|f| f.bytes()[0]));
            rx.drain(..).for_each(|f| io.pool().free(f));
        }
        assert_eq!(came, (0..10).collect::<Vec<u8>>());
    }

    #[test]
    fn a_record_larger_than_a_packet_may_be_is_left_out_and_counted() {
        let big = PcapRecord { wall_ns: 0, wire_bytes: 9000, bytes: vec![0; 9000] };
        let (mut io, _time) = play(vec![big], 4, Pace::Flat);
        assert_eq!(io.rx_burst(&mut Vec::with_capacity(8)), 0);
        assert_eq!((io.stats().rx_fragmented, io.pool().available()), (1, 4));
    }
}
