//! Benches of the engine: what they share.
//!
//! Small parts are timed by criterion (kept up, can time a stretch that we choose, leaves its figures in files; divan is
//! lighter but does neither) and counted by callgrind. Whatever is a rate in steady state, with packets counted, has a
//! loop and a median of its own.

pub mod callgrind;
pub mod device;
pub mod kernel;
pub mod lifecycle;
pub mod machine;
pub mod micro;
pub mod report;
pub mod results;
pub mod scale;
pub mod transfer;

pub use synfin_engine::io::sys::usage;
