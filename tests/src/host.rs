//! One host under test, opposite a scripted peer: segments go in by hand, segments come out to be looked at. The
//! clock is the test's.

use std::collections::VecDeque;
use std::time::Duration;
use synfin_engine::base::{Backlog, Frame, FramePool, Instant};
use synfin_engine::shard::{
    App, CloseReason, Conn, ConnId, Connect, ConnectError, Cx, Limits, LocalNet, Payload, Report, Shard, ShardConfig,
};
use synfin_engine::tcp::State;
use synfin_engine::wire::emit::{self, ChecksumMode, IpFields, LinkOut, OptionsOut, SegmentOut};
use synfin_engine::wire::parse::{LinkInfo, Packet, ParseOptions, VlanTags, parse};
use synfin_engine::wire::segment::TcpSegment;
use synfin_engine::wire::{Addr, Mac, Seq, TcpFlags, TcpOptions};

pub const OUR_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
pub const PEER_MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);
pub const OURS: Addr = Addr::v4([198, 18, 0, 1]);
pub const PEER: Addr = Addr::v4([198, 18, 0, 2]);
pub const OUR_PORT: u16 = 80;
pub const PEER_PORT: u16 = 40_000;

/// What an application was told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    Accepted,
    Connected,
    Data(Vec<u8>),
    Writable,
    PeerClosed,
    Closed(CloseReason),
}

/// Remembers what it is told; takes bytes as long as `appetite` lasts.
pub struct Recorder {
    pub told: Vec<Told>,
    /// What it was told besides, and of which connection.
    pub reports: Vec<(ConnId, Report)>,
    pub conn: Option<ConnId>,
    pub appetite: usize,
    /// Called at the end of each `data`, `accepted`, `connected` and `peer_closed`.
    pub react: Option<fn(&Told, &mut Conn<'_, ()>)>,
}

impl Default for Recorder {
    fn default() -> Self {
        Recorder { told: Vec::new(), reports: Vec::new(), conn: None, appetite: usize::MAX, react: None }
    }
}

impl Recorder {
    fn note(&mut self, told: Told, conn: &mut Conn<'_, ()>) {
        self.conn = Some(conn.id());
        if let Some(react) = self.react {
            react(&told, conn);
        }
        self.told.push(told);
    }

    /// All bytes received so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.told.iter().flat_map(|t| if let Told::Data(d) = t { d.clone() } else { Vec::new() }).collect()
    }
}

impl App for Recorder {
    type Conn = ();

    fn accepted(&mut self, conn: &mut Conn<'_, ()>) {
        self.note(Told::Accepted, conn);
    }

    fn connected(&mut self, conn: &mut Conn<'_, ()>) {
        self.note(Told::Connected, conn);
    }

    fn data(&mut self, conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        let n = bytes.len().min(self.appetite);
        self.appetite -= n;
        if n > 0 {
            self.note(Told::Data(bytes[..n].to_vec()), conn);
        }
        n
    }

    fn writable(&mut self, conn: &mut Conn<'_, ()>) {
        self.note(Told::Writable, conn);
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, ()>) {
        self.note(Told::PeerClosed, conn);
    }

    fn reported(&mut self, conn: &mut Conn<'_, ()>, what: Report) {
        self.reports.push((conn.id(), what));
    }

    fn closed(&mut self, (): (), why: CloseReason, _now: Instant) {
        self.told.push(Told::Closed(why));
    }
}

/// A segment that the scripted peer sends, or that is expected from the host.
#[derive(Clone, Debug)]
pub struct Seg {
    pub flags: TcpFlags,
    pub seq: u32,
    pub ack: u32,
    pub window: u16,
    pub data: Vec<u8>,
    pub options: TcpOptions,
    /// The ECN bits of the IP header.
    pub ecn: u8,
}

