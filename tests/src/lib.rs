//! Test rigs shared by the behaviour tests.

pub mod netns;
