//! The scripts from outside: what they say to wrong arguments, that they leave alone what is not theirs, and that nothing of
//! them is left when they end, whatever the end is.
//!
//! What they would build, install or measure with is replaced by programs that only answer or wait.

mod benches;
mod lab;
mod nic;
mod setup;
mod skips;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use synfin_tests::programs::{Ended, PATIENCE, Scratch, run};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts")
}

/// A script with these words; a signal that whoever runs the tests ignores is not ignored by it.
fn script(name: &str, words: &str) -> Command {
    let mut command = Command::new(folder().join(name));
    command.args(words.split_whitespace());
    // SAFETY: signal is async-signal-safe, and no pointers are involved.
    unsafe {
        command.pre_exec(|| {
            for signal in [libc::SIGINT, libc::SIGHUP, libc::SIGTERM] {
                libc::signal(signal, libc::SIG_DFL);
            }
            Ok(())
        })
    };
    command
}

/// Runs it to its end, and expects this exit code.
#[track_caller]
fn ends_with(code: i32, command: &mut Command) -> Ended {
    let ended = run(command, PATIENCE);
    assert_eq!(ended.status.code(), Some(code), "{command:?}: {}{}", ended.stdout, ended.stderr);
    ended
}

/// Names that nobody else has, for namespaces and the like.
fn own_prefix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("s{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Programs that stand in for others: files of shell commands in one directory.
struct StandIns {
    dir: Scratch,
}

impl StandIns {
    fn new(programs: &[(&str, &str)]) -> StandIns {
        let it = StandIns { dir: Scratch::new() };
        programs.iter().for_each(|(name, commands)| it.set(name, commands));
        it
    }

    fn set(&self, name: &str, commands: &str) {
        let path = self.dir.write(name, format!("#!/bin/sh\n{commands}\n"));
        fs::set_permissions(path, Permissions::from_mode(0o755)).expect("a program");
    }

    fn path(&self) -> PathBuf {
        self.dir.path("")
    }

    /// Has a command find these before all others.
    fn first_in_path(&self, command: &mut Command) {
        let rest = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{rest}", self.path().display()));
    }
}

/// Files of a directory that is there or not.
fn files_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// All scripts that one starts, rather than sources.
fn scripts() -> Vec<String> {
    let mut names = files_in(&folder());
    names.retain(|name| !name.contains('.'));
    assert!(names.len() > 10, "{names:?}");
    names
}

#[test]
fn every_script_explains_itself() {
    for name in scripts() {
        let ended = ends_with(0, &mut script(&name, "--help"));
        assert!(ended.stdout.contains(&format!("scripts/{name}")) && ended.stderr.is_empty(), "{name}: {ended:?}");
    }
}

#[test]
fn every_script_refuses_what_it_does_not_know_in_one_sentence() {
    for name in scripts() {
        let ended = ends_with(2, &mut script(&name, "--no-such-option"));
        let said = &ended.stderr;
        assert!(said.starts_with(&format!("{}: ", name)) && said.lines().count() == 1, "{name}: {said}");
        assert!(said.contains("no-such-option") && said.contains("--help"), "{name}: {said}");
    }
}