/// `seg("S.", 300, 101)`: flags in tcpdump's letters, numbers absolute.
pub fn seg(flags: &str, seq: u32, ack: u32) -> Seg {
    let bits = flags.chars().fold(TcpFlags(0), |f, c| {
        f | match c {
            'S' => TcpFlags::SYN,
            'F' => TcpFlags::FIN,
            'R' => TcpFlags::RST,
            'P' => TcpFlags::PSH,
            'U' => TcpFlags::URG,
            'E' => TcpFlags::ECE,
            'W' => TcpFlags::CWR,
            '.' => TcpFlags::ACK,
            other => panic!("no such flag: {other}"),
        }
    });
    Seg { flags: bits, seq, ack, window: 65_535, data: Vec::new(), options: TcpOptions::default(), ecn: 0 }
}

impl Seg {
    pub fn data(mut self, bytes: impl Into<Vec<u8>>) -> Seg {
        self.data = bytes.into();
        self
    }

    pub fn window(mut self, window: u16) -> Seg {
        self.window = window;
        self
    }

    pub fn mss(mut self, mss: u16) -> Seg {
        self.options.mss = Some(mss);
        self
    }

    pub fn ts(mut self, val: u32, ecr: u32) -> Seg {
        self.options.timestamp = Some((val, ecr));
        self
    }

    pub fn ecn(mut self, ecn: u8) -> Seg {
        self.ecn = ecn;
        self
    }

    pub fn options(mut self, options: TcpOptions) -> Seg {
        self.options = options;
        self
    }
}

/// A segment that the host has sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub seg: TcpSegment,
    pub data: Vec<u8>,
    /// The whole frame.
    pub frame: Vec<u8>,
}

pub struct Host {
    pub shard: Shard<Recorder>,
    pub pool: FramePool,
    pub now: Instant,
    pub out: VecDeque<Sent>,
    /// Frames that are not TCP.
    pub other: VecDeque<Packet>,
    pub remote: (Addr, u16),
    pub local: (Addr, u16),
    tx: Vec<Frame>,
    frames: usize,
}

/// Plain options, so that dialogues show bare numbers: no timestamps, no SACK, ISN 300; ACKs are delayed from the start.
pub fn plain_config() -> ShardConfig {
    let net = LocalNet { first: OURS, count: 1, prefix_len: 24, exclusive: true };
    let mut config = ShardConfig::new(OUR_MAC, vec![net]);
    config.static_neighbours = vec![(PEER, PEER_MAC)];
    config.tcp.timestamps = false;
    config.tcp.sack = false;
    // Windows that stay as they are.
    config.tcp.receive_buffer_max_bytes = 0;
    config.tcp.quick_acks = 0;
    config.tcp.fixed_iss = Some(300);
    // Small tables: a test may make thousands of hosts.
    config.limits = Limits {
        connections: 64,
        half_open: 64,
        time_wait: 64,
        held_frames: 256,
        copy_buffers: 64,
        ..Limits::default()
    };
    config
}

impl Host {
    pub fn new(config: ShardConfig) -> Host {
        let frames = 512;
        let now = Instant::from_nanos(1_000_000_000_000);
        Host {
            shard: Shard::new(config, Recorder::default(), now),
            pool: FramePool::heap(frames, 2048),
            now,
            out: VecDeque::new(),
            other: VecDeque::new(),
            remote: (PEER, PEER_PORT),
            local: (OURS, OUR_PORT),
            tx: Vec::with_capacity(512),
            frames: frames as usize,
        }
    }

    /// A listener on [`OUR_PORT`].
    pub fn server(config: ShardConfig) -> Host {
        let mut host = Host::new(config);
        host.shard.listen(OUR_PORT);
        host
    }

    /// From now on a turn sends at most `frames` frames.
    pub fn limit_burst(&mut self, frames: usize) {
        self.tx = Vec::with_capacity(frames);
    }

    /// The host has begun to connect to the peer (whose port is then 80, ours 40000); its SYN is in `out`.
    pub fn client(config: ShardConfig) -> Host {
        let mut host = Host::new(config);
        (host.remote, host.local) = ((PEER, OUR_PORT), (OURS, PEER_PORT));
        host.connect().expect("first connect");
        host.turn(Vec::new());
        host
    }

    pub fn connect(&mut self) -> Result<ConnId, ConnectError> {
        let to = Connect {
            local: self.local.0,
            local_port: self.local.1,
            remote: self.remote.0,
            remote_port: self.remote.1,
        };
        self.shard.with_net(self.now, |app, net| {
            let id = net.connect(to, ())?;
            app.conn = Some(id);
            Ok(id)
        })
    }

