//! Programs that run beside a test: found, started, watched and stopped, all of it within bounds. Nothing outlives the
//! value that stands for it, even if the test panics; programs are stopped by their own process number only.

use crate::skip::skip;
use std::env;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longer than any step takes, even on a machine that is busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(90);
const GLANCE: Duration = Duration::from_millis(20);

/// The `synfin` to test: `SYNFIN_BIN`, or the workspace's release build. `None`, with the reason said, without one.
pub fn synfin() -> Option<PathBuf> {
    let built = || [env!("CARGO_MANIFEST_DIR"), "..", "target", "release", "synfin"].iter().collect();
    let path = env::var_os("SYNFIN_BIN").map_or_else(built, PathBuf::from);
    if path.is_file() {
        return Some(path);
    }
    skip(format_args!("no {}: cargo build --release -p synfin makes it, SYNFIN_BIN names another", path.display()));
    None
}

/// Where a program is installed; administrators' directories count even if they are not in `PATH`.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let administrators = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(administrators).map(|dir| dir.join(name)).find(|p| p.is_file())
}

/// Whether all of these are installed; says which one is not.
pub fn all_found(names: &[&str]) -> bool {
    let missing = names.iter().find(|n| find(n).is_none());
    if let Some(name) = missing {
        skip(format_args!("{name} is not installed; scripts/setup peers does that"));
    }
    missing.is_none()
}

/// A directory of its own, gone with the value.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("synfin-peers-{}-{n}", std::process::id()));
        fs::create_dir_all(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Scratch(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        path
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Scratch::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a program left when it ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// The output of a program that ended well; fails the test for any other.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.status.success(), "{}: {}{}", self.status, self.stdout, self.stderr);
        self.stdout
    }
}

/// A running program. Its output goes to files, so that it never waits for a reader.
pub struct Program {
    child: Child,
    words: String,
    out: Scratch,
}

impl Program {
    pub fn start(command: &mut Command) -> Program {
        let out = Scratch::new();
        let file = |name| File::create(out.path(name)).expect("a file for the output");
        let words = format!("{command:?}");
        command.stdin(Stdio::null()).stdout(file("stdout")).stderr(file("stderr"));
        // SAFETY: prctl is async-signal-safe, and no pointers are involved.
        unsafe {
            command.pre_exec(|| {
                // Should the test be killed, it takes this along: the signal comes when the thread that waits here ends.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            })
        };
        let child = command.spawn().unwrap_or_else(|e| panic!("{words}: {e}"));
        Program { child, words, out }
    }

    /// The process number. `ip netns exec` becomes the program it starts, so it is that program's own.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        read(&self.out.path("stderr"))
    }

    /// Waits until `ready`; fails the test if the program ends first, or that takes too long.
    #[track_caller]
    pub fn until(&mut self, what: &str, ready: impl Fn(&Program) -> bool) {
        let start = Instant::now();
        while !ready(self) {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                panic!("{} ended ({status}) before {what}: {}", self.words, self.stderr());
            }
            assert!(start.elapsed() < PATIENCE, "{}: no {what}: {}", self.words, self.stderr());
            sleep(GLANCE);
        }
    }

    pub fn signal(&self, signal: libc::c_int) {
        // SAFETY: no pointers are involved; the child has not been waited for, so the number is still its own.
        assert_eq!(unsafe { libc::kill(self.pid() as libc::pid_t, signal) }, 0, "{}", self.words);
    }

    /// Waits for the end; a program that takes longer than `limit` is killed, and fails the test.
    #[track_caller]
    pub fn wait(mut self, limit: Duration) -> Ended {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                return Ended { status, stdout: read(&self.out.path("stdout")), stderr: self.stderr() };
            }
            // Drop kills it.
            assert!(start.elapsed() < limit, "{} is still running: {}", self.words, self.stderr());
            sleep(GLANCE);
        }
    }

    /// Asks it to stop with this signal, and waits for that.
    #[track_caller]
    pub fn stop(self, signal: libc::c_int) -> Ended {
        self.signal(signal);
        self.wait(PATIENCE)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails for one that has ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end, for at most `limit`.
#[track_caller]
pub fn run(command: &mut Command, limit: Duration) -> Ended {
    Program::start(command).wait(limit)
}

fn read(path: &Path) -> String {
    fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
}
