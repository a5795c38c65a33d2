//! How a run is going, while it runs: workers publish figures, one thread prints them and says when to stop.

pub mod board;
pub mod buckets;
pub mod line;
pub mod series;
pub mod signals;

pub use board::{Board, Figures, Shown};
pub use series::{Row, Series};
pub use signals::Signals;
