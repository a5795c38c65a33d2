//! Instructions that small parts of the engine take, counted by callgrind: `cargo bench --bench micro_instructions`.

use std::process::ExitCode;
use synfin_bench::callgrind;
use synfin_bench::micro;
use synfin_bench::results::Results;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    callgrind::main("micro_instructions", child, bench)
}

fn child(args: &[String]) -> Result<(), String> {
    let [id, iterations] = args else { return Err("bad arguments".into()) };
    let iterations = iterations.parse().map_err(|_| "bad number of iterations")?;
    let case = micro::all().into_iter().find(|case| case.id() == *id).ok_or("no such case")?;
    (case.build)()(iterations);
    Ok(())
}

fn bench() -> Result<(), String> {
    let mut results = Results::new("micro-instructions", "group,case,things,instructions");
    println!("{:<48} {:>12}", "instructions (callgrind)", "each");
    for case in micro::all() {
        let Some(iterations) = case.counted_iterations else { continue };
        let args = [case.id(), iterations.to_string()];
        let instructions = callgrind::instructions(&format!("micro-{}", case.id()), &args)?;
        let things = iterations * case.per_iteration;
        println!("{:<48} {:>12.1}", case.id(), instructions as f64 / things as f64);
        results.row(&[&case.group, &case.name, &things, &instructions]);
    }
    let file = results.save().map_err(|e| format!("results not saved: {e}"))?;
    println!("\n{}", file.display());
    Ok(())
}
