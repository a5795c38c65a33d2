//! Command lines that are right in themselves and wrong on this machine: each with its sentence and exit code 2.
//! (Those that are wrong anywhere are a table in `src/cli/tests.rs`.) Without privileges each test says why it is
//! skipped.

mod common;

use common::{Running, number, synfin, temporary};
use std::net::TcpListener;
use synfin_tests::netns::{Lab, Side};

/// Runs each line on side a and looks for the sentence.
fn check(lab: &Lab, table: &[(&str, &str)]) {
    for (line, want) in table {
        let out = synfin(lab, Side::A, line);
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(text.contains(want), "{line}\n{want:?} is not in:\n{text}");
        assert_eq!(out.status.code(), Some(2), "{line}: {text}");
        assert!(out.stdout.is_empty(), "{line}: a report although nothing ran");
        assert!(text.lines().count() <= 3, "{line}: one sentence and the next step, not:\n{text}");
    }
}

#[test]
fn interfaces_queues_and_routes_that_are_not_there_are_named() {
    let Some(lab) = Lab::up(2) else { return };
    lab.run(Side::A, "ip link add down0 type veth peer name down1");
    check(
        &lab,
        &[
            ("serve -i nope0 -a 198.18.0.9/24 --listen 80", "there is no interface \"nope0\""),
            ("serve -i lo -a 198.18.0.9/24 --listen 80", "loopback"),
            ("serve -i down0 -a 198.18.0.9/24 --listen 80", "down0 is down"),
            ("serve -i veth-a -a 198.18.0.9/24 --listen 80 --mtu 3000", "larger than the MTU of veth-a, 1500"),
            ("serve -i veth-a -a 198.18.0.9/24 --listen 80 --queue 7", "more queues than veth-a has"),
            ("serve -i veth-a -a 198.18.0.9/24 --listen 80 --workers 3", "more queues than veth-a has"),
            ("serve -i veth-a -a 198.18.0.9/24 --listen 80 --workers 2 --mode skb", "arrive on queue 0"),
            ("serve -i veth-a -a 198.18.0.9/24 --listen 80 --bind zerocopy", "zero-copy"),
            ("serve -i veth-a -a 198.18.0.9/24 --listen 80 --cores 999", "core 999"),
            ("serve -i veth-a -a 198.18.0.9/24 --listen 80 --json /no/such/dir/x.json", "cannot write"),
            ("serve -i veth-a -a 198.18.0.9/24 --listen 80 --pcap /no/such/dir/x.pcap", "cannot write"),
            ("load -i veth-a -a 198.18.0.9/24 -t 203.0.113.5:80 --rate 1", "there is no gateway"),
            ("load -i veth-a -a 2001:2::9/64 -t [2001:db8::5]:80 --rate 1", "there is no gateway"),
            ("load -i veth-a -a 198.18.0.9/24 -t no.such.name.invalid:80 --rate 1", "cannot look up"),
            (
                "load -i veth-a -a 198.18.0.9/24 -t 198.18.0.77:80 --rate 1",
                "no answer to ARP for 198.18.0.77 on veth-a",
            ),
            (
                "load -i veth-a -a 198.18.0.1/24 -t 198.18.0.77:80 --rate 1",
                "no answer to ARP for 198.18.0.77 on veth-a",
            ),
            ("load -i veth-a -a 2001:2::9/64 -t [2001:2::77]:80 --rate 1", "no answer to neighbour solicitations"),
            (
                "load -i veth-a -a 198.18.0.9-198.18.0.10/24 -t 198.18.0.77:80 --hold 1M",
                "holding 1,000,000 connections takes 1,000,000 source addresses and ports towards 198.18.0.77:80, and there \
                 are 129,024\n  Give 16 IPv4 addresses",
            ),
            (
                "load -i veth-a -a 198.18.0.9/24 -a 2001:2::9/64 -t 198.18.0.77:80 -t [2001:2::77]:80 --hold 20 \
                 --source-ports 5000-5008",
                "takes 10 source addresses and ports towards 198.18.0.77:80, and there are 9",
            ),
        ],
    );
    #[cfg(not(feature = "afxdp"))]
    check(&lab, &[("serve -i veth-a -a 198.18.0.9/24 --listen 80 --backend afxdp", "without the afxdp backend")]);
}

