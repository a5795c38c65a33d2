//! The run over time as CSV: a line for each stretch of time, written when it is over, so that a run that is killed keeps
//! what it has measured.

use super::file;
use crate::failure::Failure;
use crate::live::Row;
use crate::live::buckets::Spread;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

const OPTION: &str = "--csv";
const COLUMNS: [&str; 11] = [
    "at_seconds",
    "seconds",
    "started",
    "established",
    "completed",
    "failed",
    "missed",
    "requests",
    "requests_missed",
    "responses",
    "open",
];
const SPREADS: [&str; 3] = ["handshake", "request", "response"];
const QUANTILES: [&str; 7] = ["p50", "p90", "p95", "p99", "p99_9", "p99_99", "max"];

/// An open file, its first line written.
pub struct Csv {
    file: File,
}

impl Csv {
    pub fn create(path: &Path) -> Result<Csv, Failure> {
        let open = || file::open_fifo(path)?.map_or_else(|| File::create(path), Ok);
        let mut it = Csv { file: open().map_err(|e| file::cannot_write(path, OPTION, &e))? };
        it.write(&head()).map_err(|e| file::cannot_write(path, OPTION, &e))?;
        Ok(it)
    }

    pub fn add(&mut self, row: &Row) -> io::Result<()> {
        self.write(&line(row))
    }

    /// A line: less than a FIFO takes at a time, or else nothing of it.
    fn write(&mut self, text: &str) -> io::Result<()> {
        match self.file.write_all(text.as_bytes()) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(file::reader_is_stuck()),
            written => written,
        }
    }
}

fn head() -> String {
    let spreads = SPREADS.iter().flat_map(|s| QUANTILES.iter().map(move |q| format!("{s}_{q}_ns")));
    let names: Vec<String> = COLUMNS.iter().map(|c| (*c).to_owned()).chain(spreads).collect();
    names.join(",") + "\n"
}

/// What has not been measured is left empty.
fn line(row: &Row) -> String {
    let f = &row.figures;
    let connections = [f.started, f.established, f.completed, f.failed, f.missed];
    let requests = [f.requests, f.requests_missed, f.responses];
    let mut cells = vec![format!("{:.3}", row.at_seconds), format!("{:.3}", row.seconds)];
    cells.extend(connections.iter().chain(&requests).chain(&[f.open]).map(u64::to_string));
    cells.extend([row.handshake_ns, row.request_ns, row.response_ns].into_iter().flat_map(quantiles));
    cells.join(",") + "\n"
}

fn quantiles(spread: Option<Spread>) -> [String; QUANTILES.len()] {
    let text = |s: Spread| [s.p50, s.p90, s.p95, s.p99, s.p99_9, s.p99_99, s.max].map(|ns| ns.to_string());
    spread.map_or_else(Default::default, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Figures;
    use std::os::unix::fs::OpenOptionsExt;

    #[test]
    fn each_line_has_a_cell_for_each_column_and_nothing_measured_is_an_empty_one() {
        let spread = Spread { count: 7, p50: 1, p90: 2, p95: 3, p99: 4, p99_9: 5, p99_99: 6, max: 7 };
        let row = Row {
            at_seconds: 2.0,
            seconds: 1.0004,
            figures: Figures {
                started: 10,
                established: 9,
                completed: 8,
                failed: 1,
                missed: 0,
                requests: 7,
                requests_missed: 2,
                responses: 6,
                open: 1,
            },
            handshake_ns: Some(spread),
            request_ns: None,
            response_ns: Some(spread),
        };
        let text = line(&row);
        assert_eq!(text, "2.000,1.000,10,9,8,1,0,7,2,6,1,1,2,3,4,5,6,7,,,,,,,,1,2,3,4,5,6,7\n");
        assert_eq!(text.split(',').count(), head().split(',').count());
        assert!(head().starts_with("at_seconds,seconds,started,") && head().contains(",handshake_p99_9_ns,"));
    }

    #[test]
    fn a_fifo_that_is_not_read_any_more_ends_the_rows_and_not_the_run() {
        let path = std::env::temp_dir().join(format!("synfin-csv-{}.fifo", std::process::id()));
        assert!(std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo(1)").success());
        let refused = Csv::create(&path).map(drop).unwrap_err().to_string();
        assert!(refused.contains("nobody reads this FIFO"), "{refused}");
        let mut options = std::fs::OpenOptions::new();
        let _reader = options.read(true).custom_flags(libc::O_NONBLOCK).open(&path).expect("a reader");
        let mut csv = Csv::create(&path).expect("a FIFO with a reader");
        let row = Row {
            at_seconds: 1.0,
            seconds: 1.0,
            figures: Figures::default(),
            handshake_ns: None,
            request_ns: None,
            response_ns: None,
        };
        let broke_off = (0..100_000).find_map(|_| csv.add(&row).err()).expect("an end");
        assert_eq!(broke_off.to_string(), file::reader_is_stuck().to_string());
        std::fs::remove_file(path).expect("its removal");
    }
}
