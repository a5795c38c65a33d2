//! F2: the state machine. No clock, no I/O, no allocation.

pub mod config;

pub use config::TcpConfig;
