//! MSG_FASTOPEN.

use crate::adapter::Adapter;
use crate::convert;
use std::ffi::c_int;
use synfin_engine::socket::{Errno, blocking};
use synfin_engine::wire::Addr;

/// Connects, and sends with the SYN.
pub fn send(
    mut a: &Adapter,
    fd: c_int,
    bytes: &[u8],
    bits: c_int,
    to: Result<Option<(Addr, u16)>, Errno>,
) -> Result<usize, Errno> {
    let fd = a.fd(fd)?;
    blocking::send_fast(&mut a, fd, bytes, convert::flags(bits)?, to?.ok_or(Errno::OPNOTSUPP)?)
}
