//! What a socket is ready for: `poll`, and the masks that epoll reports.

use super::table::{Owner, Role, Socket, Table};
use super::{Errno, Fd, Sockets};
use crate::shard::{Conn, Net};
use crate::tcp::Boundaries;

/// The bits of `poll` and epoll, which are the same on Linux.
pub mod bits {
    pub const IN: u32 = libc::POLLIN as u32;
    pub const PRI: u32 = libc::POLLPRI as u32;
    pub const OUT: u32 = libc::POLLOUT as u32;
    pub const ERR: u32 = libc::POLLERR as u32;
    pub const HUP: u32 = libc::POLLHUP as u32;
    pub const NVAL: u32 = libc::POLLNVAL as u32;
    pub const RDNORM: u32 = libc::POLLRDNORM as u32;
    pub const WRNORM: u32 = libc::POLLWRNORM as u32;
    pub const RDHUP: u32 = libc::POLLRDHUP as u32;
}

const READABLE: u32 = bits::IN | bits::RDNORM;
const WRITABLE: u32 = bits::OUT | bits::WRNORM;

/// One socket to be polled, as `struct pollfd`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Poll {
    pub fd: Fd,
    pub events: u32,
    pub revents: u32,
}

/// Bytes that a write may queue now. With a low-water mark it may begin as long as less is unsent, and goes on to the end of
/// a run of segments that half of the peer's window holds, as on Linux.
pub(super) fn room_bytes(s: &Socket, conn: &Conn<'_, Owner>) -> u32 {
    let room = s.options.send_buffer_bytes.saturating_sub(conn.queued_bytes());
    let low_water = s.options.low_water();
    let Some(i) = conn.info().filter(|_| low_water > 0) else { return room };
    if i.unsent_bytes >= low_water {
        return 0;
    }
    let mss = u32::from(i.mss).max(1);
    let run = (i.send_window / 2).min(u32::from(u16::MAX)).max(mss) / mss * mss;
    let sendable = i.cwnd.min(i.send_window).saturating_sub(i.flight_bytes);
    room.min(run.max(low_water).saturating_add(sendable).saturating_sub(i.unsent_bytes))
}

/// Worth waking a writer: a third of the buffer is free, and of the boundaries that it may have, and little enough is waiting to be
/// sent.
pub(super) fn has_room(s: &Socket, conn: &Conn<'_, Owner>) -> bool {
    let used = conn.queued_bytes();
    let unsent = conn.info().map_or(0, |i| i.unsent_bytes);
    let quiet = s.options.low_water() == 0 || unsent < s.options.low_water();
    let parts = conn.boundaries() * 3 <= Boundaries::LIMIT * 2;
    quiet && parts && u64::from(used) * 3 <= u64::from(s.options.send_buffer_bytes) * 2
}

/// The mask of a socket, all bits that are true.
pub(super) fn mask(s: &mut Socket, net: &mut Net<'_, Owner>) -> u32 {
    let error = if s.error.is_some() || s.copied.has_news() || s.stamps.has_news() { bits::ERR } else { 0 };
    let open = match &s.role {
        Role::Fresh => return error | bits::HUP | WRITABLE,
        Role::Ended => return error | bits::HUP | bits::RDHUP | READABLE | WRITABLE,
        Role::Listening { queue, .. } => return error | if queue.is_empty() { 0 } else { READABLE },
        Role::Deferred(..) => return error | WRITABLE,
        Role::Opening(_, false) => return error,
        Role::Opening(id, true) | Role::Open(id) => *id,
    };
    let Some(conn) = net.conn(open) else { return error | bits::HUP };
    let ended = conn.peer_has_closed();
    let mut mask = error;
    if conn.unread() >= s.options.receive_low_water.max(1) || ended || s.read_shut {
        mask |= READABLE;
    }
    if ended || s.read_shut {
        mask |= bits::RDHUP;
        if s.write_shut {
            mask |= bits::HUP;
        }
    }
    if s.write_shut || has_room(s, &conn) {
        mask |= WRITABLE;
    } else {
        // Whoever asks waits for it.
        s.full = true;
    }
    mask
}

impl Table {
    /// The mask of `fd`; a socket that is not writable will be looked at after each turn.
    pub(super) fn mask(&mut self, fd: Fd, net: &mut Net<'_, Owner>) -> Result<u32, Errno> {
        let s = self.socket(fd)?;
        let mask = mask(s, net);
        if s.full {
            self.notice(fd);
        }
        Ok(mask)
    }
}

impl Sockets<'_> {
    /// Fills in `revents` and returns how many are not 0. Errors and hang-ups count without being asked for.
    pub fn poll(&mut self, fds: &mut [Poll]) -> usize {
        for p in fds.iter_mut() {
            p.revents = match self.table.mask(p.fd, &mut self.net) {
                _ if p.fd < 0 => 0,
                Ok(mask) => mask & (p.events | bits::ERR | bits::HUP),
                Err(_) => bits::NVAL,
            };
        }
        fds.iter().filter(|p| p.revents != 0).count()
    }
}
