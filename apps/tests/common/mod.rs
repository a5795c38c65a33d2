//! Programs in a lab of two namespaces: started, waited for, stopped.
#![allow(dead_code)]

use serde_json::Value;
use std::path::PathBuf;
use std::process::{Child, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use synfin_tests::netns::{Lab, Side};

/// Longer than any step takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A file of its own for each caller.
pub fn temporary(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("synfin-test-{}-{n}-{name}", std::process::id()))
}

/// `through`: a program that becomes synfin, such as nohup(1), with its options.
fn command(lab: &Lab, side: Side, through: &[&str], words: &str) -> std::process::Command {
    let whole: Vec<&str> = through.iter().copied().chain([env!("CARGO_BIN_EXE_synfin")]).collect();
    let mut command = lab.command(side, whole[0]);
    command.args(&whole[1..]).args(words.split_whitespace()).stdin(Stdio::null());
    command
}

/// Runs `synfin WORDS` on a side, to its end.
pub fn synfin(lab: &Lab, side: Side, words: &str) -> Output {
    command(lab, side, &[], words).output().expect("synfin starts")
}

/// Runs `synfin load WORDS` on side a; returns the exit code and the report.
pub fn load(lab: &Lab, words: &str) -> (i32, Value) {
    let out = synfin(lab, Side::A, &format!("load -i veth-a --sleep --json - {words}"));
    let (text, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    let report = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{words}: {e}: {text}{errors}"));
    (out.status.code().expect("an exit code"), report)
}

/// A program that runs until it is stopped.
pub struct Running {
    child: Option<Child>,
    json: PathBuf,
}

impl Running {
    /// Starts `synfin serve WORDS` on side b and waits until it serves.
    pub fn serve(lab: &Lab, words: &str) -> Running {
        let it = Running::start(lab, Side::B, &format!("serve -i veth-b --sleep {words}"));
        let start = Instant::now();
        while !lab.run(Side::B, "ip -d link show dev veth-b").contains("prog/xdp") {
            assert!(start.elapsed() < PATIENCE, "synfin serve {words} does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        // Sockets are given to the program right after it is attached.
        std::thread::sleep(Duration::from_millis(200));
        it
    }

    pub fn start(lab: &Lab, side: Side, words: &str) -> Running {
        Running::start_with(lab, side, &[], words)
    }

    pub fn start_with(lab: &Lab, side: Side, through: &[&str], words: &str) -> Running {
        let json = temporary("report.json");
        let words = format!("{words} --json {}", json.display());
        let child = command(lab, side, through, &words).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Running { child: Some(child.expect("synfin starts")), json }
    }

    /// Sends a signal, named as kill(1) names it. `ip netns exec` has become synfin by exec, so this is synfin.
    pub fn signal(&self, name: &str) {
        let child = self.child.as_ref().expect("still running");
        let line = format!("kill -{name} {}", child.id());
        assert!(std::process::Command::new("sh").args(["-c", &line]).status().expect("a shell").success(), "{line}");
    }

    /// Waits for the end; returns the exit code (`None`: killed by a signal).
    pub fn wait(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("waited for once");
        let start = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("a child") {
                return status.code();
            }
            if start.elapsed() > PATIENCE {
                let _ = child.kill();
                panic!("synfin does not end");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ctrl-C, then the report.
    pub fn stop(mut self) -> (i32, Value) {
        self.signal("INT");
        let code = self.wait().expect("not killed");
        (code, self.report())
    }

    pub fn report(&self) -> Value {
        let text = std::fs::read_to_string(&self.json).expect("a report");
        serde_json::from_str(&text).expect("JSON")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_file(&self.json);
    }
}

/// The number at a path such as `load/connections/failed`.
pub fn number(report: &Value, path: &str) -> u64 {
    let found = report.pointer(&format!("/{path}")).unwrap_or_else(|| panic!("no {path} in {report:#}"));
    found.as_u64().unwrap_or_else(|| panic!("{path} is {found}"))
}
