//! Millions of connections on one shard: what they take in memory, what they cost those that are busy, and how long
//! one turn of the poll loop takes while they all come, go, or expire at once.
//!
//! Two shards joined in memory on one thread, in virtual time. Memory is the resident set, not a sum of sizes. A turn
//! is timed by the thread's CPU clock as well as by the wall clock, and turns in which the system gave the core to another
//! thread are counted: whoever shares the machine shows there.

pub mod apps;
pub mod memory;
pub mod pauses;
pub mod phases;
pub mod repeated;
pub mod rig;
pub mod workers;

pub use pauses::Pauses;
pub use rig::Rig;

/// The resident set of this process in bytes, from /proc/self/statm; 0 where there is none.
pub fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_ascii_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * PAGE_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_was_written_is_resident() {
        // What other tests hold and free meanwhile comes on top.
        let bytes = std::hint::black_box(vec![1u8; 64 << 20]);
        let resident = resident_bytes();
        assert!(resident >= 64 << 20, "{resident}");
        drop(bytes);
    }
}
