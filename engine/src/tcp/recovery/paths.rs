//! What routers said of paths, for other connections: the size that each destination takes, as long as it counts as known (RFC
//! 8201 5.3). Empty nearly always, and looked at when a connection becomes established and when one has a time-out.

use crate::base::Instant;
use crate::wire::Addr;
use std::collections::HashMap;

/// Destinations that are remembered at once.
const DESTINATIONS_MAX: usize = 1_024;
const AGE_NS: u64 = 600_000_000_000;

#[derive(Default)]
pub struct Paths {
    /// The MTU, and until when it counts.
    by_remote: HashMap<Addr, (u32, Instant)>,
}

impl Paths {
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.by_remote.is_empty()
    }

    /// A link on the way to `remote` takes no more than `mtu` bytes. Without room for another destination it is not
    /// remembered: who needs it will be told again.
    pub fn learn(&mut self, remote: Addr, mtu: u32, now: Instant) {
        if self.by_remote.len() >= DESTINATIONS_MAX {
            self.by_remote.retain(|_, &mut (_, until)| until > now);
        }
        if self.by_remote.len() < DESTINATIONS_MAX || self.by_remote.contains_key(&remote) {
            self.by_remote.insert(remote, (mtu, now.plus_nanos(AGE_NS)));
        }
    }

    pub fn mtu(&mut self, remote: &Addr, now: Instant) -> Option<u32> {
        let &(mtu, until) = self.by_remote.get(remote)?;
        if until <= now {
            self.by_remote.remove(remote);
            return None;
        }
        Some(mtu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_count_for_ten_minutes_and_for_no_more_than_so_many_destinations() {
        let at = |s: u64| Instant::from_nanos(s * 1_000_000_000);
        let remote = |n: u32| Addr::v4([10, 0, 0, 0]).plus(n);
        let mut paths = Paths::default();
        (0..2_000).for_each(|n| paths.learn(remote(n), 1_000 + n, at(1)));
        assert_eq!(paths.by_remote.len(), DESTINATIONS_MAX);
        assert_eq!((paths.mtu(&remote(7), at(600)), paths.mtu(&remote(1_999), at(600))), (Some(1_007), None));
        // Those that are remembered can be told better, and go with time.
        paths.learn(remote(7), 900, at(500));
        assert_eq!((paths.mtu(&remote(7), at(602)), paths.mtu(&remote(8), at(602))), (Some(900), None));
        // The first takes the place that has just become free; the second makes all go whose time is over.
        (1_998..2_000).for_each(|n| paths.learn(remote(n), 1_400, at(602)));
        assert_eq!((paths.mtu(&remote(1_999), at(603)), paths.by_remote.len()), (Some(1_400), 3));
        assert!([7, 1_998, 1_999].iter().all(|&n| paths.mtu(&remote(n), at(1_203)).is_none()));
        assert!(paths.is_empty());
    }
}
