//! Latency histograms: one set per worker, merged at the end. Recording allocates nothing.

use crate::live::Board;
use hdrhistogram::Histogram;
use std::sync::Arc;

/// Longer is recorded as this: an hour.
const NS_MAX: u64 = 3_600_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// What is measured of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Measure {
    Handshake,
    FirstByte,
    Request,
    Response,
    Close,
    Connection,
}

impl Measure {
    pub const ALL: [Measure; 6] = [
        Measure::Handshake,
        Measure::FirstByte,
        Measure::Request,
        Measure::Response,
        Measure::Close,
        Measure::Connection,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Measure::Handshake => "handshake",
            Measure::FirstByte => "first_byte",
            Measure::Request => "request",
            Measure::Response => "response",
            Measure::Close => "close",
            Measure::Connection => "connection",
        }
    }

    /// From when until when.
    pub const fn help(self) -> &'static str {
        match self {
            Measure::Handshake => "from when the connection was due until it is established",
            Measure::FirstByte => "from sending a request until the first byte of its response",
            Measure::Request => "from sending a request until the last byte of its response",
            Measure::Response => {
                "from when the connection (--hold: the request) was due until the last byte of its first response"
            }
            Measure::Close => "from the end of the last response until both sides have closed",
            Measure::Connection => "from when the connection was due until both sides have closed",
        }
    }
}

/// Nanoseconds, three significant digits, for each measure.
#[derive(Clone, Debug)]
pub struct Latencies {
    histograms: [Histogram<u64>; Measure::ALL.len()],
    /// Where they are shown while the run goes on.
    board: Option<Arc<Board>>,
}

impl Default for Latencies {
    fn default() -> Self {
        let one = || Histogram::new_with_bounds(1, NS_MAX, SIGNIFICANT_DIGITS).expect("bounds and digits are in range");
        Latencies { histograms: std::array::from_fn(|_| one()), board: None }
    }
}

impl Latencies {
    pub fn shown_on(board: Arc<Board>) -> Latencies {
        Latencies { board: Some(board), ..Latencies::default() }
    }

    #[inline]
    pub fn record(&mut self, measure: Measure, ns: u64) {
        self.histograms[measure as usize].saturating_record(ns);
        match (measure, &self.board) {
            (Measure::Handshake, Some(board)) => board.handshakes.record(ns),
            (Measure::Request, Some(board)) => board.requests.record(ns),
            (Measure::Response, Some(board)) => board.responses.record(ns),
            _ => {}
        }
    }

    /// As if nothing had been recorded. What is shown stays.
    pub fn forget(&mut self) {
        self.histograms.iter_mut().for_each(Histogram::reset);
    }

    pub fn of(&self, measure: Measure) -> &Histogram<u64> {
        &self.histograms[measure as usize]
    }

    pub fn merge(&mut self, other: &Latencies) {
        for (mine, theirs) in self.histograms.iter_mut().zip(&other.histograms) {
            mine.add(theirs).expect("all histograms have the same bounds");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_three_digits_and_merge_exactly() {
        let (mut a, mut b) = (Latencies::default(), Latencies::default());
        for ns in 1..=1000u64 {
            if ns % 2 == 0 { &mut a } else { &mut b }.record(Measure::Request, ns * 1_000_000);
        }
        a.merge(&b);
        let h = a.of(Measure::Request);
        assert_eq!((h.len(), a.of(Measure::Close).len()), (1000, 0));
        for (q, ms) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let got = h.value_at_quantile(q) as f64 / 1e6;
            assert!((got - ms).abs() <= ms * 0.001, "{q}: {got}");
        }
    }

    #[test]
    fn what_is_beyond_the_bounds_counts_at_the_bound() {
        let mut l = Latencies::default();
        l.record(Measure::Close, 0);
        l.record(Measure::Close, u64::MAX);
        assert_eq!(l.of(Measure::Close).len(), 2);
        assert!(l.of(Measure::Close).max() >= NS_MAX);
    }
}
