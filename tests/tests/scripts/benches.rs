//! Benches: stopped at any moment they leave nothing behind, and results appear only when all of them are there.

use crate::{StandIns, ends_with, files_in, folder, own_prefix, script};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};
use synfin_tests::netns::Lab;
use synfin_tests::programs::{self, PATIENCE, Program, Scratch};

/// The programs that benches run, each doing this.
pub fn all_doing(commands: &str) -> StandIns {
    let names = ["synfin", "raw_ring", "kernel_pair", "veth_pair", "bulk", "transfer"];
    let programs = StandIns::new(&names.map(|name| (name, commands)));
    programs.set("report", "[ \"$1\" != --machine ] || echo '# commit: none'");
    // Nothing is installed by a test.
    programs.set("apt-get", "exit 1");
    programs
}

/// A command that runs until it is stopped, and that no other process looks like.
pub fn waiting(name: &str) -> String {
    format!("exec sleep {}", seconds(name))
}

/// A name as a number.
fn seconds(name: &str) -> String {
    let digits: String = name.bytes().map(|b| format!("{b:03}")).collect();
    format!("1000.{digits}")
}

/// How many processes wait under this name.
pub fn waiters(name: &str) -> usize {
    let sign = format!("sleep\0{}", seconds(name));
    let lines = fs::read_dir("/proc").expect("/proc").flatten().map(|entry| fs::read(entry.path().join("cmdline")));
    lines.flatten().filter(|line| String::from_utf8_lossy(line).starts_with(&sign)).count()
}

#[track_caller]
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "no {what}");
        sleep(Duration::from_millis(20));
    }
}

pub fn bench(name: &str, words: &str, programs: &StandIns, out: &Path, prefix: &str) -> Command {
    let words = format!("{words} --prefix {prefix} --bin {} --out {}", programs.path().display(), out.display());
    let mut command = script(name, &words);
    programs.first_in_path(&mut command);
    command
}

fn has_namespaces(prefix: &str) -> bool {
    files_in(Path::new("/run/netns")).iter().any(|name| name.starts_with(&format!("{prefix}-")))
}

#[test]
fn a_bench_that_is_stopped_leaves_no_process_no_namespace_and_no_results() {
    if Lab::up(1).is_none() || !programs::all_found(&["jq", "iperf3"]) {
        return;
    }
    let signals = [(libc::SIGINT, 130), (libc::SIGTERM, 143), (libc::SIGHUP, 129)];
    for (i, name) in ["bench-veth", "bench-latency", "bench-bulk", "bench-goodput", "bench-hold"].iter().enumerate() {
        let words = if *name == "bench-veth" { "--only synfin-skb" } else { "" };
        let (signal, code) = signals[i % signals.len()];
        let (prefix, scratch) = (own_prefix(), Scratch::new());
        let (programs, out) = (all_doing(&waiting(&prefix)), scratch.path("out"));
        let it = Program::start(&mut bench(name, words, &programs, &out, &prefix));
        until("program that runs", || waiters(&prefix) > 0);
        it.signal(signal);
        let ended = it.wait(PATIENCE);
        assert_eq!(ended.status.code(), Some(code), "{name}: {ended:?}");
        assert_eq!((waiters(&prefix), has_namespaces(&prefix)), (0, false), "{name}");
        assert!(files_in(&out).is_empty(), "{name}: {:?}", files_in(&out));
    }
}

const KERNEL_ONLY: &str = "--only kernel --repetitions 2 --seconds 1";
const ANSWER: &str = "echo '{\"connections_per_second\":5,\"failures\":0,\"user_seconds\":1.5,\"system_seconds\":2}'";

#[test]
fn results_of_a_whole_run_go_where_they_are_to_go_and_nowhere_else() {
    if Lab::up(1).is_none() {
        return;
    }
    let published = || files_in(&folder().join("../bench/results"));
    let (before, scratch, programs) = (published(), Scratch::new(), all_doing(ANSWER));
    let mut command = bench("bench-veth", KERNEL_ONLY, &programs, &scratch.path("out"), &own_prefix());
    ends_with(0, &mut command);
    let names = files_in(&scratch.path("out"));
    assert!(names.len() == 1 && names[0].starts_with("veth-") && names[0].ends_with(".csv"), "{names:?}");
    let text = fs::read_to_string(scratch.path("out").join(&names[0])).expect("results");
    let rows: Vec<&str> = text.lines().filter(|line| line.contains(",kernel,")).collect();
    assert!(text.starts_with("# commit: none\n") && rows.len() == 2, "{text}");
    assert!(rows[0].starts_with("1,kernel,256,,5,0,3.00,4.00,"), "{text}");
    assert_eq!(published(), before);
}

