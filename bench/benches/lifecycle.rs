//! *lifecycle*: connections per second that two shards in one thread can open, use and close, both ends together.
//!
//! `cargo bench --bench lifecycle`. The instructions that it takes: `cargo bench --bench lifecycle_instructions`.

use std::process::ExitCode;
use std::time::Instant;
use synfin_bench::lifecycle::rig::{Rig, Run, WARM_UP};
use synfin_bench::results::{Results, median};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SAMPLES: usize = 7;
const CONNECTIONS_PER_SAMPLE: u64 = 200_000;
/// What is run when this is no bench but a test of it (`cargo test --all-targets`).
const CONNECTIONS_IN_TEST: u64 = 1_000;

fn main() -> ExitCode {
    let is_bench = std::env::args().any(|arg| arg == "--bench");
    let mut results = Results::new(
        "lifecycle",
        "form,family,in_flight,sample,connections,seconds,packets_from_client,packets_from_server",
    );
    if is_bench {
        println!("lifecycle: two shards joined in memory, SYN to TIME-WAIT, 100 bytes there, 200 bytes back;");
        println!("both ends in one thread; median of {SAMPLES} samples of {CONNECTIONS_PER_SAMPLE} connections");
        println!();
        println!(
            "{:<9} {:<5} {:>9} {:>15} {:>14} {:>17}",
            "form", "", "in flight", "connections/s", "ns/connection", "packets there+back"
        );
    }
    for run in Run::all() {
        let end = if is_bench { measure(run, &mut results) } else { try_out(run) };
        if let Err(what) = end {
            eprintln!("lifecycle: {what}");
            return ExitCode::FAILURE;
        }
    }
    if is_bench {
        match results.save() {
            Ok(file) => println!("\n{}", file.display()),
            Err(e) => eprintln!("lifecycle: results not saved: {e}"),
        }
    }
    ExitCode::SUCCESS
}

fn try_out(run: Run) -> Result<(), String> {
    let mut rig = Rig::new(run);
    rig.complete(CONNECTIONS_IN_TEST);
    rig.check()
}

fn measure(run: Run, results: &mut Results) -> Result<(), String> {
    let mut rig = Rig::new(run);
    rig.complete(WARM_UP);
    let mut ns_per_connection = Vec::with_capacity(SAMPLES);
    for sample in 0..SAMPLES {
        let before = rig.tally();
        let start = Instant::now();
        rig.complete(CONNECTIONS_PER_SAMPLE);
        let seconds = start.elapsed().as_secs_f64();
        let after = rig.tally();
        ns_per_connection.push(seconds * 1e9 / CONNECTIONS_PER_SAMPLE as f64);
        results.row(&[
            &run.form.name(),
            &run.family.name(),
            &run.in_flight,
            &sample,
            &(after.completed - before.completed),
            &format!("{seconds:.6}"),
            &(after.from_client - before.from_client),
            &(after.from_server - before.from_server),
        ]);
    }
    rig.check()?;
    let (tally, ns) = (rig.tally(), median(&ns_per_connection));
    let each = |packets: u64| packets as f64 / tally.completed as f64;
    println!(
        "{:<9} {:<5} {:>9} {:>15.0} {:>14.0} {:>11.3} + {:.3}",
        run.form.name(),
        run.family.name(),
        run.in_flight,
        1e9 / ns,
        ns,
        each(tally.from_client),
        each(tally.from_server)
    );
    Ok(())
}
