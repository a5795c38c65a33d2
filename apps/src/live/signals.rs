//! Words between the main thread and the workers.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use synfin_engine::wire::Addr;

/// Set once each, never unset.
#[derive(Default)]
pub struct Signals {
    stop_launching: AtomicBool,
    opened: AtomicU32,
    finished: AtomicU32,
    unanswered: OnceLock<Addr>,
}

impl Signals {
    /// Begin nothing new: somebody has stopped the run, or a worker has found that it cannot succeed.
    pub fn stop_launching(&self) {
        self.stop_launching.store(true, Ordering::Relaxed);
    }

    pub fn launching_is_stopped(&self) -> bool {
        self.stop_launching.load(Ordering::Relaxed)
    }

    /// A worker's application, in hold mode: its connections are open, or will never be. Called once by each.
    pub fn report_opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    pub fn opened(&self) -> u32 {
        self.opened.load(Ordering::Relaxed)
    }

    /// A worker's application: nothing is left to do. Called once by each.
    pub fn finish(&self) {
        self.finished.fetch_add(1, Ordering::Relaxed);
    }

    pub fn finished(&self) -> u32 {
        self.finished.load(Ordering::Relaxed)
    }

    /// A worker: this next hop does not answer. The first one reported stands.
    pub fn report_unanswered(&self, hop: Addr) {
        let _ = self.unanswered.set(hop);
    }

    pub fn unanswered(&self) -> Option<Addr> {
        self.unanswered.get().copied()
    }
}
