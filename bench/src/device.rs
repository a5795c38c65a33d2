//! One worker of the engine on one queue of a device, for programs that measure it.

use crate::usage::Usage;
use clap::ValueEnum;
use std::time::{Duration, Instant};
use synfin_engine::base::{Counters, Event};
use synfin_engine::control::Control;
use synfin_engine::io::bpf::{FilterAddr, FilterSpec, XdpLink, XdpMode};
use synfin_engine::io::sys::netlink::Interface;
use synfin_engine::io::xsk::{MTU_MAX, XskConfig, XskIo, XskSet};
use synfin_engine::io::{IoError, PacketIo};
use synfin_engine::shard::{App, LocalNet, Shard, ShardConfig};
use synfin_engine::wire::Addr;
use synfin_engine::worker::{self, Clock, RunOptions};

/// The client's addresses, and the server's; nobody else may have them.
pub const CLIENTS: Addr = Addr::v4([198, 18, 0, 100]);
pub const CLIENT_ADDRESSES: u32 = 16;
pub const SERVER: Addr = Addr::v4([198, 18, 0, 200]);
/// 2MSL: on a link of one hop nothing wanders about.
const TIME_WAIT: Duration = Duration::from_millis(500);
/// How long the server waits for the first frame, and for any later one.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(1));

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Role {
    Client,
    Server,
}

impl Role {
    /// First address, and how many.
    const fn addresses(self) -> (Addr, u32) {
        match self {
            Role::Client => (CLIENTS, CLIENT_ADDRESSES),
            Role::Server => (SERVER, 1),
        }
    }
}

/// Where the XDP program runs.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Mode {
    Native,
    Skb,
}

/// Where a worker runs.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub role: Role,
    pub mode: Mode,
    pub queue: u32,
    pub core: usize,
}

/// What one end did.
pub struct Outcome<A> {
    pub app: A,
    pub seconds: f64,
    pub usage: Usage,
    /// Received and sent.
    pub frames: (u64, u64),
    pub counters: Counters,
    pub io: String,
}

impl<A> Outcome<A> {
    /// With `f` of the application in its place.
    pub fn map<B>(self, f: impl FnOnce(A) -> B) -> Outcome<B> {
        let Outcome { app, seconds, usage, frames, counters, io } = self;
        Outcome { app: f(app), seconds, usage, frames, counters, io }
    }
}

impl Place {
    pub fn config(&self, interface: &Interface) -> ShardConfig {
        let (first, count) = self.role.addresses();
        let net = LocalNet { first, count, prefix_len: 24, exclusive: true };
        let mut config = ShardConfig::new(interface.mac, vec![net]);
        config.tcp.time_wait = TIME_WAIT;
        config
    }

    fn open(&self, interface: &Interface) -> Result<(XdpLink, XskIo), IoError> {
        let (first, count) = self.role.addresses();
        let ours = FilterSpec { addresses: vec![FilterAddr::exclusive(first, count)] };
        let mode = match self.mode {
            Mode::Native => XdpMode::Native,
            Mode::Skb => XdpMode::Skb,
        };
        let link = XdpLink::attach(interface.ifindex, mode, &ours, self.queue + 1)?;
        let mut set = XskSet::open(&XskConfig {
            first_queue: self.queue,
            attach_mode: Some(link.mode()),
            large_frames: interface.mtu > MTU_MAX,
            ..XskConfig::new(&interface.name, interface.ifindex, 1)
        })?;
        let io = set.remove(0);
        link.set_socket(self.queue, io.fd())?;
        Ok((link, io))
    }

    /// Runs one worker on a shard made for the MTU that can be used, until `watch` returns how many seconds it was at work and the CPU time that took; `watch` is given
    /// a way to tell whether the worker has ended by itself.
    ///
    /// # Errors
    /// What is wrong with the device, or with the worker.
    pub fn drive<A>(
        &self,
        interface: &Interface,
        shard: impl FnOnce(u16) -> Shard<A>,
        clock: Clock,
        watch: impl FnOnce(&Control, &dyn Fn() -> bool) -> (f64, Usage),
    ) -> Result<Outcome<A>, IoError>
    where
        A: App + Send + 'static,
        A::Conn: Send,
    {
        let (link, io) = self.open(interface)?;
        let shard = shard(interface.mtu.min(io.mtu_max()).min(u16::MAX.into()) as u16);
        let control = Control::new(1);
        let options = RunOptions { cores: vec![self.core], ..RunOptions::default() };
        let trouble = |e: worker::RunError| IoError::new(e.to_string(), "see what it says");
        let running = worker::start(vec![(shard, io)], clock, &options, &control).map_err(trouble)?;
        let (seconds, usage) = watch(&control, &|| running.is_ending());
        control.stop();
        let mut finished = running.join().map_err(trouble)?;
        drop(link);
        let end = finished.remove(0);
        let (stats, counters) = (end.io.stats(), end.engine.counters().clone());
        let (frames, io) = ((stats.rx_frames, stats.tx_frames), end.io.describe());
        Ok(Outcome { app: end.engine.into_app(), seconds, usage, frames, counters, io })
    }
}

/// The watch of a server: from the first segment to the last, with patience.
pub fn server_time(control: &Control, is_ending: &dyn Fn() -> bool) -> (f64, Usage) {
    let here = || (Instant::now(), Usage::of_this_process());
    let mut first = here();
    let mut last = first;
    let mut segments = 0;
    while !is_ending() {
        std::thread::sleep(Duration::from_millis(5));
        let seen = control.snapshot(0).counters.count(Event::SegmentsIn);
        if seen > segments {
            last = here();
            if segments == 0 {
                first = last;
            }
            segments = seen;
        }
        let patience = if segments > 0 { PATIENCE.1 } else { PATIENCE.0 };
        if last.0.elapsed() > patience {
            break;
        }
    }
    ((last.0 - first.0).as_secs_f64(), last.1 - first.1)
}
