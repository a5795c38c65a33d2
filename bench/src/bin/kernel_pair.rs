//! Connections per second through the kernel's TCP: one end of a pair of bare epoll programs.
//!
//! ```text
//! ip netns exec B kernel_pair server 198.18.0.2:80 --core 1 &
//! ip netns exec A kernel_pair client 198.18.0.2:80 --core 0 --concurrency 256 --seconds 5
//! ```
//!
//! The server ends when nothing has come for a second. Both print one line of JSON.

use clap::{Parser, ValueEnum};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;
use synfin_bench::kernel::client::{self, Load};
use synfin_bench::kernel::paced::{self, Pace};
use synfin_bench::kernel::server::{Patience, Server};
use synfin_bench::kernel::{Mode, Outcome};
use synfin_bench::usage::Usage;

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Role {
    Server,
    Client,
}

/// Connections per second through the kernel's TCP.
#[derive(Parser, Debug)]
struct Args {
    role: Role,
    /// Where the server listens, as address:port.
    address: SocketAddr,
    #[arg(long, default_value = "request")]
    mode: Mode,
    /// Connections in flight.
    #[arg(long, default_value_t = 256)]
    concurrency: usize,
    /// Open loop: the client begins so many connections a second, whatever becomes of them, and tells their latency.
    #[arg(long, conflicts_with = "concurrency", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    rate: Option<u64>,
    /// How long the client begins connections.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// CPU to stay on.
    #[arg(long)]
    core: Option<usize>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(id) = args.core
        && !core_affinity::set_for_current(core_affinity::CoreId { id })
    {
        eprintln!("kernel_pair: cannot stay on CPU {id}: nproc tells how many there are");
        return ExitCode::from(2);
    }
    if let (Role::Client, Some(rate)) = (args.role, args.rate) {
        return at_a_pace(&args, rate);
    }
    let before = Usage::of_this_thread();
    match run(&args) {
        Ok(outcome) => {
            print(&args, &outcome, Usage::of_this_thread() - before);
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("kernel_pair: {e}");
            ExitCode::from(2)
        }
    }
}

fn at_a_pace(args: &Args, rate: u64) -> ExitCode {
    match paced::run(&Pace { target: args.address, rate, length: Duration::from_secs(args.seconds) }) {
        Ok(paced) => {
            println!("{}", paced.json(args.mode, rate));
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("kernel_pair: {e}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> std::io::Result<Outcome> {
    match args.role {
        Role::Server => {
            let patience = Patience { first: Duration::from_secs(20), next: Duration::from_secs(1) };
            Server::listen(args.address, args.mode)?.run(patience)
        }
        Role::Client => client::run(&Load {
            target: args.address,
            mode: args.mode,
            concurrency: args.concurrency,
            length: Duration::from_secs(args.seconds),
        }),
    }
}

fn print(args: &Args, outcome: &Outcome, usage: Usage) {
    let seconds = outcome.elapsed.as_secs_f64();
    println!(
        "{{\"role\":\"{}\",\"mode\":\"{}\",\"concurrency\":{},\"seconds\":{seconds:.3},\"connections\":{},\
         \"failures\":{},\"connections_per_second\":{:.0},\"user_seconds\":{:.3},\"system_seconds\":{:.3}}}",
        format!("{:?}", args.role).to_lowercase(),
        format!("{:?}", args.mode).to_lowercase(),
        args.concurrency,
        outcome.completed,
        outcome.failed,
        outcome.completed as f64 / seconds.max(1e-9),
        usage.user.as_secs_f64(),
        usage.system.as_secs_f64(),
    );
}
