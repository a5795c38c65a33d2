//! Waiting for frames on several sockets at once.

use super::XskIo;
use std::io::{Error, Result};
use std::time::Duration;

/// The sockets that one thread serves, for one ppoll(2).
pub struct Waiter {
    entries: Vec<libc::pollfd>,
}

impl Waiter {
    /// For these sockets, which must outlive it, and the calling thread. Its sleeps become exact: a kernel otherwise adds up
    /// to 50 µs, to wake up several threads at once.
    pub fn new<'a>(sockets: impl IntoIterator<Item = &'a XskIo>) -> Waiter {
        // SAFETY: no pointers are involved. It cannot fail, and if it did, sleeps would be as long as ever.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1, 0, 0, 0) };
        let entry = |socket: &XskIo| libc::pollfd { fd: socket.fd(), events: libc::POLLIN, revents: 0 };
        Waiter { entries: sockets.into_iter().map(entry).collect() }
    }

    /// Blocks until a frame may have come to one of the sockets, a signal has, or `timeout` has passed.
    ///
    /// # Errors
    /// What ppoll says; never EINTR.
    pub fn wait(&mut self, timeout: Duration) -> Result<()> {
        let limit = libc::timespec {
            tv_sec: timeout.as_secs().min(i32::MAX as u64) as libc::time_t,
            tv_nsec: timeout.subsec_nanos() as libc::c_long,
        };
        let (entries, count) = (self.entries.as_mut_ptr(), self.entries.len() as libc::nfds_t);
        // SAFETY: `count` entries and a time limit that live through the call; no signal mask.
        if unsafe { libc::ppoll(entries, count, &limit, std::ptr::null()) } >= 0 {
            return Ok(());
        }
        match Error::last_os_error() {
            e if e.raw_os_error() == Some(libc::EINTR) => Ok(()),
            e => Err(e),
        }
    }
}
