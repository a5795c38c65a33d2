//! What the engine asks the operating system about the machine and its network: interfaces, routes, neighbours
//! ([`netlink`], [`route`], [`mod@neighbour`]), the device behind an interface ([`ethtool`]), multicast reception
//! ([`multicast`]), privileges ([`capabilities`]), the machine itself ([`environment()`]) and the CPU time used ([`usage`]).
//!
//! Set-up only: everything here makes system calls, allocates and may fail with an [`IoError`](crate::io::IoError).
//! All of it looks at the network namespace of the calling thread. Nothing is changed but by functions whose name
//! says so, and those give back a token that undoes the change.
//!
//! Left out on purpose: creating interfaces and addresses (that is `ip`'s job), and watching for changes.

pub mod capabilities;
pub mod environment;
pub mod ethtool;
pub mod multicast;
pub mod neighbour;
pub mod netlink;
pub mod route;
pub mod usage;

pub use capabilities::Capabilities;
pub use environment::{Environment, environment};
pub use neighbour::{Neighbour, neighbour, resolve_neighbour};
pub use netlink::{Interface, interface, interface_by_index};
pub use route::{Route, default_gateways, route_get};
pub use usage::Usage;

#[cfg(test)]
mod tests;
