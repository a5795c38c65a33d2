//! `synfin impair` between two kernels: three namespaces in a row, the program in the middle. Needs root and a built synfin;
//! without, the tests say so and end without a verdict.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use synfin_tests::netns::{Lab, Side};
use synfin_tests::programs::{self, PATIENCE, Program};
use synfin_tests::streams::fill;

const B_V4: &str = "198.18.0.2";
const B_V6: &str = "2001:2::2";

/// A lab with a middle, the kernels' offloads as they are by default: on.
fn lab(needs: &[&str]) -> Option<(Lab, String)> {
    let synfin = programs::synfin()?;
    if !programs::all_found(needs) {
        return None;
    }
    let lab = Lab::up_with(&["--middle", "--queues", "2"])?;
    for side in [Side::A, Side::B] {
        lab.run(side, &format!("ethtool -K {} tx on tso on gso on gro on", side.interface()));
    }
    Some((lab, synfin.to_string_lossy().into_owned()))
}

fn impair(lab: &Lab, synfin: &str, words: &str) -> Program {
    let words = format!("{synfin} impair -a veth-a -b veth-b --sleep --seed 7 --json - {words}");
    let mut it = Program::start(&mut lab.command(Side::Middle, &words));
    it.until("joining", |p| p.stderr().contains("joining"));
    it
}

/// Stops it with Ctrl-C; returns its report.
fn report(it: Program) -> Value {
    serde_json::from_str(&it.stop(libc::SIGINT).ok()).expect("a report")
}

fn number(report: &Value, direction: usize, path: &str) -> u64 {
    let found = report.pointer(&format!("/directions/{direction}/{path}"));
    found.and_then(Value::as_u64).unwrap_or_else(|| panic!("{path} in {report:#}"))
}

/// Sends `len` bytes from A's kernel to B's, and compares them there.
fn transfer(lab: &Lab, to: &str, len: usize) {
    let mut sent = vec![0; len];
    fill(1, 0, &mut sent);
    let listener = lab.inside(Side::B, || TcpListener::bind((to, 5001))).expect("a free port");
    let took = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let mut got = Vec::new();
        stream.read_to_end(&mut got).expect("the whole stream");
        got
    });
    let mut stream = lab.inside(Side::A, || TcpStream::connect((to, 5001))).expect("a connection");
    stream.set_write_timeout(Some(PATIENCE)).expect("a limit");
    stream.write_all(&sent).expect("room");
    drop(stream);
    assert!(took.join().expect("a reader") == sent, "the bytes differ");
}

fn tso_is_on(lab: &Lab, side: Side) -> bool {
    lab.run(side, &format!("ethtool -k {}", side.interface())).contains("tcp-segmentation-offload: on")
}

#[test]
fn streams_between_kernels_arrive_unharmed_through_loss_reordering_duplication_and_damage() {
    let Some((lab, synfin)) = lab(&["ethtool"]) else { return };
    let words = "--both loss=1%,dup=1%,reorder=1%,delay=200us,jitter=100us --a-to-b corrupt=1%";
    let link = impair(&lab, &synfin, words);
    transfer(&lab, B_V4, 2_000_000);
    transfer(&lab, B_V6, 2_000_000);
    let report = report(link);
    let there = |path| number(&report, 0, path);
    for what in ["lost", "duplicated", "reordered", "corrupted"] {
        assert!(there(what) > 0, "{what}: {report:#}");
    }
    assert_eq!(number(&report, 1, "corrupted"), 0);
    // Each was no larger than the MTU: the sender's kernel cut its stream into packets itself.
    let (packets, bytes) = (there("came/packets"), there("came/bytes"));
    assert!(bytes <= packets * 1514, "{report:#}");
    assert!(packets >= 4_000_000 / 1448 && there("missed") == 0, "{report:#}");
    // The last acknowledgements may have been under way.
    let expected = packets - there("lost") + there("duplicated");
    assert!((expected - 10..=expected).contains(&there("delivered/packets")), "{report:#}");
}

#[test]
fn a_delay_is_the_least_that_a_round_trip_takes_and_other_protocols_pass_as_well() {
    let Some((lab, synfin)) = lab(&["ethtool", "ping"]) else { return };
    let link = impair(&lab, &synfin, "--a-to-b delay=20ms --b-to-a delay=10ms");
    for host in [B_V4, B_V6] {
        let text = lab.run(Side::A, &format!("ping -c 3 -i 0.2 -w 60 {host}"));
        // rtt min/avg/max/mdev = 30.1/…
        let least = text.split("mdev = ").nth(1).and_then(|t| t.split('/').next()).and_then(|t| t.parse().ok());
        assert!(least.is_some_and(|ms: f64| ms >= 30.0), "{text}");
    }
    report(link);
}

#[test]
fn killed_it_leaves_no_program_and_no_setting_and_starts_again_at_once() {
    let Some((lab, synfin)) = lab(&["ethtool"]) else { return };
    assert!(tso_is_on(&lab, Side::A) && tso_is_on(&lab, Side::B));
    for _ in 0..2 {
        let link = impair(&lab, &synfin, "");
        assert!(!tso_is_on(&lab, Side::A) && !tso_is_on(&lab, Side::B), "off while packets have to be packets");
        transfer(&lab, B_V4, 10_000);
        link.stop(libc::SIGKILL);
        assert!(tso_is_on(&lab, Side::A) && tso_is_on(&lab, Side::B));
        assert!(!lab.run(Side::Middle, "ip -details link").contains("prog/xdp"));
    }
}

#[test]
fn interfaces_that_will_not_do_are_refused_in_one_sentence() {
    let Some((lab, synfin)) = lab(&[]) else { return };
    for (words, want) in [
        ("-a veth-a -b nosuch0", "nosuch0"),
        ("-a veth-a -b lo", "loopback"),
        ("-a veth-a -b veth-a", "joined with itself"),
    ] {
        let words = format!("{synfin} impair --duration 1s {words}");
        let ended = programs::run(&mut lab.command(Side::Middle, &words), Duration::from_secs(60));
        assert_eq!(ended.status.code(), Some(2), "{words}");
        assert!(ended.stderr.contains(want), "{words}: {}", ended.stderr);
    }
}
