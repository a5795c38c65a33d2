//! The two applications: connections that stay idle, and connections that live through a request and a response
//! beside them.

use crate::lifecycle::{REQUEST, RESPONSE, SERVER_PORT};
use synfin_engine::base::Instant;
use synfin_engine::shard::{App, CloseReason, Conn, Connect, Net, Payload};
use synfin_engine::wire::Addr;

const FIRST_PORT: u16 = 1024;
const PORTS: u32 = 65_536 - FIRST_PORT as u32;
/// Connections that are being opened at a time, and those that one turn begins.
const IN_FLIGHT: u32 = 256;
const PER_TURN: u32 = 64;

/// Addresses needed for so many 4-tuples.
pub const fn addresses_for(tuples: u32) -> u32 {
    tuples.div_ceil(PORTS)
}

/// All ports of an address, then the next address.
pub struct Tuples {
    first: Addr,
    remote: Addr,
    next: u32,
    /// Begins anew after as many.
    count: u32,
}

impl Tuples {
    pub fn new(first: Addr, remote: Addr, count: u32) -> Tuples {
        Tuples { first, remote, next: 0, count: count.max(1) }
    }

    pub fn take(&mut self) -> Connect {
        let taken = self.nth(self.next);
        self.next = (self.next + 1) % self.count;
        taken
    }

    /// Those that will be taken next.
    pub fn upcoming(&self, count: u32) -> impl Iterator<Item = Connect> {
        (self.next..self.next + count).map(|n| self.nth(n % self.count))
    }

    fn nth(&self, n: u32) -> Connect {
        let (address, port) = (n / PORTS, n % PORTS);
        Connect {
            local: self.first.plus(address),
            local_port: FIRST_PORT + port as u16,
            remote: self.remote,
            remote_port: SERVER_PORT,
        }
    }
}

/// What a connection is there for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Purpose {
    #[default]
    Idle,
    Exchange,
}

pub struct Client {
    idle: Tuples,
    exchange: Tuples,
    /// Connections still to be begun.
    pub idle_left: u32,
    pub exchanges_left: u32,
    pub in_flight: u32,
    pub opened: u32,
    /// Ended in order, after the whole response.
    pub exchanged: u64,
    /// By our own or the peer's reset, or by time-out.
    pub torn: u64,
    pub failed: u64,
}

impl Client {
    /// `tuples` for idle connections from `first` on, `exchange_tuples` behind them.
    pub fn new(first: Addr, remote: Addr, tuples: u32, exchange_tuples: u32) -> Client {
        let behind = first.plus(addresses_for(tuples));
        Client {
            idle: Tuples::new(first, remote, tuples),
            exchange: Tuples::new(behind, remote, exchange_tuples),
            idle_left: 0,
            exchanges_left: 0,
            in_flight: 0,
            opened: 0,
            exchanged: 0,
            torn: 0,
            failed: 0,
        }
    }

    pub fn is_idle(&self) -> bool {
        self.idle_left == 0 && self.exchanges_left == 0 && self.in_flight == 0
    }
}

impl App for Client {
    type Conn = Purpose;

    fn connected(&mut self, conn: &mut Conn<'_, Purpose>) {
        match *conn.user {
            Purpose::Idle => {
                self.opened += 1;
                self.in_flight -= 1;
            }
            // A request that cannot be queued shows as a connection that does not complete.
            Purpose::Exchange => {
                let _ = conn.send(Payload::Static(&REQUEST));
            }
        }
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, Purpose>) {
        conn.shutdown();
    }

    fn closed(&mut self, purpose: Purpose, why: CloseReason, _now: Instant) {
        match (purpose, why) {
            (Purpose::Exchange, CloseReason::Graceful) => {
                self.in_flight -= 1;
                self.exchanged += 1;
            }
            (Purpose::Idle, CloseReason::Reset | CloseReason::TimedOut | CloseReason::Aborted) => self.torn += 1,
            _ => {
                self.in_flight -= 1;
                self.failed += 1;
            }
        }
    }

    fn poll(&mut self, net: &mut Net<'_, Purpose>) {
        let tuples = if self.idle_left == 0 { &self.exchange } else { &self.idle };
        tuples.upcoming(PER_TURN.min(IN_FLIGHT - self.in_flight)).for_each(|to| net.prepare(&to));
        for _ in 0..PER_TURN {
            if self.in_flight >= IN_FLIGHT || (self.idle_left == 0 && self.exchanges_left == 0) {
                return;
            }
            let (tuples, purpose, left) = match self.idle_left {
                0 => (&mut self.exchange, Purpose::Exchange, &mut self.exchanges_left),
                _ => (&mut self.idle, Purpose::Idle, &mut self.idle_left),
            };
            if net.connect(tuples.take(), purpose).is_ok() {
                *left -= 1;
                self.in_flight += 1;
            }
        }
    }
}

/// Answers each request once, and closes first: the TIME-WAIT records are the server's.
#[derive(Default)]
pub struct Server {
    pub accepted: u64,
    pub exchanged: u64,
    /// By our own or the peer's reset, or by time-out.
    pub torn: u64,
}

impl App for Server {
    type Conn = ();

    fn accepted(&mut self, _conn: &mut Conn<'_, ()>) {
        self.accepted += 1;
    }

    fn data(&mut self, conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        let _ = conn.send(Payload::Static(&RESPONSE));
        conn.shutdown();
        bytes.len()
    }

    fn closed(&mut self, (): (), why: CloseReason, _now: Instant) {
        match why {
            CloseReason::Graceful => self.exchanged += 1,
            _ => self.torn += 1,
        }
    }
}
