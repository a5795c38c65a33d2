//! Figures from a worker to the thread that prints: written by one, read by the other, without locks.

use super::buckets::Buckets;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};

/// A worker's running totals.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, Serialize)]
pub struct Figures {
    pub started: u64,
    pub established: u64,
    pub completed: u64,
    pub failed: u64,
    pub missed: u64,
    /// Load: sent; serve: received.
    pub requests: u64,
    /// Due, but not sent.
    pub requests_missed: u64,
    pub responses: u64,
    /// Connections, now.
    pub open: u64,
}

impl Figures {
    const COUNT: usize = 9;

    fn words(&self) -> [u64; Figures::COUNT] {
        let Figures { started, established, completed, failed, missed, requests, requests_missed, responses, open } =
            *self;
        [started, established, completed, failed, missed, requests, requests_missed, responses, open]
    }

    fn of(words: [u64; Figures::COUNT]) -> Figures {
        let [started, established, completed, failed, missed, requests, requests_missed, responses, open] = words;
        Figures { started, established, completed, failed, missed, requests, requests_missed, responses, open }
    }

    pub fn plus(&self, other: &Figures) -> Figures {
        let mut sum = self.words();
        sum.iter_mut().zip(other.words()).for_each(|(a, b)| *a += b);
        Figures::of(sum)
    }

    /// What has come since `before`; what is open is as it is now.
    pub fn since(&self, before: &Figures) -> Figures {
        let mut new = self.words();
        new.iter_mut().zip(before.words()).for_each(|(now, then)| *now = now.saturating_sub(then));
        Figures { open: self.open, ..Figures::of(new) }
    }
}

/// The last figures of one worker. Each number is exact; together they may stem from two moments.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Board {
    words: [AtomicU64; Figures::COUNT],
    /// Latencies, as they come. A server has none.
    pub handshakes: Buckets,
    pub requests: Buckets,
    pub responses: Buckets,
}

/// Shows on a board how it stands, on the way and once more when it is over.
pub trait Shown {
    fn show(&self);
}

impl Board {
    pub fn publish(&self, figures: &Figures) {
        // Relaxed: nobody concludes anything from one number about another.
        self.words.iter().zip(figures.words()).for_each(|(a, v)| a.store(v, Ordering::Relaxed));
    }

    pub fn read(&self) -> Figures {
        Figures::of(std::array::from_fn(|i| self.words[i].load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_read_and_adds_up() {
        let figures = Figures {
            started: 6,
            established: 5,
            completed: 3,
            failed: 1,
            missed: 2,
            requests: 9,
            requests_missed: 7,
            responses: 8,
            open: 2,
        };
        let board = Board::default();
        board.publish(&figures);
        assert_eq!(board.read(), figures);
        assert_eq!(figures.plus(&figures).requests, 18);
        assert_eq!((figures.plus(&figures).open, figures.plus(&figures).responses), (4, 16));
    }
}
