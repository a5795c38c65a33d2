//! What a shard sets aside of the process's addresses, beside what it announces. Alone in its process, since others would map
//! memory meanwhile.

use synfin_engine::base::Instant;
use synfin_engine::shard::{App, Conn, Limits, Shard};
use synfin_tests::pair::configs;

struct Idle;

impl App for Idle {
    type Conn = [u64; 4];

    fn data(&mut self, _conn: &mut Conn<'_, [u64; 4]>, bytes: &[u8]) -> usize {
        bytes.len()
    }
}

/// Addresses that this process uses, from /proc/self/statm.
fn addresses_used() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: u64 = statm.split_ascii_whitespace().next().and_then(|pages| pages.parse().ok()).expect("a number");
    pages * 4096
}

#[test]
fn shard_sets_no_more_addresses_aside_than_its_limits_announce() {
    let usual = Limits::default();
    let limits = [
        usual,
        Limits { connections: 16_000_000, ..usual },
        Limits { half_open: 8_000_000, time_wait: 16_000_000, ..usual },
        Limits { copy_buffers: 1 << 20, recovery_blocks: 4_000_000, ..usual },
        Limits { tracked_segments: 1 << 26, ..usual },
    ];
    for limits in limits {
        let mut config = configs().0;
        config.limits = limits;
        let before = addresses_used();
        let shard = Shard::new(config, Idle, Instant::from_nanos(1 << 40));
        let took = addresses_used() - before;
        let announced = limits.address_bytes(size_of::<[u64; 4]>());
        // Ends of huge pages, and what the allocator takes.
        assert!(took <= announced + (64 << 20), "{took} of {announced}: {limits:?}");
        assert!(took >= announced / 10 * 9, "{took} of {announced}: {limits:?}");
        drop(shard);
    }
}
