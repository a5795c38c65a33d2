//! Which core a worker runs on.

use core_affinity::CoreId;

/// The cores that this process may use, lowest first; empty when the system does not tell.
pub fn available_cores() -> Vec<usize> {
    let mut cores: Vec<usize> = core_affinity::get_core_ids().unwrap_or_default().iter().map(|c| c.id).collect();
    cores.sort_unstable();
    cores
}

/// Binds the calling thread to a core. False when the system refuses.
#[must_use]
pub fn pin_to(core: usize) -> bool {
    core_affinity::set_for_current(CoreId { id: core })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_can_be_bound_to_a_core_that_is_there_and_to_no_other() {
        let cores = available_cores();
        let last = *cores.last().expect("at least one core");
        std::thread::spawn(move || {
            assert!(pin_to(last));
            assert_eq!(available_cores(), [last]);
            assert!(!pin_to(1023));
        })
        .join()
        .unwrap();
    }
}
