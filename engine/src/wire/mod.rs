//! F1: bytes on the wire. Parsing never panics and never allocates; emitting writes into a given buffer.
//!
//! Addresses are 16 bytes for both families ([`Addr`], IPv4 as v4-mapped), so that IPv4 and IPv6 take the
//! same way through the engine.

pub mod addr;
pub mod emit;
pub mod parse;
pub mod segment;
pub mod seq;

pub use addr::{Addr, Mac};
pub use segment::{TcpFlags, TcpOptions, TcpSegment};
pub use seq::Seq;
