//! Sleeping until something has come.

use std::io::{Error, Result};
use std::os::fd::RawFd;
use std::time::Duration;

/// What ppoll(2) is asked about a descriptor.
pub(super) fn entry(fd: RawFd) -> libc::pollfd {
    libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
}

/// Blocks until one of the descriptors may be readable, or `timeout` has passed; exact to the nanosecond, as far as the
/// thread's timer slack allows.
///
/// # Errors
/// What ppoll says, EINTR among it.
pub(super) fn wait(entries: &mut [libc::pollfd], timeout: Duration) -> Result<()> {
    let limit = libc::timespec {
        tv_sec: timeout.as_secs().min(i32::MAX as u64) as libc::time_t,
        tv_nsec: timeout.subsec_nanos() as libc::c_long,
    };
    let (first, count) = (entries.as_mut_ptr(), entries.len() as libc::nfds_t);
    // SAFETY: `count` entries and a time limit that live through the call; no signal mask.
    let ready = unsafe { libc::ppoll(first, count, &limit, std::ptr::null()) };
    if ready < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}
