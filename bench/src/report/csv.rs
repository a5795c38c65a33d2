//! Result files: facts about the machine in comment lines, then a header, then rows without quoting.

use crate::results::median;
use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

pub struct Csv {
    /// Name of the file.
    pub file: String,
    facts: Vec<(String, String)>,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// Rows that agree in some columns, with the medians of others. What is no number counts for nothing; without any number
/// the median is NaN.
pub struct Group {
    pub keys: Vec<String>,
    pub medians: Vec<f64>,
}

impl Csv {
    pub fn parse(file: &str, text: &str) -> Csv {
        let (comments, lines): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with('#'));
        let fact =
            |line: &&str| line.trim_start_matches("# ").split_once(": ").map(|(k, v)| (k.to_owned(), v.to_owned()));
        let cells = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
        let mut lines = lines.into_iter().filter(|line| !line.is_empty());
        Csv {
            file: file.to_owned(),
            facts: comments.iter().filter_map(fact).collect(),
            columns: lines.next().map(cells).unwrap_or_default(),
            rows: lines.map(cells).collect(),
        }
    }

    pub fn fact(&self, name: &str) -> &str {
        self.facts.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    pub fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    fn place(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|name| name == column)
    }

    /// Empty where there is no such column or cell.
    pub fn cell<'a>(&self, row: &'a [String], column: &str) -> &'a str {
        self.place(column).and_then(|place| row.get(place)).map_or("", String::as_str)
    }

    /// In the order of their first rows.
    pub fn groups(&self, keys: &[&str], values: &[&str]) -> Vec<Group> {
        let mut found: Vec<(Vec<String>, Vec<&Vec<String>>)> = Vec::new();
        for row in &self.rows {
            let key: Vec<String> = keys.iter().map(|column| self.cell(row, column).to_owned()).collect();
            match found.iter_mut().find(|(known, _)| *known == key) {
                Some((_, rows)) => rows.push(row),
                None => found.push((key, vec![row])),
            }
        }
        let of = |rows: &[&Vec<String>], column: &str| {
            let numbers: Vec<f64> = rows.iter().filter_map(|row| self.cell(row, column).parse().ok()).collect();
            if numbers.is_empty() { f64::NAN } else { median(&numbers) }
        };
        let medians = |rows: &[&Vec<String>]| values.iter().map(|column| of(rows, column)).collect();
        found.into_iter().map(|(keys, rows)| Group { keys, medians: medians(&rows) }).collect()
    }
}

/// The newest file of each bench: by the date in it; one without a date is older than any with.
pub fn newest(folder: &Path) -> io::Result<BTreeMap<String, Csv>> {
    let mut newest: BTreeMap<String, Csv> = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let Some(stem) = name.strip_suffix(".csv") else { continue };
        let Some((bench, _commit)) = stem.trim_end_matches("-dirty").rsplit_once('-') else { continue };
        let csv = Csv::parse(name, &fs::read_to_string(&path)?);
        let age = |csv: &Csv| (csv.fact("date").to_owned(), csv.file.clone());
        if newest.get(bench).is_none_or(|known| age(known) < age(&csv)) {
            newest.insert(bench.to_owned(), csv);
        }
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# cpu: fast: very\n# date: 2026-01-02\na,b,x\n1,p,10\n1,q,\n1,p,30\n1,p,20\n";

    #[test]
    fn rows_with_equal_keys_become_their_median_in_order() {
        let csv = Csv::parse("f.csv", TEXT);
        assert_eq!((csv.fact("cpu"), csv.fact("none")), ("fast: very", ""));
        let groups = csv.groups(&["a", "b"], &["x", "missing"]);
        assert_eq!(groups.len(), 2);
        assert_eq!((groups[0].keys.join(" "), groups[0].medians[0]), ("1 p".to_owned(), 20.0));
        assert!(groups[1].medians[0].is_nan() && groups[0].medians[1].is_nan());
    }

    #[test]
    fn the_newest_file_of_a_bench_is_taken_whatever_its_commit() {
        let folder = std::env::temp_dir().join(format!("synfin-newest-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let files = [
            ("x-y-ffff.csv", "a\n1"),
            ("x-y-aaaa-dirty.csv", TEXT),
            ("x-y-bbbb.csv", "# date: 2025\na"),
            ("z-1.csv", "a"),
        ];
        for (name, text) in files {
            fs::write(folder.join(name), text).expect("a file");
        }
        let newest = newest(&folder).expect("readable");
        let names: Vec<(&str, &str)> = newest.iter().map(|(bench, csv)| (bench.as_str(), csv.file.as_str())).collect();
        assert_eq!(names, [("x-y", "x-y-aaaa-dirty.csv"), ("z", "z-1.csv")]);
        fs::remove_dir_all(&folder).expect("its removal");
    }
}
