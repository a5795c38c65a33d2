//! `scripts/bench-nic`: what it changes comes back, even when nobody is there any more to be told.

use crate::benches::{all_doing, until, waiters, waiting};
use crate::{own_prefix, script};
use std::process::{Command, Stdio};
use synfin_tests::netns::{Lab, Side};
use synfin_tests::programs::{PATIENCE, Scratch};

/// Addresses and routes of an interface, as they are told.
fn settings(lab: &Lab, interface: &str) -> String {
    let shown = [
        "-4 addr show scope global",
        "-6 addr show scope global",
        "-4 route show table all",
        "-6 route show table all",
    ];
    shown.map(|words| lab.run(Side::A, &format!("ip {words} dev {interface}"))).join("--\n")
}

#[test]
fn after_a_lost_session_the_cards_are_back_with_their_addresses_and_routes() {
    let Some(lab) = Lab::up(1) else { return };
    for words in [
        "link add port-1 type veth peer name port-2",
        "link set port-1 up",
        "link set port-2 up",
        "addr add 198.18.5.7/24 dev port-1",
        "addr add 198.18.5.3/24 dev port-1",
        "addr add 2001:2:0:5::1/64 dev port-1 nodad",
        "addr add 198.18.6.1/24 dev port-2",
        "route add 198.19.1.0/24 via 198.18.5.9 dev port-1 metric 50",
        "route add 198.19.2.0/24 dev port-1 table 77",
        "-6 route add 2001:2:0:9::/64 via 2001:2:0:5::9 dev port-1",
        "route add 198.19.3.0/24 via 198.19.4.4 dev port-2 onlink",
    ] {
        lab.run(Side::A, &format!("ip {words}"));
    }
    let before = ["port-1", "port-2"].map(|port| settings(&lab, port));
    assert!(before[0].contains("198.19.2.0/24 table 77") && before[1].contains("onlink"), "{before:?}");

    let (prefix, scratch) = (own_prefix(), Scratch::new());
    let programs = all_doing(&waiting(&prefix));
    let words = format!(
        "both --interface port-1 --peer port-2 --prefix {prefix} --bin {} --out {}",
        programs.path().display(),
        scratch.path("out").display()
    );
    let bench = script("bench-nic", &words);
    let mut command: Command = lab.command(Side::A, "");
    command.arg(bench.get_program()).args(bench.get_args());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut it = command.spawn().expect("ip netns exec");
    until("server and client", || waiters(&prefix) == 2);
    assert!(!lab.run(Side::A, "ip link").contains("port-1"));
    // Whoever reads what it says is gone, and then it is told so.
    drop((it.stdout.take(), it.stderr.take()));
    // SAFETY: no pointers are involved; the child has not been waited for.
    assert_eq!(unsafe { libc::kill(it.id() as libc::pid_t, libc::SIGHUP) }, 0);
    let start = std::time::Instant::now();
    while it.try_wait().expect("our own child").is_none() {
        assert!(start.elapsed() < PATIENCE, "it does not end");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(["port-1", "port-2"].map(|port| settings(&lab, port)), before);
    assert_eq!(waiters(&prefix), 0);
}

#[test]
fn a_rate_comes_with_what_the_generator_may_miss() {
    if Lab::up(1).is_none() || !synfin_tests::programs::all_found(&["ethtool", "jq"]) {
        return;
    }
    let line = "client --interface lo --address 127.9.0.1/8 --target 127.0.0.1:80 --dry-run --bin /none";
    let planned = |more: &str| crate::ends_with(0, &mut script("bench-nic", &format!("{line} {more}"))).stdout;
    let (open, closed) = (planned("--rate 500"), planned("--concurrency 5"));
    assert!(open.contains(" --rate 500 --max-missed 5% --duration"), "{open}");
    assert!(closed.contains(" --concurrency 5 --duration"), "{closed}");
}
