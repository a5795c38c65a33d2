//! A run over time: what each second (or whatever stretch is asked for) has brought.

use super::board::{Board, Figures};
use super::buckets::{Spread, Totals};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// One stretch of time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its end, since the start of the run.
    pub at_seconds: f64,
    /// Its length.
    pub seconds: f64,
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
    /// Open at its end.
    pub open: u64,
    /// `None`: there was none.
    pub handshake_ns: Option<Spread>,
    pub request_ns: Option<Spread>,
    pub response_ns: Option<Spread>,
}

/// Remembers how things stood at the last look.
#[derive(Default)]
pub struct Series {
    at: Duration,
    figures: Figures,
    handshakes: Totals,
    requests: Totals,
    responses: Totals,
}

impl Series {
    /// When the last look was.
    pub fn at(&self) -> Duration {
        self.at
    }

    /// What has come since the last look; `at` is the time since the start.
    pub fn next(&mut self, at: Duration, boards: &[Arc<Board>]) -> Row {
        let now = boards.iter().fold(Figures::default(), |sum, b| sum.plus(&b.read()));
        let handshakes = Totals::read(boards.iter().map(|b| &b.handshakes));
        let requests = Totals::read(boards.iter().map(|b| &b.requests));
        let responses = Totals::read(boards.iter().map(|b| &b.responses));
        let new = |now: u64, before: u64| now.saturating_sub(before);
        let before = &self.figures;
        let row = Row {
            at_seconds: at.as_secs_f64(),
            seconds: at.saturating_sub(self.at).as_secs_f64(),
            started: new(now.started, before.started),
            established: new(now.established, before.established),
            completed: new(now.completed, before.completed),
            failed: new(now.failed, before.failed),
            missed: new(now.missed, before.missed),
            requests: new(now.requests, before.requests),
            requests_missed: new(now.requests_missed, before.requests_missed),
            responses: new(now.responses, before.responses),
            open: now.open,
            handshake_ns: handshakes.since(&self.handshakes),
            request_ns: requests.since(&self.requests),
            response_ns: responses.since(&self.responses),
        };
        *self = Series { at, figures: now, handshakes, requests, responses };
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_holds_what_came_since_the_one_before() {
        let board = Arc::new(Board::default());
        let boards = [board.clone()];
        let mut series = Series::default();
        let figures = Figures { started: 10, established: 9, completed: 7, failed: 1, missed: 2, ..Figures::default() };
        board.publish(&Figures { requests: 8, responses: 6, open: 2, ..figures });
        board.handshakes.record(1000);
        let first = series.next(Duration::from_secs(1), &boards);
        assert_eq!((first.started, first.completed, first.open, first.missed), (10, 7, 2, 2));
        assert_eq!((first.handshake_ns.map(|s| s.count), first.request_ns), (Some(1), None));
        assert_eq!((first.requests, first.responses), (8, 6));
        let figures = Figures { started: 30, established: 29, completed: 29, failed: 1, missed: 2, ..figures };
        board.publish(&Figures { requests: 28, responses: 28, open: 0, ..figures });
        let second = series.next(Duration::from_millis(2500), &boards);
        assert_eq!((second.started, second.completed, second.open, second.missed), (20, 22, 0, 0));
        assert_eq!((second.requests, second.responses), (20, 22));
        assert_eq!((second.at_seconds, second.seconds, second.handshake_ns), (2.5, 1.5, None));
    }
}
