//! `synfin load`, from the command line to the report.

use super::bodies::Bodies;
use super::engine::FirstHop;
use super::exporter::Exporter;
use super::limits;
use super::record::Recorder;
use super::section::{self, Measured};
use super::stop::StopRequests;
use super::summary::{Facts, Parts};
use super::watch::{End, Watch};
use super::{CoreOrder, Runner, start, verdict};
use crate::cli::LoadArgs;
use crate::cli::check::DEFAULT_DURATION;
use crate::cli::load::{CloseMode, LoadApp};
use crate::cli::values::{AddressRange, Ports};
use crate::failure::Failure;
use crate::live::{Board, Shown, Signals, display, line};
use crate::load::client::{Client, ClientConfig, Outcome, Plan, Steer};
use crate::load::protocol::{Echo, Http, Protocol};
use crate::load::request::Request;
use crate::load::schedule::{ClosedLoop, OpenLoop, Share};
use crate::load::tuples::Tuples;
use crate::load::{MissReason, Tally};
use crate::report::Report;
use crate::report::model::LoadSection;
use crate::report::number::{grouped, time};
use crate::setup::steering::{self, Role, Steering};
use crate::setup::{Device, Site, kernel_ports, reach, shard};
use std::sync::Arc;
use std::time::Duration;
use synfin_engine::io::bpf::{FilterAddr, FilterSpec};
use synfin_engine::shard::app::Connect;
use synfin_engine::shard::{App, Shard};
use synfin_engine::steering::Policy;
use synfin_engine::wire::Addr;
use synfin_engine::worker::Clock;

/// Of a message, when nothing is said.
const MESSAGE_BYTES: u64 = 100;
/// Connections that a worker can hold at a time, unless more are asked for; nothing is reserved for them.
const CONNECTIONS_MAX: u64 = 16_000_000;
/// What tables are made for at least. Those of a closed loop need not be larger: small ones stay in the cache.
const CONNECTIONS_MIN: u64 = 65_536;
/// Longer than any run may take to end after its time is up and its connections are cut.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// What is decided before the first launch.
pub(super) struct Order<'a> {
    pub args: &'a LoadArgs,
    pub site: &'a Site,
    pub targets: Vec<(Addr, u16)>,
    pub ports: Ports,
    pub steering: Option<Steering>,
    pub duration: Option<Duration>,
    pub seed: u64,
}

/// What each worker's application is made of.
pub(super) struct Part {
    pub share: Share,
    pub tuples: Tuples,
    pub steer: Option<Steer>,
    pub board: Arc<Board>,
    pub signals: Arc<Signals>,
    /// Different for each worker.
    pub seed: u64,
}

/// How long a run may take.
pub(super) struct Limits {
    /// Time is up then.
    pub duration: Option<Duration>,
    /// How long connections may take to finish after that, or once somebody has stopped the run.
    pub grace: Duration,
    /// Connections of one worker at most.
    pub connections: u64,
    /// There will be about as many: tables get their memory at once instead of growing on the way.
    pub is_exact: bool,
}

/// Launches, measures, reports. Arguments have been checked.
pub fn run(args: &LoadArgs, bodies: &Bodies) -> Result<Report, Failure> {
    let site = Site::survey(&args.net)?;
    let order = Order {
        args,
        site: &site,
        targets: reach::targets(&args.target, &args.net)?,
        ports: source_ports(args, &site)?,
        steering: steering::choose(&args.net.machine, &site, Role::Load)?,
        duration: args.duration.or_else(|| args.connections.is_none().then_some(DEFAULT_DURATION)),
        seed: args.net.output.seed.map_or_else(shard::random_u64, Ok)?,
    };
    let hosts: Vec<String> = args.target.iter().map(ToString::to_string).collect();
    let mut report = match args.app {
        LoadApp::Http => {
            let request = request(args, bodies);
            load(&order, || Http::new(&request, &hosts, bodies.expected))?
        }
        LoadApp::Echo => load(&order, || Echo::new(args.message_bytes.unwrap_or(MESSAGE_BYTES)))?,
    };
    limits::judge(&args.limit, &mut report);
    Ok(report)
}

fn request(args: &LoadArgs, bodies: &Bodies) -> Request {
    let shape = &args.request;
    let usual = if shape.body_file.is_some() { "POST" } else { "GET" };
    let method = shape.method.clone().unwrap_or_else(|| usual.into());
    let path = shape.path.clone().unwrap_or_else(|| "/".into());
    Request { method, path, headers: shape.header.clone(), body: bodies.sent.clone() }
}

fn source_ports(args: &LoadArgs, site: &Site) -> Result<Ports, Failure> {
    let shares = site.shared().next().is_some();
    match args.source_ports {
        Some(ports) if shares => kernel_ports::check_unused(&[ports], "range with --source-ports").map(|()| ports),
        Some(ports) => Ok(ports),
        None if shares => kernel_ports::free_ports(),
        None => Ok(Ports { first: 1024, last: u16::MAX }),
    }
}

