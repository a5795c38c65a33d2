//! The runner of packetdrill scripts: what it says to wrong arguments, and the project's own scripts, where packetdrill is
//! installed.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use synfin_tests::{programs, skip};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn runner(arguments: &[&str]) -> Output {
    let mut command = Command::new(root().join("scripts/packetdrill"));
    command.args(arguments).output().expect("scripts/packetdrill can be run")
}

#[test]
fn runner_says_in_one_sentence_what_is_wrong_with_its_arguments() {
    let scripts = root().join("tests/packetdrill/scripts");
    let scripts = scripts.to_str().expect("a readable path");
    for (arguments, part) in [
        (&["--speed"][..], "no option '--speed'"),
        (&["--jobs"], "--jobs needs a value"),
        (&["--jobs", "0"], "--jobs is a number from 1"),
        (&["--timeout", "soon"], "--timeout is a number of seconds"),
        (&["/no/such/script.pkt"], "there is no '/no/such/script.pkt'"),
        (&["--packetdrill", "/no/such/program", scripts], "github.com/google/packetdrill"),
    ] {
        let out = runner(arguments);
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(part) && said.trim().lines().count() == 1, "{arguments:?}: {said}");
    }
}

#[test]
fn runner_explains_itself_with_examples() {
    let out = runner(&["--help"]);
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && said.contains("examples:") && said.contains("--packetdrill PATH"), "{said}");
}

#[test]
fn scripts_run_where_neither_namespaces_nor_capabilities_may_be_changed() {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packetdrill-unprivileged");
    std::fs::create_dir_all(&place).expect("a directory");
    for (name, status) in [("unshare", 1), ("setpriv", 1), ("program", 0)] {
        let path = place.join(name);
        std::fs::write(&path, format!("#!/bin/sh\nexit {status}\n")).expect("a file");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("a program");
    }
    for name in ["engine.so", "script.pkt"] {
        std::fs::write(place.join(name), "").expect("a file");
    }
    let path = format!("{}:{}", place.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(root().join("scripts/packetdrill"));
    command.env("PATH", path).env("SYNFIN_PACKETDRILL_SO", place.join("engine.so"));
    let out = command.arg("--packetdrill").args(["program", "script.pkt"].map(|name| place.join(name))).output();
    let out = out.expect("scripts/packetdrill can be run");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
}

#[test]
fn own_scripts_pass() {
    if programs::find("packetdrill").is_none() {
        skip::skip_anywhere(
            "packetdrill is not installed, and Debian has none; it comes from https://github.com/google/packetdrill",
        );
        return;
    }
    let out = runner(&[]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
}
