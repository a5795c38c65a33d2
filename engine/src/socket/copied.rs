//! SO_ZEROCOPY and MSG_ZEROCOPY: a program that leaves its bytes where they are until it is told that nobody needs them
//! any more. They are copied here all the same, as Linux may do too: each call is told of at once, and that its bytes were
//! copied.

use super::table::Socket;
use super::{Errno, Fd, Sockets};

/// Calls with MSG_ZEROCOPY, by their numbers.
#[derive(Clone, Copy, Default, Debug)]
pub struct Copied {
    /// The next call's.
    next: u32,
    /// The first that the program does not know of.
    untold: u32,
}

impl Copied {
    pub fn has_news(&self) -> bool {
        self.next != self.untold
    }
}

impl Sockets<'_> {
    /// A call with MSG_ZEROCOPY has queued bytes. Without SO_ZEROCOPY it was a call like any other.
    pub(super) fn note_copied(&mut self, fd: Fd) -> Result<(), Errno> {
        let s = self.table.socket(fd)?;
        if s.options.zero_copy {
            s.copied.next = s.copied.next.wrapping_add(1);
            self.table.wake(fd);
        }
        Ok(())
    }

    /// The error queue (`recvmsg` with MSG_ERRQUEUE): numbers of the first and of the last call whose bytes were copied since
    /// the program last asked.
    pub fn take_copied(&mut self, fd: Fd) -> Result<(u32, u32), Errno> {
        let Socket { copied, .. } = self.table.socket(fd)?;
        if !copied.has_news() {
            return Err(Errno::AGAIN);
        }
        let first = std::mem::replace(&mut copied.untold, copied.next);
        Ok((first, copied.next.wrapping_sub(1)))
    }
}
