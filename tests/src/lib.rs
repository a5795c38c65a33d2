//! Test rigs shared by the behaviour tests.

pub mod host;
pub mod lab;
pub mod netns;
pub mod pair;
