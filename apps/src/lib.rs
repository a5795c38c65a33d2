pub mod failure;
pub mod http;
pub mod pattern;
