//! Looks at a run at even distances, and keeps what it sees for those who asked for it.

use crate::cli::net::OutputArgs;
use crate::failure::Failure;
use crate::live::{Board, Row, Series};
use crate::report::csv::Csv;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Default)]
pub struct Recorder {
    csv: Option<Csv>,
    /// Writing has failed: how. Nothing is written any more.
    error: Option<io::Error>,
    /// For the JSON file and the page; `None` if nobody wants them.
    rows: Option<Vec<Row>>,
    every: Duration,
    series: Series,
    start: Option<Instant>,
}

/// A run over time, as far as it was to be kept.
#[derive(Debug, Default)]
pub struct Recorded {
    pub rows: Vec<Row>,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl Recorder {
    pub fn new(output: &OutputArgs) -> Result<Recorder, Failure> {
        Ok(Recorder {
            csv: output.csv.as_deref().map(Csv::create).transpose()?,
            rows: (output.json.is_some() || output.html.is_some()).then(Vec::new),
            every: output.interval,
            ..Recorder::default()
        })
    }

    /// Called all the time, from the start of the run on. Returns how long it may be until the next call.
    pub fn tick(&mut self, boards: &[Arc<Board>]) -> Duration {
        if self.csv.is_none() && self.rows.is_none() {
            return Duration::MAX;
        }
        let at = self.start.get_or_insert_with(Instant::now).elapsed();
        let due = self.series.at() + self.every;
        if at < due {
            return due - at;
        }
        self.look(at, boards);
        self.every
    }

    /// What has come since the last row, once the workers have ended.
    pub fn finish(mut self, boards: &[Arc<Board>]) -> Recorded {
        let at = self.start.map_or(Duration::ZERO, |start| start.elapsed());
        if at > self.series.at() {
            self.look(at, boards);
        }
        let broke_off = |e: io::Error| format!("the CSV file broke off: {e}");
        Recorded { rows: self.rows.unwrap_or_default(), notes: self.error.map(broke_off).into_iter().collect() }
    }

    fn look(&mut self, at: Duration, boards: &[Arc<Board>]) {
        let row = self.series.next(at, boards);
        if let Some(Err(e)) = self.csv.as_mut().map(|csv| csv.add(&row)) {
            (self.csv, self.error) = (None, Some(e));
        }
        self.rows.iter_mut().for_each(|rows| rows.push(row.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Figures;

    fn recorder(every: Duration) -> Recorder {
        Recorder { rows: Some(Vec::new()), every, ..Recorder::default() }
    }

    #[test]
    fn rows_come_at_even_distances_and_add_up_to_the_run() {
        let boards = [Arc::new(Board::default())];
        let mut it = recorder(Duration::from_millis(2));
        for n in 1..=5 {
            boards[0].publish(&Figures { started: n * 10, ..Figures::default() });
            it.tick(&boards);
            std::thread::sleep(Duration::from_millis(3));
        }
        let rows = it.finish(&boards).rows;
        assert_eq!(rows.iter().map(|r| r.figures.started).sum::<u64>(), 50);
        assert!(rows.len() >= 4 && rows.windows(2).all(|w| w[0].at_seconds < w[1].at_seconds), "{rows:?}");
    }

    #[test]
    fn what_comes_at_the_very_end_has_its_row() {
        let boards = [Arc::new(Board::default())];
        let mut it = recorder(Duration::from_nanos(1));
        it.tick(&boards);
        boards[0].publish(&Figures { completed: 3, ..Figures::default() });
        it.tick(&boards);
        boards[0].publish(&Figures { completed: 10, ..Figures::default() });
        assert_eq!(it.finish(&boards).rows.iter().map(|r| r.figures.completed).sum::<u64>(), 10);
    }

    #[test]
    fn a_run_that_nobody_wants_over_time_is_not_kept() {
        let boards = [Arc::new(Board::default())];
        let mut it = Recorder { every: Duration::ZERO, ..Recorder::default() };
        assert_eq!(it.tick(&boards), Duration::MAX);
        assert!(it.finish(&boards).rows.is_empty());
    }
}
