//! What a person sees of a run on standard error.

use super::screen::Screen;
use super::{Board, Figures, Words};
use crate::cli::net::{OutputArgs, Progress};
use crate::failure::Failure;
use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;
use std::time::{Duration, Instant};

const LINE_EVERY: Duration = Duration::from_secs(1);
const TERMINAL_EVERY: Duration = Duration::from_millis(250);

/// Leaves the terminal as it was when it is dropped.
pub enum Display {
    Nothing,
    Line(LiveLine),
    Screen(Box<Screen>),
}

/// A screen needs a terminal that nobody else writes to.
pub fn check(output: &OutputArgs) -> Result<(), Failure> {
    match output.progress {
        Progress::Screen if !stderr().is_terminal() => {
            Err(Failure::new("--progress screen needs a terminal as standard error", "Use --progress plain here."))
        }
        Progress::Screen if output.trace => Err(Failure::new(
            "--trace prints where --progress screen draws",
            "Use --progress off, or record with --pcap.",
        )),
        _ => Ok(()),
    }
}

impl Display {
    pub fn new(progress: Progress, words: Words) -> Display {
        match progress {
            Progress::Auto if stderr().is_terminal() => Display::Line(LiveLine::new(words, true)),
            Progress::Plain => Display::Line(LiveLine::new(words, false)),
            // A terminal that cannot do it after all has lines.
            Progress::Screen => Screen::open(words)
                .map_or_else(|_| Display::Line(LiveLine::new(words, false)), |s| Display::Screen(Box::new(s))),
            Progress::Auto | Progress::Off => Display::Nothing,
        }
    }

    /// Called all the time.
    pub fn tick(&mut self, boards: &[Arc<Board>]) {
        match self {
            Display::Nothing => {}
            Display::Line(line) => line.tick(boards),
            Display::Screen(screen) => screen.tick(boards),
        }
    }
}

/// Prints the live line when it is due.
pub struct LiveLine {
    words: Words,
    rewrite: bool,
    every: Duration,
    start: Instant,
    last: Instant,
    before: Figures,
}

impl LiveLine {
    fn new(words: Words, rewrite: bool) -> LiveLine {
        let now = Instant::now();
        let every = if rewrite { TERMINAL_EVERY } else { LINE_EVERY };
        LiveLine { words, rewrite, every, start: now, last: now, before: Figures::default() }
    }

    fn tick(&mut self, boards: &[Arc<Board>]) {
        let now = Instant::now();
        let step = now.duration_since(self.last);
        if step < self.every {
            return;
        }
        let figures = boards.iter().fold(Figures::default(), |sum, b| sum.plus(&b.read()));
        let line = (self.words.line)(now.duration_since(self.start), step, &self.before, &figures);
        let mut err = stderr().lock();
        // A terminal that has gone is no reason to end the run.
        let _ = if self.rewrite { write!(err, "\r\x1b[K{line}") } else { writeln!(err, "{line}") };
        let _ = err.flush();
        (self.last, self.before) = (now, figures);
    }
}

impl Drop for LiveLine {
    fn drop(&mut self) {
        if self.rewrite {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
