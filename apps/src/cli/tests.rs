//! A table of wrong command lines, each with its sentence; and the examples of the help texts, which must be right.

use super::*;
use clap::{CommandFactory, Parser, error::ErrorKind};

/// The sentence that a command line is refused with, without touching the system.
fn refusal(line: &str) -> Option<String> {
    match Cli::try_parse_from(line.split_whitespace()) {
        Err(e) => {
            assert_eq!(e.exit_code(), 2, "{line}");
            Some(e.to_string())
        }
        Ok(Cli { command: Command::Serve(args) }) => check::serve(&args).err().map(|f| f.to_string()),
        Ok(Cli { command: Command::Load(args) }) => check::load(&args).err().map(|f| f.to_string()),
        Ok(Cli { command: Command::Impair(args) }) => check::impair(&args).err().map(|f| f.to_string()),
        Ok(Cli { command: Command::Doctor(_) | Command::Completions(_) | Command::Man(_) }) => None,
    }
}

const S: &str = "synfin serve -i v1 -a 198.18.0.2/24 --listen 80";
const L: &str = "synfin load -i v0 -a 198.18.0.1/24 -t 198.18.0.2:80 --rate 10";
const B: &str = "synfin load -i v0 -a 198.18.0.1/24";

#[test]
fn wrong_command_lines_are_refused_with_a_sentence_each() {
    let table: &[(&str, &str, &str)] = &[
        ("synfin", "fly", "unrecognized subcommand"),
        ("synfin serve", "", "--interface <IF>"),
        ("synfin serve -i v1 --listen 80", "", "--address <ADDR/LEN>"),
        ("synfin serve -i v1 -a 198.18.0.2/24", "", "--listen <PORT>"),
        ("synfin serve -i v1 -a 198.18.0.2 --listen 80", "", "prefix length is missing"),
        (S, "--listen 0", "not a port"),
        (S, "--listen 80", "named twice"),
        (S, "--listen 81,x", "not a port"),
        (S, "--app gopher", "invalid value 'gopher'"),
        (S, "--body-bytes 2GiB", "larger than 1GiB"),
        (S, "--body-bytes many", "not a number"),
        (S, "--keepalive maybe", "invalid value 'maybe'"),
        (S, "--duration 0s", "longer than zero"),
        (S, "--mtu 100", "not in 576..=65535"),
        (S, "--mtu 66000", "not in 576..=65535"),
        (S, "-a 2001:2::2/64 --mtu 1000", "at least 1280"),
        (S, "-a 198.18.0.2/24", "overlap"),
        (S, "--vlan 0", "not a VLAN id"),
        (S, "--vlan 1,2,3", "more than two VLAN"),
        (S, "--workers 0", "not in 1..=256"),
        (S, "--workers 3 --cores 0-1", "cannot be pinned"),
        (S, "--gateway 10.0.0.1", "subnet of no --address"),
        (S, "--gateway 198.18.0.2", "our own"),
        (S, "--gateway 198.18.0.3 --gateway 198.18.0.4", "more than one --gateway"),
        (S, "--congestion vegas", "invalid value 'vegas'"),
        (S, "--syn-cookies maybe", "invalid value 'maybe'"),
        (S, "--pacing fast", "neither on, off nor a rate"),
        (S, "--receive-buffer 1k", "2KiB to 1GiB"),
        (S, "--steering left", "invalid value 'left'"),
        (S, "--mode fast", "invalid value 'fast'"),
        (S, "--backend dpdk", "invalid value 'dpdk'"),
        (S, "--queue -1", "unexpected argument '-1'"),
        (S, "--fault loss=2", "is no share"),
        (S, "--fault rain=1", "is not known"),
        (S, "--rate 10", "unexpected argument '--rate'"),
        (B, "--rate 10", "--target <HOST:PORT>"),
        (B, "-t 198.18.0.2:80", "--rate <N>|--concurrency <N>|--hold <N>"),
        (L, "--concurrency 5", "cannot be used with"),
        (L, "--app echo --expect-body page.html", "for --app http"),
        (B, "-t 198.18.0.2:80 --rate 0", "at least 1"),
        (B, "-t 198.18.0.2:80 --rate 1e6", "not a number"),
        (B, "-t 198.18.0.2:80 --rate 1G", "beyond 100M"),
        (B, "-t 198.18.0.2:80 --concurrency 1 --workers 2", "cannot be shared out"),
        (B, "-t 198.18.0.2:80 --concurrency 60M", "beyond 50M"),
        (B, "-t 198.18.0.2 --rate 1", "port is missing"),
        (B, "-t 198.18.0.1:80 --rate 1", "one of our own"),
        (B, "-t [2001:2::2]:80 --rate 1", "no --address is"),
        (L, "--requests-per-connection 0", "at least 1"),
        (L, "--app echo --message-bytes 0", "between 1 and 1GiB"),
        (L, "--path index.html", "begins with '/'"),
        (L, "--close slam", "invalid value 'slam'"),
        (L, "--source-ports 9-1", "ends before it begins"),
        (L, "--max-errors 200%", "between 0% and 100%"),
        (L, "--timeout 0s", "longer than zero"),
        (L, "--csv run.csv --interval 1ms", "at least 100ms"),
        (L, "--limit request.p99", "is no limit; write for example"),
        (L, "--ramp 10s", "--ramp 10 s takes all of the 10 s of --duration"),
        (L, "--ramp 3s --duration 2s", "never reached"),
        (L, "--search --csv run.csv", "cannot be used with"),
        (B, "-t 198.18.0.2:80 --concurrency 5 --search", "cannot be used with"),
        ("synfin doctor --try", "", "--interface <IF>"),
        ("synfin doctor --workers 0", "", "not in 1..=256"),
        (L, "--listen 80", "unexpected argument '--listen'"),
    ];
    check_table(table);
}

