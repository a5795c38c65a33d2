//! What several workers cost each other: shards in memory, each pair on a thread of its own.

use super::pauses::thread_cpu_time;
use super::phases::{Figures, exchange};
use super::rig::{Rig, Room};
use std::sync::Barrier;
use std::thread;

const WORKERS_MAX: usize = 2;
const ROUNDS: usize = 15;
const EXCHANGES: u32 = 20_000;

/// Exchanges for each second of CPU time, of one worker alone and of each of two at the same time. What they had in
/// common, cache lines above all, would show.
pub fn workers() -> Figures {
    let mut figures = Figures::default();
    let rates = [1, WORKERS_MAX].map(|count| {
        let start = Barrier::new(count);
        let rates: Vec<f64> = thread::scope(|scope| {
            let threads: Vec<_> = (0..count).map(|_| scope.spawn(|| rate(&start))).collect();
            threads.into_iter().map(|thread| thread.join().expect("a worker that does not panic")).collect()
        });
        let rate = rates.iter().sum::<f64>() / count as f64;
        figures.add(
            format!("exchanges of each of {count} workers (median of {ROUNDS})"),
            rate,
            "1/s of CPU time, both ends",
        );
        rate
    });
    figures.add(format!("rate of each of {WORKERS_MAX} workers, to that of one alone"), rates[1] / rates[0], "1");
    figures
}

fn rate(start: &Barrier) -> f64 {
    let mut rig = Rig::new(&Room::for_idle(0));
    exchange(&mut rig, EXCHANGES);
    let rates: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            start.wait();
            let before = thread_cpu_time();
            exchange(&mut rig, EXCHANGES);
            f64::from(EXCHANGES) / thread_cpu_time().saturating_sub(before).as_secs_f64()
        })
        .collect();
    crate::results::median(&rates)
}
