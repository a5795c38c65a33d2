//! F0: what everything else stands on. Injected time, seeded randomness, keyed hashing, frames, counters.

pub mod ahead;
mod backlog;
pub mod counters;
pub mod extent;
pub mod frame;
pub mod hash;
pub mod line;
mod pages;
pub mod prefetch;
pub mod queue;
mod reservation;
pub mod rng;
pub mod room;
pub mod segmented;
pub mod time;
pub mod tuple_hash;
pub mod words;
pub mod zeroed;

pub use backlog::Backlog;
pub use counters::{Counters, DropReason, Event};
pub use extent::Extent;
pub use frame::{Frame, FramePool};
pub use queue::ChunkQueue;
pub use reservation::can_set_aside;
pub use rng::Rng;
pub use room::Room;
pub use segmented::{SEGMENT_LEN, Segmented};
pub use time::Instant;
pub use words::Words;
pub use zeroed::{Zeroed, ZeroedExtent};
