//! How a run is going, while it runs: workers publish figures, others show them: as a line, on a screen, to Prometheus, in files.

pub mod board;
pub mod buckets;
pub mod display;
pub mod line;
pub mod metrics;
mod screen;
pub mod series;
pub mod signals;

pub use board::{Board, Figures, Shown};
pub use display::Display;
pub use line::Words;
pub use series::{Row, Series};
pub use signals::Signals;
