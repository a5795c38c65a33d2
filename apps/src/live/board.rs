//! Figures from a worker to the thread that prints: written by one, read by the other, without locks.

use super::buckets::Buckets;
use std::sync::atomic::{AtomicU64, Ordering};

/// A worker's running totals.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Figures {
    pub started: u64,
    pub established: u64,
    pub completed: u64,
    pub failed: u64,
    pub missed: u64,
    pub requests: u64,
}

impl Figures {
    fn words(&self) -> [u64; 6] {
        [self.started, self.established, self.completed, self.failed, self.missed, self.requests]
    }

    fn of(words: [u64; 6]) -> Figures {
        let [started, established, completed, failed, missed, requests] = words;
        Figures { started, established, completed, failed, missed, requests }
    }

    /// Connections begun and neither completed nor failed.
    pub fn open(&self) -> u64 {
        self.started.saturating_sub(self.completed + self.failed)
    }

    pub fn plus(&self, other: &Figures) -> Figures {
        let mut sum = self.words();
        sum.iter_mut().zip(other.words()).for_each(|(a, b)| *a += b);
        Figures::of(sum)
    }
}

/// The last figures of one worker. Each number is exact; together they may stem from two moments.
#[derive(Default)]
#[repr(align(128))]
pub struct Board {
    words: [AtomicU64; 6],
    /// Latencies, as they come. A server has none.
    pub handshakes: Buckets,
    pub requests: Buckets,
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
        let figures = Figures { started: 6, established: 5, completed: 3, failed: 1, missed: 2, requests: 9 };
        let board = Board::default();
        board.publish(&figures);
        assert_eq!(board.read(), figures);
        assert_eq!(figures.plus(&figures).requests, 18);
        assert_eq!(figures.open(), 2);
    }
}