    /// An established connection accepted by the host: peer's next byte is 101, ours 301.
    pub fn accepted(config: ShardConfig) -> Host {
        let mut host = Host::server(config);
        host.send(seg("S", 100, 0).mss(1460));
        host.expect("S.", 300, 101);
        host.send(seg(".", 101, 301));
        host.expect_nothing();
        assert_eq!(host.state(), State::Established);
        host
    }

    /// An established connection opened by the host: peer's next byte is 501, ours 301.
    pub fn connected(config: ShardConfig) -> Host {
        let mut host = Host::client(config);
        host.expect("S", 300, 0);
        host.send(seg("S.", 500, 301).mss(1460));
        host.expect(".", 301, 501);
        assert_eq!(host.state(), State::Established);
        host
    }

    fn frame(&mut self, s: &Seg) -> Frame {
        let mut frame = self.pool.alloc().expect("a free frame");
        let link = LinkOut { src: PEER_MAC, dst: OUR_MAC, vlan: VlanTags::default() };
        let out = SegmentOut {
            src: self.remote.0,
            dst: self.local.0,
            src_port: self.remote.1,
            dst_port: self.local.1,
            seq: Seq(s.seq),
            ack: Seq(s.ack),
            flags: s.flags,
            window: s.window,
            options: OptionsOut::Any(&s.options),
            payload_len: s.data.len() as u16,
            ip: IpFields::default().with_ecn(s.ecn),
            checksum: ChecksumMode::Full,
        };
        assert!(emit::tcp(&mut frame, &link, &out, |to| to.copy_from_slice(&s.data)));
        frame
    }

    /// The peer sends one segment.
    pub fn send(&mut self, s: Seg) {
        let frame = self.frame(&s);
        self.turn(vec![frame]);
    }

    /// The peer's segments arrive in one burst.
    pub fn send_burst(&mut self, segments: &[Seg]) {
        let frames = segments.iter().map(|s| self.frame(s)).collect();
        self.turn(frames);
    }

    /// The frame in which the peer would send `s`.
    pub fn bytes_of(&mut self, s: &Seg) -> Vec<u8> {
        let frame = self.frame(s);
        let bytes = frame.bytes().to_vec();
        self.pool.free(frame);
        bytes
    }

