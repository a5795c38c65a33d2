//! Bulk transfers through the kernel's TCP or the engine's, either at either end: a number of bytes through each of some
//! connections, one way, every byte compared at the receiver.
//!
//! The receiver measures, from the first connection it accepts to the last byte, or for a limited time where the bytes
//! would take too long.

pub mod engine;
pub mod kernel;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, Instant};
use synfin_engine::base::Rng;

pub const PORT: u16 = 5001;
pub const FLOWS_MAX: usize = 16;
/// A prime, so that a segment in another's place is noticed.
const PIECE_BYTES: usize = 1_048_573;

/// Every stream is this piece over and over.
pub static PIECE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut bytes = vec![0; PIECE_BYTES];
    Rng::new(1).fill(&mut bytes);
    bytes
});

/// Whether these are a stream's bytes from `offset` on.
pub fn is_as_sent(offset: u64, bytes: &[u8]) -> bool {
    let (mut at, mut rest) = ((offset % PIECE_BYTES as u64) as usize, bytes);
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rest.len().min(PIECE_BYTES - at));
        if PIECE[at..at + now.len()] != *now {
            return false;
        }
        (at, rest) = (0, later);
    }
    true
}

/// What has come so far, flow by flow: written by whoever receives, read by whoever measures.
#[derive(Default)]
pub struct Arrivals {
    start: OnceLock<Instant>,
    flows: [AtomicU64; FLOWS_MAX],
    ended: AtomicU32,
    wrong: AtomicBool,
}

impl Arrivals {
    pub fn begin(&self) {
        let _ = self.start.set(Instant::now());
    }

    /// These bytes came next on a flow.
    pub fn take(&self, flow: usize, bytes: &[u8]) {
        // One writer for each flow: no read-modify-write is needed.
        let before = self.flows[flow].load(Ordering::Relaxed);
        if !is_as_sent(before, bytes) {
            self.wrong.store(true, Ordering::Relaxed);
        }
        self.flows[flow].store(before + bytes.len() as u64, Ordering::Relaxed);
    }

    pub fn end(&self) {
        // Whoever sees the end sees all that came before it.
        self.ended.fetch_add(1, Ordering::Release);
    }

    fn bytes(&self) -> [u64; FLOWS_MAX] {
        std::array::from_fn(|i| self.flows[i].load(Ordering::Relaxed))
    }

    /// Watches until all `flows` have ended or `limit` has passed since the first began. What comes in the first `skip` is
    /// not counted. `None` when nobody connects within `patience`, or `is_over` says that nothing more will come.
    pub fn measure(&self, flows: usize, times: &Times, is_over: impl Fn() -> bool) -> Option<Measured> {
        let asked = Instant::now();
        let mut skipped = times.skip.is_zero().then_some((Duration::ZERO, [0; FLOWS_MAX]));
        loop {
            std::thread::sleep(Duration::from_millis(1));
            let Some(start) = self.start.get() else {
                if asked.elapsed() > times.patience || is_over() {
                    return None;
                }
                continue;
            };
            let elapsed = start.elapsed();
            if skipped.is_none() && elapsed >= times.skip {
                skipped = Some((elapsed, self.bytes()));
            }
            let ended = self.ended.load(Ordering::Acquire) as usize >= flows;
            if let Some((since, before)) = skipped
                && (ended || elapsed >= times.limit || is_over())
            {
                let bytes = self.bytes();
                let counted = bytes.iter().zip(before).map(|(now, then)| now - then).take(flows).collect();
                let wrong = self.wrong.load(Ordering::Relaxed);
                return Some(Measured { seconds: (elapsed - since).as_secs_f64(), bytes: counted, ended, wrong });
            }
        }
    }
}

/// When to begin counting, and when to end.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub patience: Duration,
    pub skip: Duration,
    pub limit: Duration,
}

/// What a receiver has seen.
#[derive(Clone, Debug)]
pub struct Measured {
    pub seconds: f64,
    /// Of each flow, in the order in which they were accepted.
    pub bytes: Vec<u64>,
    /// All bytes came before the time was up.
    pub ended: bool,
    pub wrong: bool,
}

/// What a sender knows at its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent {
    pub retransmits: u64,
    pub timeouts: u64,
    /// Recoveries, those that were taken back, and tail loss probes.
    pub recoveries: u64,
    pub spurious: u64,
    pub probes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_known_at_any_offset_and_a_shifted_one_is_not() {
        let stream: Vec<u8> = PIECE.iter().chain(PIECE.iter()).copied().collect();
        for offset in [0, 1000, PIECE_BYTES - 1, PIECE_BYTES] {
            let bytes = &stream[offset..offset + 3000.min(stream.len() - offset)];
            assert!(is_as_sent(offset as u64, bytes));
            assert!(!is_as_sent(offset as u64 + 1448, bytes));
        }
        assert!(is_as_sent(0, &stream));
    }

    #[test]
    fn two_kernel_flows_arrive_whole_and_are_told_apart() {
        let times = Times { patience: Duration::from_secs(60), skip: Duration::ZERO, limit: Duration::from_secs(60) };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let to = listener.local_addr().expect("an address");
        let sending = std::thread::spawn(move || kernel::send(to, 2, 3_000_000, Duration::ZERO, None));
        let measured = kernel::receive(&listener, 2, &times).expect("accepting").expect("two flows");
        sending.join().expect("a sender").expect("sent");
        assert_eq!((measured.bytes, measured.ended, measured.wrong), (vec![3_000_000; 2], true, false));
    }
}
