//! Applications for simulations: every connection carries a pseudo-random stream of random length each way, both ends
//! check every byte, and both close in random order.

use synfin_engine::base::{Instant, Rng};
use synfin_engine::shard::{App, CloseReason, Conn, ConnId, Connect, ConnectError, Generator, Net, Payload};
use synfin_engine::wire::Addr;

/// Writes the bytes of stream `seed` at `offset`.
pub fn fill(seed: u64, offset: u64, out: &mut [u8]) {
    let mut at = offset;
    let mut out = out;
    while !out.is_empty() {
        let mut z = (at / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed;
        z = (z ^ (z >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (z ^ (z >> 29)).to_le_bytes();
        let skip = (at % 8) as usize;
        let n = (8 - skip).min(out.len());
        out[..n].copy_from_slice(&word[skip..skip + n]);
        out = &mut out[n..];
        at += n as u64;
    }
}

/// What the client decides about a connection; the first bytes of its stream tell the server.
#[derive(Clone, Copy, Default, Debug)]
pub struct Plan {
    pub seed: u64,
    pub up: u64,
    pub down: u64,
    pub client_closes: Closes,
    pub server_closes: Closes,
}

/// When a side sends its FIN.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[repr(u8)]
pub enum Closes {
    /// As soon as everything is queued.
    #[default]
    AtOnce,
    /// When everything from the other side has been received.
    WhenDone,
    /// When the other side has closed.
    Second,
}

const HEADER: usize = 26;

impl Plan {
    fn random(rng: &mut Rng, size_bits: u64) -> Plan {
        let mut size = || {
            let bits = rng.below(size_bits + 1);
            rng.below(1 << bits)
        };
        let (up, down) = (size(), size());
        // Both waiting for the other would wait for ever.
        let pairs = [
            (Closes::AtOnce, Closes::AtOnce),
            (Closes::AtOnce, Closes::WhenDone),
            (Closes::AtOnce, Closes::Second),
            (Closes::WhenDone, Closes::AtOnce),
            (Closes::WhenDone, Closes::WhenDone),
            (Closes::WhenDone, Closes::Second),
            (Closes::Second, Closes::AtOnce),
            (Closes::Second, Closes::WhenDone),
        ];
        let (client_closes, server_closes) = pairs[rng.below(pairs.len() as u64) as usize];
        Plan { seed: rng.next_u64() | 1, up, down, client_closes, server_closes }
    }

    fn header(&self) -> [u8; HEADER] {
        let mut h = [0; HEADER];
        h[..8].copy_from_slice(&self.seed.to_le_bytes());
        h[8..16].copy_from_slice(&self.up.to_le_bytes());
        h[16..24].copy_from_slice(&self.down.to_le_bytes());
        h[24] = self.client_closes as u8;
        h[25] = self.server_closes as u8;
        h
    }

    fn from_header(h: &[u8; HEADER]) -> Plan {
        let word = |at: usize| u64::from_le_bytes(h[at..at + 8].try_into().unwrap());
        let closes = |b: u8| match b {
            0 => Closes::AtOnce,
            1 => Closes::WhenDone,
            _ => Closes::Second,
        };
        Plan { seed: word(0), up: word(8), down: word(16), client_closes: closes(h[24]), server_closes: closes(h[25]) }
    }
}

/// One end of a connection.
#[derive(Default)]
pub struct Flow {
    plan: Plan,
    /// Received header bytes (server).
    header: [u8; HEADER],
    header_len: usize,
    received: u64,
    expected: u64,
    peer_closed: bool,
    started: bool,
}

/// Totals of one side.
#[derive(Default, Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    pub graceful: u64,
    pub failed: std::collections::BTreeMap<&'static str, u64>,
    pub bytes: u64,
    /// Bytes that were not those that had been sent.
    pub wrong_bytes: u64,
    /// Ended in order, but without all bytes and the end of the stream.
    pub incomplete: u64,
}

impl Tally {
    pub fn ended(&self) -> u64 {
        self.graceful + self.failed.values().sum::<u64>()
    }
}

/// Checks received bytes and decides when to stall and close; common to both ends.
pub struct Side {
    pub tally: Tally,
    rng: Rng,
    stalled: Vec<ConnId>,
    is_client: bool,
}

impl Side {
    fn new(seed: u64, is_client: bool) -> Side {
        Side { tally: Tally::default(), rng: Rng::new(seed), stalled: Vec::new(), is_client }
    }

    fn closes(&self, plan: &Plan) -> Closes {
        if self.is_client { plan.client_closes } else { plan.server_closes }
    }

    /// The stream from the peer has its own seed, the sender's.
    fn check(&mut self, flow: &mut Flow, bytes: &[u8]) {
        let seed = if self.is_client { flow.plan.seed ^ 1 } else { flow.plan.seed };
        let mut want = [0u8; 2048];
        for chunk in bytes.chunks(want.len()) {
            fill(seed, flow.received, &mut want[..chunk.len()]);
            if want[..chunk.len()] != *chunk {
                self.tally.wrong_bytes += 1;
            }
            flow.received += chunk.len() as u64;
        }
        self.tally.bytes += bytes.len() as u64;
    }

    fn start(&mut self, conn: &mut Conn<'_, Flow>) {
        let plan = conn.user.plan;
        let (len, seed) = if self.is_client { (plan.up, plan.seed) } else { (plan.down, plan.seed ^ 1) };
        conn.user.started = true;
        conn.user.expected = if self.is_client { plan.down } else { plan.up };
        conn.send(Payload::Generated(Generator { len, seed, fill })).expect("room for one stream");
        if self.closes(&plan) == Closes::AtOnce {
            conn.shutdown();
        }
    }

    fn after_data(&mut self, conn: &mut Conn<'_, Flow>) {
        let flow = &*conn.user;
        if flow.started && flow.received == flow.expected && self.closes(&flow.plan) == Closes::WhenDone {
            conn.shutdown();
        }
    }

    fn data(&mut self, conn: &mut Conn<'_, Flow>, bytes: &[u8]) -> usize {
        // Now and then the application has no time: it takes half and comes back later.
        let n = if self.rng.below(64) == 0 { bytes.len() / 2 } else { bytes.len() };
        if n < bytes.len() {
            self.stalled.push(conn.id());
        }
        self.check(conn.user, &bytes[..n]);
        self.after_data(conn);
        n
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, Flow>) {
        conn.user.peer_closed = true;
        if self.closes(&conn.user.plan) == Closes::Second {
            conn.shutdown();
        }
    }

    fn closed(&mut self, flow: &Flow, why: CloseReason) {
        if why != CloseReason::Graceful {
            *self.tally.failed.entry(why.name()).or_default() += 1;
            return;
        }
        self.tally.graceful += 1;
        if !flow.peer_closed || !flow.started || flow.received != flow.expected {
            self.tally.incomplete += 1;
        }
    }

    fn resume(&mut self, net: &mut Net<'_, Flow>) {
        for id in self.stalled.drain(..) {
            if let Some(mut conn) = net.conn(id) {
                conn.resume_receive();
            }
        }
    }
}

pub struct Client {
    pub side: Side,
    rng: Rng,
    to_start: u64,
    concurrency: u32,
    size_bits: u64,
    next_tuple: u32,
    local: Addr,
    locals: u32,
    remote: Addr,
    pub started: u64,
}

impl Client {
    /// `total` connections, at most `concurrency` at a time, streams of up to 2^`size_bits` bytes each way.
    pub fn new(
        seed: u64,
        total: u64,
        concurrency: u32,
        size_bits: u64,
        local: Addr,
        locals: u32,
        remote: Addr,
    ) -> Client {
        Client {
            side: Side::new(seed ^ 0xc11e, true),
            rng: Rng::new(seed),
            to_start: total,
            concurrency,
            size_bits,
            next_tuple: 0,
            local,
            locals,
            remote,
            started: 0,
        }
    }

    fn next_connect(&mut self) -> Connect {
        let n = self.next_tuple;
        self.next_tuple = self.next_tuple.wrapping_add(1);
        Connect {
            local: self.local.plus(n % self.locals),
            local_port: 1024 + (n / self.locals % 60_000) as u16,
            remote: self.remote,
            remote_port: 80,
        }
    }
}

impl App for Client {
    type Conn = Flow;

    fn poll(&mut self, net: &mut Net<'_, Flow>) {
        self.side.resume(net);
        while self.to_start > 0 && net.live() < self.concurrency {
            let plan = Plan::random(&mut self.rng, self.size_bits);
            let to = self.next_connect();
            match net.connect(to, Flow { plan, ..Flow::default() }) {
                Ok(_) => {
                    self.to_start -= 1;
                    self.started += 1;
                }
                Err(ConnectError::AddressInUse) => {}
                Err(other) => panic!("cannot connect: {other:?}"),
            }
        }
    }

    fn connected(&mut self, conn: &mut Conn<'_, Flow>) {
        let header = conn.user.plan.header();
        assert_eq!(conn.send_copy(&header), Ok(HEADER));
        self.side.start(conn);
        self.side.after_data(conn);
    }

    fn data(&mut self, conn: &mut Conn<'_, Flow>, bytes: &[u8]) -> usize {
        self.side.data(conn, bytes)
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, Flow>) {
        self.side.peer_closed(conn);
    }

    fn closed(&mut self, flow: Flow, why: CloseReason, _: Instant) {
        self.side.closed(&flow, why);
    }
}

pub struct Server {
    pub side: Side,
    pub accepted: u64,
}

impl Server {
    pub fn new(seed: u64) -> Server {
        Server { side: Side::new(seed ^ 0x5e4e, false), accepted: 0 }
    }
}

impl App for Server {
    type Conn = Flow;

    fn poll(&mut self, net: &mut Net<'_, Flow>) {
        self.side.resume(net);
    }

    fn accepted(&mut self, _: &mut Conn<'_, Flow>) {
        self.accepted += 1;
    }

    fn data(&mut self, conn: &mut Conn<'_, Flow>, bytes: &[u8]) -> usize {
        let flow = &mut *conn.user;
        if flow.header_len == HEADER {
            return self.side.data(conn, bytes);
        }
        let n = (HEADER - flow.header_len).min(bytes.len());
        flow.header[flow.header_len..flow.header_len + n].copy_from_slice(&bytes[..n]);
        flow.header_len += n;
        if flow.header_len < HEADER {
            return n;
        }
        flow.plan = Plan::from_header(&flow.header);
        self.side.start(conn);
        self.side.after_data(conn);
        match bytes.len() - n {
            0 => n,
            _ => n + self.side.data(conn, &bytes[n..]),
        }
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, Flow>) {
        self.side.peer_closed(conn);
    }

    fn closed(&mut self, flow: Flow, why: CloseReason, _: Instant) {
        self.side.closed(&flow, why);
    }
}