#[test]
fn a_hold_that_makes_no_sense_is_refused() {
    check_table(&[
        (B, "-t 198.18.0.2:80 --hold 0", "at least 1"),
        (B, "-t 198.18.0.2:80 --hold 60M", "--hold is beyond 50M"),
        (B, "-t 198.18.0.2:80 --hold 1 --workers 2", "cannot be shared out"),
        (B, "-t 198.18.0.2:80 --hold 10 --at-a-time 1 --workers 2", "Give --at-a-time at least"),
        (B, "-t 198.18.0.2:80 --hold 10 --hold-requests 1G", "beyond 100M"),
        (B, "-t 198.18.0.2:80 --hold 10 --hold-time forever", "no unit of time"),
        (B, "-t 198.18.0.2:80 --hold 10 --concurrency 5", "cannot be used with"),
        (B, "-t 198.18.0.2:80 --hold 10 --duration 5s", "cannot be used with"),
        (B, "-t 198.18.0.2:80 --hold 10 --requests-per-connection 5", "cannot be used with"),
        (S, "--max-connections 60M", "beyond 50M"),
        (L, "--hold-time 5s", "--hold <N>"),
        (L, "--hold-requests 5", "--hold <N>"),
    ]);
}

#[test]
fn options_that_contradict_each_other_or_would_change_nothing_are_refused() {
    const H: &str = "synfin load -i v0 -a 198.18.0.1/24 -t 198.18.0.2:80 --hold 10";
    const C: &str = "synfin load -i v0 -a 198.18.0.1/24 -t 198.18.0.2:80 --concurrency 10";
    check_table(&[
        (H, "--limit connection.p99=1s", "--hold does not measure connections as a whole"),
        (H, "--hold-requests 0 --limit request.p99=1s", "there are no requests with --hold-requests 0"),
        (H, "--hold-requests 0 --limit response.max=1s", "asks for response, and there are no requests"),
        (L, "--close rst --limit close.p99=1s", "there is no close to measure with --close rst"),
        (H, "--ramp 1s", "no rate to grow to"),
        (H, "--fast-open", "--hold sends none"),
        (C, "--max-lateness 1s", "cannot be used with"),
        (C, "--max-missed 1", "cannot be used with"),
        (L, "--json a --html a", "--json and --html name the same file, a"),
        (L, "--csv b --json a --pcap b", "--csv and --pcap name the same file, b"),
        (L, "--html -", "--html cannot be written to standard output"),
        (L, "--hdr a --csv a", "--csv and --hdr name the same file, a"),
        (L, "--hdr -", "--hdr cannot be written to standard output"),
        (S, "--csv -", "only --json takes '-'"),
        (S, "--interval 2s", "--csv <FILE>"),
        (L, "--app echo --path /x", "--path is for --app http"),
        (L, "--app echo --path-file x", "--path-file is for --app http"),
        (L, "--path / --path-file x", "cannot be used with"),
        (L, "--app echo -H A:b", "--header is for --app http"),
        (L, "--app echo --method PUT", "--method is for --app http"),
        (L, "--app echo --body-file x", "--body-file is for --app http"),
        (L, "-H Content-Length:5", "give that with --body-file"),
        (L, "--method HEAD", "have no body"),
        (L, "--warmup 10s", "nothing is left to be measured"),
        (H, "--warmup 1s", "cannot be used with"),
        (L, "--message-bytes 5", "--message-bytes is for --app echo"),
        (S, "--steering hash", "--steering is for several workers"),
        (S, "--app echo --body-bytes 1k", "--body-bytes is for --app http"),
        (S, "--app discard --keepalive off", "--keepalive is for --app http"),
        (S, "--app chargen --keepalive on", "--keepalive is for --app http"),
        (L, "--syn-cookies always", "--syn-cookies is for serve"),
    ]);
    for line in [
        format!("{H} --close rst --limit close.p99=1s --ramp 1s --rate 5 --hold-requests 0"),
        format!("{L} --json - --csv a --html b --interval 2s --limit connection.p99=1s --ramp 9s"),
        format!("{C} -n 5 --ramp 1h --app echo --message-bytes 5"),
        format!("{S} --workers 2 --steering hash"),
        format!("{S} --body-bytes 1k --keepalive off --syn-cookies never"),
        format!("{S} --app echo --syn-cookies always"),
    ] {
        assert_eq!(refusal(&line), None, "{line}");
    }
}

