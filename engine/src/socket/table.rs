//! The table of descriptors, and what the shard tells it.

use super::copied::Copied;
use super::epoll::Epoll;
use super::leftover::{Leftover, Room};
use super::stamps::Stamps;
use super::{Errno, Fd, Options};
use crate::base::Instant;
use crate::shard::{App, CloseReason, Conn, ConnId, LocalNet, Net, ShardConfig};
use crate::steering::ports::Ports;
use crate::tcp::TcpConfig;
use crate::wire::{Addr, Seq};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};

/// Ports from which `connect` and `bind` to port 0 choose, as Linux has them.
const EPHEMERAL: core::ops::RangeInclusive<u16> = 32_768..=60_999;

/// The descriptor that a connection belongs to; `None` once it is closed.
#[derive(Clone, Copy, Default)]
pub struct Owner(pub Option<Fd>);

pub enum Role {
    /// Neither connected nor listening.
    Fresh,
    Listening {
        backlog: usize,
        /// Sockets to be accepted.
        queue: VecDeque<Fd>,
    },
    /// `connect` was called with TCP_FASTOPEN_CONNECT: the SYN waits for the first bytes.
    Deferred(Addr, u16),
    /// `connect` was called; `true`: the handshake is complete and the program has not asked since.
    Opening(ConnId, bool),
    Open(ConnId),
    /// The connection is over.
    Ended,
}

pub struct Socket {
    pub role: Role,
    pub v6: bool,
    /// Address (unspecified: all) and port that the socket is bound to.
    pub bound: Option<(Addr, u16)>,
    pub options: Options,
    pub nonblocking: bool,
    /// SO_ERROR.
    pub error: Option<Errno>,
    pub copied: Copied,
    /// SO_TIMESTAMPING.
    pub stamps: Stamps,
    pub read_shut: bool,
    pub write_shut: bool,
    /// Until when TCP_CORK or MSG_MORE hold back less than a segment.
    pub corked_until: Option<Instant>,
    /// MSG_MORE holds back only until an ACK comes: what was queued then.
    pub held_bytes: Option<u32>,
    /// The other end of an accepted connection.
    pub peer: Option<(Addr, u16)>,
    /// What a call that waits for the handshake has to say behind the SYN's data.
    pub rest: Vec<u8>,
    /// Of the connection that is over.
    pub leftover: Leftover,
    /// Where the two streams begin, and when something came last.
    pub starts: Starts,
    /// In [`Table::corks`].
    pub is_listed_corked: bool,
    /// Epoll instances that watch the socket.
    pub watchers: Vec<Fd>,
    /// In the list of sockets that [`Table::notice_changes`] looks at.
    pub noticed: bool,
    /// Unread bytes when the program last looked; a write found no room.
    pub seen_unread: u32,
    pub full: bool,
    pub seen_end: bool,
}

impl Socket {
    pub fn new(v6: bool, options: Options) -> Socket {
        Socket {
            role: Role::Fresh,
            v6,
            bound: None,
            options,
            nonblocking: false,
            error: None,
            copied: Copied::default(),
            stamps: Stamps::default(),
            read_shut: false,
            write_shut: false,
            corked_until: None,
            held_bytes: None,
            peer: None,
            rest: Vec::new(),
            leftover: Leftover::default(),
            starts: Starts::default(),
            is_listed_corked: false,
            watchers: Vec::new(),
            noticed: false,
            seen_unread: 0,
            full: false,
            seen_end: false,
        }
    }

    pub fn conn(&self) -> Option<ConnId> {
        match self.role {
            Role::Opening(id, _) | Role::Open(id) => Some(id),
            _ => None,
        }
    }
}

/// For TCP_INFO: sequence numbers of the first byte each way, and the time of the last segment with data, or of
/// the handshake.
#[derive(Clone, Copy, Default)]
pub struct Starts {
    pub send: Seq,
    pub receive: Seq,
    pub last_data_at: Option<Instant>,
}

impl Starts {
    fn of(conn: &Conn<'_, Owner>) -> Starts {
        let (send, receive) = conn.stream_positions();
        Starts { send, receive, last_data_at: Some(conn.now()) }
    }
}

pub enum Entry {
    Socket(Box<Socket>),
    Epoll(Epoll),
}

