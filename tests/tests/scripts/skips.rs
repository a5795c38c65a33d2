//! A test that skips itself is heard of.

use crate::{StandIns, ends_with, script};
use std::process::Command;
use synfin_tests::programs::{Ended, Scratch};
use synfin_tests::skip::skip;

/// Not a test of its own: what the next one looks at.
#[test]
#[ignore = "started by the test of skips"]
fn skips_itself() {
    println!("captured");
    skip("two\nreasons");
}

fn run_the_skipping_test(must_run: &str, code: i32) -> Ended {
    let this = std::env::current_exe().expect("its own path");
    let mut command = Command::new(this);
    command.args(["--exact", "skips::skips_itself", "--ignored", "--test-threads", "2"]);
    ends_with(code, command.env("SYNFIN_TESTS_MUST_RUN", must_run))
}

#[test]
fn a_skip_is_told_past_the_capture_and_fails_where_every_test_must_run() {
    let ended = run_the_skipping_test("", 0);
    assert_eq!(ended.stderr, "skipped: skips::skips_itself: two; reasons\n");
    assert!(!ended.stdout.contains("captured"));
    let ended = run_the_skipping_test("1", 101);
    assert!(ended.stdout.contains("this test must run here, and cannot: two"), "{ended:?}");
}

/// `scripts/test` with a cargo whose tests do this.
fn test_with(tests: &str, code: i32) -> Ended {
    let (home, cargo) = (Scratch::new(), format!("[ \"$1\" != test ] || {{ {tests}; }}"));
    let programs =
        StandIns::new(&[("cargo", &cargo), ("rustc", "echo rustc 1.999.0"), ("shellcheck", ""), ("apt-get", "exit 1")]);
    let mut command = script("test", "");
    programs.first_in_path(&mut command);
    ends_with(code, command.env("HOME", home.path("")).env_remove("SYNFIN_TESTS_MUST_RUN"))
}

#[test]
fn the_summary_counts_skipped_tests_with_their_reasons() {
    let ended = test_with(
        "echo 'skipped: a: no root' >&2; echo 'skipped: b::c: no wrk: sorry' >&2; echo 'skipped: a: no root' >&2
         echo 'test d ... skipped: d: no root'
         echo 'test result: ok. 7 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out'
         echo 'test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out'",
        0,
    );
    let last: Vec<&str> = ended.stdout.lines().rev().take(3).map(str::trim).collect();
    assert_eq!(last, ["6 passed, 0 failed, 3 skipped", "1 no wrk: sorry", "2 no root"], "{ended:?}");
}

#[test]
fn without_skips_the_summary_names_none_and_a_failure_is_one() {
    let ended = test_with("echo 'test result: FAILED. 7 passed; 1 failed; 0 ignored'; exit 101", 101);
    assert_eq!(ended.stdout.lines().last(), Some("7 passed, 1 failed, 0 skipped"), "{ended:?}");
}
