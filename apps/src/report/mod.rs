pub mod environment;
pub mod number;
