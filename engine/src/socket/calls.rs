//! Making, naming and ending sockets: `socket`, `bind`, `listen`, `accept`, `connect`, `shutdown`, `close`.

use super::table::{Entry, Owner, Role, Socket, is_any};
use super::{Errno, Fd, Sockets};
use super::{stamps, transfer};
use crate::base::Instant;
use crate::shard::{ConnId, Connect, ConnectError};
use crate::tcp::{FastOpen, State};
use crate::wire::{Addr, Seq};
use core::time::Duration;

/// Port numbers tried before `EADDRNOTAVAIL`.
const PORT_TRIES: u32 = 28_232;

/// Which directions `shutdown` closes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    Read,
    Write,
    Both,
}

/// What `close` leaves behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Closed {
    /// Nothing to wait for.
    Done,
    /// SO_LINGER: the program is to wait until the connection's bytes are acknowledged, but not longer than this.
    Linger(ConnId, Instant),
}

impl Sockets<'_> {
    /// A TCP socket.
    pub fn socket(&mut self, v6: bool) -> Fd {
        let options = self.table.options.clone();
        self.table.insert(Entry::Socket(Box::new(Socket::new(v6, options))))
    }

    pub fn set_nonblocking(&mut self, fd: Fd, on: bool) -> Result<(), Errno> {
        self.table.socket(fd)?.nonblocking = on;
        Ok(())
    }

    pub fn is_nonblocking(&mut self, fd: Fd) -> Result<bool, Errno> {
        Ok(self.table.socket(fd)?.nonblocking)
    }

    /// The socket is one of AF_INET6.
    pub fn is_v6(&mut self, fd: Fd) -> Result<bool, Errno> {
        Ok(self.table.socket(fd)?.v6)
    }

    /// Port 0: one is chosen.
    pub fn bind(&mut self, fd: Fd, addr: Addr, port: u16) -> Result<(), Errno> {
        let s = self.table.socket(fd)?;
        if s.bound.is_some() || !matches!(s.role, Role::Fresh) {
            return Err(Errno::INVAL);
        }
        let (v6, reuse, free) = (s.v6, s.options.reuse_address, s.options.free_bind);
        if !v6 && !addr.is_v4() {
            return Err(Errno::AFNOSUPPORT);
        }
        let local = free || is_any(&addr) || self.table.locals.iter().any(|net| is_within(net, &addr));
        if !local {
            return Err(Errno::ADDRNOTAVAIL);
        }
        let port = match port {
            0 => self.free_port(&addr).ok_or(Errno::ADDRINUSE)?,
            port if self.is_taken(&addr, port, reuse) => return Err(Errno::ADDRINUSE),
            port => port,
        };
        self.table.bind(fd, addr, port)
    }

    fn free_port(&mut self, addr: &Addr) -> Option<u16> {
        for _ in 0..PORT_TRIES {
            let (_, port) = self.table.ports.next(1, |_, _| true)?;
            if !self.is_taken(addr, port, false) {
                return Some(port);
            }
        }
        None
    }

    /// Another socket stands in the way of one for `addr` and `port`.
    fn is_taken(&self, addr: &Addr, port: u16, reuse: bool) -> bool {
        self.table.bound_to(port).any(|other| {
            let Some((theirs, _)) = other.bound else { return false };
            let overlap = theirs == *addr || is_any(&theirs) || is_any(addr);
            let listens = matches!(other.role, Role::Listening { .. });
            overlap && (listens || !(reuse && other.options.reuse_address))
        })
    }

    pub fn listen(&mut self, fd: Fd, backlog: usize) -> Result<(), Errno> {
        match &mut self.table.socket(fd)?.role {
            Role::Listening { backlog: b, .. } => {
                *b = backlog;
                return Ok(());
            }
            Role::Fresh => {}
            _ => return Err(Errno::INVAL),
        }
        if self.table.socket(fd)?.bound.is_none() {
            self.bind(fd, Addr::UNSPECIFIED_V6, 0).or_else(|_| self.bind(fd, Addr::v4([0; 4]), 0))?;
        }
        let Some((_, port)) = self.table.socket(fd)?.bound else { return Err(Errno::INVAL) };
        if self.table.listeners.contains_key(&port) {
            return Err(Errno::ADDRINUSE);
        }
        self.table.socket(fd)?.role = Role::Listening { backlog, queue: Default::default() };
        self.table.listeners.insert(port, fd);
        self.apply_options(fd)
    }

    /// The next connection: its descriptor and the peer's address.
    pub fn accept(&mut self, fd: Fd) -> Result<(Fd, (Addr, u16)), Errno> {
        let Role::Listening { queue, .. } = &mut self.table.socket(fd)?.role else { return Err(Errno::INVAL) };
        let child = queue.pop_front().ok_or(Errno::AGAIN)?;
        let peer = self.table.socket(child)?.peer.unwrap_or((Addr::UNSPECIFIED_V6, 0));
        Ok((child, peer))
    }

    /// `EINPROGRESS` when the handshake has begun; later calls tell how it went, as on Linux.
    pub fn connect(&mut self, fd: Fd, remote: Addr, port: u16) -> Result<(), Errno> {
        let s = self.table.socket(fd)?;
        match s.role {
            Role::Fresh => {}
            Role::Opening(id, true) => {
                s.role = Role::Open(id);
                return Ok(());
            }
            Role::Opening(_, false) => return Err(Errno::ALREADY),
            Role::Deferred(..) | Role::Open(_) | Role::Listening { .. } => return Err(Errno::ISCONN),
            Role::Ended => {
                // The socket may be used once more after this.
                let error = s.error.take().unwrap_or(Errno::CONNABORTED);
                s.role = Role::Fresh;
                return Err(error);
            }
        }
        if self.defers(fd, remote, port)? {
            self.table.socket(fd)?.role = Role::Deferred(remote, port);
            return Ok(());
        }
        let fast = self.table.socket(fd)?.options.fast_open_connect;
        self.begin(fd, remote, port, fast)?;
        Err(Errno::INPROGRESS)
    }

    /// Begins the handshake; `fast`: its SYN may carry data, or ask for the cookie that takes.
    pub(super) fn begin(&mut self, fd: Fd, remote: Addr, port: u16, fast: bool) -> Result<(), Errno> {
        let s = self.table.socket(fd)?;
        if !s.v6 && !remote.is_v4() {
            return Err(Errno::AFNOSUPPORT);
        }
        let id = self.open(fd, remote, port, fast)?;
        self.table.forget_leftover(fd);
        let s = self.table.socket(fd)?;
        s.role = Role::Opening(id, false);
        (s.read_shut, s.write_shut, s.error) = (false, false, None);
        s.rest = Vec::new();
        let nodelay = s.options.nodelay;
        if let Some(mut conn) = self.net.conn(id) {
            conn.set_nodelay(nodelay);
            let (local, first) = (conn.local(), stamps::end_of(&conn));
            self.table.socket(fd)?.stamps.renew(first);
            self.table.bind(fd, local.0, local.1)?;
        }
        self.apply_options(fd)
    }

    /// The address from which `fd` reaches `remote`.
    pub(super) fn local_for(&mut self, fd: Fd, remote: &Addr) -> Result<Option<Addr>, Errno> {
        Ok(match self.table.socket(fd)?.bound {
            Some((addr, _)) if !is_any(&addr) => Some(addr),
            _ => self.source_for(remote),
        })
    }

    fn open(&mut self, fd: Fd, remote: Addr, remote_port: u16, fast: bool) -> Result<ConnId, Errno> {
        let local = self.local_for(fd, &remote)?.ok_or(Errno::NETUNREACH)?;
        let fixed = self.table.socket(fd)?.bound.map(|(_, port)| port);
        let switches = if fast { self.fast_open_switches(fd)? } else { FastOpen::default() };
        for _ in 0..PORT_TRIES {
            let chosen = fixed.or_else(|| Some(self.table.ports.next(1, |_, _| true)?.1));
            let local_port = chosen.ok_or(Errno::ADDRNOTAVAIL)?;
            let to = Connect { local, local_port, remote, remote_port };
            match self.net.connect_fast_with(to, Owner(Some(fd)), &switches) {
                Ok(id) => return Ok(id),
                Err(ConnectError::AddressInUse) if fixed.is_none() => {}
                Err(ConnectError::AddressInUse | ConnectError::NotLocal) => return Err(Errno::ADDRNOTAVAIL),
                Err(ConnectError::NoRoute) => return Err(Errno::NETUNREACH),
                Err(ConnectError::TableFull) => return Err(Errno::NOBUFS),
            }
        }
        Err(Errno::ADDRNOTAVAIL)
    }

    /// The address from which `remote` is reached: one of its subnet, or else the first of its family.
    fn source_for(&self, remote: &Addr) -> Option<Addr> {
        let mut family = self.table.locals.iter().filter(|net| net.first.is_v4() == remote.is_v4());
        let near = family.clone().find(|net| remote.in_prefix(&net.first, net.prefix_len));
        near.or_else(|| family.next()).map(|net| net.first)
    }

    /// Ends the connection with RST and makes the socket a fresh one (`connect` to AF_UNSPEC).
    pub fn disconnect(&mut self, fd: Fd) -> Result<(), Errno> {
        let s = self.table.socket(fd)?;
        if let Some(id) = s.conn() {
            self.abandon(id);
        }
        let s = self.table.socket(fd)?;
        (s.role, s.bound, s.error) = (Role::Fresh, None, None);
        (s.read_shut, s.write_shut, s.seen_end, s.seen_unread) = (false, false, false, 0);
        s.corked_until = None;
        s.rest = Vec::new();
        s.stamps.renew(Seq(0));
        self.table.forget_leftover(fd);
        Ok(())
    }

    fn abandon(&mut self, id: ConnId) {
        if let Some(mut conn) = self.net.conn(id) {
            *conn.user = Owner(None);
            conn.abort();
        }
    }

    pub fn shutdown(&mut self, fd: Fd, how: How) -> Result<(), Errno> {
        let s = self.table.socket(fd)?;
        if let Role::Listening { .. } = s.role {
            if how != How::Write {
                self.stop_listening(fd);
            }
            return Ok(());
        }
        let id = s.conn().ok_or(Errno::NOTCONN)?;
        s.read_shut |= how != How::Write;
        if how != How::Read && !s.write_shut {
            s.write_shut = true;
            transfer::uncork(s, &mut self.net);
            if let Some(mut conn) = self.net.conn(id) {
                conn.shutdown();
            }
        }
        self.table.wake(fd);
        Ok(())
    }

    /// Frees the descriptor. Bytes that were sent go on their way, followed by a FIN, unless SO_LINGER says otherwise.
    pub fn close(&mut self, fd: Fd) -> Result<Closed, Errno> {
        self.table.exists(fd).then_some(()).ok_or(Errno::BADF)?;
        self.stop_watching(fd);
        let Ok(s) = self.table.socket(fd) else {
            self.table.remove(fd);
            return Ok(Closed::Done);
        };
        if let Role::Listening { .. } = s.role {
            self.stop_listening(fd);
        }
        let mut left = Closed::Done;
        let s = self.table.socket(fd)?;
        if let Some(id) = s.conn() {
            transfer::uncork(s, &mut self.net);
            let linger = s.options.linger;
            if let Some(mut conn) = self.net.conn(id) {
                *conn.user = Owner(None);
                match linger {
                    Some(Duration::ZERO) => conn.abort(),
                    _ => conn.close(),
                }
                left = linger.filter(|l| !l.is_zero()).map_or(left, |l| Closed::Linger(id, conn.now() + l));
            }
        }
        self.table.remove(fd);
        Ok(left)
    }

    /// Bytes or the FIN of a closed connection are still on their way (SO_LINGER).
    pub fn is_lingering(&mut self, id: ConnId) -> bool {
        self.net.conn(id).is_some_and(|c| {
            matches!(
                c.state(),
                State::Established | State::CloseWait | State::FinWait1 | State::Closing | State::LastAck
            )
        })
    }

    /// The listener is gone, and with it all connections that nobody has accepted.
    fn stop_listening(&mut self, fd: Fd) {
        let Ok(s) = self.table.socket(fd) else { return };
        let Role::Listening { queue, .. } = std::mem::replace(&mut s.role, Role::Fresh) else { return };
        let port = s.bound.map_or(0, |(_, port)| port);
        self.table.listeners.remove(&port);
        self.net.stop_listening(port);
        for child in queue {
            if let Some(id) = self.table.socket(child).ok().and_then(|c| c.conn()) {
                self.abandon(id);
            }
            self.table.remove(child);
        }
        self.table.wake(fd);
    }

    /// `getsockname`.
    pub fn local_name(&mut self, fd: Fd) -> Result<(Addr, u16), Errno> {
        let s = self.table.socket(fd)?;
        let none = if s.v6 { Addr::UNSPECIFIED_V6 } else { Addr::v4([0; 4]) };
        Ok(s.bound.unwrap_or((none, 0)))
    }

    /// `getpeername`.
    pub fn peer_name(&mut self, fd: Fd) -> Result<(Addr, u16), Errno> {
        let s = self.table.socket(fd)?;
        let id = s.conn().ok_or(Errno::NOTCONN)?;
        Ok(self.net.conn(id).ok_or(Errno::NOTCONN)?.remote())
    }
}

fn is_within(net: &crate::shard::LocalNet, addr: &Addr) -> bool {
    let (first, addr) = (u128::from_be_bytes(net.first.0), u128::from_be_bytes(addr.0));
    addr.wrapping_sub(first) < u128::from(net.count)
}
