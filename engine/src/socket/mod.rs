//! F3b: sockets as programs know them from POSIX, over one shard and an injected clock.
//!
//! A [`Stack`] is a shard whose application is a table of descriptors. Sans-IO as the shard is: whoever owns it moves
//! frames and tells the time ([`Stack::turn`]), and calls what [`Stack::at`] gives out: `socket`, `bind`, `listen`,
//! `accept`, `connect`, `send`, `recv`, `shutdown`, `close`, `poll`, epoll, options, each with the error numbers that
//! Linux gives. None of them waits; [`blocking`] makes them wait with the caller's help ([`blocking::World`]).
//!
//! Received bytes stay in the shard's store until they are read, so the window closes as the program falls behind.
//!
//! # What differs from Linux
//! - `ENOPROTOOPT` for what the engine does not do: TCP_DEFER_ACCEPT, TCP_MD5SIG, TCP_REPAIR,
//!   TCP_WINDOW_CLAMP, SO_REUSEPORT, SO_BUSY_POLL, timestamps and zero-copy.
//! - TCP_FASTOPEN on a listener is all it takes; as a client, [`FastOpen::client`](crate::tcp::FastOpen) allows it.
//! - SO_SNDBUF and SO_RCVBUF bound payload bytes; Linux counts its own bookkeeping as well.
//! - An RST always gives `ECONNRESET`, after the peer's FIN too, where Linux says `EPIPE`.
//! - A connection that finds the accept queue full is reset; Linux leaves its handshake incomplete.
//! - One listener for each port; a wildcard listener and one for a single address do not go together.
//! - SO_REUSEADDR decides about other sockets of this stack; ports in TIME-WAIT can always be listened on.

pub mod blocking;
mod calls;
mod copied;
mod epoll;
mod errno;
mod fast_open;
mod info;
mod leftover;
mod options;
mod ready;
mod stamps;
mod table;
mod transfer;

pub use calls::{Closed, How};
pub use epoll::{Control, EpollEvent};
pub use errno::Errno;
pub use options::Options;
pub use ready::{Poll, bits};
pub use stamps::{Moment, Stamp};
pub use transfer::Flags;

use crate::base::{Frame, Instant};
use crate::shard::{App, Cx, Net, Shard, ShardConfig, TraceEvent};
use crate::tcp::TcpConfig;
use table::{Owner, Table};

/// Names a socket or an epoll instance of one stack.
pub type Fd = i32;

/// A shard with a table of descriptors.
pub struct Stack {
    shard: Shard<Table>,
}

impl Stack {
    /// `options`: what new sockets start with.
    pub fn new(config: ShardConfig, options: Options, now: Instant) -> Stack {
        let table = Table::new(&config, options);
        Stack { shard: Shard::new(config, table, now) }
    }

    /// Takes received frames, does what is due and sends what can be sent.
    pub fn turn(&mut self, rx: &mut Vec<Frame>, cx: &mut Cx<'_>) {
        self.shard.ingest(rx, cx);
        self.shard.expire(cx);
        self.shard.poll_app(cx);
        self.shard.emit(cx);
        let (table, mut net) = self.shard.parts(cx.now);
        table.notice_changes(&mut net);
    }

    /// When [`Stack::turn`] next has something to do on its own account.
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        self.shard.next_deadline(now)
    }

    /// The calls, at the time `now`. What they send goes out with the next [`Stack::turn`].
    pub fn at(&mut self, now: Instant) -> Sockets<'_> {
        let (table, net) = self.shard.parts(now);
        Sockets { table, net }
    }

    /// Settings of connections, and options of sockets, that begin from now on.
    pub fn configure(&mut self, tcp: TcpConfig, options: Options, now: Instant) {
        let (table, _) = self.shard.parts(now);
        table.configure(tcp, options);
        self.shard.configure(tcp);
    }

    /// Forgets what is known of servers with TCP Fast Open, as `ip tcp_metrics flush` does on Linux.
    pub fn forget_fast_open_servers(&mut self) {
        self.shard.forget_fast_open_servers();
    }

    pub fn shard(&self) -> &Shard<impl App + use<>> {
        &self.shard
    }

    /// The segments since the last call, if tracing is on.
    pub fn take_trace(&mut self) -> Vec<TraceEvent> {
        self.shard.take_trace()
    }
}

/// The system calls, at one point in time.
pub struct Sockets<'a> {
    table: &'a mut Table,
    net: Net<'a, Owner>,
}

impl Sockets<'_> {
    pub fn now(&self) -> Instant {
        self.net.now()
    }
}
