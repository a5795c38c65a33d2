//! Tables in bench/README.md and charts in bench/results/, made from the newest results.

use clap::Parser;
use std::process::ExitCode;
use synfin_bench::{machine, report};

/// Renew the tables in bench/README.md and the charts in bench/results/ from the newest results.
#[derive(Parser, Debug)]
struct Args {
    /// Change nothing; say what does not fit the results, with exit code 1.
    #[arg(long)]
    check: bool,
    /// Print the comment lines that a result file begins with: what the machine is.
    #[arg(long, conflicts_with = "check")]
    machine: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.machine {
        machine::describe().iter().for_each(|fact| println!("# {fact}"));
        return ExitCode::SUCCESS;
    }
    match run(args.check) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("report: {e}");
            ExitCode::from(2)
        }
    }
}

fn run(check: bool) -> std::io::Result<ExitCode> {
    let bench = report::bench_folder();
    let outdated = report::outdated(bench)?;
    if check {
        outdated.iter().for_each(|path| println!("does not fit the results: {}", path.display()));
        return Ok(if outdated.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    for made in report::make(bench)?.into_iter().filter(|made| outdated.contains(&made.path)) {
        std::fs::write(&made.path, made.text)?;
        println!("{}", made.path.display());
    }
    Ok(ExitCode::SUCCESS)
}
