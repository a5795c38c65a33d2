//! The XDP program: which frames are the engine's, decided in the driver, before the kernel's own stack.
//!
//! [`FilterSpec`] says which addresses and ports belong to the engine; [`program`] compiles it into eBPF
//! instructions with every address and port as an immediate (a binary search, no map look-up), [`asm`] turns
//! those into machine form, [`syscalls`] loads them with bpf(2), and [`XdpLink`] holds the program on a device.
//! Nothing else is needed at run time: no clang, no ELF file, no libbpf.
//!
//! The rule of the house: a frame that is not surely the engine's goes on to the kernel (`XDP_PASS`). A mistake
//! here would cut somebody's SSH session, so the filter would rather miss than take.
//!
//! Left out on purpose: a filter map that could be changed while running (the price is a hash look-up per
//! packet; a changed filter is a new program), matching on VLAN ids (hardware that strips tags hides them),
//! and statistics in the program (the engine counts what it receives, the kernel what it drops).

pub mod asm;
pub mod filter;
pub mod link;
pub mod program;
pub mod syscalls;

pub use filter::{FilterAddr, FilterSpec};
pub use link::{XdpLink, XdpMode};
