//! `synfin serve`, from the command line to the report.

use super::exporter::Exporter;
use super::record::Recorder;
use super::stop::StopRequests;
use super::watch::{End, Watch};
use super::{CoreOrder, Runner, start};
use crate::cli::ServeArgs;
use crate::cli::net::OnOff;
use crate::cli::serve::ServeApp;
use crate::cli::values::Ports;
use crate::failure::Failure;
use crate::live::{Board, Signals, display, line};
use crate::report::Report;
use crate::report::model::{Named, Outcome, ServeSection, by_status, ratio};
use crate::serve::Tally;
use crate::serve::answers::Answers;
use crate::serve::chargen::ChargenServer;
use crate::serve::discard::DiscardServer;
use crate::serve::echo::EchoServer;
use crate::serve::http::HttpServer;
use crate::setup::steering::{self, Role};
use crate::setup::{Device, Site, kernel_ports, shard};
use std::sync::Arc;
use std::time::Duration;
use synfin_engine::base::Event;
use synfin_engine::io::bpf::{FilterAddr, FilterSpec};
use synfin_engine::shard::{App, CloseReason, Shard, ShardConfig};
use synfin_engine::worker::Clock;

/// For each worker, when nothing is said.
const CONNECTIONS_MAX: u64 = 16_000_000;
/// How long open connections may take to finish once the server is stopped.
const GRACE: Duration = Duration::from_secs(1);

/// Serves until the time is up or somebody stops it.
pub fn run(args: &ServeArgs) -> Result<Report, Failure> {
    crate::cli::check::serve(args)?;
    let site = Site::survey(&args.net)?;
    let ports: Vec<Ports> = args.listen.iter().map(|p| Ports { first: *p, last: *p }).collect();
    if site.shared().next().is_some() {
        kernel_ports::check_unused(&ports, "port with --listen")?;
    }
    match args.app {
        ServeApp::Http => {
            let answers = Answers::new(args.body_bytes as u32);
            let keep_alive = args.keepalive == OnOff::On;
            serve(args, &site, |tally| HttpServer::new(answers, keep_alive, tally), |app| app.tally)
        }
        ServeApp::Echo => serve(args, &site, |tally| EchoServer { tally }, |app| app.tally),
        ServeApp::Discard => serve(args, &site, |tally| DiscardServer { tally }, |app| app.tally),
        ServeApp::Chargen => serve(args, &site, |tally| ChargenServer { tally }, |app| app.tally),
    }
}

fn filter(args: &ServeArgs, site: &Site) -> FilterSpec {
    let ports: Vec<(u16, u16)> = args.listen.iter().map(|p| (*p, *p)).collect();
    let addresses = site.own.iter().map(|o| match o.exclusive {
        true => FilterAddr::exclusive(o.range.first, o.range.count),
        false => FilterAddr::shared(o.range.first, o.range.count, &ports),
    });
    FilterSpec { addresses: addresses.collect() }
}

fn serve<A>(
    args: &ServeArgs,
    site: &Site,
    app: impl Fn(Tally) -> A,
    tally_of: impl Fn(A) -> Tally,
) -> Result<Report, Failure>
where
    A: App + Send + 'static,
    A::Conn: Send,
{
    let machine = &args.net.machine;
    let steering = steering::choose(machine, site, Role::Serve)?;
    let stop = StopRequests::listen()?;
    display::check(&args.net.output)?;
    let exporter = args.net.output.metrics.map(Exporter::bind).transpose()?;
    let clock = Clock::start();
    let seed = args.net.output.seed.map_or_else(shard::random_u64, Ok)?;
    let device = Device::open(&args.net, site, &filter(args, site), clock, seed)?;
    let mut recorder = Recorder::new(&args.net.output)?;
    device.tell_notes();
    let (connections, is_exact) = (args.max_connections.unwrap_or(CONNECTIONS_MAX), args.max_connections.is_some());
    let config = shard::config(&args.net, site, Vec::new(), &device, connections, is_exact)?;
    let signals = Arc::new(Signals::default());
    let boards: Vec<Arc<Board>> = device.queues.iter().map(|_| Arc::default()).collect();
    let runner = |board: &Arc<Board>| {
        let (config, ports, signals) = (config.clone(), args.listen.clone(), signals.clone());
        let app = app(Tally::new(board.clone()));
        move || Runner::new(listening(config, app, &ports, clock), signals, Vec::new())
    };
    let policy = steering.as_ref().map(|s| s.policy.clone());
    let parts = super::summary::Parts::new(site, &args.net, &device, steering);
    let runners = boards.iter().map(runner).collect();
    let running = start(runners, device.queues, machine, policy, CoreOrder::Rising, clock)?;
    announce(args, site);
    let _exporting = exporter.map(|e| e.start(&boards)).transpose()?;
    let watch = Watch {
        boards: &boards,
        signals: &signals,
        stop: &stop,
        progress: args.net.output.progress,
        words: line::SERVE,
        duration: args.duration,
        grace: GRACE,
    };
    let control = running.control().clone();
    let end = watch.run(&mut recorder, || control.drain(), || running.is_ending());
    let seconds = clock.now().as_nanos() as f64 / 1e9;
    let mut finished = parts.finish(running, device.guard)?;
    let mut tally = Tally::default();
    for own in finished.runners.into_iter().map(|r| tally_of(r.into_app())) {
        own.show();
        tally.merge(&own);
    }
    finished.facts.add_recorded(recorder.finish(&boards));
    let counters = &finished.total.counters;
    let section = section(args, &tally, counters.count(Event::PayloadIn), counters.count(Event::PayloadOut));
    let summary = summary(&section, end);
    let mut report = finished.facts.report(
        "serve",
        (seconds, section.active_seconds),
        section.accepted,
        Outcome { exit_code: 0, summary },
    );
    report.serve = Some(section);
    Ok(report)
}

fn listening<A: App>(config: ShardConfig, app: A, ports: &[u16], clock: Clock) -> Shard<A> {
    let mut shard = Shard::new(config, app, clock.now());
    ports.iter().for_each(|port| shard.listen(*port));
    shard
}

fn announce(args: &ServeArgs, site: &Site) {
    let ports: Vec<String> = args.listen.iter().map(u16::to_string).collect();
    let own: Vec<String> = site.own.iter().map(|o| o.range.to_string()).collect();
    eprintln!(
        "synfin: serving {} on {} port {}, on {}; Ctrl-C ends it",
        args.app.name(),
        own.join(" "),
        ports.join(","),
        site.interface.name
    );
}

fn section(args: &ServeArgs, tally: &Tally, received_bytes: u64, sent_bytes: u64) -> ServeSection {
    let active_seconds = tally.active_ns() as f64 / 1e9;
    ServeSection {
        app: args.app.name(),
        ports: args.listen.clone(),
        active_seconds,
        accepted: tally.accepted,
        accepted_per_second: ratio(tally.accepted as f64, active_seconds),
        closed: tally.closed_total(),
        open_peak: tally.open_peak,
        closed_by_reason: Named(CloseReason::ALL.iter().map(|r| (r.name(), tally.closed_by(*r))).collect()),
        requests: tally.requests,
        requests_per_second: ratio(tally.requests as f64, active_seconds),
        responses_by_status: by_status(&tally.responses),
        received_bytes,
        sent_bytes,
    }
}

fn summary(s: &ServeSection, end: End) -> String {
    use crate::report::number::grouped;
    let how = if end == End::Interrupted { "stopped" } else { "time is up" };
    format!("{how} after {} connections", grouped(s.accepted))
}
