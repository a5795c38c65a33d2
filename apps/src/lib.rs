pub mod cli;
pub mod failure;
pub mod http;
pub mod pattern;
pub mod report;