fn filter(order: &Order) -> FilterSpec {
    let ports = [(order.ports.first, order.ports.last)];
    let addresses = order.site.own.iter().map(|o| match o.exclusive {
        true => FilterAddr::exclusive(o.range.first, o.range.count),
        false => FilterAddr::shared(o.range.first, o.range.count, &ports),
    });
    FilterSpec { addresses: addresses.collect() }
}

fn load<P>(order: &Order, protocol: impl Fn() -> P) -> Result<Report, Failure>
where
    P: Protocol + Send + 'static,
    P::State: Send,
{
    if let Some(connections) = order.args.hold.hold {
        return super::hold::run(order, connections, protocol);
    }
    let args = order.args;
    let limits = Limits {
        duration: order.duration.map(|d| d + args.drain + PATIENCE),
        grace: args.drain + PATIENCE,
        connections: args.concurrency.map_or(CONNECTIONS_MAX, |n| {
            n.div_ceil(u64::from(args.net.machine.workers)).saturating_mul(2).max(CONNECTIONS_MIN)
        }),
        is_exact: args.concurrency.is_some(),
    };
    let ran = launch(order, &limits, |_, _| {}, |part| client(order, protocol(), part))?;
    let mut outcome = Outcome::default();
    ran.apps.into_iter().for_each(|app| outcome.merge(&app.into_outcome()));
    let is_stopped = ran.end == End::Interrupted && outcome.stopped;
    let active_seconds = outcome.active_ns as f64 / 1e9;
    let verdict = verdict::of(args, &outcome.tally, is_stopped);
    let verdict = verdict::unless_all_warmup(args.warmup, active_seconds, verdict);
    let mut report = ran.facts.report("load", (ran.seconds, active_seconds), outcome.tally.started, verdict);
    report.notes.extend(censored_note(args, &outcome.tally));
    report.load = Some(LoadSection { stopped_early: is_stopped, ..section(order, &outcome) });
    Ok(report)
}

/// Percentiles can only be of what was begun.
fn censored_note(args: &LoadArgs, t: &Tally) -> Option<String> {
    let late = t.missed[MissReason::Late as usize];
    (late > 0).then(|| {
        format!(
            "{} launches would have come more than {} late and were not made: they are in no latency, and from about \
             there on the percentiles of handshake, response and connection are too good (--limit counts them as \
             infinitely slow)",
            grouped(late),
            time(nanos(args.max_lateness))
        )
    })
}

/// A run that has ended.
pub(super) struct Ran<A> {
    /// Of each worker.
    pub apps: Vec<A>,
    pub end: End,
    pub seconds: f64,
    pub facts: Facts,
}

/// Opens the device, lets an application run on each worker, and watches over them. `look` is called all the time, and
/// told how much memory was resident before the workers began.
pub(super) fn launch<A>(
    order: &Order,
    limits: &Limits,
    mut look: impl FnMut(&Signals, u64),
    app: impl Fn(Part) -> A,
) -> Result<Ran<A>, Failure>
where
    A: App + Shown + Send + 'static,
    A::Conn: Send,
{
    let (args, site) = (order.args, order.site);
    let ways = reach::ways(&order.targets, site)?;
    let neighbours = reach::kernel_neighbours(&ways, site)?;
    let first_hops: Vec<FirstHop> = ways.iter().filter(|w| w.exclusive).map(|w| (w.local, w.remote)).collect();
    let stop = StopRequests::listen()?;
    display::check(&args.net.output)?;
    let exporter = args.net.output.metrics.map(Exporter::bind).transpose()?;
    let clock = Clock::start();
    let mut device = Device::open(&args.net, site, &filter(order), clock, order.seed)?;
    let mut recorder = Recorder::new(&args.net.output)?;
    device.notes.extend(tuple_note(order));
    device.tell_notes();
    let mut config = shard::config(&args.net, site, neighbours, &device, limits.connections, limits.is_exact)?;
    config.abandons = args.close == CloseMode::Abandon;
    let signals = Arc::new(Signals::default());
    let boards: Vec<Arc<Board>> = device.queues.iter().map(|_| Arc::default()).collect();
    let runner = |(worker, board): (usize, &Arc<Board>)| {
        let share = Share { worker: worker as u32, workers: boards.len() as u32 };
        let app = app(part(order, share, board.clone(), signals.clone()));
        let (config, signals, first_hops) = (config.clone(), signals.clone(), first_hops.clone());
        move || Runner::new(Shard::new(config, app, clock.now()), signals, first_hops)
    };
    let parts = Parts::new(site, &args.net, &device, order.steering.clone());
    let runners = boards.iter().enumerate().map(runner).collect();
    let policy = order.steering.as_ref().map(|s| s.policy.clone());
    let before_bytes = parts.resident_before_bytes();
    let running = start(runners, device.queues, &args.net.machine, policy, CoreOrder::Falling, clock)?;
    let _exporting = exporter.map(|e| e.start(&boards)).transpose()?;
    let watch = Watch {
        boards: &boards,
        signals: &signals,
        stop: &stop,
        progress: args.net.output.progress,
        words: line::LOAD,
        duration: limits.duration,
        grace: limits.grace,
    };
    let is_over = || {
        look(&signals, before_bytes);
        running.is_ending() || signals.finished() as usize >= boards.len()
    };
    let end = watch.run(&mut recorder, || {}, is_over);
    let seconds = clock.now().as_nanos() as f64 / 1e9;
    let mut finished = parts.finish(running, device.guard)?;
    let apps: Vec<A> = finished.runners.into_iter().map(Runner::into_app).collect();
    // What was cut at the very end belongs into the last row.
    apps.iter().for_each(A::show);
    finished.facts.add_recorded(recorder.finish(&boards));
    if let Some(hop) = signals.unanswered() {
        return Err(reach::unanswered(hop, &site.interface.name));
    }
    Ok(Ran { apps, end, seconds, facts: finished.facts })
}

