//! Ctrl-C and SIGTERM: a number that signal handlers count up.

use crate::failure::Failure;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How often the user has asked to stop.
#[derive(Clone, Default)]
pub struct StopRequests {
    /// Taken back each time it is looked at.
    flag: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
}

impl StopRequests {
    /// From now on SIGINT, SIGTERM and SIGHUP no longer end the process. A SIGHUP that is ignored stays so: `nohup` means it.
    /// (A SIGINT that is ignored means a shell's job in the background, which may well be stopped by one.)
    pub fn listen() -> Result<StopRequests, Failure> {
        let it = StopRequests::default();
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let hang_up = (!is_ignored(&status, SIGHUP)).then_some(SIGHUP);
        for signal in [SIGINT, SIGTERM].into_iter().chain(hang_up) {
            signal_hook::flag::register(signal, it.flag.clone())
                .map_err(|e| Failure::new(format!("cannot handle signals: {e}"), ""))?;
        }
        Ok(it)
    }

    /// Asked at intervals; several signals in one interval are one request.
    pub fn count(&self) -> usize {
        if self.flag.swap(false, Ordering::Relaxed) {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        self.count.load(Ordering::Relaxed)
    }
}

/// As the kernel tells it: bit N-1 of a hexadecimal number is signal N.
fn is_ignored(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_was_ignored_from_the_start_is_found_among_the_others() {
        let nohup = "Name:\tsynfin\nSigBlk:\t0000000000000003\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000002\n";
        assert_eq!([SIGHUP, SIGINT, SIGTERM].map(|s| is_ignored(nohup, s)), [true, false, false]);
        assert!(!is_ignored("", SIGHUP), "a system without /proc");
    }
}
