//! engine/CONFORMANCE.md, checked: every requirement has its row, and every test that a row names exists. What the
//! requirements are is written down here a second time, so that none is left out unnoticed.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// RFC 9293, appendix B: how many of each kind there are; they are numbered from 1.
const NUMBERED: [(&str, u32); 4] = [("MUST", 69), ("SHLD", 31), ("MAY", 18), ("REC", 1)];

/// Requirements of a section: a word of ours for each (or the RFC's own number within the section) that tells it from the
/// others there.
type Section = (&'static str, &'static [&'static str]);

/// The MUSTs of RFCs that do not number them: RFC, how many, and which.
#[rustfmt::skip]
const BY_SECTION: [(&str, usize, &[Section]); 5] = [
    ("7323", 32, &[
        ("2.2", &["both", "syn only", "not scaled"]),
        ("2.3", &["own shift", "agreed", "in", "out", "limit", "beyond limit"]),
        ("2.4", &["shrinking", "1", "3"]),
        ("3.2", &["echo", "no ack", "always", "no abort", "not agreed"]),
        ("4.1", &["clock"]),
        ("4.3", &["filled hole"]),
        ("5.2", &["monotonic", "rst passes", "rst ignored"]),
        ("5.3", &["R1", "R2", "R3", "R4", "R5", "first", "on arrival"]),
        ("5.4", &["a", "b"]),
        ("5.7", &["pmtud"]),
    ]),
    ("6298", 11, &[
        ("1", &["not faster"]),
        ("2", &["2.2", "2.3", "2.3 order", "2.3 rto"]),
        ("3", &["karn", "each rtt"]),
        ("4", &["granularity"]),
        ("5", &["not early", "5.5", "5.7"]),
    ]),
    ("5961", 11, &[
        ("3.2", &["2", "3 challenge", "3 drop", "outside", "syn-sent"]),
        ("4.2", &["1 challenge", "1 drop", "valid rst"]),
        ("5.2", &["range", "discard", "ack back"]),
    ]),
    ("6675", 20, &[
        ("4", &["keep", "SetPipe", "NextSeg", "NextSeg 1", "NextSeg 2", "NextSeg 4", "HighRxt", "NextSeg 5"]),
        ("5", &["update", "reset", "count", "each ack", "A", "B", "C.1", "C.2"]),
        ("5.1", &["ignore", "RecoveryPoint", "end", "no new"]),
    ]),
    ("8985", 13, &[
        ("3.3.2", &["bounded"]),
        ("4", &["sack", "scoreboard", "times"]),
        ("7.3", &["check", "skip", "re-arm", "record", "rto"]),
        ("7.4.2", &["assume loss"]),
        ("9.2", &["no 6675"]),
        ("9.3", &["allowed", "reduce again"]),
    ]),
];

/// The requirements by their names in the table.
fn requirements() -> Vec<String> {
    let numbered = NUMBERED.iter().flat_map(|&(kind, count)| (1..=count).map(move |n| format!("{kind}-{n}")));
    let by_section = BY_SECTION.iter().flat_map(|(rfc, _, sections)| {
        sections.iter().flat_map(move |(section, words)| words.iter().map(move |w| format!("{rfc} {section} ({w})")))
    });
    numbered.chain(by_section).collect()
}

#[derive(Debug, PartialEq, Eq)]
struct Row {
    id: String,
    /// File and function.
    tests: Vec<(String, String)>,
}

/// What the tables of requirements begin with. Other tables may have other columns.
const HEADER: &str = "| ID | Requirement | Status | Shown by |";

/// The rows of all tables of requirements, or what is wrong with them.
fn rows(text: &str) -> Result<Vec<Row>, String> {
    let (mut rows, mut is_inside) = (Vec::new(), false);
    for line in text.lines() {
        match line.strip_prefix('|') {
            None => is_inside = false,
            Some(_) if line == HEADER => is_inside = true,
            Some(rule) if rule.chars().all(|c| "-:| ".contains(c)) => {}
            Some(row) if is_inside => rows.push(cells(row).map_err(|why| format!("{why}: {line}"))?),
            Some(_) => {}
        }
    }
    Ok(rows)
}

fn cells(inside: &str) -> Result<Row, String> {
    let inside = inside.strip_suffix('|').ok_or("no bar at the end")?;
    let cells: Vec<&str> = inside.split('|').map(str::trim).collect();
    let [id, requirement, status, tests] = cells[..] else {
        return Err(format!("{} cells instead of four", cells.len()));
    };
    if id.is_empty() || requirement.split_whitespace().count() < 2 {
        return Err("neither a name nor a requirement may be missing".into());
    }
    let tests = tests.split(',').map(str::trim).filter(|t| !t.is_empty()).map(named).collect::<Result<Vec<_>, _>>()?;
    let (word, why) = status.split_once(':').map_or((status, None), |(word, why)| (word, Some(why.trim())));
    match (word, why) {
        ("done", _) if tests.is_empty() => return Err("done, but nothing shows it".into()),
        ("done", None) => {}
        ("done" | "not applicable" | "not done", Some(why)) if why.split_whitespace().count() >= 3 => {}
        ("done" | "not applicable" | "not done", _) => return Err("no reason given".into()),
        _ => return Err(format!("no such status as '{word}'")),
    }
    Ok(Row { id: id.into(), tests })
}

/// `path/to/file.rs::name`.
fn named(test: &str) -> Result<(String, String), String> {
    match test.trim_matches('`').split_once("::") {
        Some((file, name)) if file.ends_with(".rs") && !name.is_empty() => Ok((file.into(), name.into())),
        _ => Err(format!("'{test}' is not the name of a test")),
    }
}

/// Whether `source` has a function `name` under `#[test]`.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let start = format!("fn {name}(");
    lines.iter().enumerate().filter(|(_, line)| line.starts_with(&start)).any(|(at, _)| {
        let above = lines[..at].iter().rev();
        above.take_while(|l| l.starts_with("#[") || l.starts_with("//")).any(|l| *l == "#[test]")
    })
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_path_buf()
}

fn table() -> Vec<Row> {
    let text = fs::read_to_string(root().join("engine/CONFORMANCE.md")).expect("engine/CONFORMANCE.md");
    rows(&text).unwrap_or_else(|why| panic!("{why}"))
}

#[test]
fn the_list_has_as_many_requirements_as_the_rfcs() {
    assert_eq!(NUMBERED.iter().map(|(_, count)| count).sum::<u32>(), 119);
    for (rfc, count, sections) in BY_SECTION {
        assert_eq!(sections.iter().map(|(_, words)| words.len()).sum::<usize>(), count, "RFC {rfc}");
    }
    let mut all = requirements();
    assert_eq!(all.len(), 119 + 32 + 11 + 11 + 20 + 13);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 206, "no name stands for two");
}

