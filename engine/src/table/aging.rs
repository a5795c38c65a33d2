//! Records that all live equally long, found by the hash of their key: what TIME-WAIT is kept in.
//!
//! The records lie in a ring in the order in which they came: the oldest is always at the front, for expiry
//! and for making room. An `Index` leads from a hash to a place in the ring, 11 bytes or a little more each.
//! When a record came is written down once for all that came within the same grain of time (1/4096 of their life):
//! none leaves early, and none stays longer than one grain too long.
//!
//! The key is not kept: 62 bits of its hash stand for it. For a key that is not there, another's record is found once
//! in 2^62 / n lookups (with ten million records that is once in five days at a million a second); and since
//! the hash is keyed, nobody outside can choose keys that collide. The two bits that are left are the record's own.
//!
//! A record that leaves early, or whose life begins anew, leaves an empty place behind until that comes to the front.

use super::{Index, Ring};
use crate::base::ChunkQueue;
use crate::base::time::Tick;

/// A record's life has about this many grains, as a power of two.
const GRAINS_SHIFT: u32 = 12;
/// The record's own bits in `Place::hash`.
const OWN_BITS: u64 = 3;

/// Two words instead of one of 64 bits, which would cost four bytes of padding.
#[derive(Clone, Copy)]
struct Place<R> {
    hash: [u32; 2],
    record: R,
}

/// Hash of an empty place. A record whose hash is all zero is one that is never found.
const EMPTY: [u32; 2] = [0; 2];

impl<R> Place<R> {
    fn hash(&self) -> u64 {
        u64::from(self.hash[0]) | u64::from(self.hash[1]) << 32
    }
}

/// When the records from one place on came.
#[derive(Clone, Copy, Debug)]
struct Mark {
    place: u32,
    first: Tick,
    last: Tick,
}

/// What became of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    InItsOwnPlace,
    /// The table was full: another record left before its time.
    InsteadOfTheOldest,
    /// The limit is zero.
    Not,
}

/// See the module's essay.
pub struct AgingTable<R> {
    ring: Ring<Place<R>>,
    marks: ChunkQueue<Mark>,
    index: Index,
    life: u32,
}

/// What the index knows the record under.
#[inline(always)]
const fn tag_of(hash: u64) -> u32 {
    (hash >> 32) as u32
}

impl<R: Copy> AgingTable<R> {
    /// A table for at most `limit` records that live `life` ticks each. When it is full, the oldest gives way.
    pub fn new(limit: u32, life: u32) -> AgingTable<R> {
        AgingTable { ring: Ring::new(limit), marks: ChunkQueue::new(), index: Index::new(limit as usize), life }
    }

    /// Fetches what a look-up under `hash` needs, for one that comes soon.
    #[inline(always)]
    pub fn prefetch(&self, hash: u64) {
        if !self.is_empty() {
            self.index.prefetch(tag_of(hash));
        }
    }

    /// Fetches what is needed to let the oldest records go, as many as `count`.
    fn prefetch_oldest(&self, count: usize) {
        let oldest = (0..count as u32).map_while(|offset| self.ring.nth(offset));
        oldest.for_each(|place| _ = self.index.prefetch(tag_of(place.hash())));
    }

    fn hash_at(&self, place: u32) -> u64 {
        self.ring.get(place).map_or(0, Place::hash)
    }

    /// The place of the record under `hash`.
    #[inline]
    pub fn find(&self, hash: u64) -> Option<u32> {
        if self.is_empty() {
            return None;
        }
        self.index.find(tag_of(hash), |place| (self.hash_at(place) ^ hash) & !OWN_BITS == 0)
    }

    /// The record in a place that [`AgingTable::find`] has just named, and its own two bits.
    #[inline]
    pub fn get(&self, place: u32) -> Option<(R, u8)> {
        self.ring.get(place).map(|p| (p.record, (p.hash() & OWN_BITS) as u8))
    }

