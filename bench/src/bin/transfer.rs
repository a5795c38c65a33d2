//! One end of a bulk transfer, through the kernel's TCP or the engine's, for `scripts/bench-goodput`.
//!
//! ```text
//! ip netns exec B transfer receive --stack engine --interface vb --seconds 10 &
//! ip netns exec A transfer send --stack kernel --interface va --to 198.18.0.200 --bytes 100000000
//! ```
//!
//! The engine's ends have the addresses 198.18.0.100 (sending) and 198.18.0.200 (receiving). Both print one line of JSON.

use clap::{Parser, ValueEnum};
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;
use std::time::Duration;
use synfin_bench::transfer::engine::Station;
use synfin_bench::transfer::{FLOWS_MAX, Measured, PORT, Sent, Times, kernel};
use synfin_engine::io::IoError;
use synfin_engine::io::sys::netlink;
use synfin_engine::wire::Addr;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Role {
    Send,
    Receive,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Stack {
    Kernel,
    Engine,
}

/// One end of a bulk transfer.
#[derive(Parser, Debug)]
struct Args {
    role: Role,
    #[arg(long)]
    stack: Stack,
    /// Of the engine's end.
    #[arg(long)]
    interface: String,
    /// Where to send to.
    #[arg(long, default_value = "198.18.0.2")]
    to: Ipv4Addr,
    /// Bytes of each flow.
    #[arg(long, default_value_t = 100_000_000)]
    bytes: u64,
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=FLOWS_MAX as i64))]
    flows: u16,
    /// Milliseconds between the beginnings of two flows.
    #[arg(long, default_value_t = 0)]
    stagger_ms: u64,
    /// The receiver counts for this time at most.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// What comes in the first seconds is not counted.
    #[arg(long, default_value_t = 0)]
    skip_seconds: u64,
    /// The largest window that the engine offers.
    #[arg(long, default_value_t = 1 << 25)]
    window_bytes: u32,
    /// Poll all the time (engine).
    #[arg(long)]
    spin: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("transfer: {e}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<String, IoError> {
    let interface = netlink::interface(&args.interface)?;
    let station = Station { interface: &interface, window_bytes: args.window_bytes, sleep: !args.spin };
    let flows = usize::from(args.flows);
    let trouble = |e: std::io::Error| IoError::new(format!("the kernel's TCP: {e}"), "see what it says");
    if args.role == Role::Send {
        let (stagger, limit) = (Duration::from_millis(args.stagger_ms), Duration::from_secs(args.seconds));
        let sent = match args.stack {
            Stack::Engine => station.send(Addr::v4(args.to.octets()), flows, args.bytes, stagger, limit)?,
            Stack::Kernel => {
                kernel::send((args.to, PORT).into(), flows, args.bytes, stagger, Some(limit)).map_err(trouble)?
            }
        };
        return Ok(sender_line(&sent));
    }
    let times = Times {
        patience: Duration::from_secs(20),
        skip: Duration::from_secs(args.skip_seconds),
        limit: Duration::from_secs(args.seconds),
    };
    let measured = match args.stack {
        Stack::Engine => station.receive(flows, &times)?,
        Stack::Kernel => {
            let listener = TcpListener::bind(("0.0.0.0", PORT)).map_err(trouble)?;
            kernel::receive(&listener, flows, &times).map_err(trouble)?
        }
    };
    measured.map(|m| receiver_line(&m)).ok_or_else(|| IoError::new("nobody connected", "start the sender sooner"))
}

fn sender_line(Sent { retransmits, timeouts, recoveries, spurious, probes }: &Sent) -> String {
    format!(
        "{{\"retransmits\":{retransmits},\"timeouts\":{timeouts},\"recoveries\":{recoveries},\"spurious\":{spurious},\
         \"probes\":{probes}}}"
    )
}

fn receiver_line(Measured { seconds, bytes, ended, wrong }: &Measured) -> String {
    let total: u64 = bytes.iter().sum();
    format!(
        "{{\"seconds\":{seconds:.3},\"bytes\":{total},\"flows\":{bytes:?},\"mbit_per_second\":{:.3},\"ended\":{ended},\
         \"identical\":{}}}",
        total as f64 * 8e-6 / seconds,
        !wrong
    )
}
