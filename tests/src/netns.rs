//! A lab of two network namespaces (`scripts/lab`), as a value: made for a test, gone with it.
//!
//! Without the privilege for it, [`Lab::up`] says why and gives `None`; the test then ends without a verdict.

use crate::skip::skip;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// One end of the lab's veth pair, or what lies between them in a lab made with `--middle`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    A,
    B,
    Middle,
}

impl Side {
    fn letter(self) -> &'static str {
        match self {
            Side::A => "a",
            Side::B => "b",
            Side::Middle => "m",
        }
    }

    /// The interface inside the side's namespace; in the middle, the one that leads to A.
    pub fn interface(self) -> &'static str {
        match self {
            Side::A | Side::Middle => "veth-a",
            Side::B => "veth-b",
        }
    }
}

/// Two namespaces joined by a veth pair: addresses, interfaces and offloads as `scripts/lab --help` says.
pub struct Lab {
    prefix: String,
}

impl Lab {
    /// Makes a lab with `queues` queues a side; `None`, with the reason said, where that cannot be done.
    pub fn up(queues: u32) -> Option<Lab> {
        Lab::up_with(&["--queues", &queues.to_string()])
    }

    /// As [`Lab::up`], with these options of `scripts/lab up`.
    pub fn up_with(options: &[&str]) -> Option<Lab> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // SAFETY: no pointers are involved.
        if unsafe { libc::geteuid() } != 0 {
            skip("network namespaces need root");
            return None;
        }
        let prefix = format!("t{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let made = script("up", &prefix, options);
        if !made.status.success() {
            skip(format_args!("no lab: {}", String::from_utf8_lossy(&made.stderr).trim()));
            return None;
        }
        Some(Lab { prefix })
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Runs `body` on a new thread inside the side's namespace and waits for it. A panic in it goes on here.
    pub fn inside<R: Send>(&self, side: Side, body: impl FnOnce() -> R + Send) -> R {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.enter(side);
                body()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Moves the calling thread into the side's namespace, for good.
    pub fn enter(&self, side: Side) {
        let path = format!("/run/netns/{}-{}", self.prefix, side.letter());
        let namespace = File::open(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        // SAFETY: the descriptor is open; only this thread's network namespace changes.
        let r = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
        assert_eq!(r, 0, "setns {path}: {}", std::io::Error::last_os_error());
    }

    /// A command, to be run inside the side's namespace. The words are split at spaces.
    pub fn command(&self, side: Side, words: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &format!("{}-{}", self.prefix, side.letter())]);
        command.args(words.split_whitespace());
        command
    }

    /// Runs a command inside the side's namespace to its end; returns what it printed, or fails the test.
    pub fn run(&self, side: Side, words: &str) -> String {
        let out = self.command(side, words).output().unwrap_or_else(|e| panic!("{words}: {e}"));
        let (printed, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(out.status.success(), "{words} on side {side:?}: {printed}{errors}");
        printed.into_owned()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let down = script("down", &self.prefix, &[]);
        if !down.status.success() && !std::thread::panicking() {
            panic!("{}", String::from_utf8_lossy(&down.stderr));
        }
    }
}

/// Runs `scripts/lab COMMAND --prefix PREFIX OPTIONS`.
pub fn script(command: &str, prefix: &str, options: &[&str]) -> Output {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "scripts", "lab"].iter().collect();
    let out = Command::new(&path).args([command, "--prefix", prefix]).args(options).output();
    out.unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
