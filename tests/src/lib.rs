//! Test rigs shared by the behaviour tests.

pub mod altered;
pub mod bulk;
pub mod frames;
pub mod host;
pub mod ideal;
pub mod netns;
pub mod pair;
pub mod programs;
#[path = "../../engine/src/io/test_skip.rs"]
pub mod skip;
pub mod sockets;
pub mod streams;
pub mod veth;
