//! The main thread during a run: shows how it is going, and ends it.

use super::record::Recorder;
use super::stop::StopRequests;
use crate::cli::net::Progress;
use crate::live::{Board, Display, Signals, Words};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the main thread looks.
const LOOK: Duration = Duration::from_millis(20);

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// By itself, or when its time was up.
    Done,
    /// Somebody stopped it.
    Interrupted,
}

/// What ends a run.
pub struct Watch<'a> {
    pub boards: &'a [Arc<Board>],
    pub signals: &'a Signals,
    pub stop: &'a StopRequests,
    pub progress: Progress,
    pub words: Words,
    /// Time is up then.
    pub duration: Option<Duration>,
    /// How long connections may take to finish once somebody has stopped the run or its time is up.
    pub grace: Duration,
}

impl Watch<'_> {
    /// Returns when the workers are to be stopped. `begin_end` is called once, when nothing new is to begin;
    /// `is_over` tells that the workers have ended or have nothing left to do.
    pub fn run(&self, recorder: &mut Recorder, mut begin_end: impl FnMut(), mut is_over: impl FnMut() -> bool) -> End {
        let mut display = Display::new(self.progress, self.words);
        let start = Instant::now();
        let (mut end, mut deadline) = (End::Done, None::<Instant>);
        while !is_over() && self.signals.unanswered().is_none() {
            let requests = self.stop.count();
            let time_is_up = self.duration.is_some_and(|d| start.elapsed() >= d);
            if deadline.is_none() && (requests > 0 || time_is_up) {
                end = if requests > 0 { End::Interrupted } else { End::Done };
                deadline = Some(Instant::now() + self.grace);
                self.signals.stop_launching();
                begin_end();
            }
            if requests > 1 || deadline.is_some_and(|d| Instant::now() >= d) {
                break;
            }
            display.tick(self.boards);
            std::thread::sleep(recorder.tick(self.boards).min(LOOK));
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn watch<'a>(signals: &'a Signals, stop: &'a StopRequests, duration: Option<Duration>) -> Watch<'a> {
        let words = crate::live::line::SERVE;
        let (progress, grace) = (Progress::Off, Duration::from_millis(1));
        Watch { boards: &[], signals, stop, progress, words, duration, grace }
    }

    #[test]
    fn a_run_that_finishes_is_done_and_nobody_is_told_to_stop() {
        let (signals, stop) = (Signals::default(), StopRequests::default());
        assert_eq!(
            watch(&signals, &stop, None).run(&mut Recorder::default(), || panic!("told to stop"), || true),
            End::Done
        );
        assert!(!signals.launching_is_stopped());
    }

    #[test]
    fn time_that_is_up_ends_launching_and_after_the_grace_the_run() {
        let (signals, stop, told) = (Signals::default(), StopRequests::default(), Cell::new(0));
        let it = watch(&signals, &stop, Some(Duration::ZERO));
        assert_eq!(it.run(&mut Recorder::default(), || told.set(told.get() + 1), || false), End::Done);
        assert!(signals.launching_is_stopped() && told.get() == 1);
    }

    #[test]
    fn an_unanswered_hop_ends_the_run_at_once() {
        let (signals, stop) = (Signals::default(), StopRequests::default());
        signals.report_unanswered(synfin_engine::wire::Addr::v4([198, 18, 0, 9]));
        assert_eq!(watch(&signals, &stop, None).run(&mut Recorder::default(), || {}, || false), End::Done);
    }
}
