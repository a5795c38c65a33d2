//! From which address and port a client connects.
//!
//! All pairs of a local address and a port of a range, in an order that a seed decides and an outsider cannot guess, each
//! once before any comes again. RFC 6056 asks that the next port be hard to predict (section 2) and that ports be reused
//! as late as possible (section 3.1); a keyed permutation that is walked round and round does both: the
//! time between two uses of a pair is always a whole round. (RFC 6056's own algorithms draw at random and then step to the
//! next port that is free, which gives up the second for the first.)
//!
//! The caller's test decides which pairs will do: those whose replies the device steers to the caller's queue, and
//! that are not in use.

use core::ops::RangeInclusive;

const ROUNDS: usize = 4;

/// A walk over pairs of local address index and port.
#[derive(Clone, Debug)]
pub struct Ports {
    first_port: u16,
    ports: u64,
    pairs: u64,
    keys: [u64; ROUNDS],
    /// Half the bits of the permutation's domain, which is the smallest 4^n that holds all pairs.
    half_bits: u32,
    /// Place in the walk, below the size of the domain.
    place: u64,
}

impl Ports {
    /// A walk over `addresses` local addresses (indices 0 and up) and the ports of the range. Port 0 is never used.
    pub fn new(seed: u64, addresses: u32, ports: RangeInclusive<u16>) -> Ports {
        let (first, last) = (u64::from(*ports.start()).max(1), u64::from(*ports.end()));
        let count = (last + 1).saturating_sub(first);
        let pairs = u64::from(addresses) * count;
        let mut half_bits = 1;
        while pairs > 1 << (2 * half_bits) {
            half_bits += 1;
        }
        let mut rng = crate::base::Rng::new(seed);
        let keys = core::array::from_fn(|_| rng.next_u64());
        Ports { first_port: first as u16, ports: count, pairs, keys, half_bits, place: 0 }
    }

    /// How many pairs there are.
    pub fn pairs(&self) -> u64 {
        self.pairs
    }

    /// The next pair that `accept(address index, port)` takes; None when `tries` pairs in a row (or a whole round)
    /// were refused. The walk goes on from there at the next call.
    pub fn next(&mut self, tries: u32, mut accept: impl FnMut(u32, u16) -> bool) -> Option<(u32, u16)> {
        let mut left = u64::from(tries).min(self.pairs);
        while left > 0 {
            let value = self.permute(self.place);
            self.place = (self.place + 1) & ((1 << (2 * self.half_bits)) - 1);
            if value >= self.pairs {
                continue;
            }
            left -= 1;
            let (addr, port) = ((value / self.ports) as u32, self.first_port + (value % self.ports) as u16);
            if accept(addr, port) {
                return Some((addr, port));
            }
        }
        None
    }

    /// A Feistel network: a permutation of the numbers of 2 * `half_bits` bits, whatever the round function.
    fn permute(&self, value: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (value >> self.half_bits, value & mask);
        for key in self.keys {
            let mut z = (right ^ key).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
            (left, right) = (right, left ^ ((z >> 32) & mask));
        }
        left << self.half_bits | right
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_pair_comes_once_in_a_round_and_the_next_round_repeats_the_order() {
        for (addresses, range) in [(1, 1..=1), (1, 10_000..=65_535), (3, 0..=999), (250, 40_000..=40_100)] {
            let mut ports = Ports::new(9, addresses, range.clone());
            let first_port = (*range.start()).max(1);
            let expected: BTreeSet<_> =
                (0..addresses).flat_map(|a| (first_port..=*range.end()).map(move |p| (a, p))).collect();
            assert_eq!(ports.pairs(), expected.len() as u64);
            let mut walk = |n: usize| (0..n).map(|_| ports.next(1, |_, _| true).unwrap()).collect::<Vec<_>>();
            let (one, two) = (walk(expected.len()), walk(expected.len()));
            assert_eq!(one.iter().copied().collect::<BTreeSet<_>>(), expected);
            assert_eq!(one, two);
        }
    }

    #[test]
    fn the_seed_decides_the_order_and_neighbours_are_not_consecutive() {
        let walk = |seed| {
            let mut ports = Ports::new(seed, 1, 1024..=65_535);
            (0..1_000).map(|_| ports.next(1, |_, _| true).unwrap().1).collect::<Vec<_>>()
        };
        assert_eq!(walk(1), walk(1));
        assert_ne!(walk(1), walk(2));
        let consecutive = walk(1).windows(2).filter(|w| w[1] == w[0].wrapping_add(1)).count();
        assert!(consecutive < 10);
    }

    #[test]
    fn only_accepted_pairs_come_and_two_filters_share_them_out() {
        let mut seen = BTreeSet::new();
        for worker in 0..2u16 {
            let mut ports = Ports::new(4, 2, 1..=1_000);
            for _ in 0..1_000 {
                let pair = ports.next(u32::MAX, |_, port| port % 2 == worker).unwrap();
                assert_eq!(pair.1 % 2, worker);
                assert!(seen.insert(pair), "{pair:?} came twice");
            }
        }
        assert_eq!(seen.len(), 2_000);
    }

    #[test]
    fn gives_up_after_the_tries_allowed_or_a_whole_round() {
        let mut ports = Ports::new(4, 1, 1..=100);
        let mut asked = 0;
        let mut refuse = |_, _| {
            asked += 1;
            false
        };
        assert_eq!(ports.next(7, &mut refuse), None);
        assert_eq!(ports.next(u32::MAX, &mut refuse), None);
        assert_eq!(asked, 107);
        assert_eq!(Ports::new(1, 0, 1..=100).next(5, |_, _| true), None);
        #[allow(clippy::reversed_empty_ranges)]
        let mut empty = Ports::new(1, 5, 9..=3);
        assert_eq!(empty.next(5, |_, _| true), None);
    }
}
