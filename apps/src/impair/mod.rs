//! The impaired link between two devices: [`port`] opens them, [`bridge`] carries packets from one to the other. What
//! happens on the way is the engine's model of a link ([`synfin_engine::io::sim`]), on a real clock.

pub mod bridge;
pub mod port;

#[cfg(test)]
mod bridge_tests;

pub use bridge::{Bridge, Traffic};
pub use port::Port;