#[test]
fn files_that_cannot_be_written_are_refused_before_anybody_could_connect() {
    let Some(lab) = Lab::up(1) else { return };
    let fifo = temporary("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().expect("mkfifo(1)").success());
    for option in ["--csv", "--pcap"] {
        let serve = format!("serve -i veth-a -a 198.18.0.9/24 --listen 80 {option} {}", fifo.display());
        let load = format!("load -i veth-a -a 198.18.0.9/24 -t 198.18.0.77:80 --rate 1 {option} {}", fifo.display());
        let said = "nobody reads this FIFO: start its reader first";
        check(&lab, &[(&serve, said), (&load, said)]);
    }
    std::fs::remove_file(fifo).expect("its removal");
}

#[test]
fn ports_that_the_kernel_uses_on_a_shared_address_are_left_to_it() {
    let Some(lab) = Lab::up(1) else { return };
    let listener = lab.inside(Side::A, || TcpListener::bind("198.18.0.1:8080")).expect("a free port");
    check(
        &lab,
        &[
            ("serve -i veth-a -a 198.18.0.1/24 --listen 8080", "port 8080 is in use"),
            (
                "load -i veth-a -a 198.18.0.1/24 -t 198.18.0.2:80 --rate 1 --source-ports 8000-9000",
                "port 8080 is in use",
            ),
        ],
    );
    drop(listener);
}

#[test]
fn missing_privileges_are_named_with_the_way_to_grant_them() {
    let Some(lab) = Lab::up(1) else { return };
    let program = env!("CARGO_BIN_EXE_synfin");
    let line =
        format!("setpriv --bounding-set=-all --inh-caps=-all {program} serve -i veth-a -a 198.18.0.9/24 --listen 80");
    let out = lab.command(Side::A, &line).output().expect("setpriv(1) of util-linux is needed");
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(text.contains("CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF") && text.contains("setcap"), "{text}");
    assert_eq!(out.status.code(), Some(2));
}

#[test]
fn an_mtu_that_a_backend_cannot_take_is_lowered_and_the_report_says_so() {
    let Some(lab) = Lab::up_with(&["--queues", "1", "--mtu", "32000"]) else { return };
    for mode in ["native", "skb"] {
        let (code, report) = Running::serve(&lab, &format!("-a 198.18.0.20/24 --listen 80 --mode {mode}")).stop();
        assert_eq!((code, report["environment"]["mode"].as_str()), (0, Some(mode)));
        assert!(number(&report, "environment/mtu") < 32_000);
        let notes = report["notes"].to_string();
        assert!(notes.contains("frames of MTU 32000 cannot be taken"), "{report:#}");
    }
}

#[test]
fn an_interface_that_another_synfin_holds_is_refused_and_free_again_at_once() {
    let Some(lab) = Lab::up(1) else { return };
    let first = Running::serve(&lab, "-a 198.18.0.20/24 --listen 80");
    let out = synfin(&lab, Side::B, "serve -i veth-b -a 198.18.0.21/24 --listen 81");
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(text.contains("veth-b") && text.contains("XDP"), "{text}");
    assert_eq!(out.status.code(), Some(2));
    assert_eq!(first.stop().0, 0);
    let json = temporary("again.json");
    let line = format!("serve -i veth-b -a 198.18.0.21/24 --listen 81 --duration 100ms --json {}", json.display());
    assert_eq!(synfin(&lab, Side::B, &line).status.code(), Some(0));
    std::fs::remove_file(json).expect("the report");
}
