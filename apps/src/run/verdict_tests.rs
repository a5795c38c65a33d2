use super::*;
use crate::cli::{Cli, Command};
use crate::load::FailReason;
use clap::Parser;

fn args(more: &str) -> LoadArgs {
    let line = format!("synfin load -i v -a 198.18.0.1/24 -t 198.18.0.2:80 {more}");
    match Cli::try_parse_from(line.split_whitespace()).unwrap().command {
        Command::Load(args) => *args,
        _ => unreachable!("the line says load"),
    }
}

fn tally(started: u64, failed: u64, missed: u64) -> Tally {
    let mut t = Tally { started, completed: started - failed, ..Tally::default() };
    (0..failed).for_each(|_| t.fail(FailReason::Reset));
    t.miss(MissReason::Late, missed);
    t
}

#[test]
fn the_exit_code_follows_the_errors_and_the_missed_launches_allowed() {
    let table = [
        ("--rate 1", tally(10, 0, 0), 0),
        ("--rate 1", tally(10, 1, 0), 1),
        ("--rate 1 --max-errors 1", tally(10, 1, 0), 0),
        ("--rate 1 --max-errors 10%", tally(10, 1, 0), 0),
        ("--rate 1 --max-errors 9%", tally(10, 1, 0), 1),
        ("--rate 1", tally(999, 0, 1), 0),
        ("--rate 1", tally(998, 0, 2), 1),
        ("--rate 1 --max-missed 2", tally(998, 0, 2), 0),
        ("--rate 1 --max-missed 4", tally(10, 0, 5), 1),
        ("--rate 1 --max-missed 100%", tally(10, 0, 5), 0),
        ("--rate 1", tally(0, 0, 5), 1),
    ];
    for (line, t, code) in table {
        let got = of(&args(line), &t, false);
        assert_eq!(got.exit_code, code, "{line}: {}", got.summary);
    }
}

#[test]
fn a_run_that_offered_less_than_it_was_asked_for_fails_with_what_mends_it() {
    let mut t = tally(64_512, 0, 0);
    t.miss(MissReason::NoTuple, 135_488);
    let got = of(&args("--rate 20k"), &t, false);
    assert_eq!(got.exit_code, 1);
    assert_eq!(
        got.summary,
        "135,488 of 200,000 launches were missed, more than --max-missed 0.1% allows: give more source addresses \
         (--address A-B/LEN), shorten --time-wait, or lower --rate, or permit it with --max-missed"
    );
    assert!(of(&args("--rate 20k"), &tally(10, 0, 10), false).summary.contains("use more --workers"));
}

#[test]
fn stopping_a_run_excuses_what_was_still_open_but_not_a_run_that_achieved_nothing() {
    let mut t = tally(10, 0, 0);
    (t.completed, t.unfinished) = (0, 10);
    assert_eq!(of(&args("--rate 1"), &t, false).exit_code, 1, "nothing finished, and nobody ended the run");
    let nothing = of(&args("--rate 1"), &t, true);
    assert_eq!((nothing.exit_code, &*nothing.summary), (1, "stopped before any of 10 connections was completed"));
    assert_eq!(of(&args("--rate 1"), &tally(0, 0, 0), true).exit_code, 1, "not even begun");
    (t.completed, t.unfinished) = (4, 6);
    assert_eq!(of(&args("--rate 1"), &t, false).exit_code, 1);
    let some = of(&args("--rate 1"), &t, true);
    assert_eq!((some.exit_code, &*some.summary), (0, "stopped early; 4 of 10 connections completed, 0 failed"));
}

#[test]
fn a_run_that_is_over_before_its_warm_up_fails_and_keeps_an_earlier_reason() {
    let after = |seconds: f64, failed: u64, line: &str| {
        let args = args(line);
        unless_all_warmup(args.warmup, seconds, of(&args, &tally(10, failed, 0), false))
    };
    let line = "--concurrency 1 -n 10 --warmup 2s";
    let over = after(0.5, 0, line);
    assert_eq!(
        (over.exit_code, &*over.summary),
        (1, "all of the run was warm-up: it was over after 0.50 s, and --warmup is 2 s")
    );
    assert!(after(0.5, 1, line).summary.contains("1 of 10 connections failed"));
    assert_eq!(after(2.1, 0, line).exit_code, 0);
    assert_eq!(after(0.5, 0, "--concurrency 1 -n 10").exit_code, 0);
}
