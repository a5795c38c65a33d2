//! The programs against other people's: nginx, curl, wrk, ping, tshark, and the kernel's TCP under all of them. Each test
//! has a lab of its own; what is missing (privileges, a program) is named, and the test ends without a verdict.

mod capture;
mod clients;
mod kernel;
mod loss;
mod nginx;
mod workers;

use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use synfin_tests::netns::{Lab, Side};
use synfin_tests::programs::{self, Ended, PATIENCE, Program, Scratch};
use synfin_tests::skip;

/// The addresses of the lab's kernels on side B, and one that only synfin has there.
pub const KERNEL_V4: &str = "198.18.0.2";
pub const KERNEL_V6: &str = "[2001:2::2]";
pub const SERVE_V4: &str = "198.18.0.20";
pub const SERVE_V6: &str = "[2001:2::20]";

/// A lab, a directory and a synfin. One at a time: two cores hold one pair of programs, not six.
pub struct Stage {
    pub lab: Lab,
    pub dir: Scratch,
    synfin: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

impl Stage {
    /// `None`, with the reason printed, where it cannot be had.
    pub fn up(queues: u32, needs: &[&str]) -> Option<Stage> {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let synfin = programs::synfin()?;
        if !programs::all_found(needs) {
            return None;
        }
        Some(Stage { lab: Lab::up(queues)?, dir: Scratch::new(), synfin, _alone: alone })
    }

    /// `synfin WORDS` on a side.
    pub fn synfin(&self, side: Side, words: &str) -> Command {
        let mut command = self.lab.command(side, &self.synfin.to_string_lossy());
        command.args(words.split_whitespace());
        command
    }

    /// Runs `synfin load WORDS` on side A to its end; returns the report of a run that went well.
    #[track_caller]
    pub fn load(&self, words: &str) -> Value {
        self.load_within(4 * PATIENCE, words)
    }

    /// As [`Stage::load`], for runs that may take longer than others.
    #[track_caller]
    pub fn load_within(&self, limit: Duration, words: &str) -> Value {
        let words = format!("load -i veth-a --sleep --progress off --json - {words}");
        report(&programs::run(&mut self.synfin(Side::A, &words), limit))
    }

    /// Starts `synfin serve WORDS` on side B and waits until it serves.
    #[track_caller]
    pub fn serve(&self, words: &str) -> Program {
        let command = format!("serve -i veth-b --sleep --progress off --json - {words}");
        let mut it = Program::start(&mut self.synfin(Side::B, &command));
        it.until("serving", |p| p.stderr().contains("serving"));
        it
    }

    /// `synfin serve WORDS` on addresses of its own, port 80.
    #[track_caller]
    pub fn serve_own(&self, words: &str) -> Program {
        self.serve(&format!("-a {SERVE_V4}/24 -a 2001:2::20/64 --listen 80 {words}"))
    }

    /// Runs a program on side A, where the clients are, to its end.
    #[track_caller]
    pub fn run(&self, words: &[&str], limit: Duration) -> Ended {
        programs::run(self.lab.command(Side::A, "").args(words), limit)
    }

    /// Whether this synfin was built with the crate's backend.
    pub fn has_afxdp(&self) -> bool {
        let words = "load -i lo -a 198.18.0.1/24 -t 198.18.0.2:80 --rate 1 -n 1 --backend afxdp";
        let built =
            !programs::run(&mut self.synfin(Side::A, words), PATIENCE).stderr.contains("built without the afxdp");
        if !built {
            skip::skip("backend afxdp: this synfin was built without it");
        }
        built
    }
}

/// The JSON report of a program that ended well.
#[track_caller]
pub fn report(ended: &Ended) -> Value {
    assert!(ended.status.success(), "{}: {}{}", ended.status, ended.stdout, ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {}{}", ended.stdout, ended.stderr))
}

/// Stops a server with Ctrl-C; returns its report.
#[track_caller]
pub fn stop(server: Program) -> Value {
    report(&server.stop(libc::SIGINT))
}

/// The number at a path such as `load/connections/failed`.
#[track_caller]
pub fn number(report: &Value, path: &str) -> u64 {
    let found = report.pointer(&format!("/{path}")).unwrap_or_else(|| panic!("no {path} in {report:#}"));
    found.as_u64().unwrap_or_else(|| panic!("{path} is {found}"))
}

/// All connections that were begun were established, served and closed, and there were this many.
#[track_caller]
pub fn all_completed(report: &Value, connections: u64) {
    let n = |name: &str| number(report, &format!("load/connections/{name}"));
    let got = ["started", "established", "completed", "failed", "missed", "unfinished"].map(n);
    assert_eq!(got, [connections, connections, connections, 0, 0, 0], "{report:#}");
}

/// The body of `/bytes/LEN`, as `synfin serve --help` has it: numbered lines of 16 bytes.
pub fn page(len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..len.div_ceil(16)).flat_map(|i| format!("{i:015x}\n").into_bytes()).collect();
    bytes.truncate(len);
    bytes
}
