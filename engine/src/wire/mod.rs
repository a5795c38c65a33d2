//! F1: bytes on the wire. Parsing never panics and never allocates; emitting writes into a given buffer.
//!
//! Addresses are 16 bytes for both families ([`Addr`], IPv4 as v4-mapped), so that IPv4 and IPv6 take the
//! same way through the engine. A datagram that carries a v4-mapped address *in an IPv6 header* would pass for
//! IPv4 further up, so the parser refuses it.
//!
//! [`parse()`](parse::parse) and [`emit`] are the doors; behind them each protocol has its file, which reads and
//! writes its own header and no other: `eth`, `arp`, `ipv4`, `ipv6`, `icmp`, `ndp`, `tcp` with `options`.
//! What a header may hold is decided once, when it is read: the floors above see only [`parse::Packet`].
//!
//! Never here: whether a frame is for us (link addresses, VLANs, IP addresses: the shard knows them), IP
//! reassembly (fragments are dropped and counted), UDP, and jumbograms.

pub mod addr;
mod arp;
pub mod checksum;
pub mod emit;
mod eth;
mod field;
mod icmp;
mod ipv4;
mod ipv6;
mod ndp;
mod options;
pub mod parse;
pub mod plain;
mod plain_out;
pub mod segment;
pub mod seq;
mod tcp;

#[cfg(test)]
mod captured_tests;
#[cfg(test)]
mod drop_tests;
#[cfg(test)]
mod parts_tests;
#[cfg(test)]
mod robustness_tests;
#[cfg(test)]
mod round_trip_tests;
#[cfg(test)]
mod test_frames;

pub use addr::{Addr, Mac};
pub use segment::{FastOpenCookie, TcpFlags, TcpOptions, TcpSegment};
pub use seq::Seq;