#[test]
fn every_requirement_has_one_row_and_every_row_a_requirement() {
    let mut rows: HashMap<String, u32> = HashMap::new();
    for row in table() {
        *rows.entry(row.id).or_default() += 1;
    }
    let wanted = requirements();
    let missing: Vec<_> = wanted.iter().filter(|id| !rows.contains_key(*id)).collect();
    let twice: Vec<_> = rows.iter().filter(|(_, n)| **n > 1).collect();
    let unknown: Vec<_> = rows.keys().filter(|id| !wanted.contains(id)).collect();
    assert!(
        missing.is_empty() && twice.is_empty() && unknown.is_empty(),
        "missing: {missing:?}\nmore than once: {twice:?}\nunknown: {unknown:?}"
    );
}

#[test]
fn every_test_that_is_named_exists() {
    let mut sources: HashMap<String, String> = HashMap::new();
    let mut absent = Vec::new();
    for row in table() {
        for (file, name) in row.tests {
            let source = sources
                .entry(file.clone())
                .or_insert_with_key(|file| fs::read_to_string(root().join(file)).unwrap_or_default());
            if !has_test(source, &name) {
                absent.push(format!("{}: {file}::{name}", row.id));
            }
        }
    }
    assert!(absent.is_empty(), "no such tests:\n{}", absent.join("\n"));
}

/// The one row of a table that has only that.
fn row(line: &str) -> Result<Row, String> {
    let mut rows =
        rows(&format!("text\n\n{HEADER}\n| --- | :-- | --- | --- |\n{line}\n\n| another | table |\n|-|-|\n"))?;
    assert_eq!(rows.len(), 1, "{line}");
    Ok(rows.remove(0))
}

#[test]
fn malformed_rows_are_found() {
    let tests = vec![("a/b.rs".into(), "c".into()), ("d.rs".into(), "e".into())];
    let good = row("| MUST-1 | windows are unsigned | done | `a/b.rs::c`, `d.rs::e` |");
    assert_eq!(good, Ok(Row { id: "MUST-1".into(), tests }));
    for fine in [
        "| MAY-9 | pass Diffserv up | not done: nobody has asked | |",
        "| MUST-51 | source routes | not applicable: there are no routes | |",
        "| MUST-2 | compute a checksum | done: or the device does | `a.rs::b` |",
    ] {
        assert!(row(fine).is_ok(), "{fine}");
    }
    for bad in [
        "| MUST-1 | windows are unsigned | done |  |",
        "| MUST-1 | windows are unsigned | done | `a/b.rs` |",
        "| MUST-1 | windows are unsigned | done | `a/b.md::c` |",
        "| MUST-1 | windows are unsigned | done | `a.rs::b` | more |",
        "| MUST-1 | windows are unsigned | done | `a.rs::b`",
        "| MUST-1 | windows are unsigned | nearly | `a.rs::b` |",
        "| MUST-1 | windows are unsigned | not done | |",
        "| MUST-1 | windows are unsigned | not applicable: no | |",
        "| MUST-1 | | done | `a.rs::b` |",
        "| | windows are unsigned | done | `a.rs::b` |",
    ] {
        assert!(row(bad).is_err(), "{bad}");
    }
}

#[test]
fn only_functions_under_the_test_attribute_are_tests() {
    let source = "#[test]\n// Why.\nfn one() {}\n\nfn two() {}\n#[test]\nfn three_and_more() {}\n    #[test]\n    fn four(x in 0..9) {}";
    assert!(has_test(source, "one") && has_test(source, "four"));
    assert!(!has_test(source, "two") && !has_test(source, "three") && !has_test(source, "five"));
}
