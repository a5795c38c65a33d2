//! Words between the main thread and the workers' applications.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Set once each, never unset.
#[derive(Default)]
pub struct Signals {
    stop_launching: AtomicBool,
    finished: AtomicU32,
}

impl Signals {
    /// Main thread: begin nothing new.
    pub fn stop_launching(&self) {
        self.stop_launching.store(true, Ordering::Relaxed);
    }

    pub fn launching_is_stopped(&self) -> bool {
        self.stop_launching.load(Ordering::Relaxed)
    }

    /// A worker's application: nothing is left to do. Called once by each.
    pub fn finish(&self) {
        self.finished.fetch_add(1, Ordering::Relaxed);
    }

    pub fn finished(&self) -> u32 {
        self.finished.load(Ordering::Relaxed)
    }
}