pub struct Table {
    entries: Vec<Option<Entry>>,
    /// Numbers below `entries.len()` that are free, the lowest first.
    free: BinaryHeap<Reverse<usize>>,
    /// Sockets by the port that they are bound to.
    bound: HashMap<u16, HashSet<Fd>>,
    /// Listening sockets by port.
    pub(super) listeners: HashMap<u16, Fd>,
    pub(super) ports: Ports,
    pub(super) locals: Vec<LocalNet>,
    pub(super) base: TcpConfig,
    pub(super) options: Options,
    /// Sockets that have unread bytes or wait for room.
    pub(super) noticed: Vec<Fd>,
    /// Corked sockets.
    pub(super) corks: Vec<Fd>,
    /// For bytes of connections that are over.
    pub(super) room: Room,
}

impl Table {
    pub fn new(config: &ShardConfig, options: Options) -> Table {
        Table {
            entries: Vec::new(),
            free: BinaryHeap::new(),
            bound: HashMap::new(),
            listeners: HashMap::new(),
            ports: Ports::new(config.secrets.isn[0], 1, EPHEMERAL),
            locals: config.locals.clone(),
            base: config.tcp,
            options,
            noticed: Vec::new(),
            corks: Vec::new(),
            room: Room::new(config),
        }
    }

    pub fn configure(&mut self, tcp: TcpConfig, options: Options) {
        (self.base, self.options) = (tcp, options);
    }

    /// The lowest free number gets `entry`.
    pub fn insert(&mut self, entry: Entry) -> Fd {
        let Some(Reverse(at)) = self.free.pop() else {
            self.entries.push(Some(entry));
            return self.entries.len() as Fd - 1;
        };
        self.entries[at] = Some(entry);
        at as Fd
    }

    pub fn remove(&mut self, fd: Fd) -> Option<Entry> {
        self.forget_leftover(fd);
        let at = usize::try_from(fd).ok()?;
        let entry = self.entries.get_mut(at)?.take()?;
        self.free.push(Reverse(at));
        if let Entry::Socket(socket) = &entry
            && let Some((_, port)) = socket.bound
        {
            self.leave_port(fd, port);
        }
        Some(entry)
    }

    /// Binds a socket.
    pub fn bind(&mut self, fd: Fd, addr: Addr, port: u16) -> Result<(), Errno> {
        let before = self.socket(fd)?.bound.replace((addr, port));
        if let Some((_, before)) = before {
            self.leave_port(fd, before);
        }
        self.bound.entry(port).or_default().insert(fd);
        Ok(())
    }

    fn leave_port(&mut self, fd: Fd, port: u16) {
        if let Some(there) = self.bound.get_mut(&port) {
            there.remove(&fd);
            if there.is_empty() {
                self.bound.remove(&port);
            }
        }
    }

    fn entry(&mut self, fd: Fd) -> Result<&mut Entry, Errno> {
        let at = usize::try_from(fd).map_err(|_| Errno::BADF)?;
        self.entries.get_mut(at).and_then(Option::as_mut).ok_or(Errno::BADF)
    }

    pub fn socket(&mut self, fd: Fd) -> Result<&mut Socket, Errno> {
        match self.entry(fd)? {
            Entry::Socket(s) => Ok(s),
            Entry::Epoll(_) => Err(Errno::NOTSOCK),
        }
    }

    pub fn epoll(&mut self, fd: Fd) -> Result<&mut Epoll, Errno> {
        match self.entry(fd)? {
            Entry::Epoll(e) => Ok(e),
            Entry::Socket(_) => Err(Errno::INVAL),
        }
    }

    pub fn exists(&mut self, fd: Fd) -> bool {
        self.entry(fd).is_ok()
    }

    /// The sockets that are bound to `port`; the listening one first.
    pub fn bound_to(&self, port: u16) -> impl Iterator<Item = &Socket> {
        let listener = self.listeners.get(&port).into_iter();
        let fds = listener.chain(self.bound.get(&port).into_iter().flatten());
        fds.filter_map(|&fd| match self.entries.get(usize::try_from(fd).ok()?) {
            Some(Some(Entry::Socket(s))) => Some(&**s),
            _ => None,
        })
    }

