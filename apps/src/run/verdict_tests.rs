use super::*;
use crate::cli::{Cli, Command};
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
fn the_exit_code_follows_the_errors_allowed() {
    let table = [
        ("--rate 1", tally(10, 0, 0), 0),
        ("--rate 1", tally(10, 1, 0), 1),
        ("--rate 1 --max-errors 1", tally(10, 1, 0), 0),
        ("--rate 1 --max-errors 10%", tally(10, 1, 0), 0),
        ("--rate 1 --max-errors 9%", tally(10, 1, 0), 1),
        ("--rate 1", tally(10, 0, 5), 0),
        ("--rate 1 --max-missed 4", tally(10, 0, 5), 1),
        ("--rate 1", tally(0, 0, 5), 1),
    ];
    for (line, t, code) in table {
        let got = verdict(&args(line), &t, End::Done);
        assert_eq!(got.exit_code, code, "{line}: {}", got.summary);
    }
    assert_eq!(verdict(&args("--rate 1"), &tally(0, 0, 0), End::Interrupted).exit_code, 0);
    let mut t = tally(10, 0, 0);
    (t.completed, t.unfinished) = (0, 10);
    assert_eq!(verdict(&args("--rate 1"), &t, End::Done).exit_code, 1, "nothing finished, and nobody ended the run");
    assert_eq!(verdict(&args("--rate 1"), &t, End::Interrupted).exit_code, 0);
}

#[test]
fn every_tuple_belongs_to_exactly_one_worker() {
    let steers = [0, 1, 2].map(|worker| steer(Policy::Hash, Share { worker, workers: 3 }));
    let (local, remote) = (Addr::v4([198, 18, 0, 1]), Addr::v4([198, 18, 0, 2]));
    for local_port in 1024..2048 {
        let c = Connect { local, local_port, remote, remote_port: 80 };
        assert_eq!(steers.iter().filter(|s| s(&c)).count(), 1);
    }
}
