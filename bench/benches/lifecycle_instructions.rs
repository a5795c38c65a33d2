//! Instructions per connection of *lifecycle*, both ends together, of the engine and of smoltcp.
//!
//! `cargo bench --bench lifecycle_instructions`.

mod smoltcp_rig;

use smoltcp_rig::SmoltcpRig;
use std::process::ExitCode;
use synfin_bench::callgrind::{self, measured};
use synfin_bench::lifecycle::Form;
use synfin_bench::lifecycle::rig::{IDLE, Rig, Run, WARM_UP};
use synfin_bench::results::Results;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CONNECTIONS: u64 = 40_000;
/// smoltcp looks through all of its sockets for each packet: few connections are enough then, and take long.
const SMOLTCP_RUNS: [(u32, u64); 2] = [(0, 10_000), (IDLE, 10)];
/// Nothing of smoltcp's depends on what was before but the first connection, which asks for the peer's address.
const SMOLTCP_WARM_UP: u64 = 2;

fn main() -> ExitCode {
    callgrind::main("lifecycle_instructions", child, bench)
}

/// What the child has to do: a run of ours by its index, or one of smoltcp's.
fn child(args: &[String]) -> Result<(), String> {
    let [stack, index] = args else { return Err("bad arguments".into()) };
    let index: usize = index.parse().map_err(|_| "bad index")?;
    if stack == "smoltcp" {
        let (idle, connections) = *SMOLTCP_RUNS.get(index).ok_or("no such run")?;
        let mut rig = SmoltcpRig::new(idle as u16);
        rig.complete(SMOLTCP_WARM_UP);
        let since = rig.packets();
        measured(&mut || rig.complete(connections));
        return rig.check(since, connections);
    }
    let mut rig = Rig::new(*Run::all().get(index).ok_or("no such run")?);
    rig.complete(WARM_UP);
    measured(&mut || rig.complete(CONNECTIONS));
    rig.check()
}

fn bench() -> Result<(), String> {
    let columns = "stack,form,family,in_flight,idle,connections,instructions";
    let mut results = Results::new("lifecycle-instructions", columns);
    println!("lifecycle: instructions per connection, both ends together (callgrind)\n");
    println!(
        "{:<8} {:<9} {:<5} {:>9} {:>7} {:>13} {:>11}",
        "stack", "form", "", "in flight", "idle", "instructions", "per packet"
    );
    let ours = Run::all().into_iter().enumerate().map(|(index, run)| ("synfin", index, run, CONNECTIONS));
    let theirs = SMOLTCP_RUNS.into_iter().enumerate().map(|(index, (idle, connections))| {
        let run = Run { form: Form::Six, family: synfin_bench::lifecycle::Family::V4, in_flight: 1, idle };
        ("smoltcp", index, run, connections)
    });
    for (stack, index, run, connections) in ours.chain(theirs) {
        let name = format!("lifecycle-{stack}-{}", run.name());
        let instructions = callgrind::instructions(&name, &[stack.to_owned(), index.to_string()])?;
        let (form, family) = (run.form.name(), run.family.name());
        let (each, (there, back)) = (instructions as f64 / connections as f64, run.form.packets());
        println!(
            "{stack:<8} {form:<9} {family:<5} {:>9} {:>7} {each:>13.0} {:>11.0}",
            run.in_flight,
            run.idle,
            each / (there + back) as f64
        );
        results.row(&[&stack, &form, &family, &run.in_flight, &run.idle, &connections, &instructions]);
    }
    let file = results.save().map_err(|e| format!("results not saved: {e}"))?;
    println!("\n{}", file.display());
    Ok(())
}