    /// The socket will be looked at after each turn.
    pub fn notice(&mut self, fd: Fd) {
        if let Ok(s) = self.socket(fd)
            && !s.noticed
        {
            s.noticed = true;
            self.noticed.push(fd);
        }
    }

    /// Something has changed for `fd`: epoll instances learn of it.
    pub fn wake(&mut self, fd: Fd) {
        let Ok(socket) = self.socket(fd) else { return };
        for watcher in socket.watchers.clone() {
            if let Ok(epoll) = self.epoll(watcher) {
                epoll.wake(fd);
            }
        }
    }

    fn opened(&mut self, fd: Fd, id: ConnId) {
        if let Ok(s) = self.socket(fd) {
            s.role = Role::Opening(id, true);
            self.wake(fd);
        }
    }

    /// Looks at the sockets that the shard tells nothing more about: what came in behind unread bytes, what room
    /// acknowledgements made.
    pub fn notice_changes(&mut self, net: &mut Net<'_, Owner>) {
        for fd in std::mem::take(&mut self.noticed) {
            let Ok(socket) = self.socket(fd) else { continue };
            socket.noticed = false;
            let (news, stays) = socket.changes(net);
            if news {
                self.wake(fd);
            }
            if stays {
                self.notice(fd);
            }
        }
    }
}

impl Socket {
    /// Whether something has changed since the last look, and whether another look is needed.
    fn changes(&mut self, net: &mut Net<'_, Owner>) -> (bool, bool) {
        let Some(conn) = self.conn().and_then(|id| net.conn(id)) else { return (false, false) };
        let (unread, ended) = (conn.unread(), conn.peer_has_closed());
        let room = self.full && super::ready::has_room(self, &conn);
        let stamped = self.stamps.is_waiting() && self.stamps.look(&conn);
        let news = unread > self.seen_unread || (ended && !self.seen_end) || room || stamped;
        self.seen_unread = unread;
        self.seen_end = ended;
        self.full &= !room;
        (news, (unread > 0 && !ended) || self.full || self.stamps.is_waiting())
    }
}

/// Who had more to say than the SYN could carry is talking, not only listening: it goes with the handshake's last segment.
fn send_rest(s: &mut Socket, conn: &mut Conn<'_, Owner>) {
    if s.rest.is_empty() {
        return;
    }
    conn.set_quick_acks(false);
    let room = s.rest.len().min(s.options.send_buffer_bytes as usize);
    let n = conn.send_copy(&s.rest[..room]).unwrap_or(0);
    s.rest.drain(..n);
    if n > 0 && s.stamps.bits() != 0 {
        s.stamp_call(conn);
    }
}

impl App for Table {
    type Conn = Owner;

    fn accepted(&mut self, conn: &mut Conn<'_, Owner>) {
        let (addr, port) = conn.local();
        let Some(&listener) = self.listeners.get(&port) else { return conn.abort() };
        let Ok(parent) = self.socket(listener) else { return conn.abort() };
        let Some((bound, _)) = parent.bound else { return conn.abort() };
        let here = bound == addr || is_any(&bound) && (parent.v6 || addr.is_v4());
        let (v6, options) = (parent.v6, parent.options.clone());
        match &parent.role {
            // As on Linux, one more than was asked for.
            Role::Listening { backlog, queue } if here && queue.len() <= *backlog => {}
            _ => return conn.abort(),
        }
        conn.set_nodelay(options.nodelay);
        let mut child = Socket::new(v6, options);
        child.role = Role::Open(conn.id());
        (child.peer, child.starts) = (Some(conn.remote()), Starts::of(conn));
        let fd = self.insert(Entry::Socket(Box::new(child)));
        if self.bind(fd, addr, port).is_err() {
            return conn.abort();
        }
        *conn.user = Owner(Some(fd));
        if let Ok(Socket { role: Role::Listening { queue, .. }, .. }) = self.socket(listener) {
            queue.push_back(fd);
        }
        self.wake(listener);
    }

    fn connected(&mut self, conn: &mut Conn<'_, Owner>) {
        if let Owner(Some(fd)) = *conn.user {
            self.opened(fd, conn.id());
            if let Ok(s) = self.socket(fd) {
                s.starts = Starts::of(conn);
                send_rest(s, conn);
                if s.stamps.is_waiting() {
                    self.notice(fd);
                }
            }
        }
    }

