//! Raw results: a CSV file, named after the commit, with the machine described in comment lines.

use crate::machine;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::{fs, io};

/// Rows of one bench, written when it has ended.
pub struct Results {
    bench: &'static str,
    text: String,
}

impl Results {
    /// `columns`: the header line.
    pub fn new(bench: &'static str, columns: &str) -> Results {
        let mut text = String::new();
        for fact in machine::describe() {
            text.push_str("# ");
            text.push_str(&fact);
            text.push('\n');
        }
        text.push_str(columns);
        text.push('\n');
        Results { bench, text }
    }

    /// Adds a row.
    pub fn row(&mut self, values: &[&dyn std::fmt::Display]) {
        for (i, value) in values.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(self.text, "{comma}{value}").expect("writing into a string cannot fail");
        }
        self.text.push('\n');
    }

    /// Writes the file, replacing one of the same commit, into the directory that `SYNFIN_BENCH_RESULTS` names, or into
    /// bench/results. Returns its path.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn save(&self) -> io::Result<PathBuf> {
        let usual = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("results");
        let folder = std::env::var_os("SYNFIN_BENCH_RESULTS").map_or_else(usual, PathBuf::from);
        fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{}-{}.csv", self.bench, machine::commit()));
        fs::write(&path, &self.text)?;
        Ok(path)
    }
}

/// The middle one of some figures (the lower of the two middle ones); 0 of none.
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_below_the_machine_and_the_header() {
        let mut results = Results::new("test", "a,b");
        results.row(&[&1, &"x"]);
        let plain: Vec<&str> = results.text.lines().filter(|line| !line.starts_with("# ")).collect();
        assert_eq!(plain, ["a,b", "1,x"]);
        assert!(results.text.starts_with("# cpu: "));
    }

    #[test]
    fn the_median_is_one_of_the_figures() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.0);
        assert_eq!(median(&[]), 0.0);
    }
}
