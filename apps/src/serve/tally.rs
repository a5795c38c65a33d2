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
    /// From when to when connections were open.
    active: Option<(Instant, Instant)>,
    /// One has come or gone since the last turn.
    has_changed: bool,
}

impl Tally {
    pub fn new(board: Arc<Board>) -> Tally {
        Tally { board: Some(board), ..Tally::default() }
    }

    pub fn accepted(&mut self) {
        self.accepted += 1;
        self.open += 1;
        self.has_changed = true;
        self.open_peak = self.open_peak.max(self.open);
    }

    pub fn closed(&mut self, why: CloseReason) {
        self.open = self.open.saturating_sub(1);
        self.has_changed = true;
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
        let both = |a: (Instant, Instant), b: (Instant, Instant)| (a.0.min(b.0), a.1.max(b.1));
        self.active = match (self.active, other.active) {
            (Some(a), Some(b)) => Some(both(a, b)),
            (a, b) => a.or(b),
        };
    }

    /// From the first connection until the last had gone.
    pub fn active_ns(&self) -> u64 {
        self.active.map_or(0, |(first, last)| last.nanos_since(first))
    }

    /// Called on every turn of the poll loop; now and then it shows how things stand.
    pub fn publish(&mut self, now: Instant) {
        if self.open > 0 || self.has_changed {
            let first = self.active.map_or(now, |(first, _)| first);
            (self.active, self.has_changed) = (Some((first, now)), false);
        }
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
            requests_missed: 0,
            responses: self.responses.iter().sum(),
            open: self.open,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_active_from_the_first_connection_until_the_last_has_gone() {
        let (mut a, mut b) = (Tally::default(), Tally::default());
        let at = Instant::from_nanos;
        a.publish(at(500));
        assert_eq!(a.active_ns(), 0, "nobody has come");
        a.accepted();
        a.publish(at(1_000));
        a.publish(at(2_000));
        a.closed(CloseReason::Graceful);
        a.publish(at(3_000));
        a.publish(at(9_000));
        assert_eq!(a.active_ns(), 2_000);
        b.accepted();
        b.publish(at(4_000));
        b.publish(at(5_000));
        a.merge(&b);
        assert_eq!(a.active_ns(), 4_000, "with another worker, whose connection is still open");
    }
}
