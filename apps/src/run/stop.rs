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
    /// From now on SIGINT, SIGTERM and SIGHUP no longer end the process.
    pub fn listen() -> Result<StopRequests, Failure> {
        let it = StopRequests::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
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
