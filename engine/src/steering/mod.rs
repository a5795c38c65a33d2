//! F1: which worker a connection belongs to, and how to make the network agree.
//!
//! [`Rss`] computes which queue a NIC will choose for a packet; [`Ports`] picks a client's own address and port, from
//! among those that a caller's test accepts; [`owner()`] says whose a 4-tuple is where no NIC decides; [`Policy`] is which
//! of them decides on a given device.
//!
//! Nothing here knows devices, workers or connections: numbers in, numbers out.

pub mod owner;
pub mod policy;
pub mod ports;
pub mod toeplitz;

pub use owner::owner;
pub use policy::Policy;
pub use ports::Ports;
pub use toeplitz::{Rss, Toeplitz};
