//! `synfin-engine`: a user-space TCP stack on Linux AF_XDP.
//!
//! The floors, lowest first; a module imports only from the floors below it (tests/tidy.rs checks it):
//! [`base`] · [`wire`], [`timer`], [`steering`] · [`table`], [`neigh`], [`tcp`] · [`shard`] · [`socket`] · [`io`] ·
//! [`worker`], [`control`]. See ARCHITECTURE.md.
//!
//! # Where to begin
//! An application implements [`shard::App`]; [`worker::Endpoint`] opens an interface for an address and runs it:
//!
//! ```no_run
//! use synfin_engine::shard::{App, Conn};
//! use synfin_engine::worker::Endpoint;
//!
//! struct Discard;
//!
//! impl App for Discard {
//!     type Conn = ();
//!     fn data(&mut self, _conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
//!         bytes.len()
//!     }
//!     fn peer_closed(&mut self, conn: &mut Conn<'_, ()>) {
//!         conn.shutdown();
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // As root, or with cap_net_raw, cap_net_admin, cap_bpf and cap_ipc_lock.
//! Endpoint::open("veth-b", "198.18.0.9/24", &[9])?.run(Discard, &[9])?.join()?;
//! # Ok(())
//! # }
//! ```
//!
//! The package's examples are a server (`echo`) and a client (`fetch`). [`worker`] and [`io`] have the parts for several
//! queues, [`socket`] a face with the calls and errors of POSIX sockets. [`shard::Shard`] itself does no input or output:
//! frames in, frames out, time as an argument; so it runs in a test as it does on a card, and [`io::sim`] joins two of them
//! by a link that loses and delays.

pub mod base;
pub mod control;
pub mod io;
pub mod neigh;
pub mod shard;
pub mod socket;
pub mod steering;
pub mod table;
pub mod tcp;
pub mod timer;
pub mod wire;
pub mod worker;
