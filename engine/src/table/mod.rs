//! F2: where a shard finds its connections.
//!
//! [`FlowTable`] maps the hash of a [`FlowKey`] to a [`FlowRef`]: which kind of record, and its index. The records
//! themselves live elsewhere, connections in a [`NamedSlab`] and half-open connections in a [`Slab`]. TIME-WAIT records,
//! which all wait equally long, have an [`AgingTable`] to themselves. Nothing here ever moves a record or copies a whole structure in order
//! to grow, so no packet waits for millions of others to be rehashed: slabs grow at their end, and the index of both
//! tables by a few lines with each insertion.
//!
//! Left out on purpose: the keys. They are part of the records, and the caller compares them; so a table entry
//! is 8 bytes. Iteration is left out too: nothing on the packet path may depend on hash order.

pub mod aging;
pub mod flows;
mod index;
pub mod key;
pub mod named;
pub mod recycle;
mod ring;
pub mod slab;
mod vacancies;

pub use aging::{AgingTable, Kept};
pub use flows::{FlowKind, FlowRef, FlowTable};
pub use key::FlowKey;
pub use named::NamedSlab;
pub use recycle::Recycler;
pub use slab::Slab;

use index::Index;
use ring::Ring;