#[test]
fn results_of_an_unusual_run_are_not_published() {
    if Lab::up(1).is_none() {
        return;
    }
    let published = || files_in(&folder().join("../bench/results"));
    let (before, scratch, programs) = (published(), Scratch::new(), all_doing(ANSWER));
    let words = format!("{KERNEL_ONLY} --prefix {} --bin {}", own_prefix(), programs.path().display());
    let mut command = script("bench-veth", &words);
    command.env("CARGO_TARGET_DIR", scratch.path("target"));
    ends_with(0, &mut command);
    assert_eq!(files_in(&scratch.path("target/bench")).len(), 1);
    assert_eq!(published(), before);
}

#[test]
fn a_bench_of_which_a_part_fails_keeps_no_results_and_stops_the_other_end() {
    if Lab::up(1).is_none() {
        return;
    }
    let (prefix, scratch) = (own_prefix(), Scratch::new());
    let programs = all_doing(ANSWER);
    programs.set("veth_pair", &format!("[ $1 = server ] || exit 3\n{}", waiting(&prefix)));
    let words = "--only kernel,engine-native --repetitions 1 --seconds 1";
    let ended = ends_with(1, &mut bench("bench-veth", words, &programs, &scratch.path("out"), &prefix));
    assert!(ended.stderr.contains("engine-native: the client failed"), "{}", ended.stderr);
    assert_eq!((waiters(&prefix), has_namespaces(&prefix)), (0, false));
    assert!(files_in(&scratch.path("out")).is_empty());
}

/// A program that answers with the next of these lines each time that it is called so; the other end says nothing.
fn answers(called: &str, name: &str, lines: &[&str]) -> String {
    let cases: String = lines.iter().enumerate().map(|(n, line)| format!("{}) echo '{line}' ;;\n", n + 1)).collect();
    format!(
        "case \"$*\" in *{called}*) ;; *) exit 0 ;; esac\ndir=$(dirname \"$0\")\necho >>\"$dir/{name}.calls\"\n\
         case $(wc -l <\"$dir/{name}.calls\") in\n{cases}esac"
    )
}

#[test]
fn ratios_are_taken_of_what_ran_side_by_side_in_the_same_round() {
    if Lab::up(1).is_none() {
        return;
    }
    let (prefix, scratch, programs) = (own_prefix(), Scratch::new(), all_doing(ANSWER));
    let raw = ["1200", "600", "2400"].map(|n| format!("{{\"rx_per_second\":{n},\"tx_per_second\":0,\"lost\":0}}"));
    let engine = ["100", "50", "40"].map(|n| {
        format!("{{\"connections\":1,\"connections_per_second\":{n},\"rx_frames\":3,\"tx_frames\":3,\"failures\":0}}")
    });
    programs.set("raw_ring", &answers("ping", "raw", &raw.each_ref().map(|s| &**s)));
    programs.set("veth_pair", &answers("client", "engine", &engine.each_ref().map(|s| &**s)));
    let words = "--only engine-skb,kernel,raw-skb --repetitions 3 --seconds 1";
    let ended = ends_with(0, &mut bench("bench-veth", words, &programs, &scratch.path("out"), &prefix));
    let line = ended.stdout.lines().find(|line| line.starts_with("engine-skb")).expect("a line of the table");
    let cells: Vec<&str> = line.split_whitespace().collect();
    // Rounds: 0.5, 0.5, 0.1 of the raw ring, 20, 10, 8 times the kernel.
    assert_eq!((cells[1], &cells[5..]), ("50", ["6.00", "10.00", "0.50"].as_slice()), "{}", ended.stdout);
    let csv = files_in(&scratch.path("out"));
    let text = fs::read_to_string(scratch.path("out").join(&csv[0])).expect("results");
    let order: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("1,")?.split(',').next()).collect();
    assert_eq!(order, ["kernel", "raw-skb", "engine-skb"]);
}
