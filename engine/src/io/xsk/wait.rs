//! Waiting for frames on several sockets at once.

use super::XskIo;
use crate::io::readable;
use std::io::Result;
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
        Waiter { entries: sockets.into_iter().map(|socket| readable::entry(socket.fd())).collect() }
    }

    /// Blocks until a frame may have come to one of the sockets, a signal has, or `timeout` has passed.
    ///
    /// # Errors
    /// What ppoll says; never EINTR.
    pub fn wait(&mut self, timeout: Duration) -> Result<()> {
        match readable::wait(&mut self.entries, timeout) {
            Err(e) if e.raw_os_error() == Some(libc::EINTR) => Ok(()),
            waited => waited,
        }
    }
}
