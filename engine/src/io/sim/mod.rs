//! Virtual links: where frames go when there is no device.
//!
//! Two ways to use them. [`SimLink`] is sans-IO: bytes and the time go in, frames come out, so two shards and a
//! link make a simulation that replays from its seed. [`SimIo`] is a [`PacketIo`](super::PacketIo) backend: the
//! worker loop runs on it in threads without privileges. [`MemoryLink`] moves frames without copying, for benches.
//!
//! What a link does to frames is decided in one place ([`impair`]) and delayed in one place ([`schedule`]); the
//! fault layer of `io::tap` stands on the same two, and a link between two real devices is a [`SimLink`] on a real clock. Left out on purpose: a model of a shared medium, of switches
//! and of bursts of loss; a seeded independent chance per frame finds the same bugs.

pub mod backend;
pub mod impair;
pub mod link;
pub mod mark;
pub mod memory;
pub mod schedule;

pub use backend::SimIo;
pub use impair::{Impairment, LinkStats};
pub use link::{End, SimLink};
pub use memory::MemoryLink;
