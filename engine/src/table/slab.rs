//! Records by index: they never move, and the lowest vacant slot is taken first, so that those that live together
//! lie together, and the segments behind them become empty as the records grow fewer.
//!
//! Memory grows by 4096 records at a time, up to the limit. A segment without a record is given back, a few pages at a
//! time, except for one, so that going to and fro over a border does not allocate each time.

use super::vacancies::Vacancies;
use crate::base::segmented::segment_of;
use crate::base::{Leaving, Segmented};

/// Giving so many back takes some microseconds.
const PAGES_AT_A_TIME: usize = 16;

#[derive(Debug)]
pub struct Slab<T> {
    records: Segmented<T>,
    /// Slots that were taken once and are vacant now.
    vacant: Vacancies,
    /// Records in each segment.
    live: Vec<u16>,
    /// A segment without a record that still has its memory.
    spare: Option<u32>,
    /// The segment that was given back last, until somebody asks.
    released: Option<u32>,
    /// Memory of segments on its way back.
    leaving: Vec<Leaving>,
    len: u32,
    limit: u32,
}

impl<T: Default> Slab<T> {
    /// A slab that holds at most `limit` records. Allocates nothing yet.
    pub const fn with_limit(limit: u32) -> Slab<T> {
        Slab {
            records: Segmented::new(),
            vacant: Vacancies::new(),
            live: Vec::new(),
            spare: None,
            released: None,
            leaving: Vec::new(),
            len: 0,
            limit,
        }
    }

    /// Stores a record; None when the limit is reached.
    pub fn insert(&mut self, record: T) -> Option<u32> {
        if self.len >= self.limit {
            return None;
        }
        let slot = self.vacant.pop_lowest().unwrap_or(self.slots());
        // Slots of a segment are first taken in order: nothing is ever filled in.
        self.records.put(slot, record, T::default);
        let segment = segment_of(slot);
        if self.spare == Some(segment) {
            self.spare = None;
        }
        if segment as usize == self.live.len() {
            self.live.push(0);
        }
        if let Some(live) = self.live.get_mut(segment as usize) {
            *live += 1;
        }
        self.len += 1;
        Some(slot)
    }

    /// Leaves `T::default()` in place of the record; false when the slot was vacant.
    pub fn remove(&mut self, slot: u32) -> bool {
        let Some(record) = self.records.get_mut(slot).filter(|_| !self.vacant.contains(slot)) else { return false };
        *record = T::default();
        self.vacant.insert(slot);
        self.len -= 1;
        let segment = segment_of(slot);
        if let Some(live) = self.live.get_mut(segment as usize) {
            *live -= 1;
            if *live == 0 {
                self.vacated(segment);
            }
        }
        true
    }

    /// Of two segments without a record, the one that will be needed first is kept.
    #[cold]
    fn vacated(&mut self, segment: u32) {
        let Some(spare) = self.spare.replace(segment) else { return };
        self.spare = Some(spare.min(segment));
        let released = spare.max(segment);
        self.leaving.extend(self.records.take_memory(released));
        self.released = Some(released);
    }

    /// The segment whose memory the last [`Slab::remove`] gave back, if it did: what lies beside its records can go too.
    #[inline]
    pub fn take_released(&mut self) -> Option<u32> {
        self.released.take()
    }

    /// Gives some memory of segments without records back, if there is any: to be called now and then.
    #[inline]
    pub fn give_back(&mut self) {
        if let Some(last) = self.leaving.last_mut()
            && !last.give_back(PAGES_AT_A_TIME)
        {
            self.leaving.pop();
        }
    }

    /// There is memory that [`Slab::give_back`] has not given back yet.
    pub fn is_giving_back(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// There is a record in `slot`.
    pub fn is_taken(&self, slot: u32) -> bool {
        slot < self.slots() && !self.vacant.contains(slot)
    }

    /// The record in `slot`; the default value or None when the slot is vacant.
    #[inline(always)]
    pub fn get(&self, slot: u32) -> Option<&T> {
        self.records.get(slot)
    }

    /// As [`Slab::get`].
    #[inline(always)]
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.records.get_mut(slot)
    }

    /// Records held.
    pub fn len(&self) -> u32 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Slots ever used: indices are below this. For sweeps over all records, off the packet path.
    pub fn slots(&self) -> u32 {
        self.records.len() as u32
    }

