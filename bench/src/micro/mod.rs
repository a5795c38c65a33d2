//! Small parts of the engine, each as a case that can be timed (`benches/micro.rs`) and counted in instructions
//! (`benches/micro_instructions.rs`).

mod flows;
mod puppet;
mod shard;
mod timers;
mod wire;

use crate::callgrind::measured;
use std::hint::black_box;
use std::time::Duration;

/// Does its thing a number of times and tells how long the thing itself took, without what it takes to prepare it.
pub type Work = Box<dyn FnMut(u64) -> Duration>;

/// One part, in one size.
pub struct Case {
    pub group: &'static str,
    pub name: String,
    /// Things (bytes summed up, segments, timers) that one iteration handles; figures are given for one of them.
    pub per_iteration: u64,
    /// Iterations under callgrind; None where setting up would take it minutes.
    pub counted_iterations: Option<u64>,
    pub build: Box<dyn Fn() -> Work>,
}

impl Case {
    fn new(group: &'static str, name: impl Into<String>, build: impl Fn() -> Work + 'static) -> Case {
        let (name, build) = (name.into(), Box::new(build));
        Case { group, name, per_iteration: 1, counted_iterations: Some(1_000), build }
    }

    /// An iteration handles `things` at once.
    fn of(self, things: u64) -> Case {
        Case { per_iteration: things, ..self }
    }

    fn counted(self, iterations: Option<u64>) -> Case {
        Case { counted_iterations: iterations, ..self }
    }

    pub fn id(&self) -> String {
        format!("{}/{}", self.group, self.name)
    }
}

/// Work that needs no preparation between iterations.
fn repeat<R>(mut act: impl FnMut() -> R + 'static) -> Work {
    Box::new(move |iterations| {
        measured(&mut || {
            for _ in 0..iterations {
                black_box(act());
            }
        })
    })
}

/// Work whose iterations time themselves.
fn each(mut iteration: impl FnMut() -> Duration + 'static) -> Work {
    Box::new(move |iterations| (0..iterations).map(|_| iteration()).sum())
}

pub fn all() -> Vec<Case> {
    [wire::cases(), flows::cases(), timers::cases(), shard::cases()].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_case_has_a_name_of_its_own_and_something_to_handle() {
        let cases = all();
        let names: HashSet<String> = cases.iter().map(Case::id).collect();
        assert_eq!(names.len(), cases.len());
        assert!(cases.iter().all(|case| case.per_iteration > 0));
    }
}
