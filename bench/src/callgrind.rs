//! Instructions that a part of a program takes: a figure that does not depend on who else uses the machine.
//!
//! The program starts itself under `valgrind --tool=callgrind`, as a child that knows from its arguments what to run;
//! only what runs inside [`measured`] is counted.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// First argument of the child; what follows is the program's own.
const CHILD: &str = "--run";

/// Runs `work` and tells how long it took. Callgrind knows this function by its name.
#[inline(never)]
pub fn measured(work: &mut dyn FnMut()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// The whole of a bench program, `name`: what it does under `cargo bench`, and as its own child with these arguments.
/// When it is merely tried out (`cargo test --all-targets`) it does nothing.
pub fn main(
    name: &str,
    child: impl FnOnce(&[String]) -> Result<(), String>,
    bench: impl FnOnce() -> Result<(), String>,
) -> ExitCode {
    let end = match Start::of_this_program() {
        Start::Child(args) => child(&args),
        Start::Bench if is_there() => bench(),
        Start::Bench => {
            println!("{name}: skipped: valgrind not found");
            Ok(())
        }
        Start::Test => Ok(()),
    };
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("{name}: {what}");
            ExitCode::FAILURE
        }
    }
}

/// How a bench program was started.
enum Start {
    /// `cargo bench`.
    Bench,
    /// As its own child, with these arguments.
    Child(Vec<String>),
    /// Merely tried out (`cargo test --all-targets`).
    Test,
}

impl Start {
    fn of_this_program() -> Start {
        let mut args = std::env::args().skip(1);
        match args.next() {
            Some(first) if first == CHILD => Start::Child(args.collect()),
            first if first.iter().chain(&args.collect::<Vec<_>>()).any(|arg| arg == "--bench") => Start::Bench,
            _ => Start::Test,
        }
    }
}

fn is_there() -> bool {
    let found = Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}

/// Instructions inside [`measured`] of this program, started with `args` behind `CHILD`. The profile stays in
/// target/callgrind/ under `name`, for `callgrind_annotate`.
///
/// # Errors
/// What the child or valgrind says.
pub fn instructions(name: &str, args: &[String]) -> Result<u64, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/callgrind");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let profile = folder.join(format!("{}.out", name.replace([' ', '/'], "-")));
    let this = std::env::current_exe().map_err(|e| e.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*synfin_bench*callgrind*measured*"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(this)
        .arg(CHILD)
        .args(args)
        .output()
        .map_err(|e| format!("valgrind: {e}"))?;
    if !output.status.success() {
        return Err(format!("{name} under valgrind: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let text = std::fs::read_to_string(&profile).map_err(|e| format!("{}: {e}", profile.display()))?;
    let total = text.lines().rev().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
    match total {
        Some(0) | None => Err(format!("nothing was counted in {}", profile.display())),
        Some(total) => Ok(total),
    }
}
