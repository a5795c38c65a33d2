//! The words of the live line.

use super::Figures;
use crate::report::number::grouped;
use std::time::Duration;

/// What a program says of itself: the live line, and which figures its rates are of.
#[derive(Clone, Copy)]
pub struct Words {
    /// Time since the start, time since the line before, figures then and now.
    pub line: fn(Duration, Duration, &Figures, &Figures) -> String,
    pub connections: fn(&Figures) -> u64,
    pub requests: fn(&Figures) -> u64,
}

pub const LOAD: Words = Words { line: load, connections: |f| f.established, requests: |f| f.responses };
pub const SERVE: Words = Words { line: serve, connections: |f| f.started, requests: |f| f.requests };

/// One line about the last stretch of time: totals, and rates over `step`.
fn load(at: Duration, step: Duration, before: &Figures, now: &Figures) -> String {
    let new = now.since(before);
    let rate = |n: u64| grouped(per_second(n, step));
    format!(
        "{:>6.1} s  {} conn/s  {} req/s  open {}  done {}  failed {}  missed {}",
        at.as_secs_f64(),
        rate((LOAD.connections)(&new)),
        rate((LOAD.requests)(&new)),
        grouped(now.open),
        grouped(now.completed),
        grouped(now.failed),
        grouped(now.missed + now.requests_missed)
    )
}

fn serve(at: Duration, step: Duration, before: &Figures, now: &Figures) -> String {
    let new = now.since(before);
    let rate = |n: u64| grouped(per_second(n, step));
    format!(
        "{:>6.1} s  {} conn/s  {} req/s  open {}  accepted {}  closed {}",
        at.as_secs_f64(),
        rate((SERVE.connections)(&new)),
        rate((SERVE.requests)(&new)),
        grouped(now.open),
        grouped(now.started),
        grouped(now.completed + now.failed)
    )
}

fn per_second(n: u64, step: Duration) -> u64 {
    let s = step.as_secs_f64();
    if s > 0.0 { (n as f64 / s).round() as u64 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_last_stretch() {
        let a = Figures { established: 1000, started: 1000, completed: 900, ..Figures::default() };
        let b = Figures {
            established: 3500,
            started: 3510,
            completed: 3400,
            failed: 10,
            missed: 4,
            requests: 2700,
            requests_missed: 3,
            responses: 2500,
            open: 100,
        };
        let line = load(Duration::from_secs(2), Duration::from_millis(500), &a, &b);
        assert_eq!(line, "   2.0 s  5,000 conn/s  5,000 req/s  open 100  done 3,400  failed 10  missed 7");
        assert!(serve(Duration::ZERO, Duration::ZERO, &a, &b).contains("0 conn/s"));
    }
}
