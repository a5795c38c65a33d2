//! Benches of the engine: what they share.
//!
//! The harness is our own, a loop and a median. What is measured is a rate in steady state, with packets counted and
//! instructions taken as a difference of two runs; libraries that time a closure over and over (criterion, divan)
//! would stand in the way of that and bring dozens of crates.

pub mod kernel;
pub mod lifecycle;
pub mod machine;
pub mod results;
pub mod scale;
pub mod usage;
