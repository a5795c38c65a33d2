//! Instructions per connection of *lifecycle*, both ends together: a figure that does not depend on who else uses the
//! machine. Two runs of different length under `valgrind --tool=callgrind`; the difference is what connections in
//! steady state take.
//!
//! `cargo bench --bench lifecycle_instructions`. The longer run's profile stays in target/callgrind/: look at it with
//! `callgrind_annotate`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use synfin_bench::lifecycle::rig::{Rig, Run, WARM_UP};
use synfin_bench::results::Results;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Names the run that this process has to do, by its index; then comes the number of connections.
const CHILD: &str = "--run";
const CONNECTIONS: u64 = 40_000;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let end = if args.get(1).is_some_and(|arg| arg == CHILD) {
        child(&args[2..])
    } else if args.iter().any(|arg| arg == "--bench") {
        bench()
    } else {
        Ok(())
    };
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("lifecycle_instructions: {what}");
            ExitCode::FAILURE
        }
    }
}

fn child(args: &[String]) -> Result<(), String> {
    let number = |i: usize| args.get(i).and_then(|arg| arg.parse::<u64>().ok()).ok_or("bad arguments");
    let run = *Run::all().get(number(0)? as usize).ok_or("no such run")?;
    let mut rig = Rig::new(run);
    rig.complete(number(1)?);
    rig.check()
}

fn bench() -> Result<(), String> {
    let found = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        println!("lifecycle_instructions: skipped: valgrind not found");
        return Ok(());
    }
    let mut results = Results::new("lifecycle-instructions", "form,family,in_flight,connections,instructions");
    println!("lifecycle: instructions per connection, both ends together (callgrind)\n");
    println!("{:<9} {:<5} {:>9} {:>13} {:>11}", "form", "", "in flight", "instructions", "per packet");
    for (index, run) in Run::all().into_iter().enumerate() {
        let [short, long] = [WARM_UP, WARM_UP + CONNECTIONS].map(|connections| instructions(index, &run, connections));
        let (short, long) = (short?, long?);
        let each = (long - short) as f64 / CONNECTIONS as f64;
        let (there, back) = run.form.packets();
        let names = (run.form.name(), run.family.name());
        println!(
            "{:<9} {:<5} {:>9} {each:>13.0} {:>11.0}",
            names.0,
            names.1,
            run.in_flight,
            each / (there + back) as f64
        );
        for (connections, instructions) in [(WARM_UP, short), (WARM_UP + CONNECTIONS, long)] {
            results.row(&[&names.0, &names.1, &run.in_flight, &connections, &instructions]);
        }
    }
    let file = results.save().map_err(|e| format!("results not saved: {e}"))?;
    println!("\n{}", file.display());
    Ok(())
}

/// Runs this program under callgrind and returns how many instructions it took.
fn instructions(index: usize, run: &Run, connections: u64) -> Result<u64, String> {
    let profile = profile_path(run);
    let this = std::env::current_exe().map_err(|e| e.to_string())?;
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(this)
        .args([CHILD, &index.to_string(), &connections.to_string()])
        .output()
        .map_err(|e| format!("valgrind: {e}"))?;
    if !output.status.success() {
        return Err(format!("{} under valgrind: {}", run.name(), String::from_utf8_lossy(&output.stderr)));
    }
    let text = std::fs::read_to_string(&profile).map_err(|e| format!("{}: {e}", profile.display()))?;
    let total = text.lines().rev().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
    total.ok_or_else(|| format!("no total in {}", profile.display()))
}

fn profile_path(run: &Run) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/callgrind");
    // If it cannot be made, valgrind says so.
    let _ = std::fs::create_dir_all(&folder);
    folder.join(format!("lifecycle-{}.out", run.name().replace(' ', "-")))
}