    /// When the record in `place` came, at most a grain too early.
    pub fn since(&self, place: u32) -> Option<Tick> {
        let (head, _) = self.ring.front()?;
        let offset = |place: u32| Ring::<Place<R>>::distance(head, place);
        let (mut low, mut high) = (0, self.marks.len());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match self.marks.get(middle) {
                Some(mark) if offset(mark.place) <= offset(place) => low = middle,
                _ => high = middle,
            }
        }
        self.marks.get(low).map(|mark| mark.first)
    }

    /// Adds a record, whose life begins, with two bits of its own. One that was there under the same hash is gone then.
    pub fn insert(&mut self, hash: u64, record: R, own: u8, now: Tick) -> Kept {
        if let Some(old) = self.find(hash) {
            self.remove(old);
        }
        self.insert_new(hash, record, own, now)
    }

    /// As [`AgingTable::insert`]. The caller has made sure that there is none under the same hash.
    pub fn insert_new(&mut self, hash: u64, record: R, own: u8, now: Tick) -> Kept {
        let mut kept = Kept::InItsOwnPlace;
        if self.ring.len() >= self.ring.limit() && self.pop_oldest() {
            kept = Kept::InsteadOfTheOldest;
        }
        let stored = hash & !OWN_BITS | u64::from(own) & OWN_BITS;
        let entry = Place { hash: [stored as u32, (stored >> 32) as u32], record };
        let Some(place) = self.ring.push_back(entry) else { return Kept::Not };
        self.mark(place, now);
        // At most one entry for each place: there is room.
        self.index.insert(tag_of(hash), place);
        kept
    }

    /// Notes when the record in the last place came.
    fn mark(&mut self, place: u32, now: Tick) {
        let grain = (self.life >> GRAINS_SHIFT) as i32;
        match self.marks.back_mut() {
            Some(mark) if now.since(mark.first) <= grain => mark.last = now,
            _ => self.marks.push_back(Mark { place, first: now, last: now }),
        }
    }

    /// Takes a record out before its time.
    pub fn remove(&mut self, place: u32) {
        self.index.remove(tag_of(self.hash_at(place)), place);
        if let Some(p) = self.ring.get_mut(place) {
            p.hash = EMPTY;
        }
    }

    /// Takes places at the front away whose time is over, as many as `budget`. Returns how many these are, and how many of them
    /// still had a record.
    pub fn pop_expired(&mut self, budget: usize, now: Tick) -> (usize, usize) {
        let (mut places, mut records) = (0, 0);
        while places < budget && self.next_deadline().is_some_and(|at| at.is_due(now)) {
            // All that came with the first.
            let next = self.marks.get(1).map(|mark| mark.place);
            let head = self.ring.front().map_or(0, |(place, _)| place);
            let here = next.map_or(self.ring.len(), |next| Ring::<Place<R>>::distance(head, next)) as usize;
            let count = here.min(budget - places);
            self.prefetch_oldest(count);
            records += (0..count).filter(|_| self.pop_front()).count();
            places += count;
            if count == here {
                self.marks.pop_front();
            }
        }
        (places, records)
    }

    /// True when there was a record in the front place.
    #[inline]
    fn pop_front(&mut self) -> bool {
        let Some((place, oldest)) = self.ring.pop_front() else { return false };
        let is_record = oldest.hash != EMPTY;
        if is_record {
            self.index.remove(tag_of(oldest.hash()), place);
        }
        is_record
    }

    /// As [`AgingTable::pop_front`], before its time is over.
    fn pop_oldest(&mut self) -> bool {
        let is_record = self.pop_front();
        let next = self.ring.front().map(|(place, _)| place);
        if next.is_none() || self.marks.get(1).is_some_and(|mark| Some(mark.place) == next) {
            self.marks.pop_front();
        }
        is_record
    }

    /// When the front place's time is over.
    #[inline]
    pub fn next_deadline(&self) -> Option<Tick> {
        self.marks.front().map(|mark| mark.last.plus(self.life))
    }

    /// Records held.
    pub fn len(&self) -> u32 {
        self.index.len() as u32
    }

    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    pub fn memory_bytes(&self) -> usize {
        self.ring.memory_bytes() + self.marks.memory_bytes() + self.index.memory_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;
    use std::collections::BTreeMap;

    const LIFE: u32 = 10_000;

    fn hash(n: u32) -> u64 {
        Rng::new(u64::from(n)).next_u64()
    }

    #[test]
    fn a_record_of_twelve_bytes_takes_twenty() {
        assert_eq!(size_of::<Place<[u32; 3]>>(), 20);
    }

    #[test]
    fn records_live_their_time_and_at_most_a_grain_more_even_when_ticks_wrap() {
        let mut table = AgingTable::new(100_000, LIFE);
        let start = Tick(u32::MAX - 12_345);
        let mut gone = 0;
        for n in 0..50_000u32 {
            let now = start.plus(n);
            gone += table.pop_expired(usize::MAX, now).0 as u32;
            assert_eq!(table.insert(hash(n), n, (n & 3) as u8, now), Kept::InItsOwnPlace);
            let over = (n + 1).saturating_sub(LIFE);
            assert!(gone <= over && gone + (LIFE >> GRAINS_SHIFT) >= over, "{gone} of {over} at {n}");
            let alive = gone + n % (n - gone + 1);
            let place = table.find(hash(alive)).unwrap();
            assert_eq!(table.get(place), Some((alive, (alive & 3) as u8)));
            let early = start.plus(alive).since(table.since(place).unwrap());
            assert!((0..=(LIFE >> GRAINS_SHIFT) as i32).contains(&early), "{early}");
        }
        assert_eq!(table.len(), 50_000 - gone);
        table.pop_expired(usize::MAX, start.plus(100_000));
        assert!(table.is_empty());
        assert_eq!(table.next_deadline(), None);
    }

    #[test]
    fn a_record_that_came_alone_leaves_to_the_tick() {
        let mut table = AgingTable::new(10, LIFE);
        table.insert(hash(1), 1, 0, Tick(7));
        assert_eq!(table.next_deadline(), Some(Tick(7 + LIFE)));
        assert_eq!(table.pop_expired(2, Tick(6 + LIFE)), (0, 0));
        assert_eq!(table.pop_expired(2, Tick(7 + LIFE)), (1, 1));
    }

    #[test]
    fn a_place_whose_record_has_left_is_empty_when_its_turn_comes() {
        let mut table = AgingTable::new(10, LIFE);
        table.insert(hash(1), 'a', 0, Tick(0));
        table.insert(hash(2), 'b', 0, Tick(5_000));
        table.remove(table.find(hash(1)).unwrap());
        assert_eq!(table.find(hash(1)), None);
        table.insert(hash(2), 'c', 1, Tick(6_000));
        assert_eq!(table.find(hash(2)).and_then(|place| table.get(place)), Some(('c', 1)));
        assert_eq!(table.len(), 1);
        let later = Tick(6_000 + LIFE);
        assert_eq!([1, 1, 1, 1].map(|budget| table.pop_expired(budget, later)), [(1, 0), (1, 0), (1, 1), (0, 0)]);
    }

    #[test]
    fn the_oldest_gives_way_at_the_limit() {
        let mut table = AgingTable::new(3, LIFE);
        for n in 0..10 {
            let kept = if n < 3 { Kept::InItsOwnPlace } else { Kept::InsteadOfTheOldest };
            assert_eq!(table.insert(hash(n), n, 0, Tick(n)), kept);
        }
        let there: Vec<u32> = (0..10).filter(|&n| table.find(hash(n)).is_some()).collect();
        assert_eq!(there, [7, 8, 9]);
        assert_eq!(AgingTable::new(0, LIFE).insert(hash(1), 1, 0, Tick(0)), Kept::Not);
    }

    #[test]
    fn at_its_limit_a_record_takes_hardly_more_than_thirty_one_bytes_and_afterwards_nothing_is_left() {
        const RECORDS: u32 = 1_000_000;
        let mut table = AgingTable::new(RECORDS, LIFE);
        let empty = table.memory_bytes();
        for n in 0..RECORDS {
            table.insert(hash(n), [n; 3], 0, Tick(n / 100));
        }
        let bytes = table.memory_bytes() as f64 / f64::from(RECORDS);
        assert!(bytes < 31.2, "{bytes} bytes for each record");
        table.pop_expired(usize::MAX, Tick(2 * LIFE));
        assert!(table.memory_bytes() < empty + RECORDS as usize, "{} bytes left", table.memory_bytes() - empty);
    }

    #[test]
    fn agrees_with_a_map_under_random_changes() {
        let mut rng = Rng::new(9);
        let mut table = AgingTable::new(100_000, LIFE);
        let mut oracle: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
        for now in 0..200_000u32 {
            table.pop_expired(usize::MAX, Tick(now));
            oracle.retain(|_, (at, _)| now < *at + LIFE + (LIFE >> GRAINS_SHIFT));
            let n = rng.below(8_000) as u32;
            let found = table.find(hash(n)).and_then(|place| table.get(place)).map(|(record, _)| record);
            let (at, known) = oracle.get(&n).copied().unzip();
            // Within the last grain it may be gone already.
            if at.is_none_or(|at| now < at + LIFE) {
                assert_eq!(found, known);
            }
            match table.find(hash(n)) {
                Some(place) if rng.chance(0.3) => {
                    table.remove(place);
                    oracle.remove(&n);
                }
                _ => {
                    table.insert(hash(n), now, 0, Tick(now));
                    oracle.insert(n, (now, now));
                }
            }
        }
    }
}
