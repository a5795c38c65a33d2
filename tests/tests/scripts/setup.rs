//! What is installed comes without the services that its packages bring.

use crate::{StandIns, ends_with, files_in, script};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use synfin_tests::programs::{PATIENCE, Scratch, run};
use synfin_tests::skip::skip;

/// A machine where nginx is missing, as far as `scripts/setup` can see.
struct Bare {
    scratch: Scratch,
    programs: StandIns,
}

impl Bare {
    /// `None`, with the reason said, where it cannot be had. `apt_get`: what stands for the installation.
    fn machine(apt_get: &str) -> Option<Bare> {
        let private = run(Command::new("unshare").args(["--mount", "mount", "-t", "tmpfs", "none", "/mnt"]), PATIENCE);
        if !private.status.success() {
            skip(format_args!("mounts of its own need root: {}", private.stderr));
            return None;
        }
        let programs = StandIns::new(&[
            ("apt-get", &format!("[ \"$1\" = update ] || {{ {apt_get}; }} >>$LOG")),
            ("systemctl", "echo \"systemctl $*\" >>$LOG"),
            ("cargo", ""),
            ("rustc", "echo rustc 1.999.0"),
        ]);
        let bare = Bare { scratch: Scratch::new(), programs };
        fs::create_dir(bare.administrators()).expect("a directory");
        Some(bare)
    }

    /// What it has for /usr/sbin.
    fn administrators(&self) -> PathBuf {
        self.scratch.path("sbin")
    }

    fn setup(&self) -> Command {
        let mut command = script("setup", "");
        let setup = command.get_program().to_owned();
        command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec", "mount --bind \"$1\" /usr/sbin; exec \"$2\" peers", "sh"]);
        command.arg(self.administrators()).arg(setup);
        command.env("PATH", format!("{}:/usr/bin:/bin", self.programs.path().display()));
        command.env("HOME", self.scratch.path("")).env("LOG", self.scratch.path("log"));
        command
    }

    fn log(&self) -> String {
        fs::read_to_string(self.scratch.path("log")).expect("a log")
    }
}

/// As a package's installation does it, which asks whether it may start its service.
const ASKS: &str = "/usr/sbin/policy-rc.d nginx start; echo \"may start: $?\"";

#[test]
fn services_of_packages_are_neither_started_nor_enabled() {
    let Some(bare) = Bare::machine(ASKS) else { return };
    ends_with(0, &mut bare.setup());
    assert_eq!(bare.log(), "may start: 101\nsystemctl disable --quiet nginx\n");
    assert!(files_in(&bare.administrators()).is_empty());
}

#[test]
fn a_failed_installation_leaves_no_policy_behind() {
    let Some(bare) = Bare::machine(&format!("{ASKS}; exit 100")) else { return };
    ends_with(100, &mut bare.setup());
    assert_eq!(bare.log(), "may start: 101\n");
    assert!(files_in(&bare.administrators()).is_empty());
}

#[test]
fn a_service_that_a_failed_installation_has_brought_is_not_enabled() {
    let brings = "printf '#!/bin/sh\\n' >/usr/sbin/nginx; chmod 755 /usr/sbin/nginx";
    let Some(bare) = Bare::machine(&format!("{ASKS}; {brings}; exit 100")) else { return };
    ends_with(100, &mut bare.setup());
    assert_eq!(bare.log(), "may start: 101\nsystemctl disable --quiet nginx\n");
    assert_eq!(files_in(&bare.administrators()), ["nginx"]);
}

#[test]
fn the_administrator_s_own_policy_stays() {
    let Some(bare) = Bare::machine(ASKS) else { return };
    let policy = bare.administrators().join("policy-rc.d");
    fs::copy(bare.programs.path().join("rustc"), &policy).expect("a policy");
    ends_with(0, &mut bare.setup());
    assert!(bare.log().ends_with("may start: 0\nsystemctl disable --quiet nginx\n"));
    assert!(policy.is_file());
}