    pub fn memory_bytes(&self) -> usize {
        self.records.memory_bytes() + self.vacant.memory_bytes() + self.live.capacity() * size_of::<u16>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Rng, SEGMENT_LEN};

    #[test]
    fn stops_at_its_limit_and_goes_on_when_a_slot_is_free() {
        let mut slab = Slab::with_limit(3);
        let slots: Vec<_> = (0..3).map(|i| slab.insert(i).unwrap()).collect();
        assert_eq!(slab.insert(9), None);
        assert!(slab.remove(slots[1]));
        assert_eq!(slab.insert(9), Some(slots[1]));
        assert_eq!(slab.get(slots[1]), Some(&9));
        assert_eq!(slab.len(), 3);
    }

    #[test]
    fn the_lowest_vacant_slot_is_taken_first() {
        let mut slab = Slab::with_limit(10);
        for i in 0..4 {
            slab.insert(i);
        }
        slab.remove(2);
        slab.remove(0);
        slab.remove(3);
        assert_eq!([7, 8, 9, 10].map(|record| slab.insert(record).unwrap()), [0, 2, 3, 4]);
    }

    #[test]
    fn a_vacant_slot_gives_the_default_record_and_cannot_be_removed_again() {
        let mut slab = Slab::with_limit(10);
        let slot = slab.insert(String::from("x")).unwrap();
        assert!(slab.remove(slot));
        assert_eq!(slab.get(slot), Some(&String::new()));
        assert!(!slab.remove(slot));
        assert!(!slab.remove(99));
        assert_eq!(slab.get(99), None);
        assert!(slab.is_empty());
    }

    #[test]
    fn memory_goes_back_when_the_records_are_gone_in_whatever_order() {
        const RECORDS: u32 = 50 * SEGMENT_LEN as u32;
        let mut rng = Rng::new(4);
        let mut slab = Slab::with_limit(RECORDS);
        let mut order: Vec<u32> = (0..RECORDS).map(|i| slab.insert(u64::from(i)).unwrap()).collect();
        let full = slab.records.memory_bytes();
        for last in (1..order.len()).rev() {
            order.swap(last, rng.below(last as u64 + 1) as usize);
        }
        let mut released = 0;
        for slot in order {
            assert_eq!(slab.get(slot), Some(&u64::from(slot)));
            assert!(slab.remove(slot));
            released += u32::from(slab.take_released().is_some());
        }
        assert_eq!(released, 49, "one segment is kept");
        assert!(slab.records.memory_bytes() < full / 20);
        for i in 0..RECORDS {
            assert_eq!(slab.insert(7), Some(i));
        }
        assert_eq!(slab.records.memory_bytes(), full);
    }

    #[test]
    fn crossing_a_segment_border_to_and_fro_keeps_the_segment() {
        let mut slab = Slab::with_limit(u32::MAX);
        for i in 0..SEGMENT_LEN {
            slab.insert(i);
        }
        let slot = slab.insert(7).unwrap();
        let before = slab.records.memory_bytes();
        for _ in 0..10 {
            slab.remove(slot);
            assert_eq!(slab.take_released(), None);
            assert_eq!(slab.insert(7), Some(slot));
        }
        assert_eq!(slab.records.memory_bytes(), before);
    }

    #[test]
    fn agrees_with_a_map_under_random_insertions_and_removals() {
        let mut rng = Rng::new(21);
        let mut slab = Slab::with_limit(9_000);
        let mut oracle = std::collections::BTreeMap::new();
        for step in 0..200_000u64 {
            let slot = rng.below(9_500) as u32;
            // Grows and shrinks in turns, so that segments come and go.
            if rng.chance(if step / 40_000 % 2 == 0 { 0.75 } else { 0.25 }) {
                match slab.insert(step) {
                    Some(slot) => assert_eq!(oracle.insert(slot, step), None),
                    None => assert_eq!(oracle.len(), 9_000),
                }
            } else {
                assert_eq!(slab.remove(slot), oracle.remove(&slot).is_some());
            }
            assert_eq!(slab.len() as usize, oracle.len());
            assert_eq!(slab.get(slot).copied().filter(|v| *v != 0), oracle.get(&slot).copied().filter(|v| *v != 0));
        }
    }
}
