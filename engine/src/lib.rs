//! `synfin-engine`: a user-space TCP stack on Linux AF_XDP.
//!
//! The floors, lowest first; a module imports only from the floors below it (tests/tidy.rs checks it):
//! [`base`] · [`wire`], [`timer`], [`steering`] · [`table`], [`neigh`], [`tcp`] · [`shard`] · [`socket`] · [`io`] ·
//! [`worker`], [`control`]. See ARCHITECTURE.md.

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
