//! The lab and the demo: what they have not made they leave as it is.

use crate::benches::{all_doing, bench, until};
use crate::{StandIns, ends_with, own_prefix, script};
use std::process::Command;
use synfin_tests::netns::{self, Lab, Side};
use synfin_tests::programs::{PATIENCE, Program, Scratch, run};

/// A namespace that some other program made.
struct Stranger(String);

impl Stranger {
    fn new(name: String) -> Stranger {
        ends_with(0, Command::new("ip").args(["netns", "add", &name]));
        Stranger(name)
    }

    fn is_there(&self) -> bool {
        run(Command::new("ip").args(["-n", &self.0, "link"]), PATIENCE).status.success()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        run(Command::new("ip").args(["netns", "delete", &self.0]), PATIENCE);
    }
}

#[test]
fn a_namespace_of_somebody_else_is_neither_replaced_nor_removed() {
    // Only to know that labs can be made here.
    let Some(_lab) = Lab::up(1) else { return };
    for side in ["a", "b", "m"] {
        let prefix = own_prefix();
        let stranger = Stranger::new(format!("{prefix}-{side}"));
        for command in ["up", "down"] {
            let out = netns::script(command, &prefix, &[]);
            let said = String::from_utf8_lossy(&out.stderr);
            assert_eq!(out.status.code(), Some(2), "{command}: {said}");
            assert!(said.contains(&format!("{} that is no lab's", stranger.0)), "{command}: {said}");
            assert!(stranger.is_there(), "{command}");
        }
    }
}

fn is_used_by(lab: &Lab, user: &Program) -> bool {
    let pids = lab.run(Side::A, &format!("ip netns pids {}-b", lab.prefix()));
    pids.lines().any(|pid| pid == user.pid().to_string())
}

/// A program that runs in it.
fn user_of(lab: &Lab) -> Program {
    let user = Program::start(&mut lab.command(Side::B, "sleep 1000"));
    // `ip netns exec` takes a moment to get there.
    until("program in the lab", || is_used_by(lab, &user));
    user
}

#[test]
fn a_lab_that_is_in_use_is_not_made_anew() {
    let Some(lab) = Lab::up(1) else { return };
    let user = user_of(&lab);
    let up = || netns::script("up", lab.prefix(), &[]);
    let refused = up();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains(&user.pid().to_string()), "{said}");
    drop(user);
    assert!(up().status.success());
}

#[test]
fn a_bench_whose_lab_is_in_use_leaves_it_as_it_is() {
    let Some(lab) = Lab::up(1) else { return };
    let (user, scratch, programs) = (user_of(&lab), Scratch::new(), all_doing("exit 1"));
    ends_with(2, &mut bench("bench-veth", "--only kernel", &programs, &scratch.path("out"), lab.prefix()));
    assert!(is_used_by(&lab, &user));
}

#[test]
fn a_demo_that_cannot_begin_leaves_labs_of_its_name_alone() {
    let Some(lab) = Lab::up(1) else { return };
    let nothing_is_installed = StandIns::new(&[("apt-get", "exit 1"), ("curl", "exit 1")]);
    let mut demo = script("demo", &format!("--bin /no/such/program --prefix {}", lab.prefix()));
    nothing_is_installed.first_in_path(&mut demo);
    ends_with(2, &mut demo);
    assert!(netns::script("status", lab.prefix(), &[]).status.success());
}
