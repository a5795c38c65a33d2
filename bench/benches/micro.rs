//! Time that small parts of the engine take: `cargo bench --bench micro`, with a word of the case's name to run some
//! of them only. The instructions: `cargo bench --bench micro_instructions`.

use criterion::{Criterion, Throughput};
use serde_json::Value;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use synfin_bench::micro::{self, Case};
use synfin_bench::results::Results;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Short on purpose: there are many cases, and a shared machine is not made quieter by waiting.
const WARM_UP: Duration = Duration::from_millis(300);
const MEASUREMENT: Duration = Duration::from_millis(1_000);
const SAMPLES: usize = 20;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let mut criterion = Criterion::default()
        .without_plots()
        .output_directory(folder().as_ref())
        .warm_up_time(WARM_UP)
        .measurement_time(MEASUREMENT)
        .sample_size(SAMPLES)
        .configure_from_args();
    let cases = micro::all();
    // What is left from an earlier run must not pass for this one's.
    let _ = std::fs::remove_dir_all(folder());
    cases.iter().for_each(|case| run(&mut criterion, case));
    criterion.final_summary();
    if !args.iter().any(|arg| arg == "--bench") {
        return ExitCode::SUCCESS;
    }
    match save(&cases) {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("micro: {what}");
            ExitCode::FAILURE
        }
    }
}

fn folder() -> String {
    format!("{}/../target/criterion", env!("CARGO_MANIFEST_DIR"))
}

fn run(criterion: &mut Criterion, case: &Case) {
    let mut group = criterion.benchmark_group(case.group);
    group.throughput(Throughput::Elements(case.per_iteration));
    // Made when it is first run, so that cases that are not wanted cost nothing.
    let mut work = None;
    group.bench_function(case.name.as_str(), |bencher| {
        let work = work.get_or_insert_with(|| (case.build)());
        bencher.iter_custom(work);
    });
    group.finish();
}

/// Medians of the cases that were run, for one thing each.
fn save(cases: &[Case]) -> Result<(), String> {
    let mut results = Results::new("micro", "group,case,per_iteration,median_ns,low_ns,high_ns");
    for case in cases {
        let Some(median) = estimate(case)? else { continue };
        let each = |name: &str| {
            let ns = median.pointer(name).and_then(Value::as_f64).unwrap_or(f64::NAN);
            format!("{:.3}", ns / case.per_iteration as f64)
        };
        let low = each("/confidence_interval/lower_bound");
        let high = each("/confidence_interval/upper_bound");
        results.row(&[&case.group, &case.name, &case.per_iteration, &each("/point_estimate"), &low, &high]);
    }
    let file = results.save().map_err(|e| format!("results not saved: {e}"))?;
    println!("\n{}", file.display());
    Ok(())
}

/// What criterion found out about the median; None when the case was not run.
fn estimate(case: &Case) -> Result<Option<Value>, String> {
    let name = case.name.replace('/', "_");
    let file = Path::new(&folder()).join(case.group).join(name).join("new/estimates.json");
    let Ok(text) = std::fs::read_to_string(&file) else { return Ok(None) };
    let estimates: Value = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", file.display()))?;
    Ok(estimates.get("median").cloned())
}
