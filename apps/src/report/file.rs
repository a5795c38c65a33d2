//! Files that a report goes into. Each appears whole or not at all.

use crate::failure::Failure;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Refuses a place that cannot be written before the run begins rather than after it. `option` has named it.
pub fn check_place(path: &Path, option: &str) -> Result<(), Failure> {
    let temporary = temporary(path);
    File::create(&temporary)
        .and_then(|_| std::fs::remove_file(&temporary))
        .map_err(|e| cannot_write(path, option, &e))
        .and_then(|()| match path.is_dir() {
            true => {
                Err(Failure::new(format!("{} is a directory", path.display()), format!("Name a file with {option}.")))
            }
            false => Ok(()),
        })
}

pub fn write(text: &str, path: &Path, option: &str) -> Result<(), Failure> {
    let temporary = temporary(path);
    let written = File::create(&temporary)
        .and_then(|mut f| f.write_all(text.as_bytes()).and_then(|()| f.sync_all()))
        .and_then(|()| std::fs::rename(&temporary, path));
    written.map_err(|e| {
        let _ = std::fs::remove_file(&temporary);
        cannot_write(path, option, &e)
    })
}

/// Beside the file itself, so that renaming does not cross file systems.
fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    PathBuf::from(name)
}

pub fn cannot_write(path: &Path, option: &str, e: &io::Error) -> Failure {
    let next = format!("Name a file that can be written with {option}.");
    Failure::new(format!("cannot write {}: {e}", path.display()), next)
}