fn part(order: &Order, share: Share, board: Arc<Board>, signals: Arc<Signals>) -> Part {
    let seed = order.seed.wrapping_add(u64::from(share.worker) << 32);
    let steer = order.steering.as_ref().map(|s| steer(s.policy.clone(), share));
    Part { share, tuples: tuples(order), steer, board, signals, seed }
}

pub(super) fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

fn client<P: Protocol>(order: &Order, protocol: P, part: Part) -> Client<P> {
    let (args, share) = (order.args, part.share);
    let plan = match (args.rate, args.concurrency) {
        (Some(rate), _) => Plan::Open(OpenLoop::new(rate, nanos(args.ramp), share)),
        (None, n) => Plan::Closed(ClosedLoop::new(share.of(n.unwrap_or(1)), nanos(args.ramp))),
    };
    let config = ClientConfig {
        plan,
        share,
        launches_max: args.connections.map_or(u64::MAX, |n| share.of(n)),
        duration_ns: order.duration.map(nanos),
        warmup_ns: nanos(args.warmup),
        drain_ns: nanos(args.drain),
        max_lateness_ns: nanos(args.max_lateness),
        timeout_ns: nanos(args.timeout),
        // Checked beforehand to fit.
        requests_per_connection: args.requests_per_connection as u32,
        fast_open: args.net.tcp.fast_open,
        close: args.close,
        seed: part.seed,
    };
    Client::new(protocol, config, part.tuples, part.steer, part.board, part.signals)
}

pub(super) fn tuples(order: &Order) -> Tuples {
    let sources: Vec<AddressRange> = order.site.own.iter().map(|o| o.range).collect();
    Tuples::new(&order.targets, &sources, order.ports, order.seed)
}

/// With several workers, each begins the connections whose frames come to it.
fn steer(policy: Policy, share: Share) -> Steer {
    let (worker, workers) = (share.worker as usize, share.workers as usize);
    Box::new(move |c: &Connect| {
        policy.may_connect(worker, workers, (&c.local, c.local_port), (&c.remote, c.remote_port))
    })
}

/// Says beforehand that addresses and ports will run out, since TIME-WAIT keeps each for a while.
fn tuple_note(order: &Order) -> Option<String> {
    let rate = order.args.rate.filter(|_| order.args.hold.hold.is_none())? as f64;
    let kept_s = order.args.net.tcp.time_wait.min(order.duration.unwrap_or(Duration::MAX)).as_secs_f64();
    let (needed, there) = (rate * kept_s, tuples(order).total());
    (needed > there as f64 && order.args.close == CloseMode::Fin).then(|| {
        format!(
            "{} connections/s with a TIME-WAIT of {} s need {} source addresses and ports, and there are {}: give more \
             addresses (--address A-B/LEN) or a shorter --time-wait, unless the target closes first",
            grouped(rate as u64),
            order.args.net.tcp.time_wait.as_secs_f64(),
            grouped(needed as u64),
            grouped(there)
        )
    })
}

fn section(order: &Order, outcome: &Outcome) -> LoadSection {
    let active_seconds = outcome.active_ns.saturating_sub(nanos(order.args.warmup)) as f64 / 1e9;
    let measured = Measured { tally: &outcome.measured, latencies: &outcome.latencies, active_seconds };
    let model = if order.args.rate.is_some() { "open" } else { "closed" };
    LoadSection {
        launching_seconds: outcome.launching_ns as f64 / 1e9,
        starved_seconds: outcome.starved_ns as f64 / 1e9,
        ..section::of(order, model, &outcome.tally, &measured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tuple_belongs_to_exactly_one_worker() {
        let steers = [0, 1, 2].map(|worker| steer(Policy::Hash, Share { worker, workers: 3 }));
        let (local, remote) = (Addr::v4([198, 18, 0, 1]), Addr::v4([198, 18, 0, 2]));
        for local_port in 1024..2048 {
            let c = Connect { local, local_port, remote, remote_port: 80 };
            assert_eq!(steers.iter().filter(|s| s(&c)).count(), 1);
        }
    }
}
