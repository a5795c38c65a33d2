//! Keeps a number of connections in flight.

use super::{Form, NextTurn, REQUEST, RESPONSE_BYTES, SERVER_PORT};
use synfin_engine::base::Instant;
use synfin_engine::shard::{App, CloseReason, Conn, Connect, Net, Payload};
use synfin_engine::wire::Addr;

const FIRST_PORT: u16 = 1024;
/// In place of a number of bytes received: a connection that is only held.
const IDLE: usize = usize::MAX;
/// 4-tuples tried for one connection before the turn is left to others.
const TRIES: u32 = 64;

pub struct Client {
    form: Form,
    first_local: Addr,
    locals: u32,
    remote: Addr,
    first_port: u16,
    next_port: u16,
    next_local: u32,
    /// Connections to open beside the others and to leave alone, and those that are open. They keep their 4-tuples: wanted
    /// before any other connection is begun.
    pub idle_wanted: u32,
    pub idle: u32,
    idle_begun: u32,
    /// Connections to keep in flight, and to begin altogether.
    pub wanted: u32,
    pub limit: u64,
    /// None are begun any more from this time on.
    pub until: Instant,
    in_flight: u32,
    pub begun: u64,
    /// Ended in order, with the whole response.
    pub completed: u64,
    pub failed: u64,
    /// 4-tuples that were still in TIME-WAIT when their turn came.
    pub tuples_in_use: u64,
    next_turn: NextTurn,
}

impl Client {
    /// A client that uses all ports of `locals` addresses from `first_local` on.
    pub fn new(form: Form, first_local: Addr, locals: u32, remote: Addr, wanted: u32) -> Client {
        Client {
            form,
            first_local,
            locals: locals.max(1),
            remote,
            first_port: FIRST_PORT,
            next_port: FIRST_PORT,
            next_local: 0,
            idle_wanted: 0,
            idle: 0,
            idle_begun: 0,
            wanted,
            limit: 0,
            until: Instant::from_nanos(u64::MAX),
            in_flight: 0,
            begun: 0,
            completed: 0,
            failed: 0,
            tuples_in_use: 0,
            next_turn: NextTurn::default(),
        }
    }

    pub fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.begun >= self.limit
    }

    /// The next 4-tuple: all addresses in turn, then the next port.
    fn next_tuple(&mut self) -> Connect {
        let local = self.first_local.plus(self.next_local);
        let tuple = Connect { local, local_port: self.next_port, remote: self.remote, remote_port: SERVER_PORT };
        self.next_local += 1;
        if self.next_local == self.locals {
            self.next_local = 0;
            self.next_port = if self.next_port == u16::MAX { self.first_port } else { self.next_port + 1 };
        }
        tuple
    }

    /// Begins some more of the idle connections; those that follow use other ports.
    fn begin_idle(&mut self, net: &mut Net<'_, usize>) {
        for _ in 0..TRIES.min(self.idle_wanted - self.idle_begun) {
            if net.connect(self.next_tuple(), IDLE).is_ok() {
                self.idle_begun += 1;
            }
            self.first_port = self.next_port;
        }
    }

    fn begin(&mut self, net: &mut Net<'_, usize>) -> bool {
        for _ in 0..TRIES {
            let tuple = self.next_tuple();
            if net.connect(tuple, 0).is_ok() {
                self.in_flight += 1;
                self.begun += 1;
                return true;
            }
            self.tuples_in_use += 1;
        }
        false
    }
}

impl App for Client {
    /// Bytes of the response received.
    type Conn = usize;

    fn connected(&mut self, conn: &mut Conn<'_, usize>) {
        if *conn.user == IDLE {
            self.idle += 1;
            return;
        }
        match self.form {
            // A request that cannot be queued shows as a connection that does not complete.
            Form::Six => {
                let _ = conn.send(Payload::Static(&REQUEST));
            }
            Form::Nine => self.next_turn.note(conn.id()),
        }
    }

    fn data(&mut self, conn: &mut Conn<'_, usize>, bytes: &[u8]) -> usize {
        *conn.user += bytes.len();
        if self.form == Form::Nine && *conn.user == RESPONSE_BYTES {
            conn.shutdown();
        }
        bytes.len()
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, usize>) {
        if self.form == Form::Six {
            conn.shutdown();
        }
    }

    fn closed(&mut self, received: usize, why: CloseReason, _now: Instant) {
        self.in_flight -= 1;
        if why == CloseReason::Graceful && received == RESPONSE_BYTES {
            self.completed += 1;
        } else {
            self.failed += 1;
        }
    }

    fn poll(&mut self, net: &mut Net<'_, usize>) {
        self.next_turn.each(|id| {
            if let Some(mut conn) = net.conn(id) {
                let _ = conn.send(Payload::Static(&REQUEST));
            }
        });
        if self.idle_begun < self.idle_wanted {
            self.begin_idle(net);
        }
        while self.in_flight < self.wanted && net.now() < self.until && self.begun < self.limit && self.begin(net) {}
    }
}
