//! F0: what everything else stands on. Injected time, seeded randomness, keyed hashing, frames, counters.

pub mod counters;
pub mod frame;
pub mod hash;
pub mod line;
mod pages;
pub mod prefetch;
pub mod queue;
pub mod rng;
pub mod room;
pub mod segmented;
pub mod time;
pub mod tuple_hash;
pub mod words;

pub use counters::{Counters, DropReason, Event};
pub use frame::{Frame, FramePool};
pub use pages::Leaving;
pub use queue::ChunkQueue;
pub use rng::Rng;
pub use room::Room;
pub use segmented::{SEGMENT_LEN, Segmented, segment_of};
pub use time::Instant;
pub use words::Words;
