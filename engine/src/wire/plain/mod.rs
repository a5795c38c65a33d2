//! The short way for plain segments: an untagged Ethernet frame, an IP header without options or extensions, TCP with
//! no options, with timestamps alone, or with those of an ordinary SYN. Nearly every frame of a well-behaved peer is one.
//!
//! Reading and writing here do the same as [`parse`](super::parse::parse()) and [`emit::tcp`](super::emit::tcp), header
//! by header, with every place known at compile time. What is not plain, or not in order, takes the long way, which
//! alone says what is wrong with it.

pub mod read;
pub mod write;

/// Length of an untagged Ethernet header.
const LINK: usize = 14;
