//! Command lines that are wrong anywhere: each gets one clear sentence that says what is wrong and how to mend it, and
//! exit code 2. (Those that are wrong on a particular machine: refusals.rs.)

use std::process::{Command, Output};

const SYNFIN: &str = env!("CARGO_BIN_EXE_synfin");

/// Options that are right for `load`, up to the ones under test.
const LOAD: &str = "load --interface lo --address 198.18.0.1/24 --target 198.18.0.2:80";
const SERVE: &str = "serve --interface lo --address 198.18.0.1/24";

/// A command line, and what its complaint has to say.
const USAGE: &[(&str, &str)] = &[
    ("", "Usage: synfin <COMMAND>"),
    ("frob", "unrecognized subcommand 'frob'"),
    ("load", "--interface <IF>"),
    ("LOAD", "<--rate <N>|--concurrency <N>|--hold <N>>"),
    ("LOAD --rate 5 --concurrency 5", "cannot be used with"),
    ("LOAD --rate 0", "must be at least 1"),
    ("LOAD --rate abc", "not a number; write for example 5000 or 20k"),
    ("LOAD --concurrency 0", "must be at least 1"),
    ("LOAD --rate 5 --duration 0", "must be longer than zero"),
    ("LOAD --rate 5 --duration 5parsecs", "no unit of time; use us, ms, s, m or h"),
    ("LOAD --rate 5 --close maybe", "possible values: fin, rst, half-close"),
    ("LOAD --rate 5 --app gopher", "possible values: http, echo"),
    ("LOAD --rate 5 --workers 0", "not in 1..="),
    ("LOAD --rate 5 --requests-per-connection 0", "must be at least 1"),
    ("LOAD --rate 5 --source-ports 9-3", "the range ends before it begins"),
    ("LOAD --rate 5 --source-ports 0-5", "not a port (1 to 65535)"),
    ("LOAD --rate 5 --max-errors 200%", "not a percentage between 0% and 100%"),
    ("LOAD --rate 5 --path nope", "a path begins with '/'"),
    ("LOAD --rate 5 --vlan 5000", "not a VLAN id (1 to 4094)"),
    ("LOAD --rate 5 --mtu 10", "not in 576..="),
    ("LOAD --rate 5 --json /no/such/dir/x.json", "cannot write /no/such/dir/x.json"),
    ("LOAD --rate 5 --no-such-option", "unexpected argument '--no-such-option'"),
    ("load --interface lo --address 198.18.0.1 --target 198.18.0.2:80 --rate 5", "the prefix length is missing"),
    ("load --interface lo --address 198.18.0.1/40 --target 198.18.0.2:80 --rate 5", "between 1 and 32"),
    (
        "load --interface lo --address 999.1.1.1/24 --target 198.18.0.2:80 --rate 5",
        "neither an IPv4 nor an IPv6 address",
    ),
    ("load --interface lo --address 224.0.0.1/24 --target 198.18.0.2:80 --rate 5", "multicast, broadcast"),
    ("load --interface lo --address 198.18.0.9-198.18.0.2/24 --target 198.18.0.2:80 --rate 5", "ends before it begins"),
    ("load --interface lo --address 198.18.0.1/24 --target 198.18.0.2 --rate 5", "the port is missing"),
    ("load --interface lo --address 198.18.0.1/24 --target 198.18.0.2:0 --rate 5", "not a port"),
    ("load --interface lo --address 198.18.0.1/24 --target [2001:2::2]:80 --rate 5", "Add an IPv6 --address"),
    ("load --interface lo --address 198.18.0.1/24 --target 224.0.0.5:80 --rate 5", "not the address of a single host"),
    ("LOAD --hold 0", "must be at least 1"),
    ("LOAD --hold 100 --concurrency 5", "cannot be used with"),
    ("LOAD --hold 100 --connections 5", "cannot be used with"),
    ("LOAD --hold 100M", "--hold is beyond 50M connections"),
    ("LOAD --rate 5 --at-a-time 5", "--hold <N>"),
    ("SERVE --listen 80 --max-connections 51M", "--max-connections is beyond 50M"),
    ("LOAD --rate 5 --html /no/such/dir/x.html", "cannot write /no/such/dir/x.html"),
    ("LOAD --rate 5 --csv /no/such/dir/x.csv", "Name a file that can be written with --csv"),
    ("LOAD --rate 5 --interval 5ms", "must be at least 100ms"),
    ("LOAD --rate 5 --limit request.p94=1ms", "'p94' is no figure of a latency; there are p50, p90"),
    ("LOAD --rate 5 --limit 1ms", "write for example response.p99=1ms"),
    ("LOAD --concurrency 5 --search", "cannot be used with"),
    ("SERVE", "--listen <PORT>"),
    ("SERVE --listen 0", "not a port (1 to 65535)"),
    ("SERVE --listen 70000", "not a port (1 to 65535)"),
    ("SERVE --listen 80 --app ftp", "possible values: http, echo, discard, chargen"),
    ("SERVE --listen 80 --keepalive maybe", "possible values: on, off"),
    ("SERVE --listen 80 --body-bytes 9999999999999", "--body-bytes is larger than 1GiB"),
    ("SERVE --listen 80", "loopback interface"),
    ("doctor --try", "--interface <IF>"),
    ("doctor --interface no-such-if0", "there is no interface \"no-such-if0\""),
    ("doctor --json /no/such/dir/x.json", "cannot write /no/such/dir/x.json"),
    ("impair -a lo -b lo", "lo cannot be joined with itself"),
    ("impair -a no-such-if0 -b lo", "there is no interface \"no-such-if0\""),
    ("impair -a lo -b no-such-if0 --both loss=2", "is no share"),
    ("serve --interface no-such-if0 --address 198.18.0.1/24 --listen 80", "there is no interface \"no-such-if0\""),
];

fn arguments(line: &str) -> Vec<String> {
    let line = line.replace("LOAD", LOAD).replace("SERVE", SERVE);
    line.split_whitespace().map(str::to_owned).collect()
}

#[track_caller]
fn check(line: &str, output: &Output, want: &str, code: i32) {
    let said = String::from_utf8_lossy(&output.stderr);
    let all = format!("{said}{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(output.status.code(), Some(code), "synfin {line}\n{all}");
    assert!(all.contains(want), "synfin {line}\nshould say: {want}\nbut said: {all}");
    assert!(!all.contains("panicked"), "synfin {line}\n{all}");
}

#[test]
fn wrong_usage_gets_one_clear_sentence_and_exit_code_2() {
    assert!(USAGE.len() >= 30);
    for (line, want) in USAGE {
        let output = Command::new(SYNFIN).args(arguments(line)).output().expect("synfin runs");
        check(line, &output, want, 2);
    }
}

#[test]
fn a_report_into_a_fifo_that_nobody_reads_is_refused_at_once() {
    let fifo = std::env::temp_dir().join(format!("synfin-bad-input-{}", std::process::id()));
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo(1)").success());
    let lines = ["LOAD --rate 5 --json", "LOAD --rate 5 --html", "LOAD --rate 5 --hdr", "impair -a lo -b lo0 --json"];
    for line in lines.map(|line| format!("{line} {}", fifo.display())) {
        let output = Command::new(SYNFIN).args(arguments(&line)).output().expect("synfin runs");
        check(&line, &output, "nobody reads this FIFO: start its reader first", 2);
    }
    std::fs::remove_file(fifo).expect("its removal");
}
