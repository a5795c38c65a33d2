//! Connections that are about to be begun, or to end: what that needs is fetched for all of them at once.
//!
//! Among millions each needs a line of the flow table that lies in no cache, on a page that is in no TLB. The processor
//! looks up several pages at a time if it comes to them one right after the other, and waits for each if it has other
//! work in between: so the hashes are gathered first.

use super::core::Core;
use super::ingest::BURST;

/// Hashes of their 4-tuples.
pub(super) struct Upcoming {
    hashes: [u64; BURST],
    len: usize,
}

impl Upcoming {
    pub fn new() -> Upcoming {
        Upcoming { hashes: [0; BURST], len: 0 }
    }

    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// False: there is no room for one more.
    #[inline]
    pub fn push(&mut self, hash: u64) -> bool {
        let place = self.hashes.get_mut(self.len);
        let fits = place.map(|place| *place = hash).is_some();
        self.len += usize::from(fits);
        fits
    }

    /// All of them; none is left.
    fn take(&mut self) -> &[u64] {
        let len = core::mem::take(&mut self.len);
        self.hashes.get(..len).unwrap_or(&self.hashes)
    }
}

impl Core {
    /// Fetches what all those need that were gathered.
    #[inline(never)]
    pub(super) fn fetch_upcoming(&mut self) {
        let hashes = self.upcoming.take();
        hashes.iter().for_each(|hash| _ = self.flows.prefetch(*hash));
        hashes.iter().for_each(|hash| self.time_wait.prefetch(*hash));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gathers_a_burst_and_begins_anew_when_it_is_taken() {
        let mut upcoming = Upcoming::new();
        assert!((0..BURST as u64).all(|hash| upcoming.push(hash)));
        assert!(!upcoming.push(77));
        assert_eq!(upcoming.take().last(), Some(&(BURST as u64 - 1)));
        assert!(upcoming.is_empty() && upcoming.push(78));
        assert_eq!(upcoming.take(), [78]);
    }
}
