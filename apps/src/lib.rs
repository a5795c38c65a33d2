//! `synfin`: a TCP load generator and server on `synfin-engine`. The program is `main.rs`, a few lines around
//! [`main`]; everything else is here, where tests reach it.
//!
//! [`cli`] says what can be asked for, [`setup`] turns it into queues and shards, [`run`] lets workers run and watches
//! over them, [`serve`] and [`load`] are the applications on the engine, [`http`] and [`pattern`] what they speak,
//! [`impair`] is the link between two devices,
//! [`live`] and [`report`] what people and programs get to see, [`trace`] the segments one by one.

pub mod cli;
pub mod failure;
pub mod http;
pub mod impair;
pub mod live;
pub mod load;
pub mod pattern;
pub mod pipe;
pub mod pool;
pub mod report;
pub mod run;
pub mod serve;
pub mod setup;
pub mod trace;

use clap::Parser;
use cli::{Cli, Command};
use failure::{EXIT_USAGE, Failure};
use report::{Report, json, paint::Paint, text};
use serde::Serialize;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// The whole program; returns its exit code.
pub fn main() -> ExitCode {
    // Wrong usage ends here, with clap's words and exit code 2.
    let cli = Cli::parse();
    match carry_out(&cli) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("synfin: {failure}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn carry_out(cli: &Cli) -> Result<u8, Failure> {
    let place = match &cli.command {
        Command::Serve(args) => &args.net.output.json,
        Command::Load(args) => &args.net.output.json,
        Command::Impair(args) => &args.json,
    };
    if let Some(path) = place {
        json::check_place(path)?;
    }
    let end = |report: Report| {
        show(&report, |paint| text::render(&report, paint), place.as_deref())?;
        Ok(report.outcome.exit_code)
    };
    match &cli.command {
        Command::Serve(args) => end(run::serve::run(args)?),
        Command::Load(args) => end(run::load::run(args)?),
        Command::Impair(args) => {
            let report = run::impair::run(args)?;
            show(&report, |paint| report.text(paint), place.as_deref())?;
            Ok(0)
        }
    }
}

fn show(report: &impl Serialize, text: impl Fn(Paint) -> String, place: Option<&Path>) -> Result<(), Failure> {
    if !place.is_some_and(json::is_stdout) {
        let text = text(Paint::for_stdout());
        // A reader that has gone away (`| head`) has seen enough.
        let _ = std::io::stdout().write_all(text.as_bytes());
    }
    place.map_or(Ok(()), |path| json::write(report, path))
}
