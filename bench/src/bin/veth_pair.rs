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

use clap::Parser;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use synfin_bench::device::{self, CLIENT_ADDRESSES, CLIENTS, Mode, Place, Role, SERVER};
use synfin_bench::lifecycle::{Client, Form, SERVER_PORT, Server};
use synfin_bench::usage::Usage;
use synfin_engine::base::Event;
use synfin_engine::control::Control;
use synfin_engine::io::IoError;
use synfin_engine::io::sys::netlink;
use synfin_engine::shard::Shard;
use synfin_engine::worker::Clock;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long connections that are open at the end may take.
const DRAIN: Duration = Duration::from_secs(5);

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
type Outcome = device::Outcome<(u64, u64)>;

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
    let place = Place { role: args.role, mode: args.mode, queue: args.queue, core: args.core };
    let config = place.config(&interface);
    match args.role {
        Role::Client => {
            let mut client = Client::new(form, CLIENTS, CLIENT_ADDRESSES, SERVER, args.concurrency);
            (client.limit, client.until) = (u64::MAX, clock.now() + Duration::from_secs(args.seconds));
            let shard = Shard::new(config, client, clock.now());
            let watch = |control: &Control, is_ending: &dyn Fn() -> bool| client_time(args, control, is_ending);
            let end = place.drive(&interface, |_| shard, clock, watch)?;
            Ok(end.map(|client| (client.completed, client.failed)))
        }
        Role::Server => {
            let mut shard = Shard::new(config, Server::new(form), clock.now());
            shard.listen(SERVER_PORT);
            let end = place.drive(&interface, |_| shard, clock, device::server_time)?;
            Ok(end.map(|server| (server.completed, server.failed)))
        }
    }
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

fn print(args: &Args, o: &Outcome) {
    let (completed, failed) = o.app;
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
        completed,
        failed,
        completed as f64 / o.seconds.max(1e-9),
        o.usage.user.as_secs_f64(),
        o.usage.system.as_secs_f64(),
        o.frames.0,
        o.frames.1,
        o.counters.dropped_total(),
    );
}
