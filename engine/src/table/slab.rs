//! Records by index: they never move, and the lowest vacant slot is taken first, so that those that live together
//! lie together, and the end becomes empty as the records grow fewer.
//!
//! Addresses for as many as the limit allows are set aside at the start; memory is there up to the last slot. When no record is
//! left at the end, it is given back, [`STEP`] slots at a time, except for some, so that going to and fro over a
//! border does not give back and take each time. A record near the end keeps those before it: since new ones come in below,
//! it is the last of its generation.

use super::vacancies::Vacancies;
use crate::base::Extent;

/// Slots that are given back at a time.
pub const STEP: u32 = 4096;

#[derive(Debug)]
pub struct Slab<T> {
    records: Extent<T>,
    /// Slots that were taken once and are vacant now, those that were given back among them.
    vacant: Vacancies,
    /// Records in each step.
    live: Vec<u16>,
    /// Slots ever taken.
    slots: u32,
    len: u32,
}

impl<T: Default> Slab<T> {
    /// A slab that holds at most `limit` records.
    pub fn with_limit(limit: u32) -> Slab<T> {
        Slab {
            records: Extent::with_limit(limit),
            vacant: Vacancies::with_limit(limit),
            live: Vec::new(),
            slots: 0,
            len: 0,
        }
    }

    /// Stores a record; None when the limit is reached.
    pub fn insert(&mut self, record: T) -> Option<u32> {
        let slot = self.take()?;
        *self.records.get_mut(slot)? = record;
        Some(slot)
    }

    /// Takes a slot, in which there is `T::default()`; None when the limit is reached.
    #[inline(always)]
    pub fn take(&mut self) -> Option<u32> {
        if self.len >= self.limit() {
            return None;
        }
        let slot = self.vacant.pop_lowest().unwrap_or_else(|| {
            self.slots += 1;
            self.slots - 1
        });
        // Those that were given back come in order, too: nothing is ever filled in.
        if slot >= self.records.len() {
            self.records.put(slot, T::default(), T::default);
        }
        let step = (slot / STEP) as usize;
        if step == self.live.len() {
            self.live.push(0);
        }
        if let Some(live) = self.live.get_mut(step) {
            *live += 1;
        }
        self.len += 1;
        Some(slot)
    }

    /// Leaves `T::default()` in place of the record; false when the slot was vacant.
    #[inline]
    pub fn remove(&mut self, slot: u32) -> bool {
        let Some(record) = self.records.get_mut(slot) else { return false };
        if !self.vacant.insert(slot) {
            return false;
        }
        *record = T::default();
        self.len -= 1;
        if let Some(live) = self.live.get_mut((slot / STEP) as usize) {
            *live -= 1;
        }
        true
    }

    /// Slots up to here can stay while those behind can be given back: neither in them nor in the step before is a record.
    #[inline(always)]
    fn surplus(&self) -> Option<u32> {
        if self.records.len() <= STEP {
            return None;
        }
        let last = (self.records.len() - 1) / STEP;
        let live = |step: u32| self.live.get(step as usize).copied().unwrap_or(0);
        (live(last) == 0 && live(last - 1) == 0).then_some(last * STEP)
    }

    /// Gives some slots at the end back, if there is no record in them: to be called now and then. Some: slots up to here
    /// are left, and what lies beside the others can go too.
    #[inline(always)]
    pub fn give_back(&mut self) -> Option<u32> {
        let left = self.surplus()?;
        self.records.truncate(left);
        Some(left)
    }

    /// There are slots that [`Slab::give_back`] has not given back yet.
    pub fn is_giving_back(&self) -> bool {
        self.surplus().is_some()
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
        self.records.limit()
    }

    /// Slots ever used: indices are below this. For sweeps over all records, off the packet path.
    pub fn slots(&self) -> u32 {
        self.slots
    }

    pub fn memory_bytes(&self) -> usize {
        self.records.memory_bytes() + self.vacant.memory_bytes() + self.live.capacity() * size_of::<u16>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;

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
        const RECORDS: u32 = 50 * STEP;
        let mut rng = Rng::new(4);
        let mut slab = Slab::with_limit(RECORDS);
        let mut order: Vec<u32> = (0..RECORDS).map(|i| slab.insert(u64::from(i)).unwrap()).collect();
        let full = slab.records.memory_bytes();
        for last in (1..order.len()).rev() {
            order.swap(last, rng.below(last as u64 + 1) as usize);
        }
        for slot in order {
            assert_eq!(slab.get(slot), Some(&u64::from(slot)));
            assert!(slab.remove(slot));
            slab.give_back();
        }
        while let Some(left) = slab.give_back() {
            assert_eq!(slab.get(left), None);
        }
        assert!(!slab.is_giving_back());
        assert_eq!(slab.records.len(), STEP, "one step is kept");
        assert!(slab.records.memory_bytes() < full / 10);
        for i in 0..RECORDS {
            assert_eq!(slab.insert(7), Some(i));
        }
        assert_eq!(slab.records.memory_bytes(), full);
    }

    #[test]
    fn crossing_the_border_of_a_step_to_and_fro_keeps_the_step() {
        let mut slab = Slab::with_limit(100_000);
        for i in 0..STEP {
            slab.insert(i);
        }
        let slot = slab.insert(7).unwrap();
        for _ in 0..10 {
            slab.remove(slot);
            assert_eq!(slab.give_back(), None);
            assert_eq!(slab.insert(7), Some(slot));
        }
    }

    #[test]
    fn a_record_keeps_the_slots_before_it_and_is_found_whatever_goes() {
        let mut slab = Slab::with_limit(100_000);
        (0..4 * STEP).for_each(|i| _ = slab.insert(i));
        (0..4 * STEP).filter(|&slot| slot != 3 * STEP).for_each(|slot| assert!(slab.remove(slot)));
        assert_eq!((slab.give_back(), slab.get(3 * STEP)), (None, Some(&(3 * STEP))));
        slab.remove(3 * STEP);
        assert_eq!([(); 4].map(|()| slab.give_back()), [Some(3 * STEP), Some(2 * STEP), Some(STEP), None]);
        assert!(!slab.is_taken(3 * STEP) && !slab.remove(3 * STEP));
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
            if rng.chance(0.5) {
                slab.give_back();
            }
            assert_eq!(slab.len() as usize, oracle.len());
            assert_eq!(slab.get(slot).copied().filter(|v| *v != 0), oracle.get(&slot).copied().filter(|v| *v != 0));
        }
    }
}