#[test]
fn an_impaired_link_that_makes_no_sense_is_refused() {
    const I: &str = "synfin impair -a v0 -b v1";
    check_table(&[
        ("synfin impair -a v0", "", "--b <IF>"),
        ("synfin impair -a v0 -b v0", "", "joined with itself"),
        (I, "--both rain=1", "is not known"),
        (I, "--both seed=1", "is not known"),
        (I, "--a-to-b loss=2", "is no share"),
        (I, "--b-to-a delay", "has no value"),
        (I, "--both delay=5", "is no time"),
        (I, "--duration 0s", "longer than zero"),
    ]);
}

#[test]
fn what_is_said_of_one_direction_comes_on_top_of_what_is_said_of_both() {
    let line = "synfin impair -a v0 -b v1 --both loss=1%,delay=5ms --b-to-a loss=0,rate=1mbit";
    let Ok(Cli { command: Command::Impair(args) }) = Cli::try_parse_from(line.split_whitespace()) else {
        panic!("refused: {line}")
    };
    let [there, back] = args.impairments();
    assert_eq!((there.loss, there.rate_bits_per_s), (0.01, 0));
    assert_eq!((back.loss, back.rate_bits_per_s), (0.0, 1_000_000));
    assert_eq!(there.delay, back.delay);
}

/// Command, options, and a part of the sentence that they are refused with.
#[track_caller]
fn check_table(table: &[(&str, &str, &str)]) {
    for (line, more, want) in table {
        let line = format!("{line} {more}");
        let got = refusal(&line).unwrap_or_else(|| panic!("accepted: {line}"));
        assert!(got.contains(want), "{line}: {got}");
    }
}

#[test]
fn the_definition_is_consistent_and_help_ends_well() {
    Cli::command().debug_assert();
    for (line, kind) in [
        ("synfin --help", ErrorKind::DisplayHelp),
        ("synfin load --help", ErrorKind::DisplayHelp),
        ("synfin --version", ErrorKind::DisplayVersion),
        ("synfin", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
    ] {
        let e = Cli::try_parse_from(line.split_whitespace()).unwrap_err();
        assert_eq!(e.kind(), kind, "{line}");
        assert_eq!(e.exit_code(), if line == "synfin" { 2 } else { 0 });
    }
}

#[test]
fn the_examples_in_the_help_texts_are_accepted() {
    let mut examples = 0;
    for line in
        ["synfin --help", "synfin serve --help", "synfin load --help", "synfin impair --help", "synfin doctor --help"]
    {
        let help = Cli::try_parse_from(line.split_whitespace()).unwrap_err().to_string();
        let joined = help.replace("\\\n", " ");
        for example in joined.lines().map(str::trim).filter(|l| l.starts_with("synfin ") && l.contains("veth")) {
            assert_eq!(refusal(example), None, "{example}");
            examples += 1;
        }
    }
    assert_eq!(examples, 19);
}
