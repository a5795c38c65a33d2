//! From raw results to something to read: the tables between the markers in bench/README.md, and one SVG chart for each.
//!
//! Everything is made from the newest CSV file of each bench and from nothing else, so that it can be made again, and
//! checked.

mod chart;
mod csv;
mod goodput;
mod many;
mod sections;
mod veth;

use chart::Chart;
use std::path::{Path, PathBuf};
use std::{fs, io};

const BEGIN: &str = "<!-- results: made by `cargo run -p synfin-bench --bin report`, do not edit -->";
const END: &str = "<!-- end of results -->";

/// One bench's part of the page.
struct Section {
    title: String,
    /// What the figures are.
    text: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    chart: Option<Chart>,
    /// File and machine.
    source: String,
}

impl Section {
    fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let chart = self.chart.as_ref().map_or_else(String::new, |c| format!("\n![{}](results/{})\n", c.title, c.file));
        format!(
            "### {}\n{}\n\n{}{}{}{chart}\n{}\n",
            self.title,
            self.text,
            line(&self.head),
            line(&vec!["---".to_owned(); self.head.len()]),
            self.rows.iter().map(|row| line(row)).collect::<String>(),
            self.source
        )
    }
}

/// A file as it should be.
pub struct Made {
    pub path: PathBuf,
    pub text: String,
}

/// The README with new tables, and the charts.
///
/// # Errors
/// A file cannot be read, or the README has no markers.
pub fn make(bench: &Path) -> io::Result<Vec<Made>> {
    let newest = csv::newest(&bench.join("results"))?;
    let sections = sections::all(&newest);
    let tables: String = sections.iter().map(|section| format!("\n{}", section.markdown())).collect();
    let readme = bench.join("README.md");
    let text = spliced(&fs::read_to_string(&readme)?, &tables).ok_or_else(|| {
        io::Error::other(format!("{} has no place for results: two lines, {BEGIN} and {END}", readme.display()))
    })?;
    let mut made = vec![Made { path: readme, text }];
    for chart in sections.iter().filter_map(|section| section.chart.as_ref()) {
        made.push(Made { path: bench.join("results").join(&chart.file), text: chart.svg() });
    }
    Ok(made)
}

/// Files that are not as the results say they should be.
///
/// # Errors
/// As [`make`].
pub fn outdated(bench: &Path) -> io::Result<Vec<PathBuf>> {
    let differs = |made: &Made| fs::read_to_string(&made.path).ok().as_deref() != Some(made.text.as_str());
    Ok(make(bench)?.into_iter().filter(differs).map(|made| made.path).collect())
}

/// `text` with `tables` between the markers.
fn spliced(text: &str, tables: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{tables}\n{END}{after}"))
}

/// The folder of this crate.
pub fn bench_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_and_the_charts_fit_the_results() {
        let outdated = outdated(bench_folder()).expect("readable results");
        assert!(outdated.is_empty(), "cargo run -p synfin-bench --bin report renews {outdated:?}");
    }

    #[test]
    fn only_what_lies_between_the_markers_is_replaced() {
        let text = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let new = spliced(&text, "new").expect("markers");
        assert_eq!(new, format!("before\n{BEGIN}\nnew\n{END}\nafter\n"));
        assert_eq!(spliced(&new, "new").as_ref(), Some(&new));
        assert_eq!(spliced("no markers", "new"), None);
    }
}
