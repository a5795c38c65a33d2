//! TCP Fast Open (RFC 7413) as Linux's sockets have it: MSG_FASTOPEN, which connects and sends in one, and
//! TCP_FASTOPEN_CONNECT, which puts the SYN off until there is something to send with it.

use super::table::Role;
use super::transfer::Flags;
use super::{Errno, Fd, Sockets};
use crate::shard::Connect;
use crate::tcp::{FastOpen, FastOpenKeys};
use crate::wire::Addr;

const KEY_BYTES: usize = 16;

impl Sockets<'_> {
    /// `sendto` with MSG_FASTOPEN: begins a connection whose SYN carries as many of `bytes` as it can, and returns how
    /// many; `EINPROGRESS` if none can go with it. `waits`: so will the caller, and what the SYN has no room for goes out as
    /// soon as the connection is there.
    pub fn send_fast(
        &mut self,
        fd: Fd,
        bytes: &[u8],
        flags: Flags,
        remote: (Addr, u16),
        waits: bool,
    ) -> Result<usize, Errno> {
        if !self.table.base.fast_open.client {
            return Err(Errno::OPNOTSUPP);
        }
        let s = self.table.socket(fd)?;
        let (addr, port) = match s.role {
            Role::Fresh => remote,
            Role::Deferred(addr, port) => (addr, port),
            Role::Opening(_, false) => return Err(Errno::ALREADY),
            Role::Opening(_, true) if waits => {
                // Nobody has asked how it went: whoever waits does, and then it is an ordinary send.
                s.rest = bytes.to_vec();
                return Err(Errno::INPROGRESS);
            }
            Role::Opening(id, true) => {
                s.role = Role::Open(id);
                return self.send(fd, bytes, flags);
            }
            Role::Open(_) | Role::Listening { .. } => return Err(Errno::ISCONN),
            Role::Ended => return Err(s.error.take().unwrap_or(Errno::PIPE)),
        };
        s.role = Role::Fresh;
        self.begin(fd, addr, port, true)?;
        let id = self.table.socket(fd)?.conn().ok_or(Errno::INPROGRESS)?;
        let Some(mut conn) = self.net.conn(id) else { return Err(Errno::INPROGRESS) };
        let n = bytes.len().min(usize::from(conn.fast_open_room()));
        let n = conn.send_copy(&bytes[..n]).unwrap_or(0);
        if flags.end_of_record && n == bytes.len() {
            conn.part();
        }
        let s = self.table.socket(fd)?;
        if waits {
            s.rest = bytes[n..].to_vec();
        }
        if n > 0 && s.stamps.bits() != 0 {
            s.stamp_call(&conn);
            self.table.notice(fd);
        }
        if n > 0 { Ok(n) } else { Err(Errno::INPROGRESS) }
    }

    /// What is left of what [`send_fast`](Self::send_fast) was given. Nobody else will send it.
    pub(super) fn take_rest(&mut self, fd: Fd) -> Result<Vec<u8>, Errno> {
        Ok(std::mem::take(&mut self.table.socket(fd)?.rest))
    }

    /// Where the connection goes that `connect` has put off.
    pub(super) fn deferred(&mut self, fd: Fd) -> Result<Option<(Addr, u16)>, Errno> {
        Ok(match self.table.socket(fd)?.role {
            Role::Deferred(addr, port) => Some((addr, port)),
            _ => None,
        })
    }

    /// TCP_FASTOPEN_CONNECT is set, and a SYN could carry data now.
    pub(super) fn defers(&mut self, fd: Fd, remote: Addr, port: u16) -> Result<bool, Errno> {
        if !self.table.socket(fd)?.options.fast_open_connect {
            return Ok(false);
        }
        let switches = self.fast_open_switches(fd)?;
        let Some(local) = self.local_for(fd, &remote)? else { return Ok(false) };
        let to = Connect { local, local_port: 0, remote, remote_port: port };
        Ok(self.net.fast_opening(to, &switches).is_some_and(|opening| opening.room > 0))
    }

    pub(super) fn fast_open_switches(&mut self, fd: Fd) -> Result<FastOpen, Errno> {
        let base = self.table.base.fast_open;
        let without_cookie = base.client_without_cookie || self.table.socket(fd)?.options.fast_open_without_cookie;
        Ok(FastOpen { client_without_cookie: without_cookie, ..base })
    }

    /// Switches of Fast Open are those of a socket that is neither connected nor about to be.
    pub(super) fn may_set_fast_open(&mut self, fd: Fd) -> Result<(), Errno> {
        match self.table.socket(fd)?.role {
            Role::Fresh | Role::Listening { .. } => Ok(()),
            _ => Err(Errno::INVAL),
        }
    }
}

/// One key, or one and the one before it.
pub(super) fn keys(value: &[u8]) -> Result<FastOpenKeys, Errno> {
    let (first, rest) = value.split_first_chunk::<KEY_BYTES>().ok_or(Errno::INVAL)?;
    match rest.len() {
        0 => Ok(FastOpenKeys { primary: *first, backup: None }),
        _ => Ok(FastOpenKeys { primary: *first, backup: Some(rest.try_into().map_err(|_| Errno::INVAL)?) }),
    }
}

pub(super) fn key_bytes(keys: Option<&FastOpenKeys>) -> Vec<u8> {
    let Some(keys) = keys else { return Vec::new() };
    keys.primary.iter().chain(keys.backup.iter().flatten()).copied().collect()
}
