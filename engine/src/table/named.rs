//! A [`Slab`] whose records can be named for longer than they live: a slot and its generation.
//!
//! A generation is odd while the slot is taken and goes up by one at each insertion and removal. It lies beside the
//! records, not in them, so that they keep their size and alignment; reading a record is two dependent loads and does
//! not read the generation. When the memory of a segment goes back, one number for all its slots remains, from which
//! they go on counting: no name ever comes again.

use super::Slab;
use crate::base::Segmented;
use crate::base::segmented::segment_of;

#[derive(Debug)]
pub struct NamedSlab<T> {
    slab: Slab<T>,
    generations: Segmented<u32>,
    /// For each segment: the generation of those of its slots that `generations` does not have.
    base: Vec<u32>,
}

impl<T: Default> NamedSlab<T> {
    /// As [`Slab::with_limit`].
    pub const fn with_limit(limit: u32) -> NamedSlab<T> {
        NamedSlab { slab: Slab::with_limit(limit), generations: Segmented::new(), base: Vec::new() }
    }

    /// Stores a record; None when the limit is reached.
    pub fn insert(&mut self, record: T) -> Option<u32> {
        let slot = self.slab.insert(record)?;
        match self.generations.get_mut(slot) {
            Some(generation) => *generation = generation.wrapping_add(1),
            None => {
                let base = self.base_of(slot);
                self.generations.put(slot, base.wrapping_add(1), || base);
            }
        }
        Some(slot)
    }

    /// Leaves `T::default()` in place of the record; false when the slot was vacant.
    pub fn remove(&mut self, slot: u32) -> bool {
        if !self.slab.remove(slot) {
            return false;
        }
        if let Some(generation) = self.generations.get_mut(slot) {
            *generation = generation.wrapping_add(1);
        }
        true
    }

    /// As [`Slab::take_released`]; to be called after each removal.
    #[inline]
    pub fn take_released(&mut self) -> Option<u32> {
        let segment = self.slab.take_released()?;
        let highest = self.generations.segment(segment).iter().copied().max().unwrap_or(0);
        if self.base.len() <= segment as usize {
            self.base.resize(segment as usize + 1, 0);
        }
        if let Some(base) = self.base.get_mut(segment as usize) {
            *base = highest.max(*base);
        }
        self.generations.release(segment);
        Some(segment)
    }

    /// As [`Slab::give_back`].
    #[inline]
    pub fn give_back(&mut self) {
        self.slab.give_back();
    }

    /// As [`Slab::is_giving_back`].
    pub fn is_giving_back(&self) -> bool {
        self.slab.is_giving_back()
    }

    fn base_of(&self, slot: u32) -> u32 {
        self.base.get(segment_of(slot) as usize).copied().unwrap_or(0)
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
        self.generations.get(slot).copied().unwrap_or_else(|| self.base_of(slot))
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
        self.slab.memory_bytes() + self.generations.memory_bytes() + self.base.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Rng, SEGMENT_LEN};
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
        let mut slab = NamedSlab::with_limit(u32::MAX);
        let (mut names, mut live) = (BTreeSet::new(), BTreeMap::new());
        let mut released = 0;
        for _ in 0..6 {
            for _ in 0..3 * SEGMENT_LEN {
                let slot = slab.insert(1).unwrap();
                assert!(names.insert((slot, slab.generation(slot))), "slot {slot}");
                live.insert(slot, slab.generation(slot));
                // Some slots have more tenants than others.
                if rng.chance(0.3) {
                    slab.remove(slot);
                    slab.take_released();
                    live.remove(&slot);
                }
            }
            while let Some((slot, generation)) = live.pop_last() {
                assert!(slab.is_live(slot, generation));
                slab.remove(slot);
                released += u32::from(slab.take_released().is_some());
                assert!(!slab.is_live(slot, generation));
            }
        }
        assert!(released >= 6, "{released} segments were given back");
        assert!(names.iter().all(|(slot, generation)| !slab.is_live(*slot, *generation)));
    }
}
