//! F3: one core's world. Sans-IO: frames and the time come in by argument, frames go out by argument.

pub mod app;
pub mod config;
pub mod conn;

pub use app::{App, CloseReason, Generator, Payload, SendError};
pub use config::{Limits, LocalNet, Secrets, ShardConfig};
