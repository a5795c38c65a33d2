//! Memory that is made ready before it is needed, by a thread of its own.
//!
//! The first touch of a huge page takes the system 0.1 to 0.2 ms, on a virtual machine at times several: too long for a turn
//! of a poll loop. Who fills a long range asks for the page behind the one that it begins with, and goes on; when nobody
//! helps, or help comes too late, the first touch does what it always does. Nobody waits for anybody.

use super::pages::{self, PAGE_BYTES};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Thread};

/// Pages that can be asked for at a time: a few for each table that grows.
const PLACES: usize = 64;

/// Addresses of huge pages to provide, and in the lower bits, which are zero in addresses of pages, the node on which whoever
/// asked runs; 0: none.
static WANTED: [AtomicUsize; PLACES] = [const { AtomicUsize::new(0) }; PLACES];
static HELPER: OnceLock<Option<Thread>> = OnceLock::new();

/// Starts the thread that helps, if it does not run yet. To be called by one that is not bound to a core, since the helper is
/// not to be bound to one either.
pub fn start() {
    HELPER.get_or_init(|| {
        let helper = thread::Builder::new().name("memory-ahead".to_owned()).spawn(provide);
        helper.ok().map(|helper| helper.thread().clone())
    });
}

/// The huge page at `start` will be touched soon. Ranges that are gone by the time their turn comes are no harm.
pub(super) fn ask(start: *const u8) {
    let Some(Some(helper)) = HELPER.get() else { return };
    let wanted = start as usize | pages::memory_node() & (PAGE_BYTES - 1);
    let placed = |place: &AtomicUsize| place.compare_exchange(0, wanted, Ordering::Relaxed, Ordering::Relaxed).is_ok();
    if WANTED.iter().any(placed) {
        helper.unpark();
    }
}

/// Unparking makes what was written before it visible to the one that wakes.
fn provide() {
    loop {
        for place in &WANTED {
            match place.swap(0, Ordering::Relaxed) {
                0 => {}
                wanted => {
                    pages::prefer_node(wanted & (PAGE_BYTES - 1));
                    pages::provide_huge(wanted & !(PAGE_BYTES - 1));
                }
            }
        }
        thread::park();
    }
}
