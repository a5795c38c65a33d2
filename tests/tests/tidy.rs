//! The house rules, checked: floors import only downward, files and functions stay small, unsafe code is explained
//! and stays where it belongs, the top level stays as it is.

use std::fs;
use std::path::{Path, PathBuf};

/// The engine's modules, lowest floor first. A module may import from floors strictly below its own.
const FLOORS: [&[&str]; 8] =
    [&["base"], &["wire"], &["timer", "steering"], &["table", "neigh"], &["tcp"], &["shard"], &["socket"], &["io"]];
/// The top floor: control is worker's own noticeboard, so they may see each other.
const TOP: [&str; 2] = ["worker", "control"];

const MAX_FILE_LINES: usize = 500;
const MAX_FUNCTION_LINES: usize = 70;

/// Where `unsafe` may stand.
const UNSAFE_ALLOWED: [&str; 18] = [
    "engine/src/io/",
    "engine/src/base/extent.rs",
    "engine/src/base/extent_tests.rs",
    "engine/src/base/frame.rs",
    "engine/src/base/frame/",
    "engine/src/base/line.rs",
    "engine/src/base/pages.rs",
    "engine/src/base/prefetch.rs",
    "engine/src/base/reservation.rs",
    "engine/src/base/room.rs",
    "engine/src/base/tuple_hash.rs",
    "engine/src/base/words.rs",
    "engine/src/base/zeroed.rs",
    "engine/src/worker/clock.rs",
    "engine/src/worker/watch.rs",
    "bench/",
    "tests/",
    "apps/",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_path_buf()
}

fn sources() -> Vec<(String, String)> {
    fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).expect("a readable directory").flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") && !path.ends_with("corpus") {
                walk(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                out.push(path);
            }
        }
    }
    let root = root();
    let mut files = Vec::new();
    for dir in ["engine", "apps", "bench", "tests"] {
        walk(&root.join(dir), &mut files);
    }
    files.sort();
    assert!(files.len() > 50, "the walk should find the sources");
    let name = |p: &PathBuf| p.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
    files.iter().map(|p| (name(p), fs::read_to_string(p).expect("UTF-8 source"))).collect()
}

fn floor_of(module: &str) -> Option<usize> {
    if TOP.contains(&module) {
        return Some(FLOORS.len());
    }
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// Modules named after `crate::` in a line of code.
fn imports(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or("");
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let names = match rest.strip_prefix('{') {
            Some(list) => list.split(',').map(|n| n.trim().to_string()).collect(),
            None => vec![rest.to_string()],
        };
        for name in names {
            let module: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.push(module);
        }
    }
    found
}

#[test]
fn engine_modules_import_only_from_floors_below() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let Some(inside) = name.strip_prefix("engine/src/") else { continue };
        let Some((module, _)) = inside.split_once('/') else { continue };
        let own = floor_of(module).unwrap_or_else(|| panic!("engine/src/{module} has no floor"));
        // Tests may look anywhere.
        let is_test = name.ends_with("tests.rs") || name.ends_with("test_net.rs") || name.contains("test_frames");
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or("");
        for (number, line) in code.lines().enumerate().filter(|_| !is_test) {
            for used in imports(line) {
                let Some(floor) = floor_of(&used) else { continue };
                let allowed = used == module || floor < own || (TOP.contains(&module) && TOP.contains(&used.as_str()));
                if !allowed {
                    wrong.push(format!("{name}:{}: {module} must not import {used}", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_stay_below_500_lines() {
    let long: Vec<String> = sources()
        .iter()
        .map(|(name, text)| (name, text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_FILE_LINES)
        .map(|(name, lines)| format!("{name}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "more than one job in them?\n{}", long.join("\n"));
}

#[test]
fn functions_stay_below_70_lines() {
    let (mut long, mut functions) = (Vec::new(), 0);
    for (name, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (start, line) in lines.iter().enumerate() {
            let code = line.trim_start();
            let indent = line.len() - code.len();
            let is_fn = code.starts_with("fn ")
                || (code.contains(" fn ") && !code.starts_with("//") && code.starts_with("pub"));
            if !is_fn || code.ends_with(';') {
                continue;
            }
            // rustfmt closes a function with a brace at the indentation of its first line.
            let close = format!("{}}}", " ".repeat(indent));
            let Some(len) = lines[start..].iter().position(|l| *l == close) else { continue };
            functions += 1;
            if len + 1 > MAX_FUNCTION_LINES {
                long.push(format!("{name}:{}: {} lines", start + 1, len + 1));
            }
        }
    }
    assert!(functions > 1_000, "the search should find the functions, not {functions}");
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn unsafe_code_says_why_it_is_sound_and_stays_where_it_belongs() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            let block = code.contains("unsafe {") || code.contains("unsafe impl");
            if !block || name.ends_with("tidy.rs") {
                continue;
            }
            if !UNSAFE_ALLOWED.iter().any(|place| name.starts_with(place)) {
                wrong.push(format!("{name}:{}: unsafe does not belong here", at + 1));
            }
            let explained = lines[at.saturating_sub(6)..=at].iter().any(|l| l.contains("SAFETY:"));
            if !explained {
                wrong.push(format!("{name}:{}: no SAFETY comment", at + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_is_left_unfinished() {
    // Put together here, so that this file does not find itself.
    let marks = [["to", "do!("], ["unimple", "mented!("], ["FIX", "ME"], ["#[ign", "ore]"]].map(|m| m.concat());
    let found: Vec<String> = sources()
        .iter()
        .flat_map(|(name, text)| text.lines().enumerate().map(move |(n, l)| (name, n, l)))
        .filter(|(_, _, line)| marks.iter().any(|m| line.contains(m.as_str())))
        .map(|(name, n, line)| format!("{name}:{}: {}", n + 1, line.trim()))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_top_level_is_as_agreed() {
    let agreed = [
        ".ci",
        ".git",
        ".gitignore",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "apps",
        "bench",
        "deny.toml",
        "engine",
        "rustfmt.toml",
        "scripts",
        "target",
        "tests",
    ];
    let strange: Vec<String> = fs::read_dir(root())
        .expect("a readable root")
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .filter(|name| !agreed.contains(&name.as_str()))
        .collect();
    assert!(strange.is_empty(), "not part of the agreed top level: {strange:?}");
}
