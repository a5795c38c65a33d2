//! Through the engine: one worker on one AF_XDP queue.

use super::{Arrivals, Measured, PIECE, PORT, Sent, Times};
use crate::device::{CLIENT_ADDRESSES, CLIENTS, SERVER};
use std::sync::Arc;
use std::time::{Duration, Instant as WallInstant};
use synfin_engine::base::{Event, Instant};
use synfin_engine::control::Control;
use synfin_engine::io::IoError;
use synfin_engine::io::bpf::{FilterAddr, FilterSpec, XdpLink};
use synfin_engine::io::sys::netlink::Interface;
use synfin_engine::io::xsk::{XskConfig, XskSet};
use synfin_engine::shard::{App, CloseReason, Conn, Connect, LocalNet, Net, Payload, Shard, ShardConfig};
use synfin_engine::wire::Addr;
use synfin_engine::worker::{self, Clock, RunOptions};

const FIRST_LOCAL_PORT: u16 = 20_000;
/// A receiver keeps what came out of order in frames: enough for 10^9 bits in a tenth of a second, twice.
const FRAMES: u32 = 49_152;
const HELD_FRAMES: u32 = 24_576;
/// What may come while others have the core.
const RING: u32 = 16_384;
/// What a sender keeps queued.
const QUEUED_BYTES: u32 = 1 << 26;

/// A connection: which one it is, and what is left to queue.
#[derive(Default)]
pub struct Flow {
    index: usize,
    left: u64,
}

/// Opens connections and sends, or takes connections and compares.
struct Transfer {
    remote: Option<Addr>,
    to_open: usize,
    opened: usize,
    bytes: u64,
    stagger: Duration,
    begin: Option<Instant>,
    accepted: usize,
    arrivals: Arc<Arrivals>,
}

impl Transfer {
    fn next_start(&self) -> Option<Instant> {
        let begin = self.begin?;
        (self.opened < self.to_open).then(|| begin + self.stagger * self.opened as u32)
    }

    fn feed(conn: &mut Conn<'_, Flow>) {
        while conn.user.left > 0 {
            let piece: &'static [u8] = &PIECE;
            let piece = &piece[..piece.len().min(usize::try_from(conn.user.left).unwrap_or(usize::MAX))];
            if conn.queued_bytes() > QUEUED_BYTES || conn.send(Payload::Static(piece)).is_err() {
                return conn.want_writable();
            }
            conn.user.left -= piece.len() as u64;
        }
        conn.shutdown();
    }
}

impl App for Transfer {
    type Conn = Flow;

    fn poll(&mut self, net: &mut Net<'_, Flow>) {
        self.begin.get_or_insert(net.now());
        while let Some(remote) = self.remote
            && self.next_start().is_some_and(|at| at <= net.now())
        {
            let local_port = FIRST_LOCAL_PORT + self.opened as u16;
            let to = Connect { local: CLIENTS, local_port, remote, remote_port: PORT };
            // One that cannot be had is missed by the receiver.
            let _ = net.connect(to, Flow { index: self.opened, left: self.bytes });
            self.opened += 1;
        }
    }

    fn next_wakeup(&self) -> Option<Instant> {
        self.next_start()
    }

    fn connected(&mut self, conn: &mut Conn<'_, Flow>) {
        Self::feed(conn);
    }

    fn writable(&mut self, conn: &mut Conn<'_, Flow>) {
        Self::feed(conn);
    }

    fn accepted(&mut self, conn: &mut Conn<'_, Flow>) {
        self.arrivals.begin();
        conn.user.index = self.accepted.min(super::FLOWS_MAX - 1);
        self.accepted += 1;
    }

    fn data(&mut self, conn: &mut Conn<'_, Flow>, bytes: &[u8]) -> usize {
        self.arrivals.take(conn.user.index, bytes);
        bytes.len()
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, Flow>) {
        conn.shutdown();
    }

    fn closed(&mut self, flow: Flow, why: CloseReason, _: Instant) {
        if why != CloseReason::Graceful {
            eprintln!("transfer: flow {} ended early: {why:?}", flow.index);
        }
        self.arrivals.end();
    }
}

