//! A set of slot numbers that gives the lowest one first, in constant time.
//!
//! One bit for each slot, a bit for each word of those that is not zero, and so on, in three levels; above them there
//! are so few words (one for 262,144 slots) that they are searched from the front.

use crate::base::Extent;

const WORD_BITS: u32 = u64::BITS;
/// From a slot to its word on each level.
const SHIFTS: [u32; 3] = [6, 12, 18];

#[derive(Debug)]
pub struct Vacancies {
    slots: Extent<u64>,
    words: Vec<u64>,
    groups: Vec<u64>,
    /// No word of `slots` before this one has a bit set. The levels above take it for one that has, even when it is empty: mostly
    /// it is emptied and filled in turns.
    first: u32,
}

const fn bit(index: u32) -> u64 {
    1 << (index % WORD_BITS)
}

impl Vacancies {
    /// For slots below `limit`.
    pub fn with_limit(limit: u32) -> Vacancies {
        let slots = Extent::with_limit(limit.div_ceil(WORD_BITS));
        Vacancies { slots, words: Vec::new(), groups: Vec::new(), first: u32::MAX }
    }

    pub fn contains(&self, slot: u32) -> bool {
        self.slots.get(slot >> SHIFTS[0]).is_some_and(|word| word & bit(slot) != 0)
    }

    /// False when the slot was in it already.
    #[inline]
    pub fn insert(&mut self, slot: u32) -> bool {
        let word = slot >> SHIFTS[0];
        match self.slots.get_mut(word) {
            // The levels above know of the word already.
            Some(bits) if *bits != 0 || word == self.first => {
                let is_new = *bits & bit(slot) == 0;
                *bits |= bit(slot);
                is_new
            }
            _ => self.insert_word(slot),
        }
    }

    /// The first slot of its word.
    #[inline(never)]
    fn insert_word(&mut self, slot: u32) -> bool {
        let [word, group, top] = SHIFTS.map(|shift| slot >> shift);
        self.slots.put(word, bit(slot), || 0);
        set(&mut self.words, group, word);
        set(&mut self.groups, top, group);
        self.first = self.first.min(word);
        true
    }

    /// Takes the lowest slot out.
    #[inline]
    pub fn pop_lowest(&mut self) -> Option<u32> {
        if self.slots.get(self.first).is_none_or(|bits| *bits == 0) {
            self.find_first()?;
        }
        let word = self.first;
        let bits = self.slots.get_mut(word)?;
        let slot = word * WORD_BITS + bits.trailing_zeros();
        *bits &= *bits - 1;
        Some(slot)
    }

    /// The levels above learn that there is no slot left in the first word.
    fn remove_first(&mut self) {
        let word = self.first;
        let [group, top] = [word / WORD_BITS, word / WORD_BITS / WORD_BITS];
        if clear(&mut self.words, group, word) {
            clear(&mut self.groups, top, group);
        }
    }

    /// Looks for the first word that has a bit set, from where it was last on, which has none.
    #[inline(never)]
    fn find_first(&mut self) -> Option<()> {
        while self.slots.get(self.first).is_none_or(|bits| *bits == 0) {
            self.remove_first();
            self.find_marked()?;
        }
        Some(())
    }

    /// Looks for the first word that the levels above take for one that has a bit set.
    fn find_marked(&mut self) -> Option<()> {
        const WORDS: u32 = WORD_BITS * WORD_BITS;
        let mut top = self.first / WORDS;
        while *self.groups.get(top as usize)? == 0 {
            top += 1;
            self.first = top * WORDS;
        }
        let group = top * WORD_BITS + lowest(&self.groups, top)?;
        self.first = group * WORD_BITS + lowest(&self.words, group)?;
        Some(())
    }

    pub fn memory_bytes(&self) -> usize {
        self.slots.memory_bytes() + (self.words.capacity() + self.groups.capacity()) * size_of::<u64>()
    }
}

fn lowest(level: &[u64], at: u32) -> Option<u32> {
    level.get(at as usize).map(|bits| bits.trailing_zeros())
}

fn set(level: &mut Vec<u64>, at: u32, below: u32) {
    if level.len() <= at as usize {
        level.resize(at as usize + 1, 0);
    }
    if let Some(bits) = level.get_mut(at as usize) {
        *bits |= bit(below);
    }
}

/// True when the word is zero now.
fn clear(level: &mut [u64], at: u32, below: u32) -> bool {
    level.get_mut(at as usize).is_some_and(|bits| {
        *bits &= !bit(below);
        *bits == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;
    use std::collections::BTreeSet;

    #[test]
    fn gives_the_lowest_of_what_was_put_in_over_the_whole_range() {
        let mut rng = Rng::new(77);
        for range in [10, 5_000, 2_000_000] {
            let (mut set, mut oracle) = (Vacancies::with_limit(range as u32), BTreeSet::new());
            for _ in 0..20_000 {
                let slot = rng.below(range) as u32;
                if rng.chance(0.55) {
                    assert_eq!(set.insert(slot), oracle.insert(slot));
                } else {
                    assert_eq!(set.pop_lowest(), oracle.pop_first());
                }
                assert_eq!(set.contains(slot), oracle.contains(&slot));
            }
            while let Some(slot) = oracle.pop_first() {
                assert_eq!(set.pop_lowest(), Some(slot));
            }
            assert_eq!(set.pop_lowest(), None);
        }
    }
}
