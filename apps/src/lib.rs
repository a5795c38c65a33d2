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
use report::{Report, file, hdr, html, json, paint::Paint, text};
use run::bodies::Bodies;
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
            args.json.as_deref().map_or(Ok(()), json::check_place)?;
            let report = run::impair::run(args)?;
            show(&report, |paint| report.text(paint), args.json.as_deref())?;
            Ok(0)
        }
        Command::Doctor(args) => {
            args.json.as_deref().map_or(Ok(()), json::check_place)?;
            let diagnosis = doctor::run(args)?;
            show(&diagnosis, |paint| diagnosis.text(paint), args.json.as_deref())?;
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
    let bodies = Bodies::read(args)?;
    if args.search { run::search::run(args, &bodies) } else { run::load::run(args, &bodies) }
}

/// Places are checked before a run, and written to after it.
fn with_report(
    output: &OutputArgs,
    hdr: Option<&Path>,
    run: impl FnOnce() -> Result<Report, Failure>,
) -> Result<u8, Failure> {
    output.json.as_deref().map_or(Ok(()), json::check_place)?;
    output.html.as_deref().map_or(Ok(()), |path| file::check_place(path, "--html"))?;
    output.csv.as_deref().map_or(Ok(()), |path| file::check_place(path, "--csv"))?;
    hdr.map_or(Ok(()), |path| file::check_place(path, hdr::OPTION))?;
    let report = run()?;
    // The run cannot be had again: what one place does not take, the others still do.
    let written = [
        show(&report, |paint| text::render(&report, paint), output.json.as_deref()),
        output.html.as_deref().map_or(Ok(()), |path| file::write(&html::render(&report), path, "--html")),
        hdr.map_or(Ok(()), |path| hdr::write(&report, path)),
    ];
    written.into_iter().collect::<Result<(), Failure>>()?;
    Ok(report.outcome.exit_code)
}

fn show(report: &impl Serialize, text: impl Fn(Paint) -> String, place: Option<&Path>) -> Result<(), Failure> {
    if !place.is_some_and(json::is_stdout) {
        let text = text(Paint::for_stdout());
        // A reader that has gone away (`| head`) has seen enough.
        let _ = std::io::stdout().write_all(text.as_bytes());
    }
    place.map_or(Ok(()), |path| json::write(report, path))
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
