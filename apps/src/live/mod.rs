//! How a run is going, while it runs: workers publish figures, one thread prints them.

pub mod board;
pub mod line;

pub use board::{Board, Figures};
