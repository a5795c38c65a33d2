//! What memory costs on this machine when it is touched for the first time.
//!
//! A huge page is the largest piece of work that a turn may meet with. On a virtual machine whose host takes free memory
//! back, the host has to provide it again: the first touch then shows the host's time, the second one the kernel's.

use std::time::Instant;
use synfin_engine::base::Words;
use synfin_engine::base::words::{HUGE_FROM, HUGE_WORDS};

const HUGE_PAGES: usize = 64;

/// The longest of so many first touches of a huge page, in microseconds.
pub fn huge_page_us() -> f64 {
    let mut words = Words::with_limit(HUGE_FROM + HUGE_PAGES * HUGE_WORDS, 0);
    let touches = (0..HUGE_PAGES).map(|page| {
        let begun = Instant::now();
        if let Some(word) = words.get_mut(HUGE_FROM + page * HUGE_WORDS) {
            *word = 1;
        }
        begun.elapsed().as_secs_f64() * 1e6
    });
    touches.fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_touch_takes_time() {
        assert!(huge_page_us() > 0.0);
    }
}