    /// All bytes stay with the shard until they are read.
    fn data(&mut self, conn: &mut Conn<'_, Owner>, _bytes: &[u8]) -> usize {
        if let Owner(Some(fd)) = *conn.user {
            if let Ok(s) = self.socket(fd) {
                s.starts.last_data_at = Some(conn.now());
            }
            self.notice(fd);
        }
        0
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, Owner>) {
        if let Owner(Some(fd)) = *conn.user
            && let Ok(s) = self.socket(fd)
            && !std::mem::replace(&mut s.seen_end, true)
        {
            self.wake(fd);
        }
    }

    fn ending(&mut self, conn: &Conn<'_, Owner>, why: CloseReason) {
        if let Owner(Some(fd)) = *conn.user {
            self.keep_leftover(fd, conn, why);
            if let Ok(s) = self.socket(fd) {
                s.stamps.look(conn);
            }
        }
    }

    fn closed(&mut self, owner: Owner, why: CloseReason, _now: Instant) {
        let Owner(Some(fd)) = owner else { return };
        let Ok(s) = self.socket(fd) else { return };
        s.error = errno(why).or(s.error);
        s.role = Role::Ended;
        s.corked_until = None;
        self.wake(fd);
    }

    fn poll(&mut self, net: &mut Net<'_, Owner>) {
        let now = net.now();
        for fd in std::mem::take(&mut self.corks) {
            let Ok(s) = self.socket(fd) else { continue };
            if super::transfer::holds(s, net, now) {
                self.corks.push(fd);
            } else {
                s.is_listed_corked = false;
            }
        }
    }

    fn next_wakeup(&self) -> Option<Instant> {
        let at = |fd: &Fd| match self.entries.get(*fd as usize) {
            Some(Some(Entry::Socket(s))) => s.corked_until,
            _ => None,
        };
        self.corks.iter().filter_map(at).min()
    }
}

/// What the program is told of such an end.
pub fn errno(why: CloseReason) -> Option<Errno> {
    match why {
        CloseReason::Graceful => None,
        // Without an error it would look like the end of the stream.
        CloseReason::Aborted => Some(Errno::CONNABORTED),
        CloseReason::Orphaned => Some(Errno::TIMEDOUT),
        CloseReason::Reset => Some(Errno::CONNRESET),
        CloseReason::Refused => Some(Errno::CONNREFUSED),
        CloseReason::TimedOut => Some(Errno::TIMEDOUT),
        CloseReason::Unreachable => Some(Errno::HOSTUNREACH),
        CloseReason::NetUnreachable => Some(Errno::NETUNREACH),
    }
}

/// The wildcard of either family.
pub fn is_any(addr: &Addr) -> bool {
    *addr == Addr::UNSPECIFIED_V6 || *addr == Addr::v4([0; 4])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;
    use crate::wire::Mac;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_are_the_lowest_free_ones_and_ports_know_their_sockets() {
        let config = ShardConfig::new(Mac([2, 0, 0, 0, 0, 1]), Vec::new());
        let mut table = Table::new(&config, Options::default());
        let (mut rng, mut taken) = (Rng::new(7), BTreeSet::<Fd>::new());
        let port_of = |fd: Fd| 1000 + (fd % 7) as u16;
        for _ in 0..5_000 {
            if rng.chance(0.6) {
                let lowest = (0..).find(|fd| !taken.contains(fd));
                let fd = table.insert(Entry::Socket(Box::new(Socket::new(false, Options::default()))));
                assert_eq!(Some(fd), lowest);
                taken.insert(fd);
                // A socket may be bound anew, when it connects.
                table.bind(fd, Addr::v4([198, 18, 0, 1]), 9).unwrap();
                table.bind(fd, Addr::v4([198, 18, 0, 1]), port_of(fd)).unwrap();
            } else {
                let fd = rng.below(200) as Fd;
                assert_eq!(table.remove(fd).is_some(), taken.remove(&fd), "{fd}");
            }
        }
        for port in 1000..1007 {
            assert_eq!(table.bound_to(port).count(), taken.iter().filter(|fd| port_of(**fd) == port).count());
        }
        assert_eq!(table.bound_to(9).count(), 0);
        taken.into_iter().for_each(|fd| drop(table.remove(fd)));
        assert!(table.bound.is_empty());
    }
}