    /// Any bytes arrive.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        let mut frame = self.pool.alloc().expect("a free frame");
        assert!(frame.set_len(bytes.len()));
        frame.bytes_mut().copy_from_slice(bytes);
        self.turn(vec![frame]);
    }

    /// One turn of the poll loop.
    pub fn turn(&mut self, mut rx: Vec<Frame>) {
        let mut cx = Cx { now: self.now, backlog: Backlog::None, pool: &mut self.pool, tx: &mut self.tx };
        self.shard.ingest(&mut rx, &mut cx);
        self.shard.expire(&mut cx);
        self.shard.poll_app(&mut cx);
        self.shard.emit(&mut cx);
        self.collect();
    }

    /// A turn whose output is thrown away: for floods.
    pub fn turn_unchecked(&mut self, mut rx: Vec<Frame>) {
        let mut cx = Cx { now: self.now, backlog: Backlog::None, pool: &mut self.pool, tx: &mut self.tx };
        self.shard.ingest(&mut rx, &mut cx);
        self.shard.expire(&mut cx);
        self.shard.emit(&mut cx);
        self.tx.drain(..).for_each(|frame| self.pool.free(frame));
        self.shard.app_mut().told.clear();
    }

    fn collect(&mut self) {
        for frame in self.tx.drain(..) {
            let check = ParseOptions { verify_checksums: true };
            let (_, packet): (LinkInfo, Packet) = parse(frame.bytes(), check).expect("what we send is well formed");
            match packet {
                Packet::Tcp(seg) => {
                    let start = usize::from(seg.payload_start);
                    let data = frame.bytes()[start..start + usize::from(seg.payload_len)].to_vec();
                    self.out.push_back(Sent { seg, data, frame: frame.bytes().to_vec() });
                }
                other => self.other.push_back(other),
            }
            self.pool.free(frame);
        }
    }

    /// Lets time pass, from deadline to deadline.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let next = self.shard.next_deadline(self.now).filter(|&at| at <= end);
            let Some(next) = next else { break };
            // A deadline that does not move would stop the clock: step at least one tick.
            self.now = next.max(self.now.plus_nanos(1 << 17)).min(end);
            self.turn(Vec::new());
            if self.now >= end {
                break;
            }
        }
        self.now = end;
        self.turn(Vec::new());
    }

    /// Time passes until the host sends something; returns how long that took.
    pub fn pass_until_output(&mut self, limit: Duration) -> Duration {
        let start = self.now;
        let end = start + limit;
        while self.out.is_empty() && self.now < end {
            let next = self.shard.next_deadline(self.now).unwrap_or(end);
            self.now = next.max(self.now.plus_nanos(1 << 17)).min(end);
            self.turn(Vec::new());
        }
        Duration::from_nanos(self.now.nanos_since(start))
    }

    /// The next segment that the host has sent.
    #[track_caller]
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Sent {
        self.out.pop_front().expect("the host should have sent a segment")
    }

    /// The next segment has these flags (PSH not compared) and numbers.
    #[track_caller]
    pub fn expect(&mut self, flags: &str, seq: u32, ack: u32) -> Sent {
        let got = self.next();
        let want = super::host::seg(flags, seq, ack);
        let without_push = got.seg.flags.without(TcpFlags::PSH);
        assert_eq!(
            (without_push, got.seg.seq.0, got.seg.ack.0),
            (want.flags, want.seq, want.ack),
            "flags, seq, ack of what was sent (left) and expected (right)"
        );
        got
    }

    #[track_caller]
    pub fn expect_data(&mut self, seq: u32, ack: u32, data: &[u8]) -> Sent {
        let got = self.expect(".", seq, ack);
        assert_eq!(got.data, data);
        got
    }

    #[track_caller]
    pub fn expect_nothing(&mut self) {
        assert!(self.out.is_empty(), "the host should have sent nothing, but sent {:?}", self.out);
    }

    /// Acts on the connection as the application would, then runs a turn.
    #[track_caller]
    pub fn act(&mut self, act: impl FnOnce(&mut Conn<'_, ()>)) {
        self.shard.with_net(self.now, |app, net| {
            let id = app.conn.expect("a connection");
            act(&mut net.conn(id).expect("a live connection"));
        });
        self.turn(Vec::new());
    }

    #[track_caller]
    pub fn write(&mut self, bytes: &'static [u8]) {
        self.act(|c| c.send(Payload::Static(bytes)).expect("room to send"));
    }

    /// Resets every connection.
    pub fn abort_all(&mut self) {
        let mut cx = Cx { now: self.now, backlog: Backlog::None, pool: &mut self.pool, tx: &mut self.tx };
        while self.shard.abort_all(&mut cx) > 0 {
            cx.tx.drain(..).for_each(|frame| cx.pool.free(frame));
        }
        self.collect();
    }

    /// State of the connection; `TimeWait` and `Closed` when only a record or nothing is left.
    pub fn state(&mut self) -> State {
        let live = self.shard.with_net(self.now, |app, net| app.conn.and_then(|id| net.conn(id)).map(|c| c.state()));
        match (live, self.shard.live()) {
            (Some(state), _) => state,
            (None, (_, half, _)) if half > 0 => State::SynReceived,
            (None, (_, _, time_wait)) if time_wait > 0 => State::TimeWait,
            _ => State::Closed,
        }
    }

    pub fn told(&self) -> &[Told] {
        &self.shard.app().told
    }

    /// What was reported, of whatever connection.
    pub fn reports(&self) -> Vec<Report> {
        self.shard.app().reports.iter().map(|(_, what)| *what).collect()
    }

    /// Nothing is left: no record, no frame.
    #[track_caller]
    pub fn assert_clean(&mut self) {
        assert!(self.shard.is_empty(), "records left: {:?}", self.shard.live());
        assert_eq!(self.pool.available(), self.frames, "frames left over");
        assert_eq!(self.pool.foreign_frames, 0);
    }
}
