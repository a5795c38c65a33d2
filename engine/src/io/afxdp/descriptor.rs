//! The socket's descriptor, which the crate hides, and what is done with it.

use super::parts::Parts;
use crate::io::xsk::XskConfig;
use crate::io::{IoError, readable};
use std::collections::BTreeSet;
use std::io::{Error, Result as OsResult};
use std::os::fd::RawFd;
use std::sync::Mutex;
use std::time::Duration;

/// setsockopt(SOL_XDP): how many frames one wake-up may send in copy mode (linux/if_xdp.h, kernel 6.17).
const XDP_MAX_TX_SKB_BUDGET: libc::c_int = 9;

/// One opening at a time, so that a new descriptor belongs to the socket that was just made.
static OPENING: Mutex<()> = Mutex::new(());

/// A borrowed descriptor: the crate owns and closes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptor(RawFd);

/// Runs `open` and finds the AF_XDP descriptor that it left behind.
pub(super) fn opened_by(open: impl FnOnce() -> Result<Parts, IoError>) -> Result<(Parts, Descriptor), IoError> {
    let _one_at_a_time = OPENING.lock().unwrap_or_else(|e| e.into_inner());
    let before = xdp_sockets();
    let parts = open()?;
    let new: Vec<RawFd> = xdp_sockets().difference(&before).copied().collect();
    match new.as_slice() {
        [fd] => {
            // The crate does not, and a child process with a copy would keep the queue taken.
            // SAFETY: no pointers are involved.
            unsafe { libc::fcntl(*fd, libc::F_SETFD, libc::FD_CLOEXEC) };
            Ok((parts, Descriptor(*fd)))
        }
        _ => Err(IoError::new(
            format!("{} new AF_XDP sockets where the afxdp crate made one", new.len()),
            "mount /proc, and open the sockets of the two backends one after the other",
        )),
    }
}

/// This process's AF_XDP sockets.
fn xdp_sockets() -> BTreeSet<RawFd> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return BTreeSet::new() };
    let fds = entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse::<RawFd>().ok());
    fds.filter(|&fd| {
        let mut domain = 0 as libc::c_int;
        let got = get(fd, libc::SOL_SOCKET, libc::SO_DOMAIN, &mut domain);
        got.is_ok() && domain == libc::AF_XDP
    })
    .collect()
}

/// Reads an option into plain integers (one, or a C structure of them).
fn get<T: Copy>(fd: RawFd, level: libc::c_int, option: libc::c_int, value: &mut T) -> OsResult<()> {
    let mut bytes = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is writable for `bytes` bytes and made of integers, for which every bit pattern is a value.
    let r = unsafe { libc::getsockopt(fd, level, option, (value as *mut T).cast(), &mut bytes) };
    if r < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}

impl Descriptor {
    /// Frames that one wake-up sends; 0 when the kernel (before 6.17) knows no such setting and sends 32.
    pub fn raise_budget(self, config: &XskConfig) -> u32 {
        let budget = config.tx_budget.min(config.tx_size);
        // SAFETY: the option's value is one live integer of the size given.
        let r =
            unsafe { libc::setsockopt(self.0, libc::SOL_XDP, XDP_MAX_TX_SKB_BUDGET, (&raw const budget).cast(), 4) };
        if r == 0 { budget } else { 0 }
    }

    pub fn zero_copy(self) -> bool {
        let mut options = libc::xdp_options { flags: 0 };
        get(self.0, libc::SOL_XDP, libc::XDP_OPTIONS, &mut options).is_ok()
            && options.flags & libc::XDP_OPTIONS_ZEROCOPY != 0
    }

    pub fn statistics(self) -> OsResult<libc::xdp_statistics> {
        // SAFETY: the structure is made of integers, for which zero is a value.
        let mut statistics: libc::xdp_statistics = unsafe { std::mem::zeroed() };
        get(self.0, libc::SOL_XDP, libc::XDP_STATISTICS, &mut statistics).map(|()| statistics)
    }

    /// Has the kernel send what lies in the TX ring.
    pub fn wake_tx(self) -> OsResult<()> {
        let none = std::ptr::null();
        // SAFETY: no buffer and no address are passed.
        let sent = unsafe { libc::sendto(self.0, none, 0, libc::MSG_DONTWAIT, none.cast(), 0) };
        if sent < 0 { Err(Error::last_os_error()) } else { Ok(()) }
    }

    /// Waits for a frame.
    pub fn poll(self, timeout: Duration) -> OsResult<()> {
        readable::wait(&mut [readable::entry(self.0)], timeout)
    }
}
