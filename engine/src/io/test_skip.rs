//! Tests that cannot run on this machine say so past the capture of their output, for whoever runs them to see and count.
//!
//! `synfin-tests` has this file as a module of its own too: the engine's unit tests cannot use that crate, which is built
//! on the engine.

use std::fmt::Display;
use std::io::Write as _;

/// Says that the calling thread's test ends without a verdict, and why.
///
/// # Panics
/// With `SYNFIN_TESTS_MUST_RUN=1`, on machines where every test can run: there it is a failure.
#[track_caller]
pub fn skip(why: impl Display) {
    let must_run = std::env::var_os("SYNFIN_TESTS_MUST_RUN").is_some_and(|value| value == "1");
    assert!(!must_run, "this test must run here, and cannot: {why}");
    skip_anywhere(why);
}

/// As [`skip`], and never a failure: for tests whose needs few machines meet.
pub fn skip_anywhere(why: impl Display) {
    let thread = std::thread::current();
    let why = why.to_string().trim().replace('\n', "; ");
    let line = format!("skipped: {}: {why}\n", thread.name().unwrap_or("a test"));
    // Not `eprintln!`, whose output is captured; in one piece, so that lines of several tests stay apart.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
