//! F2: where a shard finds its connections.
//!
//! [`FlowTable`] maps the hash of a [`FlowKey`] to a [`FlowRef`]: which kind of record, and its index. The records
//! themselves live elsewhere: connections and half-open connections in a [`Slab`], TIME-WAIT records (which
//! all wait equally long) in a [`Ring`]. Nothing here ever moves a record or copies a whole structure in order
//! to grow, so no packet waits for millions of others to be rehashed.
//!
//! Left out on purpose: the keys. They are part of the records, and the caller compares them; so a table entry
//! is 8 bytes. Iteration is left out too: nothing on the packet path may depend on hash order.

pub mod flows;
pub mod key;
pub mod named;
pub mod ring;
pub mod slab;
mod vacancies;

pub use flows::{FlowKind, FlowRef, FlowTable};
pub use key::FlowKey;
pub use named::NamedSlab;
pub use ring::Ring;
pub use slab::Slab;
