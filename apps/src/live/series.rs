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
    /// What came in it, and what is open at its end.
    #[serde(flatten)]
    pub figures: Figures,
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
        let row = Row {
            at_seconds: at.as_secs_f64(),
            seconds: at.saturating_sub(self.at).as_secs_f64(),
            figures: now.since(&self.figures),
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
        let new = first.figures;
        assert_eq!((new.started, new.completed, new.open, new.missed), (10, 7, 2, 2));
        assert_eq!((first.handshake_ns.map(|s| s.count), first.request_ns), (Some(1), None));
        assert_eq!((new.requests, new.responses), (8, 6));
        let figures = Figures { started: 30, established: 29, completed: 29, failed: 1, missed: 2, ..figures };
        board.publish(&Figures { requests: 28, responses: 28, open: 0, ..figures });
        let second = series.next(Duration::from_millis(2500), &boards);
        let new = second.figures;
        assert_eq!((new.started, new.completed, new.open, new.missed), (20, 22, 0, 0));
        assert_eq!((new.requests, new.responses), (20, 22));
        assert_eq!((second.at_seconds, second.seconds, second.handshake_ns), (2.5, 1.5, None));
    }
}
