//! A [`Slab`] whose records can be named for longer than they live: a slot and its generation.
//!
//! A generation is odd while the slot is taken and goes up by one at each insertion and removal. It lies beside the
//! records, not in them, so that they keep their size and alignment; reading a record does not read the generation. When
//! slots are given back, one number for all of them remains, from which they go on counting: no name ever comes again.

use super::Slab;
use crate::base::Extent;

#[derive(Debug)]
pub struct NamedSlab<T> {
    slab: Slab<T>,
    generations: Extent<u32>,
    /// The generation of slots that `generations` does not have, even: no slot that was given back had a higher one.
    base: u32,
}

impl<T: Default> NamedSlab<T> {
    /// As [`Slab::with_limit`].
    pub fn with_limit(limit: u32) -> NamedSlab<T> {
        NamedSlab { slab: Slab::with_limit(limit), generations: Extent::with_limit(limit), base: 0 }
    }

    /// Stores a record; None when the limit is reached.
    pub fn insert(&mut self, record: T) -> Option<u32> {
        let slot = self.take()?;
        *self.slab.get_mut(slot)? = record;
        Some(slot)
    }

    /// Takes a slot, in which there is `T::default()`; None when the limit is reached.
    #[inline(always)]
    pub fn take(&mut self) -> Option<u32> {
        let slot = self.slab.take()?;
        let base = self.base;
        match self.generations.get_mut(slot) {
            Some(generation) => *generation = generation.wrapping_add(1),
            None => _ = self.generations.put(slot, base.wrapping_add(1), || base),
        }
        Some(slot)
    }

    /// Leaves `T::default()` in place of the record; false when the slot was vacant.
    #[inline]
    pub fn remove(&mut self, slot: u32) -> bool {
        if !self.slab.remove(slot) {
            return false;
        }
        if let Some(generation) = self.generations.get_mut(slot) {
            *generation = generation.wrapping_add(1);
        }
        true
    }

    /// As [`Slab::give_back`].
    #[inline(always)]
    pub fn give_back(&mut self) -> Option<u32> {
        let left = self.slab.give_back()?;
        self.base = self.generations.tail(left).iter().copied().fold(self.base, u32::max);
        self.generations.truncate(left);
        Some(left)
    }

    /// As [`Slab::is_giving_back`].
    pub fn is_giving_back(&self) -> bool {
        self.slab.is_giving_back()
    }

    /// As [`Slab::get`]. Whoever holds an index that may be out of date asks [`NamedSlab::is_live`] first.
    #[inline(always)]
    pub fn get(&self, slot: u32) -> Option<&T> {
        self.slab.get(slot)
    }

    /// As [`NamedSlab::get`].
    #[inline(always)]
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.slab.get_mut(slot)
    }

    /// Odd while the slot is taken, even when vacant. Wraps after 2^31 tenants.
    #[inline]
    pub fn generation(&self, slot: u32) -> u32 {
        self.generations.get(slot).copied().unwrap_or(self.base)
    }

    /// The slot still has the tenant that had this generation.
    #[inline]
    pub fn is_live(&self, slot: u32, generation: u32) -> bool {
        generation & 1 == 1 && self.generation(slot) == generation
    }

    /// Records held.
    pub fn len(&self) -> u32 {
        self.slab.len()
    }

    pub fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    pub fn limit(&self) -> u32 {
        self.slab.limit()
    }

    /// As [`Slab::slots`].
    pub fn slots(&self) -> u32 {
        self.slab.slots()
    }

    pub fn memory_bytes(&self) -> usize {
        self.slab.memory_bytes() + self.generations.memory_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;
    use crate::table::slab::STEP;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn a_generation_names_one_tenant_only() {
        let mut slab = NamedSlab::with_limit(10);
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
    fn no_name_comes_again_even_when_memory_has_been_given_back() {
        let mut rng = Rng::new(5);
        let mut slab = NamedSlab::with_limit(1_000_000);
        let (mut names, mut live) = (BTreeSet::new(), BTreeMap::new());
        let mut released = 0;
        for _ in 0..6 {
            for _ in 0..3 * STEP {
                let slot = slab.insert(1).unwrap();
                assert!(names.insert((slot, slab.generation(slot))), "slot {slot}");
                live.insert(slot, slab.generation(slot));
                // Some slots have more tenants than others.
                if rng.chance(0.3) {
                    slab.remove(slot);
                    live.remove(&slot);
                }
            }
            while let Some((slot, generation)) = live.pop_last() {
                assert!(slab.is_live(slot, generation));
                slab.remove(slot);
                released += u32::from(slab.give_back().is_some());
                assert!(!slab.is_live(slot, generation));
            }
        }
        assert!(released >= 6, "{released} steps were given back");
        assert!(names.iter().all(|(slot, generation)| !slab.is_live(*slot, *generation)));
    }
}
