//! The names of all connections that were begun, to draw from. Names of connections that are gone are forgotten when
//! somebody comes upon them, so nothing has to be looked for when a connection ends.

use synfin_engine::base::{Rng, Segmented};
use synfin_engine::shard::app::ConnId;

#[derive(Default)]
pub struct Names {
    ids: Segmented<ConnId>,
}

impl Names {
    pub fn push(&mut self, id: ConnId) {
        self.ids.push(id);
    }

    /// One at random, and its place; all are equally likely.
    pub fn draw(&self, rng: &mut Rng) -> Option<(u32, ConnId)> {
        let place = rng.below(self.ids.len() as u64) as u32;
        self.ids.get(place).map(|id| (place, *id))
    }

    /// The last name takes the place of the one that is forgotten.
    pub fn forget(&mut self, place: u32) {
        let last = self.ids.pop();
        if let Some((at, id)) = self.ids.get_mut(place).zip(last) {
            *at = id;
        }
    }

    pub fn pop(&mut self) -> Option<ConnId> {
        self.ids.pop()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_drawn_and_a_forgotten_one_never_again() {
        let (mut names, mut rng) = (Names::default(), Rng::new(1));
        assert_eq!(names.draw(&mut rng), None);
        (0..100).for_each(|slot| names.push(ConnId { slot, generation: 1 }));
        while let Some((place, id)) = names.draw(&mut rng) {
            if id.slot % 2 == 0 {
                names.forget(place);
            }
            let mut left = 0;
            while names.ids.get(left).is_some_and(|id| id.slot % 2 == 1) {
                left += 1;
            }
            if names.ids.get(left).is_none() {
                break;
            }
        }
        let mut left: Vec<u32> = std::iter::from_fn(|| names.pop()).map(|id| id.slot).collect();
        left.sort_unstable();
        assert_eq!(left, (0..100).filter(|slot| slot % 2 == 1).collect::<Vec<_>>());
    }
}
