//! Layers around any backend: they are backends themselves, so they stack.
//!
//! [`Pcap`] records what passes, [`Fault`] harms it on purpose, [`PcapReplay`] plays a recording. All of them cost
//! nothing when they are not there: the poll loop is generic over its backend. They never own a socket and never
//! look at more than bytes and lengths.

pub mod fault;
pub mod fault_spec;
pub mod pcap;
pub mod pcap_format;
pub mod replay;

pub use fault::Fault;
pub use fault_spec::FaultSpec;
pub use pcap::{Pcap, PcapSink};
pub use pcap_format::{PcapRecord, read};
pub use replay::PcapReplay;

use crate::base::Instant;

/// Where a tap learns the time: handed in, like everywhere; the worker's clock in a run, a counter in a test.
pub type ClockFn = Box<dyn Fn() -> Instant + Send>;
