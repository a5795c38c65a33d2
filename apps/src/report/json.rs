//! The report as a JSON file. It appears whole or not at all.

use crate::failure::Failure;
use serde::Serialize;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Standard output instead of a file.
pub fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Refuses a place that cannot be written before the run begins rather than after it.
pub fn check_place(path: &Path) -> Result<(), Failure> {
    if is_stdout(path) {
        return Ok(());
    }
    let temporary = temporary(path);
    File::create(&temporary)
        .and_then(|_| std::fs::remove_file(&temporary))
        .map_err(|e| cannot_write(path, &e))
        .and_then(|()| match path.is_dir() {
            true => Err(Failure::new(format!("{} is a directory", path.display()), "Name a file with --json.")),
            false => Ok(()),
        })
}

pub fn write(report: &impl Serialize, path: &Path) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(report).map_err(|e| cannot_write(path, &io::Error::other(e)))?;
    text.push('\n');
    if is_stdout(path) {
        return io::stdout().write_all(text.as_bytes()).map_err(|e| cannot_write(path, &e));
    }
    let temporary = temporary(path);
    let written = File::create(&temporary)
        .and_then(|mut f| f.write_all(text.as_bytes()).and_then(|()| f.sync_all()))
        .and_then(|()| std::fs::rename(&temporary, path));
    written.map_err(|e| {
        let _ = std::fs::remove_file(&temporary);
        cannot_write(path, &e)
    })
}

/// Beside the file itself, so that renaming does not cross file systems.
fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    PathBuf::from(name)
}

fn cannot_write(path: &Path, e: &io::Error) -> Failure {
    Failure::new(format!("cannot write {}: {e}", path.display()), "Name a file that can be written with --json.")
}
