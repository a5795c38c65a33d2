//! Records by index: they never move, and are reused in last-in first-out order (the record freed last is the one
//! most likely still in the cache).
//!
//! A slot's generation tells its tenants apart: it is odd while the slot is taken and goes up by one at each
//! insertion and removal. It lives beside the records, not in them, so that records keep their size and
//! alignment; reading a record is two dependent loads and does not read the generation.
//!
//! Memory grows by 4096 records at a time, up to the limit, and is never given back: the peak is what a
//! machine must be able to hold anyway.

use crate::base::Segmented;

#[derive(Debug)]
pub struct Slab<T> {
    records: Segmented<T>,
    generations: Segmented<u32>,
    /// Slots that were taken once and are vacant now.
    free: Segmented<u32>,
    len: u32,
    limit: u32,
}

impl<T: Default> Slab<T> {
    /// A slab that holds at most `limit` records. Allocates nothing yet.
    pub const fn with_limit(limit: u32) -> Slab<T> {
        Slab { records: Segmented::new(), generations: Segmented::new(), free: Segmented::new(), len: 0, limit }
    }

    /// Stores a record; None when the limit is reached.
    pub fn insert(&mut self, record: T) -> Option<u32> {
        if self.len >= self.limit {
            return None;
        }
        let slot = match self.free.pop() {
            Some(slot) => {
                *self.records.get_mut(slot)? = record;
                *self.generations.get_mut(slot)? |= 1;
                slot
            }
            None => {
                let slot = self.records.len() as u32;
                self.records.push(record);
                self.generations.push(1);
                slot
            }
        };
        self.len += 1;
        Some(slot)
    }

    /// Takes the record out and leaves `T::default()`; None when the slot was vacant.
    pub fn remove(&mut self, slot: u32) -> Option<T> {
        let generation = self.generations.get_mut(slot).filter(|g| **g & 1 == 1)?;
        *generation = generation.wrapping_add(1);
        self.free.push(slot);
        self.len -= 1;
        self.records.get_mut(slot).map(core::mem::take)
    }

    /// The record in `slot`; the default value when the slot is vacant, None when it never was in use. Whoever holds
    /// an index that may be out of date asks [`Slab::is_live`] first.
    #[inline(always)]
    pub fn get(&self, slot: u32) -> Option<&T> {
        self.records.get(slot)
    }

    /// As [`Slab::get`].
    #[inline(always)]
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.records.get_mut(slot)
    }

    /// Odd while the slot is taken, even when vacant; 0 when it never was in use. Wraps after 2^31 tenants.
    #[inline]
    pub fn generation(&self, slot: u32) -> u32 {
        self.generations.get(slot).copied().unwrap_or(0)
    }

    /// The slot still has the tenant that had this generation.
    #[inline]
    pub fn is_live(&self, slot: u32, generation: u32) -> bool {
        generation & 1 == 1 && self.generation(slot) == generation
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
        self.records.memory_bytes() + self.generations.memory_bytes() + self.free.memory_bytes()
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
        assert_eq!(slab.remove(slots[1]), Some(1));
        assert_eq!(slab.insert(9), Some(slots[1]));
        assert_eq!(slab.get(slots[1]), Some(&9));
        assert_eq!(slab.len(), 3);
    }

    #[test]
    fn the_slot_freed_last_is_reused_first() {
        let mut slab = Slab::with_limit(10);
        for i in 0..4 {
            slab.insert(i);
        }
        slab.remove(0);
        slab.remove(2);
        assert_eq!(slab.insert(7), Some(2));
        assert_eq!(slab.insert(8), Some(0));
        assert_eq!(slab.insert(9), Some(4));
    }

    #[test]
    fn a_vacant_slot_gives_the_default_record_and_cannot_be_removed_again() {
        let mut slab = Slab::with_limit(10);
        let slot = slab.insert(String::from("x")).unwrap();
        assert_eq!(slab.remove(slot), Some(String::from("x")));
        assert_eq!(slab.get(slot), Some(&String::new()));
        assert_eq!(slab.remove(slot), None);
        assert_eq!(slab.remove(99), None);
        assert_eq!(slab.get(99), None);
        assert!(slab.is_empty());
    }

    #[test]
    fn a_generation_names_one_tenant_only() {
        let mut slab = Slab::with_limit(10);
        let slot = slab.insert(1).unwrap();
        let first = slab.generation(slot);
        assert!(slab.is_live(slot, first));
        slab.remove(slot);
        assert!(!slab.is_live(slot, first));
        assert!(!slab.is_live(slot, slab.generation(slot)), "a vacant slot is not live under any generation");
        slab.insert(2);
        assert!(!slab.is_live(slot, first));
        assert!(slab.is_live(slot, slab.generation(slot)));
        assert!(!slab.is_live(1234, 1));
    }

    #[test]
    fn agrees_with_a_map_under_random_insertions_and_removals() {
        let mut rng = Rng::new(21);
        let mut slab = Slab::with_limit(9_000);
        let mut oracle = std::collections::BTreeMap::new();
        for step in 0..200_000u64 {
            let slot = rng.below(9_500) as u32;
            if rng.chance(0.55) {
                match slab.insert(step) {
                    Some(slot) => assert_eq!(oracle.insert(slot, step), None),
                    None => assert_eq!(oracle.len(), 9_000),
                }
            } else {
                assert_eq!(slab.remove(slot), oracle.remove(&slot));
            }
            assert_eq!(slab.len() as usize, oracle.len());
            assert_eq!(slab.get(slot).copied().filter(|v| *v != 0), oracle.get(&slot).copied().filter(|v| *v != 0));
            assert_eq!(slab.is_live(slot, slab.generation(slot)), oracle.contains_key(&slot));
        }
    }
}
