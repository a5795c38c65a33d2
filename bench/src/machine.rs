//! What a figure was measured on.

use std::fs;
use std::process::Command;

/// The machine and the build, one fact per line, as `key: value`.
pub fn describe() -> Vec<String> {
    let facts = [
        ("cpu", cpu()),
        ("cores", std::thread::available_parallelism().map_or_else(|_| unknown(), |n| n.to_string())),
        ("kernel", first_line("/proc/sys/kernel/osrelease")),
        ("load_average", first_line("/proc/loadavg")),
        ("rustc", output("rustc", &["--version"])),
        ("commit", commit()),
        ("date", output("date", &["--utc", "+%Y-%m-%dT%H:%M:%SZ"])),
    ];
    facts.into_iter().map(|(key, value)| format!("{key}: {value}")).collect()
}

/// The commit that is checked out, with `-dirty` if files differ from it.
pub fn commit() -> String {
    output("git", &["describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"])
}

fn cpu() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

fn first_line(path: &str) -> String {
    fs::read_to_string(path).ok().and_then(|text| text.lines().next().map(str::to_owned)).unwrap_or_else(unknown)
}

fn output(program: &str, args: &[&str]) -> String {
    let run = Command::new(program).args(args).output().ok().filter(|run| run.status.success());
    let text = run.and_then(|run| String::from_utf8(run.stdout).ok());
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).unwrap_or_else(unknown)
}

fn unknown() -> String {
    "unknown".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_has_a_name_and_a_value() {
        let facts = describe();
        assert_eq!(facts.len(), 7);
        assert!(
            facts
                .iter()
                .all(|fact| fact.split_once(": ").is_some_and(|(key, value)| !key.is_empty() && !value.is_empty()))
        );
    }

    #[test]
    fn a_program_that_is_not_there_gives_unknown() {
        assert_eq!(output("no-such-program-here", &[]), "unknown");
    }
}
