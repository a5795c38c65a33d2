//! A queue stays taken for some milliseconds after its last socket was closed, even by another process.

use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(5);

/// Tries to take a queue until it is free, or has been busy for too long to come free soon.
///
/// # Errors
/// That of the last attempt.
pub(super) fn patiently<T, E>(is_busy: impl Fn(&E) -> bool, mut take: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        match take() {
            Err(e) if is_busy(&e) && Instant::now() < give_up => std::thread::sleep(PAUSE),
            taken => return taken,
        }
    }
}
