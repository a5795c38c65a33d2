use super::*;
use crate::cli::{Cli, Command};
use crate::load::FailReason;
use clap::Parser;

fn args(more: &str) -> LoadArgs {
    let line = format!("synfin load -i v -a 198.18.0.1/24 -t 198.18.0.2:80 --hold 100 {more}");
    match Cli::try_parse_from(line.split_whitespace()).unwrap().command {
        Command::Load(args) => *args,
        _ => unreachable!("the line says load"),
    }
}

fn outcome(peak: u64, broken: u64, missed: u64) -> Outcome {
    let mut o = Outcome { held_peak: peak, broken, requests_missed: missed, ..Outcome::default() };
    (o.tally.started, o.tally.completed, o.tally.requests) = (100, peak - broken, 1000);
    (0..broken + 100 - peak).for_each(|_| o.tally.fail(FailReason::Reset));
    o
}

#[test]
fn the_exit_code_follows_what_was_held_and_what_broke() {
    let table = [
        ("", outcome(100, 0, 0), 0, "100 of 100 connections held"),
        ("", outcome(99, 0, 0), 1, "99 of 100 connections were held at a time, 1 could not be established"),
        ("--max-errors 1", outcome(99, 0, 0), 0, "99 of 100"),
        ("--max-errors 1", outcome(99, 1, 0), 1, "1 of them broke, 2 failed in all"),
        ("", outcome(100, 1, 0), 1, "1 of them broke"),
        ("--max-errors 1%", outcome(100, 1, 0), 0, "1 failed"),
        ("", outcome(100, 0, 5), 0, ""),
        ("--max-missed 4", outcome(100, 0, 5), 1, "5 requests were missed"),
    ];
    for (line, o, code, want) in table {
        let got = verdict(&args(line), 100, &o, false);
        assert!(got.exit_code == code && got.summary.contains(want), "{line}: {got:?}");
    }
    let mut cut = outcome(100, 0, 0);
    (cut.tally.completed, cut.tally.unfinished) = (90, 10);
    assert_eq!(verdict(&args(""), 100, &cut, false).exit_code, 1);
    let stopped = verdict(&args(""), 100, &cut, true);
    assert!(stopped.exit_code == 0 && stopped.summary.starts_with("stopped early; "), "{stopped:?}");
    let stopped = verdict(&args(""), 100, &outcome(50, 0, 0), true);
    assert_eq!(stopped.exit_code, 1, "what failed before somebody ended the run has failed");
    let nothing = verdict(&args(""), 100, &Outcome::default(), true);
    assert_eq!((nothing.exit_code, &*nothing.summary), (1, "stopped early; none of 100 connections was held"));
}

#[test]
fn too_little_memory_is_said_beforehand() {
    assert_eq!(enough_memory(10_000_000, Some(4 << 30)), Ok(()));
    assert_eq!(enough_memory(10_000_000, None), Ok(()));
    let said = enough_memory(10_000_000, Some(1 << 30)).unwrap_err().to_string();
    assert!(
        said.contains("10,000,000 connections takes about 2.38 GiB of memory, and 1.00 GiB are available"),
        "{said}"
    );
}
