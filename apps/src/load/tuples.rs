//! From and to where a connection goes: targets in rotation, own addresses and ports in a seeded walk.
//!
//! Which tuples are in use, or in TIME-WAIT, only the engine knows: it refuses them, and the walk goes on. Since a walk
//! comes back to a pair only after all others, what it meets has rested longest.

use crate::cli::values::{AddressRange, Ports};
use synfin_engine::shard::app::Connect;
use synfin_engine::steering;
use synfin_engine::wire::Addr;

/// A target and the walk over our own ends towards it.
struct Lane {
    remote: Addr,
    remote_port: u16,
    sources: Vec<AddressRange>,
    walk: steering::Ports,
}

/// The walks of one worker.
pub struct Tuples {
    lanes: Vec<Lane>,
}

impl Tuples {
    /// For each target, the own addresses of its family with the ports that they may use. The same seed for all
    /// workers: they walk the same way and each takes what is its own.
    pub fn new(targets: &[(Addr, u16)], sources: &[AddressRange], ports: Ports, seed: u64) -> Tuples {
        let lane = |(i, &(remote, remote_port)): (usize, &(Addr, u16))| {
            let sources: Vec<AddressRange> =
                sources.iter().copied().filter(|s| s.first.is_v4() == remote.is_v4()).collect();
            let addresses = sources.iter().map(|s| s.count).sum();
            let walk = steering::Ports::new(seed.wrapping_add(i as u64), addresses, ports.first..=ports.last);
            Lane { remote, remote_port, sources, walk }
        };
        Tuples { lanes: targets.iter().enumerate().map(lane).collect() }
    }

    /// How many tuples there are, for all workers together.
    pub fn total(&self) -> u64 {
        self.lanes.iter().map(|l| l.walk.pairs()).sum()
    }

    /// How many there are towards a target, for all workers together.
    pub fn of_target(&self, target: usize) -> u64 {
        self.lanes.get(target).map_or(0, |l| l.walk.pairs())
    }

    /// The target of launch number `launch`: they take turns.
    pub fn target(&self, launch: u64) -> u16 {
        (launch % self.lanes.len().max(1) as u64) as u16
    }

    /// Shows the tuples that the next `launches` will most likely try, without going on to them: of each target, until `is_mine`
    /// has taken its part, or has refused `tries` in a row.
    pub fn upcoming(&self, launches: u64, tries: u32, mut is_mine: impl FnMut(&Connect) -> bool) {
        for Lane { remote, remote_port, sources, walk } in &self.lanes {
            let (remote, remote_port, mut walk) = (*remote, *remote_port, walk.clone());
            for _ in 0..launches.div_ceil(self.lanes.len() as u64) {
                walk.next(tries, |address, local_port| {
                    source(sources, address)
                        .is_some_and(|local| is_mine(&Connect { local, local_port, remote, remote_port }))
                });
            }
        }
    }

    /// Tries tuples to a target, at most `tries` of them, until `connect` says yes. False: it never did.
    pub fn next(&mut self, target: u16, tries: u32, mut connect: impl FnMut(Connect) -> bool) -> bool {
        let Some(lane) = self.lanes.get_mut(usize::from(target)) else { return false };
        let Lane { remote, remote_port, sources, walk } = lane;
        let (remote, remote_port) = (*remote, *remote_port);
        let found = walk.next(tries, |address, local_port| {
            source(sources, address).is_some_and(|local| connect(Connect { local, local_port, remote, remote_port }))
        });
        found.is_some()
    }
}

/// The address with this number, counted through all ranges.
fn source(ranges: &[AddressRange], mut index: u32) -> Option<Addr> {
    for range in ranges {
        if index < range.count {
            return Some(range.first.plus(index));
        }
        index -= range.count;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::values::{address, address_range};
    use std::collections::HashSet;

    fn tuples(seed: u64) -> Tuples {
        let targets = [(address("198.18.0.2").unwrap(), 80), (address("2001:2::2").unwrap(), 81)];
        let sources =
            ["198.18.0.10-198.18.0.11/24", "2001:2::1/64", "198.18.0.50/24"].map(|s| address_range(s).unwrap());
        Tuples::new(&targets, &sources, Ports { first: 1000, last: 1099 }, seed)
    }

    fn key(c: &Connect) -> (Addr, u16, Addr) {
        (c.local, c.local_port, c.remote)
    }

    #[test]
    fn every_address_and_port_of_the_targets_family_is_used_once_before_any_again() {
        let mut t = tuples(1);
        assert_eq!(t.total(), 3 * 100 + 100);
        let mut seen = HashSet::new();
        for _ in 0..300 {
            assert!(t.next(0, 10, |c| c.remote_port == 80 && c.local.is_v4() && seen.insert(key(&c))));
        }
        for _ in 0..100 {
            assert!(t.next(1, 10, |c| c.remote_port == 81 && !c.local.is_v4() && seen.insert(key(&c))));
        }
        assert!(!t.next(0, 300, |c| seen.insert(key(&c))));
    }

    #[test]
    fn what_is_shown_beforehand_is_what_comes() {
        let mut t = tuples(3);
        for launches in [1, 2, 7, 64] {
            let mut shown = HashSet::new();
            // Every other one is somebody else's.
            let is_mine = |c: &Connect| c.local_port.is_multiple_of(2);
            t.upcoming(launches, 100, |c| is_mine(c) && shown.insert(key(c)));
            for launch in 0..launches {
                let target = t.target(launch);
                assert!(t.next(target, 100, |c| is_mine(&c) && shown.remove(&key(&c))));
            }
            // Of two targets one may have a launch less.
            assert!(shown.len() as u64 == launches % 2, "{shown:?}");
        }
    }

    #[test]
    fn targets_rotate_and_the_seed_decides_the_order() {
        let order = |seed| {
            let (mut t, mut out) = (tuples(seed), Vec::new());
            for launch in 0..20 {
                let target = t.target(launch);
                assert_eq!(u64::from(target), launch % 2);
                assert!(t.next(target, 1, |c| {
                    out.push(key(&c));
                    true
                }));
            }
            out
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }

    #[test]
    fn no_target_and_no_source_mean_no_tuple() {
        let ports = Ports { first: 1, last: 9 };
        let v4 = [(address("198.18.0.2").unwrap(), 80)];
        assert!(!Tuples::new(&[], &[], ports, 1).next(0, 9, |_| true));
        assert!(!Tuples::new(&v4, &[address_range("2001:2::1/64").unwrap()], ports, 1).next(0, 9, |_| true));
    }
}
