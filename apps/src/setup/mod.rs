//! From the command line to queues, shards and neighbours; every refusal is one sentence and the next step.
//!
//! [`site`] is what is found out about the interface and our addresses on it, [`kernel_ports`] which ports the kernel
//! needs, [`device`] opens the queues, [`steering`] says how workers share them, [`shard`] writes the shards'
//! configuration, [`reach`] looks up targets. Nothing here outlives the process: the XDP program, sockets and memberships go with it.

pub mod device;
pub mod kernel_ports;
pub mod reach;
pub mod shard;
pub mod site;
pub mod steering;

pub use device::{BoxIo, Device};
pub use site::{OwnRange, Site};
pub use steering::Steering;