/// Where an end runs.
pub struct Station<'a> {
    pub interface: &'a Interface,
    /// The largest window offered.
    pub window_bytes: u32,
    pub sleep: bool,
}

impl Station<'_> {
    /// Sends `bytes` on each flow until `limit`, or until the receiver has had enough.
    ///
    /// # Errors
    /// What is wrong with the device, or with the worker.
    pub fn send(
        &self,
        remote: Addr,
        flows: usize,
        bytes: u64,
        stagger: Duration,
        limit: Duration,
    ) -> Result<Sent, IoError> {
        let arrivals = Arc::new(Arrivals::default());
        let app = Transfer { remote: Some(remote), to_open: flows, bytes, stagger, ..Transfer::idle(arrivals.clone()) };
        let end = WallInstant::now() + limit;
        let ended = || arrivals.ended.load(std::sync::atomic::Ordering::Relaxed) as usize >= flows;
        let mut sent = Sent::default();
        self.run((CLIENTS, CLIENT_ADDRESSES), app, |control, is_ending| {
            while WallInstant::now() < end && !ended() && !is_ending() {
                std::thread::sleep(Duration::from_millis(5));
            }
            let counters = control.snapshot(0).counters;
            sent.retransmits = counters.count(Event::Retransmits);
            sent.timeouts = counters.count(Event::RtoExpiries);
            sent.recoveries = counters.count(Event::FastRetransmits);
            sent.spurious = counters.count(Event::SpuriousRecoveries);
            sent.probes = counters.count(Event::LossProbes);
        })?;
        Ok(sent)
    }

    /// Takes `flows` connections and measures what comes.
    ///
    /// # Errors
    /// As [`Station::send`].
    pub fn receive(&self, flows: usize, times: &Times) -> Result<Option<Measured>, IoError> {
        let arrivals = Arc::new(Arrivals::default());
        let mut measured = None;
        self.run((SERVER, 1), Transfer::idle(arrivals.clone()), |_, is_ending| {
            measured = arrivals.measure(flows, times, is_ending);
        })?;
        Ok(measured)
    }

    fn run(
        &self,
        (first, count): (Addr, u32),
        app: Transfer,
        watch: impl FnOnce(&Control, &dyn Fn() -> bool),
    ) -> Result<(), IoError> {
        let Interface { name, ifindex, mac, .. } = self.interface;
        let net = LocalNet { first, count, prefix_len: 24, exclusive: true };
        let mut config = ShardConfig::new(*mac, vec![net]);
        config.tcp.receive_buffer_bytes = self.window_bytes;
        config.tcp.time_wait = Duration::from_millis(100);
        config.limits.held_frames = HELD_FRAMES;
        let filter = FilterSpec { addresses: vec![FilterAddr::exclusive(first, count)] };
        let link = XdpLink::attach_auto(*ifindex, &filter, 1)?;
        let rings = XskConfig { rx_size: RING, fill_size: RING, ..XskConfig::new(name, *ifindex, 1) };
        let mut sockets = XskSet::open(&XskConfig { frames_per_queue: FRAMES, ..rings })?;
        let io = sockets.remove(0);
        link.set_socket(0, io.fd())?;
        let clock = Clock::start();
        let is_server = app.remote.is_none();
        let mut shard = Shard::new(config, app, clock.now());
        if is_server {
            shard.listen(PORT);
        }
        let control = Control::new(1);
        let options = RunOptions { sleep: self.sleep, ..RunOptions::default() };
        let trouble = |e: worker::RunError| IoError::new(e.to_string(), "see what it says");
        let running = worker::start(vec![(shard, io)], clock, &options, &control).map_err(trouble)?;
        watch(&control, &|| running.is_ending());
        control.stop();
        running.join().map_err(trouble)?;
        Ok(())
    }
}

impl Transfer {
    fn idle(arrivals: Arc<Arrivals>) -> Transfer {
        let stagger = Duration::ZERO;
        Transfer { remote: None, to_open: 0, opened: 0, bytes: 0, stagger, begin: None, accepted: 0, arrivals }
    }
}
