//! What goes wrong before a run begins: one sentence, and the next step.

use std::fmt;

/// Bad usage or set-up.
pub const EXIT_USAGE: u8 = 2;
/// The run took place, but not as asked.
pub const EXIT_FAILED: u8 = 1;

/// Why a run could not begin. Ends the program with [`EXIT_USAGE`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One sentence without full stop, beginning with a small letter.
    pub what: String,
    /// What to do about it, an imperative sentence.
    pub next: String,
}

impl Failure {
    pub fn new(what: impl Into<String>, next: impl Into<String>) -> Failure {
        Failure { what: what.into(), next: next.into() }
    }
}

impl From<synfin_engine::io::IoError> for Failure {
    fn from(e: synfin_engine::io::IoError) -> Failure {
        Failure { what: e.what, next: e.hint }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if self.next.is_empty() { Ok(()) } else { write!(f, "\n  {}", self.next) }
    }
}

impl std::error::Error for Failure {}
