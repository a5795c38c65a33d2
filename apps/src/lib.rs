pub mod cli;
pub mod failure;
pub mod http;
pub mod live;
pub mod pattern;
pub mod pipe;
pub mod report;
pub mod serve;
