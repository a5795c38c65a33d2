//! F0: what everything else stands on. Injected time, seeded randomness, keyed hashing, frames, counters.

pub mod counters;
pub mod frame;
pub mod hash;
pub mod prefetch;
pub mod queue;
pub mod rng;
pub mod segmented;
pub mod time;
pub mod tuple_hash;

pub use counters::{Counters, DropReason, Event};
pub use frame::{Frame, FramePool};
pub use queue::ChunkQueue;
pub use rng::Rng;
pub use segmented::Segmented;
pub use time::Instant;
