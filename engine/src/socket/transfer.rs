//! Bytes: `send`, `recv` and their kin, and what holds small segments back (TCP_CORK, MSG_MORE).

use super::ready;
use super::table::{Owner, Role, Socket};
use super::{Errno, Fd, Sockets};
use crate::shard::Net;
use core::time::Duration;

/// How long corked bytes wait at most, as on Linux.
const CORK_LIMIT: Duration = Duration::from_millis(200);

/// Flags of one call.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Flags {
    /// MSG_MORE: more will follow, so that a small segment can wait for it.
    pub more: bool,
    /// MSG_PEEK: the bytes stay.
    pub peek: bool,
    /// MSG_DONTWAIT.
    pub dont_wait: bool,
    /// MSG_WAITALL.
    pub wait_all: bool,
}

impl Sockets<'_> {
    /// Queues as many of `bytes` as there is room for and returns how many.
    pub fn send(&mut self, fd: Fd, bytes: &[u8], flags: Flags) -> Result<usize, Errno> {
        let s = self.table.socket(fd)?;
        match s.role {
            Role::Open(_) | Role::Opening(_, true) if !s.write_shut => {}
            Role::Opening(_, false) if !s.write_shut => return Err(Errno::AGAIN),
            _ => return Err(s.error.take().unwrap_or(Errno::PIPE)),
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        let id = s.conn().ok_or(Errno::PIPE)?;
        let Some(conn) = self.net.conn(id) else { return Err(Errno::PIPE) };
        let room = ready::room_bytes(s, &conn);
        let n = match room {
            0 => 0,
            _ => push(s, &mut self.net, &bytes[..bytes.len().min(room as usize)], flags.more)?,
        };
        if n < bytes.len() {
            s.full = true;
        }
        if !s.corked.is_empty() && !self.table.corks.contains(&fd) {
            self.table.corks.push(fd);
        }
        if n < bytes.len() {
            self.table.notice(fd);
        }
        if n == 0 { Err(Errno::AGAIN) } else { Ok(n) }
    }

    /// Reads what has come, as far as `out` has room; 0: the peer has closed.
    pub fn recv(&mut self, fd: Fd, out: &mut [u8], flags: Flags) -> Result<usize, Errno> {
        let s = self.table.socket(fd)?;
        match s.role {
            Role::Fresh | Role::Listening { .. } => return Err(Errno::NOTCONN),
            Role::Opening(_, false) => return Err(Errno::AGAIN),
            Role::Ended => return s.error.take().map_or(Ok(0), Err),
            Role::Opening(id, true) | Role::Open(id) => {
                let Some(mut conn) = self.net.conn(id) else { return Ok(0) };
                let n = conn.read(out, flags.peek);
                s.seen_unread = conn.unread();
                if n > 0 || out.is_empty() || s.read_shut || (conn.peer_has_closed() && s.seen_unread == 0) {
                    return Ok(n);
                }
            }
        }
        Err(Errno::AGAIN)
    }

    /// Bytes that can be read (SIOCINQ).
    pub fn unread(&mut self, fd: Fd) -> Result<u32, Errno> {
        let s = self.table.socket(fd)?;
        if let Role::Listening { .. } = s.role {
            return Err(Errno::INVAL);
        }
        Ok(s.conn().and_then(|id| self.net.conn(id)).map_or(0, |c| c.unread()))
    }

    /// Bytes sent and not acknowledged, and bytes that were never sent (SIOCOUTQ, SIOCOUTQNSD).
    pub fn unacknowledged(&mut self, fd: Fd) -> Result<(u32, u32), Errno> {
        let s = self.table.socket(fd)?;
        if let Role::Listening { .. } = s.role {
            return Err(Errno::INVAL);
        }
        let corked = s.corked.len() as u32;
        let Some(conn) = s.conn().and_then(|id| self.net.conn(id)) else { return Ok((0, 0)) };
        let unsent = conn.info().map_or(0, |i| i.unsent_bytes);
        Ok((conn.queued_bytes() + corked, unsent + corked))
    }

    pub(super) fn flush(&mut self, fd: Fd) -> Result<(), Errno> {
        flush(self.table.socket(fd)?, &mut self.net);
        Ok(())
    }
}

/// Hands bytes to the connection; with TCP_CORK or `more`, whole segments only.
fn push(s: &mut Socket, net: &mut Net<'_, Owner>, bytes: &[u8], more: bool) -> Result<usize, Errno> {
    let Some(mut conn) = s.conn().and_then(|id| net.conn(id)) else { return Err(Errno::PIPE) };
    let hold = s.options.cork || more;
    if !hold && s.corked.is_empty() {
        return conn.send_copy(bytes).map_err(|_| Errno::PIPE);
    }
    let mss = conn.info().map_or(1, |i| usize::from(i.mss).max(1));
    s.corked.extend_from_slice(bytes);
    let whole = if hold { s.corked.len() - s.corked.len() % mss } else { s.corked.len() };
    let taken = conn.send_copy(&s.corked[..whole]).map_err(|_| Errno::PIPE)?;
    s.corked.drain(..taken);
    s.flush_at = (!s.corked.is_empty()).then(|| s.flush_at.filter(|_| taken == 0).unwrap_or(net.now() + CORK_LIMIT));
    Ok(bytes.len())
}

/// Sends what was held back.
pub(super) fn flush(s: &mut Socket, net: &mut Net<'_, Owner>) {
    s.flush_at = None;
    if s.corked.is_empty() {
        return;
    }
    if let Some(mut conn) = s.conn().and_then(|id| net.conn(id))
        && let Ok(taken) = conn.send_copy(&s.corked)
    {
        s.corked.drain(..taken);
        // No buffer for the rest: try again soon.
        s.flush_at = (!s.corked.is_empty()).then(|| net.now() + CORK_LIMIT);
    }
}
