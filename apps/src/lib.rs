//! `synfin`: a TCP load generator and server on `synfin-engine`. The program is `main.rs`, a few lines around
//! [`main`]; everything else is here, where tests reach it.
//!
//! [`cli`] says what can be asked for, [`setup`] turns it into queues and shards, [`run`] lets workers run and watches
//! over them, [`serve`] and [`load`] are the applications on the engine, [`http`] and [`pattern`] what they speak,
//! [`impair`] is the link between two devices, [`doctor`] looks at the machine,
//! [`live`] and [`report`] what people and programs get to see, [`trace`] the segments one by one.

pub mod cli;
pub mod doctor;
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
use cli::net::OutputArgs;
use cli::{Cli, Command, LoadArgs};
use failure::{EXIT_USAGE, Failure};
use report::file::{self, Destination};
use report::{Report, hdr, html, json, paint::Paint, text};
use run::inputs::Inputs;
use serde::Serialize;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// The whole program; returns its exit code.
pub fn main() -> ExitCode {
    say_what_a_panic_is();
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

/// A release build ends with SIGABRT right after it.
fn say_what_a_panic_is() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        usual(info);
        eprintln!(
            "synfin: this is a bug in synfin: please report it with the command line; what --csv has written is kept"
        );
    }));
}

fn carry_out(cli: &Cli) -> Result<u8, Failure> {
    match &cli.command {
        Command::Serve(args) => with_report(&args.net.output, None, || run::serve::run(args)),
        Command::Load(args) => with_report(&args.net.output, args.hdr.as_deref(), || load(args)),
        Command::Impair(args) => {
            let json = args.json.as_deref().map(json::Place::reserve).transpose()?;
            let report = run::impair::run(args)?;
            show(&report, |paint| report.text(paint), json)?;
            Ok(0)
        }
        Command::Doctor(args) => {
            let json = args.json.as_deref().map(json::Place::reserve).transpose()?;
            let diagnosis = doctor::run(args)?;
            show(&diagnosis, |paint| diagnosis.text(paint), json)?;
            Ok(diagnosis.exit_code())
        }
        Command::Completions(args) => print(&args.text()),
        Command::Man(args) => args.text().map_err(not_printed).and_then(|text| print(&text)),
    }
}

fn print(text: &[u8]) -> Result<u8, Failure> {
    std::io::stdout().write_all(text).map_err(not_printed)?;
    Ok(0)
}

fn not_printed(e: std::io::Error) -> Failure {
    Failure::new(format!("standard output takes no more: {e}"), "")
}

fn load(args: &LoadArgs) -> Result<Report, Failure> {
    cli::check::load(args)?;
    let inputs = Inputs::read(args)?;
    if args.search { run::search::run(args, &inputs) } else { run::load::run(args, &inputs) }
}

/// Places are taken before a run, and written to after it.
fn with_report(
    output: &OutputArgs,
    hdr: Option<&Path>,
    run: impl FnOnce() -> Result<Report, Failure>,
) -> Result<u8, Failure> {
    let json = output.json.as_deref().map(json::Place::reserve).transpose()?;
    let html = output.html.as_deref().map(|path| Destination::reserve(path, "--html")).transpose()?;
    let hdr = hdr.map(|path| Destination::reserve(path, hdr::OPTION)).transpose()?;
    // It is written to as the run goes on, and emptied only when nothing else stands in the way of that.
    output.csv.as_deref().map_or(Ok(()), |path| file::check_place(path, "--csv"))?;
    let report = run()?;
    // The run cannot be had again: what one place does not take, the others still do.
    let written = [
        show(&report, |paint| text::render(&report, paint), json),
        html.map_or(Ok(()), |place| place.write(&html::render(&report))),
        hdr.map_or(Ok(()), |place| hdr::write(&report, place)),
    ];
    written.into_iter().collect::<Result<(), Failure>>()?;
    Ok(report.outcome.exit_code)
}

fn show(report: &impl Serialize, text: impl Fn(Paint) -> String, json: Option<json::Place>) -> Result<(), Failure> {
    if !matches!(json, Some(json::Place::Stdout)) {
        let text = text(Paint::for_stdout());
        // A reader that has gone away (`| head`) has seen enough.
        let _ = std::io::stdout().write_all(text.as_bytes());
    }
    json.map_or(Ok(()), |place| place.write(report))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_that_one_place_does_not_take_goes_to_the_others() {
        let page = std::env::temp_dir().join(format!("synfin-page-{}.html", std::process::id()));
        let line = format!(
            "synfin load -i v -a 198.18.0.1/24 -t 198.18.0.2:80 --rate 1 --json /dev/full --html {}",
            page.display()
        );
        let Command::Load(args) = Cli::try_parse_from(line.split_whitespace()).unwrap().command else { unreachable!() };
        let failure = with_report(&args.net.output, None, || Ok(text::tests::report())).unwrap_err();
        assert!(failure.what.starts_with("cannot write /dev/full: "), "{failure}");
        assert!(std::fs::read_to_string(&page).unwrap().contains("<html"));
        std::fs::remove_file(page).unwrap();
    }
}
