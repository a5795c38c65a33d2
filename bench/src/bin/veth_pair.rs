//! *lifecycle* over AF_XDP: the engine on one queue of a device, without a protocol above TCP.
//!
//! One process for each end of a link, each in its own network namespace, 198.18.0.100 to 198.18.0.115 being the
//! client's addresses and 198.18.0.200 the server's (nobody else may have them):
//!
//! ```text
//! ip netns exec B veth_pair server --interface vb --core 1 &
//! ip netns exec A veth_pair client --interface va --core 0 --concurrency 256 --seconds 5
//! ```
//!
//! The worker is the one that the programs run; the difference to `synfin load` and `synfin serve` is HTTP, its
//! latency histograms and its report. The server ends when nothing has come for a second. Both print one line of JSON.

use clap::{Parser, ValueEnum};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use synfin_bench::lifecycle::{Client, Form, SERVER_PORT, Server};
use synfin_bench::usage::Usage;
use synfin_engine::base::{Counters, Event};
use synfin_engine::control::Control;
use synfin_engine::io::bpf::{FilterAddr, FilterSpec, XdpLink, XdpMode};
use synfin_engine::io::sys::netlink::{self, Interface};
use synfin_engine::io::xsk::{XskConfig, XskIo, XskSet};
use synfin_engine::io::{IoError, PacketIo};
use synfin_engine::shard::{App, LocalNet, Shard, ShardConfig};
use synfin_engine::wire::Addr;
use synfin_engine::worker::{self, Clock, RunOptions};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CLIENTS: Addr = Addr::v4([198, 18, 0, 100]);
const CLIENT_ADDRESSES: u32 = 16;
const SERVER: Addr = Addr::v4([198, 18, 0, 200]);
/// 2MSL: on a link of one hop nothing wanders about.
const TIME_WAIT: Duration = Duration::from_millis(500);
/// How long connections that are open at the end may take.
const DRAIN: Duration = Duration::from_secs(5);
/// How long the server waits for the first frame, and for any later one.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(1));

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Role {
    Client,
    Server,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    Native,
    Skb,
}

/// Connections per second of the engine over one AF_XDP queue.
#[derive(Parser, Debug)]
struct Args {
    role: Role,
    #[arg(long)]
    interface: String,
    #[arg(long, default_value_t = 0)]
    queue: u32,
    /// Where the XDP program runs.
    #[arg(long, default_value = "native")]
    mode: Mode,
    /// 9 packets per connection instead of 6.
    #[arg(long)]
    nine: bool,
    /// Connections in flight.
    #[arg(long, default_value_t = 256)]
    concurrency: u32,
    /// How long the client begins connections.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// CPU to stay on.
    #[arg(long, default_value_t = 0)]
    core: usize,
}

