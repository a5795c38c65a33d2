//! *lifecycle*: connections per second that two stacks in one thread can open, use and close, both ends together: our
//! shards, and smoltcp's interfaces.
//!
//! `cargo bench --bench lifecycle` (`-- --quick`: fewer samples). The instructions that it takes:
//! `cargo bench --bench lifecycle_instructions`.

mod smoltcp_rig;

use smoltcp_rig::SmoltcpRig;
use std::process::ExitCode;
use std::time::Instant;
use synfin_bench::lifecycle::rig::{IDLE, Rig, Run, WARM_UP};
use synfin_bench::lifecycle::{Family, Form};
use synfin_bench::results::{Results, median};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SAMPLES: usize = 7;
const SAMPLES_QUICK: usize = 3;
const CONNECTIONS_PER_SAMPLE: u64 = 200_000;
/// Idle connections and connections per sample of smoltcp, which looks through all sockets for each packet.
const SMOLTCP_RUNS: [(u32, u64); 2] = [(0, 200_000), (IDLE, 200)];
/// What is run when this is no bench but a test of it (`cargo test --all-targets`).
const CONNECTIONS_IN_TEST: u64 = 1_000;

fn main() -> ExitCode {
    let has = |wanted: &str| std::env::args().any(|arg| arg == wanted);
    let end = if has("--bench") { bench(if has("--quick") { SAMPLES_QUICK } else { SAMPLES }) } else { try_out() };
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("lifecycle: {what}");
            ExitCode::FAILURE
        }
    }
}

fn try_out() -> Result<(), String> {
    for run in Run::all() {
        let mut rig = Rig::new(run);
        rig.complete(CONNECTIONS_IN_TEST);
        rig.check()?;
    }
    let mut rig = SmoltcpRig::new(10);
    rig.complete(1);
    let since = rig.packets();
    rig.complete(CONNECTIONS_IN_TEST);
    rig.check(since, CONNECTIONS_IN_TEST)
}

fn bench(samples: usize) -> Result<(), String> {
    let mut table = Table::new(samples);
    for run in Run::all() {
        ours(run, &mut table)?;
    }
    for (idle, connections) in SMOLTCP_RUNS {
        smoltcp(idle, connections, &mut table)?;
    }
    println!();
    for idle in [0, IDLE] {
        println!(
            "synfin : smoltcp, one connection at a time, {idle} idle ones: {:.1} times as many",
            table.ratio(idle)
        );
    }
    let file = table.results.save().map_err(|e| format!("results not saved: {e}"))?;
    println!("\n{}", file.display());
    Ok(())
}

/// What one sample did.
struct Sample {
    connections: u64,
    seconds: f64,
    packets: (u64, u64),
}

struct Table {
    samples: usize,
    results: Results,
    /// Connections per second, one at a time: stack, idle connections, rate.
    one_at_a_time: Vec<(&'static str, u32, f64)>,
}

impl Table {
    fn new(samples: usize) -> Table {
        let columns =
            "stack,form,family,in_flight,idle,sample,connections,seconds,packets_from_client,packets_from_server";
        println!("lifecycle: two ends joined in memory, SYN to TIME-WAIT, 100 bytes there, 200 bytes back;");
        println!("both ends in one thread; median of {samples} samples");
        println!();
        println!(
            "{:<8} {:<9} {:<5} {:>9} {:>7} {:>15} {:>14} {:>17}",
            "stack", "form", "", "in flight", "idle", "connections/s", "ns/connection", "packets there+back"
        );
        Table { samples, results: Results::new("lifecycle", columns), one_at_a_time: Vec::new() }
    }

    fn add(&mut self, stack: &'static str, run: Run, samples: &[Sample]) {
        let (form, family) = (run.form.name(), run.family.name());
        for (number, s) in samples.iter().enumerate() {
            let seconds = format!("{:.6}", s.seconds);
            let (there, back) = s.packets;
            self.results.row(&[
                &stack,
                &form,
                &family,
                &run.in_flight,
                &run.idle,
                &number,
                &s.connections,
                &seconds,
                &there,
                &back,
            ]);
        }
        let ns: Vec<f64> = samples.iter().map(|s| s.seconds * 1e9 / s.connections as f64).collect();
        let ns = median(&ns);
        let sum = |count: fn(&Sample) -> u64| samples.iter().map(count).sum::<u64>() as f64;
        let connections = sum(|s| s.connections);
        println!(
            "{stack:<8} {form:<9} {family:<5} {:>9} {:>7} {:>15.0} {ns:>14.0} {:>11.3} + {:.3}",
            run.in_flight,
            run.idle,
            1e9 / ns,
            sum(|s| s.packets.0) / connections,
            sum(|s| s.packets.1) / connections
        );
        if (run.form, run.family, run.in_flight) == (Form::Six, Family::V4, 1) {
            self.one_at_a_time.push((stack, run.idle, 1e9 / ns));
        }
    }

    /// How many times as many connections ours does as smoltcp.
    fn ratio(&self, idle: u32) -> f64 {
        let rate =
            |stack| self.one_at_a_time.iter().find(|run| (run.0, run.1) == (stack, idle)).map_or(f64::NAN, |r| r.2);
        rate("synfin") / rate("smoltcp")
    }
}

fn ours(run: Run, table: &mut Table) -> Result<(), String> {
    let mut rig = Rig::new(run);
    rig.complete(WARM_UP);
    let mut samples = Vec::with_capacity(table.samples);
    for _ in 0..table.samples {
        let (before, start) = (rig.tally(), Instant::now());
        rig.complete(CONNECTIONS_PER_SAMPLE);
        let (seconds, after) = (start.elapsed().as_secs_f64(), rig.tally());
        samples.push(Sample {
            connections: after.completed - before.completed,
            seconds,
            packets: (after.from_client - before.from_client, after.from_server - before.from_server),
        });
    }
    rig.check()?;
    table.add("synfin", run, &samples);
    Ok(())
}

fn smoltcp(idle: u32, connections: u64, table: &mut Table) -> Result<(), String> {
    let mut rig = SmoltcpRig::new(u16::try_from(idle).map_err(|_| "more idle connections than ports")?);
    rig.complete(connections.min(1_000));
    let mut samples = Vec::with_capacity(table.samples);
    for _ in 0..table.samples {
        let (before, start) = (rig.packets(), Instant::now());
        rig.complete(connections);
        let (seconds, after) = (start.elapsed().as_secs_f64(), rig.packets());
        rig.check(before, connections)?;
        samples.push(Sample { connections, seconds, packets: (after.0 - before.0, after.1 - before.1) });
    }
    table.add("smoltcp", Run { form: Form::Six, family: Family::V4, in_flight: 1, idle }, &samples);
    Ok(())
}
