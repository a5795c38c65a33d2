//! What `synfin load` does: launches connections by a schedule, speaks a protocol over them, and measures.
//!
//! [`schedule`] says when, [`tuples`] from and to where, [`protocol`] what is said; [`client`] is the engine `App` that
//! puts them together, one per worker; [`tally`] and [`latency`] are what it finds out.

pub mod client;
pub mod conn;
pub mod dialer;
pub mod hold;
pub mod latency;
pub mod lost;
pub mod protocol;
pub mod request;
pub mod schedule;
pub mod tally;
pub mod timeouts;
pub mod tuples;
pub mod window;

pub use client::{Client, ClientConfig, Outcome};
pub use latency::Latencies;
pub use tally::{FailReason, MissReason, Tally};
