//! The report as JSON: a file, or standard output.

use super::file::Destination;
use crate::failure::Failure;
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;

const OPTION: &str = "--json";

/// Where it goes.
pub enum Place {
    Stdout,
    Elsewhere(Destination),
}

/// Standard output instead of a file.
pub fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

impl Place {
    /// Refuses a place that cannot be written before the run begins rather than after it.
    pub fn reserve(path: &Path) -> Result<Place, Failure> {
        if is_stdout(path) { Ok(Place::Stdout) } else { Destination::reserve(path, OPTION).map(Place::Elsewhere) }
    }

    pub fn write(self, report: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(report).map(|text| text + "\n").map_err(io::Error::other);
        match self {
            Place::Elsewhere(place) => {
                let text = text.map_err(|e| place.cannot_write(&e))?;
                place.write(&text)
            }
            Place::Stdout => {
                let written = text.and_then(|text| io::stdout().write_all(text.as_bytes()));
                written.map_err(|e| Failure::new(format!("standard output takes no more: {e}"), ""))
            }
        }
    }
}
