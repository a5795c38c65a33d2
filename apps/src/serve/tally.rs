//! What a server counts, one per worker, added up at the end.

use crate::live::{Board, Figures};
use std::sync::Arc;
use synfin_engine::base::Instant;
use synfin_engine::shard::CloseReason;

/// How often figures are published: so much at most is missing from what is shown.
const PUBLISH_NS: u64 = 2_000_000;

#[derive(Clone, Default)]
pub struct Tally {
    pub accepted: u64,
    /// Open now, and the most there were at a time.
    open: u64,
    pub open_peak: u64,
    pub requests: u64,
    /// Responses by status class; index 2 is 2xx.
    pub responses: [u64; 6],
    /// Ended connections by [`CloseReason`].
    pub closed: [u64; CloseReason::ALL.len()],
    board: Option<Arc<Board>>,
    published: Instant,
}

impl Tally {
    pub fn new(board: Arc<Board>) -> Tally {
        Tally { board: Some(board), ..Tally::default() }
    }

    pub fn accepted(&mut self) {
        self.accepted += 1;
        self.open += 1;
        self.open_peak = self.open_peak.max(self.open);
    }

    pub fn closed(&mut self, why: CloseReason) {
        self.open = self.open.saturating_sub(1);
        self.closed[why as usize] += 1;
    }

    pub fn closed_total(&self) -> u64 {
        self.closed.iter().sum()
    }

    pub fn closed_by(&self, why: CloseReason) -> u64 {
        self.closed[why as usize]
    }

    pub fn response(&mut self, status: u16) {
        self.responses[usize::from(status / 100).min(5)] += 1;
    }

    pub fn merge(&mut self, other: &Tally) {
        self.accepted += other.accepted;
        self.open_peak += other.open_peak;
        self.requests += other.requests;
        self.responses.iter_mut().zip(other.responses).for_each(|(a, b)| *a += b);
        self.closed.iter_mut().zip(other.closed).for_each(|(a, b)| *a += b);
    }

    /// Called on every turn of the poll loop; now and then it shows how things stand.
    pub fn publish(&mut self, now: Instant) {
        if now.nanos_since(self.published) >= PUBLISH_NS {
            self.published = now;
            self.show();
        }
    }

    /// Shows how things stand.
    pub fn show(&self) {
        let Some(board) = &self.board else { return };
        let graceful = self.closed_by(CloseReason::Graceful);
        board.publish(&Figures {
            started: self.accepted,
            established: self.accepted,
            completed: graceful,
            failed: self.closed_total() - graceful,
            missed: 0,
            requests: self.requests,
        });
    }
}
