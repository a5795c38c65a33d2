//! Bytes: `send`, `recv` and their kin, and what holds small segments back (TCP_CORK, MSG_MORE).

use super::ready;
use super::table::{Owner, Role, Socket};
use super::{Errno, Fd, Sockets};
use crate::base::Instant;
use crate::shard::Net;
use core::time::Duration;

/// How long corked bytes wait at most, as on Linux.
const CORK_LIMIT: Duration = Duration::from_millis(200);

/// Flags of one call.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Flags {
    /// MSG_MORE: more will follow, so that a small segment can wait for it.
    pub more: bool,
    /// MSG_OOB: they are urgent.
    pub urgent: bool,
    /// MSG_EOR: what is sent later shares no segment with them.
    pub end_of_record: bool,
    /// MSG_PEEK: the bytes stay.
    pub peek: bool,
    /// MSG_DONTWAIT.
    pub dont_wait: bool,
    /// MSG_WAITALL.
    pub wait_all: bool,
    /// MSG_ZEROCOPY: with SO_ZEROCOPY, a waiting call tells in the error queue that its bytes are not needed any more.
    pub zero_copy: bool,
    /// The call has done something already: an error only ends it, and is left to the next call.
    pub goes_on: bool,
}

impl Sockets<'_> {
    /// Queues as many of `bytes` as there is room for and returns how many.
    pub fn send(&mut self, fd: Fd, bytes: &[u8], flags: Flags) -> Result<usize, Errno> {
        let s = self.table.socket(fd)?;
        match s.role {
            Role::Open(_) | Role::Opening(_, true) if !s.write_shut => {}
            Role::Opening(_, false) if !s.write_shut => return Err(Errno::AGAIN),
            Role::Deferred(addr, port) if !s.write_shut => {
                return self.send_fast(fd, bytes, flags, (addr, port), false);
            }
            _ => return Err(s.error_for(flags).unwrap_or(Errno::PIPE)),
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        let id = s.conn().ok_or(Errno::PIPE)?;
        let Some(mut conn) = self.net.conn(id) else { return Err(Errno::PIPE) };
        let room = if flags.end_of_record && !conn.may_part() { 0 } else { ready::room_bytes(s, &conn) };
        let hold = s.options.cork || flags.more;
        conn.set_corked(hold);
        let bytes_now = &bytes[..bytes.len().min(room as usize)];
        let sent = if flags.urgent { conn.send_urgent(bytes_now) } else { conn.send_copy(bytes_now) };
        let n = sent.map_err(|_| Errno::PIPE)?;
        s.full |= n < bytes.len();
        if flags.end_of_record && n == bytes.len() {
            conn.part();
        }
        if n > 0 && s.stamps.bits() != 0 {
            s.stamp_call(&conn);
        }
        let is_watched = n < bytes.len() || s.stamps.is_waiting();
        conn.set_unfinished(flags.more);
        s.corked_until = hold.then(|| s.corked_until.unwrap_or(conn.now() + CORK_LIMIT));
        s.held_bytes = (flags.more && !s.options.cork).then(|| conn.queued_bytes());
        if hold && !std::mem::replace(&mut s.is_listed_corked, true) {
            self.table.corks.push(fd);
        }
        if is_watched {
            self.table.notice(fd);
        }
        if n == 0 { Err(Errno::AGAIN) } else { Ok(n) }
    }

    /// All that is queued shares no segment with what will be (MSG_EOR).
    pub(super) fn end_record(&mut self, fd: Fd) -> Result<(), Errno> {
        if let Some(mut conn) = self.table.socket(fd)?.conn().and_then(|id| self.net.conn(id)) {
            conn.part();
        }
        Ok(())
    }

    /// Reads what has come, as far as `out` has room; 0: the peer has closed.
    pub fn recv(&mut self, fd: Fd, out: &mut [u8], flags: Flags) -> Result<usize, Errno> {
        let s = self.table.socket(fd)?;
        match s.role {
            Role::Fresh | Role::Listening { .. } => return Err(Errno::NOTCONN),
            // Urgent bytes stay in line.
            _ if flags.urgent => return Err(Errno::INVAL),
            Role::Opening(_, false) | Role::Deferred(..) => return Err(Errno::AGAIN),
            Role::Ended => return self.table.recv_leftover(fd, out, flags),
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

    /// What TCP_INQ tells, if it is on: bytes that can be read, or 1 if only the end of the stream is left.
    pub fn unread_hint(&mut self, fd: Fd) -> Result<Option<u32>, Errno> {
        let s = self.table.socket(fd)?;
        if !s.options.tell_unread {
            return Ok(None);
        }
        let conn = s.conn().and_then(|id| self.net.conn(id));
        Ok(Some(conn.map_or(1, |c| c.unread().max(c.peer_has_closed().into()))))
    }

    /// Bytes sent and not acknowledged, and bytes that were never sent (SIOCOUTQ, SIOCOUTQNSD).
    pub fn unacknowledged(&mut self, fd: Fd) -> Result<(u32, u32), Errno> {
        let s = self.table.socket(fd)?;
        if let Role::Listening { .. } = s.role {
            return Err(Errno::INVAL);
        }
        let Some(conn) = s.conn().and_then(|id| self.net.conn(id)) else { return Ok((0, 0)) };
        let unsent = conn.info().map_or(0, |i| i.unsent_bytes);
        Ok((conn.queued_bytes(), unsent))
    }

    /// TCP_QUICKACK.
    pub(super) fn set_quick_acks(&mut self, fd: Fd, on: bool) -> Result<(), Errno> {
        if let Some(mut conn) = self.table.socket(fd)?.conn().and_then(|id| self.net.conn(id)) {
            conn.set_quick_acks(on);
        }
        Ok(())
    }

    pub(super) fn uncork(&mut self, fd: Fd) -> Result<(), Errno> {
        uncork(self.table.socket(fd)?, &mut self.net);
        Ok(())
    }
}

impl Socket {
    /// Why the connection has ended, once.
    pub(super) fn error_for(&mut self, flags: Flags) -> Option<Errno> {
        if flags.goes_on { self.error } else { self.error.take() }
    }
}

/// Something is still held back. What has waited long enough goes out.
pub(super) fn holds(s: &mut Socket, net: &mut Net<'_, Owner>, now: Instant) -> bool {
    let Some(until) = s.corked_until else { return false };
    let Some(mut conn) = s.conn().and_then(|id| net.conn(id)) else { return false };
    if until <= now {
        // Perhaps there will be nothing more.
        conn.set_unfinished(false);
    } else if s.held_bytes.is_none_or(|held| conn.queued_bytes() >= held) {
        return true;
    }
    uncork(s, net);
    false
}

/// What was held back goes out.
pub(super) fn uncork(s: &mut Socket, net: &mut Net<'_, Owner>) {
    if s.corked_until.take().is_some()
        && let Some(mut conn) = s.conn().and_then(|id| net.conn(id))
    {
        conn.set_corked(false);
    }
}
