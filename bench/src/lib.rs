//! Benches of the engine: what they share.

pub mod usage;
