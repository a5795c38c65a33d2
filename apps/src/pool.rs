//! State that only few of many connections need at a time: kept here, so that an idle connection pays for a number
//! alone.

use synfin_engine::base::Segmented;

/// Values by number. Numbers start at 1 and stay below `u32::MAX`, so that both ends can mean something else.
pub struct Pool<T> {
    values: Segmented<T>,
    free: Segmented<u32>,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Pool { values: Segmented::new(), free: Segmented::new() }
    }
}

impl<T: Default> Pool<T> {
    /// Keeps a value; the number is its name until it is removed.
    pub fn insert(&mut self, value: T) -> u32 {
        let at = self.free.pop().unwrap_or(self.values.len() as u32);
        match self.values.get_mut(at) {
            Some(place) => *place = value,
            None => self.values.push(value),
        }
        at + 1
    }

    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.values.get_mut(number.checked_sub(1)?)
    }

    /// Takes a value out. A number is good for one removal.
    pub fn remove(&mut self, number: u32) -> T {
        let Some(place) = self.get_mut(number) else { return T::default() };
        let value = std::mem::take(place);
        self.free.push(number - 1);
        value
    }

    /// Values kept.
    pub fn len(&self) -> usize {
        self.values.len() - self.free.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_number_until_it_is_removed_and_numbers_are_reused() {
        let mut pool = Pool::default();
        let numbers: Vec<u32> = (0..10_000).map(|n| pool.insert(n)).collect();
        assert!(numbers.iter().all(|n| *n > 0));
        assert_eq!(pool.get_mut(numbers[77]).copied(), Some(77));
        assert_eq!(pool.remove(numbers[77]), 77);
        assert_eq!((pool.len(), pool.insert(5)), (9_999, numbers[77]));
        numbers.iter().for_each(|n| {
            pool.remove(*n);
        });
        assert!(pool.is_empty());
        assert_eq!(pool.get_mut(0), None);
        assert_eq!(pool.remove(0), 0);
    }
}
