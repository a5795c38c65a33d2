//! Millions of connections on one shard: memory, pauses, and what they cost those that are busy.
//!
//! ```text
//! scale                          # ten million of everything
//! scale --connections 1000000    # fewer
//! scale --phase idle             # one phase only, nothing is saved
//! ```
//!
//! The phase `repeated` runs the mass events three times and takes the shortest time of each turn: what is long
//! each time is the engine's own doing. Each phase runs in a process of its own. The figures go to bench/results/. Ten million idle connections need 4 GiB.

use clap::{Parser, ValueEnum};
use std::process::{Command, ExitCode};
use synfin_bench::results::Results;
use synfin_bench::scale::{phases, repeated, workers};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Sixteen million 4-tuples fit into the addresses of the test network.
const CONNECTIONS_MAX: u32 = 10_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Phase {
    Idle,
    Keepalive,
    TimeWait,
    HalfOpen,
    Repeated,
    Workers,
}

/// Millions of connections on one shard.
#[derive(Parser, Debug)]
struct Args {
    /// How many of each kind.
    #[arg(long, default_value_t = CONNECTIONS_MAX, value_parser = clap::value_parser!(u32).range(100_000..=i64::from(CONNECTIONS_MAX)))]
    connections: u32,
    /// Run this one alone, and save nothing.
    #[arg(long)]
    phase: Option<Phase>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    // As a worker's process does.
    synfin_engine::base::ahead::start();
    if let Some(phase) = args.phase {
        run(phase, args.connections);
        return ExitCode::SUCCESS;
    }
    match run_all(args.connections) {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("scale: {what}");
            ExitCode::from(2)
        }
    }
}

fn run(phase: Phase, connections: u32) {
    match phase {
        Phase::Idle => phases::idle(connections),
        Phase::Keepalive => phases::keepalive(connections),
        Phase::TimeWait => phases::time_wait(connections),
        Phase::HalfOpen => phases::half_open(connections),
        Phase::Repeated => repeated::repeated(connections),
        Phase::Workers => workers::workers(),
    };
}

fn run_all(connections: u32) -> Result<(), String> {
    let mut results = Results::new("scale", "phase,connections,figure,value,unit");
    let program = std::env::current_exe().map_err(|e| format!("cannot find itself: {e}"))?;
    for phase in Phase::value_variants() {
        let name = phase.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
        let output = Command::new(&program)
            .args(["--phase", &name, "--connections", &connections.to_string()])
            .output()
            .map_err(|e| format!("cannot start phase {name}: {e}"))?;
        if !output.status.success() {
            return Err(format!("phase {name} failed: {}", String::from_utf8_lossy(&output.stderr)));
        }
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            println!("{name},{connections},{line}");
            results.row(&[&name, &connections, &line]);
        }
    }
    let saved = results.save().map_err(|e| format!("cannot save the results: {e}"))?;
    println!("\n{}", saved.display());
    Ok(())
}
