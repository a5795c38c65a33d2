//! Applications for bulk transfers: some connections, a number of bytes through each, one way.

use crate::streams::fill;
use std::time::Duration;
use synfin_engine::base::Instant;
use synfin_engine::shard::{App, CloseReason, Conn, Connect, Generator, Net, Payload};
use synfin_engine::tcp::congestion::Algorithm;
use synfin_engine::wire::Addr;

const PORT: u16 = 80;
/// Largest piece queued at once.
const PIECE_BYTES: u64 = 1 << 24;

/// One transfer that is to begin.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    pub bytes: u64,
    pub starts_after: Duration,
    pub algorithm: Algorithm,
}

/// Opens the connections and sends.
pub struct Sender {
    local: Addr,
    remote: Addr,
    transfers: Vec<Transfer>,
    started: usize,
    begin: Option<Instant>,
    /// Connections that did not end in order.
    pub failed: u32,
    pub ended: u32,
}

/// Bytes left to queue and those queued.
#[derive(Default)]
pub struct Progress {
    left: u64,
    queued: u64,
    algorithm: Algorithm,
}

impl Sender {
    pub fn new(local: Addr, remote: Addr, transfers: Vec<Transfer>) -> Sender {
        Sender { local, remote, transfers, started: 0, begin: None, failed: 0, ended: 0 }
    }

    fn next_start(&self) -> Option<Instant> {
        let transfer = self.transfers.get(self.started)?;
        Some(self.begin? + transfer.starts_after)
    }

    fn feed(conn: &mut Conn<'_, Progress>) {
        while conn.user.left > 0 {
            let len = conn.user.left.min(PIECE_BYTES);
            // Each piece has the bytes of the stream from where it begins on.
            let g = Generator { len, seed: conn.user.queued, fill: |at, offset, out| fill(1, at + offset, out) };
            if conn.send(Payload::Generated(g)).is_err() {
                return;
            }
            (conn.user.left, conn.user.queued) = (conn.user.left - len, conn.user.queued + len);
        }
        conn.shutdown();
    }
}

impl App for Sender {
    type Conn = Progress;

    fn poll(&mut self, net: &mut Net<'_, Progress>) {
        self.begin.get_or_insert(net.now());
        while self.next_start().is_some_and(|at| at <= net.now()) {
            let transfer = self.transfers[self.started];
            let to = Connect {
                local: self.local,
                local_port: 10_000 + self.started as u16,
                remote: self.remote,
                remote_port: PORT,
            };
            let user = Progress { left: transfer.bytes, queued: 0, algorithm: transfer.algorithm };
            net.connect(to, user).expect("a connection");
            self.started += 1;
        }
    }

    fn next_wakeup(&self) -> Option<Instant> {
        self.next_start()
    }

    fn connected(&mut self, conn: &mut Conn<'_, Progress>) {
        conn.set_congestion(conn.user.algorithm);
        Self::feed(conn);
    }

    fn writable(&mut self, conn: &mut Conn<'_, Progress>) {
        Self::feed(conn);
    }

    fn closed(&mut self, _: Progress, why: CloseReason, _: Instant) {
        self.ended += 1;
        self.failed += u32::from(why != CloseReason::Graceful);
    }
}

/// What has come through one connection.
#[derive(Clone, Copy, Default, Debug)]
pub struct Received {
    pub bytes: u64,
    pub wrong: u64,
    pub first: Option<Instant>,
    pub last: Option<Instant>,
}

/// Takes everything and checks it.
#[derive(Default)]
pub struct Receiver {
    /// In the order of the senders' ports.
    pub flows: Vec<Received>,
}

impl App for Receiver {
    type Conn = ();

    fn data(&mut self, conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        let index = usize::from(conn.remote().1 - 10_000);
        if self.flows.len() <= index {
            self.flows.resize(index + 1, Received::default());
        }
        let flow = &mut self.flows[index];
        let mut want = [0; 4096];
        let want = &mut want[..bytes.len()];
        fill(1, flow.bytes, want);
        flow.wrong += u64::from(want != bytes);
        flow.bytes += bytes.len() as u64;
        flow.first.get_or_insert(conn.now());
        flow.last = Some(conn.now());
        bytes.len()
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, ()>) {
        conn.shutdown();
    }
}
