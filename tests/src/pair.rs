//! Two shards joined by a link, in virtual time.

use std::time::Duration;
use synfin_engine::base::{Backlog, Frame, FramePool, Instant, Rng};
use synfin_engine::io::sim::{End, Impairment, SimLink};
use synfin_engine::shard::{App, Cx, LocalNet, Shard, ShardConfig, TraceEvent};
use synfin_engine::wire::{Addr, Mac};

pub const MAC_A: Mac = Mac([2, 0, 0, 0, 0, 0xa]);
pub const MAC_B: Mac = Mac([2, 0, 0, 0, 0, 0xb]);
pub const ADDR_A: Addr = Addr::v4([198, 18, 0, 1]);
pub const ADDR_B: Addr = Addr::v4([198, 18, 0, 2]);

/// Configurations of two hosts on one IPv4 link that know each other.
pub fn configs() -> (ShardConfig, ShardConfig) {
    let host = |mac, addr| {
        let net = LocalNet { first: addr, count: 1, prefix_len: 24, exclusive: true };
        ShardConfig::new(mac, vec![net])
    };
    let (mut a, mut b) = (host(MAC_A, ADDR_A), host(MAC_B, ADDR_B));
    a.static_neighbours = vec![(ADDR_B, MAC_B)];
    b.static_neighbours = vec![(ADDR_A, MAC_A)];
    (a, b)
}

/// One side: a shard with its frames.
pub struct Side<A: App> {
    pub shard: Shard<A>,
    pub pool: FramePool,
    pub trace: Vec<TraceEvent>,
    rx: Vec<Frame>,
    tx: Vec<Frame>,
    frames: usize,
    end: End,
}

impl<A: App> Side<A> {
    fn new(config: ShardConfig, app: A, end: End, frames: u32, now: Instant) -> Side<A> {
        Side {
            shard: Shard::new(config, app, now),
            pool: FramePool::heap(frames, 2048),
            trace: Vec::new(),
            rx: Vec::with_capacity(256),
            tx: Vec::with_capacity(256),
            frames: frames as usize,
            end,
        }
    }

    /// From now on a turn sends at most `frames` frames.
    pub fn limit_burst(&mut self, frames: usize) {
        self.tx = Vec::with_capacity(frames);
    }

    fn take_bursts(&mut self, receive_frames: usize, send_frames: usize) {
        (self.rx, self.tx) = (Vec::with_capacity(receive_frames), Vec::with_capacity(send_frames));
    }

    fn turn(&mut self, link: &mut SimLink, now: Instant) {
        loop {
            let got = link.receive(self.end, now, &mut self.pool, &mut self.rx);
            let mut cx = Cx { now, backlog: Backlog::None, pool: &mut self.pool, tx: &mut self.tx };
            self.shard.ingest(&mut self.rx, &mut cx);
            self.shard.expire(&mut cx);
            self.shard.poll_app(&mut cx);
            self.shard.emit(&mut cx);
            let sent = self.tx.len();
            link.send_all(self.end, &mut self.tx, &mut self.pool, now);
            self.trace.append(&mut self.shard.take_trace());
            if got == 0 && sent == 0 {
                return;
            }
        }
    }

    /// Segments that come from elsewhere, and whose answers go there: nobody looks at them.
    pub fn strangers<T>(
        &mut self,
        segments: impl Iterator<Item = T>,
        frame: impl Fn(&T, &mut FramePool) -> Frame,
        now: Instant,
    ) {
        self.rx.extend(segments.map(|s| frame(&s, &mut self.pool)));
        let mut cx = Cx { now, backlog: Backlog::None, pool: &mut self.pool, tx: &mut self.tx };
        self.shard.ingest(&mut self.rx, &mut cx);
        self.tx.drain(..).for_each(|f| self.pool.free(f));
    }

    /// No record and no frame is left.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(self.shard.is_empty(), "records left: {:?}", self.shard.live());
        assert_eq!(self.pool.available(), self.frames, "frames left over");
        assert_eq!(self.pool.foreign_frames, 0);
    }
}

pub struct Pair<A: App, B: App> {
    pub a: Side<A>,
    pub b: Side<B>,
    pub link: SimLink,
    pub now: Instant,
    /// How far apart turns may be, and the dice for it.
    nap_ns: u64,
    dice: Rng,
}

impl<A: App, B: App> Pair<A, B> {
    pub fn new(configs: (ShardConfig, ShardConfig), apps: (A, B), seed: u64, impairments: [Impairment; 2]) -> Self {
        Self::with_frames(configs, apps, seed, impairments, 16_384)
    }

    /// With this many frames on each side.
    pub fn with_frames(
        configs: (ShardConfig, ShardConfig),
        apps: (A, B),
        seed: u64,
        impairments: [Impairment; 2],
        frames: u32,
    ) -> Self {
        let now = Instant::from_nanos(1_000_000_000_000);
        Pair {
            a: Side::new(configs.0, apps.0, End::A, frames, now),
            b: Side::new(configs.1, apps.1, End::B, frames, now),
            link: SimLink::new(seed, impairments),
            now,
            nap_ns: 0,
            dice: Rng::new(seed),
        }
    }

    /// Both sides are as workers on busy cores: turns come at uneven times, up to `nap` apart, and bursts are a worker's.
    pub fn doze(&mut self, nap: Duration) {
        self.nap_ns = nap.as_nanos() as u64;
        self.a.take_bursts(64, 256);
        self.b.take_bursts(64, 256);
    }

    /// Both sides do what they can do now.
    pub fn turn(&mut self) {
        self.a.turn(&mut self.link, self.now);
        self.b.turn(&mut self.link, self.now);
    }

    /// When anything happens next.
    fn next_event(&self) -> Option<Instant> {
        let deadlines = [self.a.shard.next_deadline(self.now), self.b.shard.next_deadline(self.now)];
        deadlines.into_iter().flatten().chain(self.link.next_arrival()).min()
    }

    /// Steps from event to event until nothing is left to happen or `limit` has passed. True: nothing is left.
    pub fn run(&mut self, limit: Duration) -> bool {
        let end = self.now + limit;
        loop {
            self.turn();
            let Some(next) = self.next_event() else { return true };
            if next > end {
                self.now = end;
                return false;
            }
            // Deadlines are ticks: one that is "now" may need the clock to move past the tick.
            let earliest = self.now.plus_nanos(1_000.max(self.dice.below(self.nap_ns)));
            self.now = if next > self.now && self.nap_ns == 0 { next } else { next.max(earliest) };
        }
    }
}
