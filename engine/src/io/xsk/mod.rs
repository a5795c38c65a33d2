//! AF_XDP sockets: our own rings, straight on the system calls.
//!
//! One [`XskIo`] is one socket bound to one queue of a device: the engine's default source and sink of frames.
//! [`XskSet::open`] opens the sockets of several queues over one shared packet memory, so that a frame may travel
//! from worker to worker without being copied.
//!
//! - `config`: what is asked for, and the check of it.
//! - `umem`: the packet memory, its registration and its end.
//! - `ring`: index arithmetic and the four shared rings. Knows neither frames nor sockets.
//! - `path`: frames into rings and back. Pure memory, no system call: tested against a kernel made of plain memory.
//! - `sys`: the system calls, one small function each.
//! - `explain`: set-up errors in words.
//! - `socket`: set-up, wake-ups, waiting, figures.
//! - `wait`: waiting for several sockets at once.
//!
//! Never does: choose which packets come here. That is the XDP program's job (`io::bpf`), which needs this
//! socket's descriptor ([`XskIo::fd`]).
//!
//! Left out on purpose: unaligned chunks, and launch-time metadata.

mod config;
mod explain;
mod path;
mod ring;
mod socket;
mod sys;
mod umem;
mod wait;

pub use config::{BindMode, MTU_MAX, XskConfig};
pub use socket::{XskIo, XskSet};
pub use wait::Waiter;