/// What one end did.
struct Outcome {
    completed: u64,
    failed: u64,
    seconds: f64,
    usage: Usage,
    frames: (u64, u64),
    counters: Counters,
    io: String,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(outcome) => {
            print(&args, &outcome);
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("veth_pair: {e}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<Outcome, IoError> {
    let interface = netlink::interface(&args.interface)?;
    let form = if args.nine { Form::Nine } else { Form::Six };
    let clock = Clock::start();
    match args.role {
        Role::Client => {
            let mut client = Client::new(form, CLIENTS, CLIENT_ADDRESSES, SERVER, args.concurrency);
            (client.limit, client.until) = (u64::MAX, clock.now() + Duration::from_secs(args.seconds));
            let shard = Shard::new(config(&interface, CLIENTS, CLIENT_ADDRESSES), client, clock.now());
            drive(args, &interface, shard, clock, client_time, |client| (client.completed, client.failed))
        }
        Role::Server => {
            let mut shard = Shard::new(config(&interface, SERVER, 1), Server::new(form), clock.now());
            shard.listen(SERVER_PORT);
            drive(args, &interface, shard, clock, server_time, |server| (server.completed, server.failed))
        }
    }
}

fn config(interface: &Interface, first: Addr, count: u32) -> ShardConfig {
    let net = LocalNet { first, count, prefix_len: 24, exclusive: true };
    let mut config = ShardConfig::new(interface.mac, vec![net]);
    config.tcp.time_wait = TIME_WAIT;
    config
}

fn open(args: &Args, interface: &Interface) -> Result<(XdpLink, XskIo), IoError> {
    let (first, count) = match args.role {
        Role::Client => (CLIENTS, CLIENT_ADDRESSES),
        Role::Server => (SERVER, 1),
    };
    let ours = FilterSpec { addresses: vec![FilterAddr::exclusive(first, count)] };
    let mode = match args.mode {
        Mode::Native => XdpMode::Native,
        Mode::Skb => XdpMode::Skb,
    };
    let link = XdpLink::attach(interface.ifindex, mode, &ours, args.queue + 1)?;
    let mut set = XskSet::open(&XskConfig {
        first_queue: args.queue,
        attach_mode: Some(link.mode()),
        ..XskConfig::new(&args.interface, interface.ifindex, 1)
    })?;
    let io = set.remove(0);
    link.set_socket(args.queue, io.fd())?;
    Ok((link, io))
}

/// Waits for the end of the run; `is_ending` tells whether the worker has ended by itself. Returns how many seconds it was
/// at work, and the CPU time that took.
type Watch = fn(args: &Args, control: &Control, is_ending: &dyn Fn() -> bool) -> (f64, Usage);

/// Runs one worker until `watch` says how long it was at work.
fn drive<A>(
    args: &Args,
    interface: &Interface,
    shard: Shard<A>,
    clock: Clock,
    watch: Watch,
    count: fn(&A) -> (u64, u64),
) -> Result<Outcome, IoError>
where
    A: App + Send + 'static,
    A::Conn: Send,
{
    let (link, io) = open(args, interface)?;
    let control = Control::new(1);
    let options = RunOptions { cores: vec![args.core], ..RunOptions::default() };
    let trouble = |e: worker::RunError| IoError::new(e.to_string(), "see what it says");
    let running = worker::start(vec![(shard, io)], clock, &options, &control).map_err(trouble)?;
    let (seconds, usage) = watch(args, &control, &|| running.is_ending());
    control.stop();
    let mut finished = running.join().map_err(trouble)?;
    drop(link);
    let end = finished.remove(0);
    let (completed, failed) = count(end.engine.app());
    let stats = end.io.stats();
    Ok(Outcome {
        completed,
        failed,
        seconds,
        usage,
        frames: (stats.rx_frames, stats.tx_frames),
        counters: end.engine.counters().clone(),
        io: end.io.describe(),
    })
}

/// The client: as long as it was told, then until its connections are over.
fn client_time(args: &Args, control: &Control, is_ending: &dyn Fn() -> bool) -> (f64, Usage) {
    let (start, usage) = (Instant::now(), Usage::of_this_process());
    std::thread::sleep(Duration::from_secs(args.seconds));
    control.drain();
    let patience = Instant::now() + DRAIN;
    while !is_ending() && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(1));
    }
    (start.elapsed().as_secs_f64(), Usage::of_this_process() - usage)
}

/// The server: from the first segment to the last.
fn server_time(_: &Args, control: &Control, is_ending: &dyn Fn() -> bool) -> (f64, Usage) {
    let here = || (Instant::now(), Usage::of_this_process());
    let mut first = here();
    let mut last = first;
    let mut segments = 0;
    while !is_ending() {
        std::thread::sleep(Duration::from_millis(5));
        let seen = control.snapshot(0).counters.count(Event::SegmentsIn);
        if seen > segments {
            last = here();
            if segments == 0 {
                first = last;
            }
            segments = seen;
        }
        let patience = if segments > 0 { PATIENCE.1 } else { PATIENCE.0 };
        if last.0.elapsed() > patience {
            break;
        }
    }
    ((last.0 - first.0).as_secs_f64(), last.1 - first.1)
}

fn print(args: &Args, o: &Outcome) {
    let resent = o.counters.count(Event::Retransmits) + o.counters.count(Event::SynRetransmits);
    println!(
        "{{\"role\":\"{}\",\"io\":\"{}\",\"packets\":{},\"concurrency\":{},\"seconds\":{:.3},\"connections\":{},\
         \"failures\":{},\"connections_per_second\":{:.0},\"user_seconds\":{:.3},\"system_seconds\":{:.3},\
         \"rx_frames\":{},\"tx_frames\":{},\"retransmits\":{resent},\"drops\":{}}}",
        format!("{:?}", args.role).to_lowercase(),
        o.io,
        if args.nine { 9 } else { 6 },
        args.concurrency,
        o.seconds,
        o.completed,
        o.failed,
        o.completed as f64 / o.seconds.max(1e-9),
        o.usage.user.as_secs_f64(),
        o.usage.system.as_secs_f64(),
        o.frames.0,
        o.frames.1,
        o.counters.dropped_total(),
    );
}
