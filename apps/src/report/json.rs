//! The report as JSON: a file, or standard output.

use super::file;
use crate::failure::Failure;
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;

const OPTION: &str = "--json";

/// Standard output instead of a file.
pub fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Refuses a place that cannot be written before the run begins rather than after it.
pub fn check_place(path: &Path) -> Result<(), Failure> {
    if is_stdout(path) { Ok(()) } else { file::check_place(path, OPTION) }
}

pub fn write(report: &impl Serialize, path: &Path) -> Result<(), Failure> {
    let cannot = |e: &io::Error| file::cannot_write(path, OPTION, e);
    let mut text = serde_json::to_string_pretty(report).map_err(|e| cannot(&io::Error::other(e)))?;
    text.push('\n');
    if is_stdout(path) {
        return io::stdout().write_all(text.as_bytes()).map_err(|e| cannot(&e));
    }
    file::write(&text, path, OPTION)
}
