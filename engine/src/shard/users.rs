//! The application's data of each connection, beside the control blocks and under the same slot numbers.

const STEP: usize = 1024;

/// Grows in steps; entries never move.
pub struct Users<U> {
    steps: Vec<Box<[U]>>,
}

impl<U: Default> Users<U> {
    pub fn new() -> Self {
        Users { steps: Vec::new() }
    }

    pub fn set(&mut self, slot: u32, user: U) {
        let (step, at) = (slot as usize / STEP, slot as usize % STEP);
        while self.steps.len() <= step {
            self.steps.push((0..STEP).map(|_| U::default()).collect());
        }
        self.steps[step][at] = user;
    }

    #[inline]
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut U> {
        self.steps.get_mut(slot as usize / STEP)?.get_mut(slot as usize % STEP)
    }

    pub fn take(&mut self, slot: u32) -> U {
        self.get_mut(slot).map(std::mem::take).unwrap_or_default()
    }
}
