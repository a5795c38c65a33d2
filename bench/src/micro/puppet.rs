//! A peer without a stack of its own: it says what it is told to, so that a shard can be brought into any state.

use std::time::Duration;
use synfin_engine::base::{Backlog, Frame, FramePool, Instant};
use synfin_engine::shard::{App, Cx, LocalNet, Shard, ShardConfig};
use synfin_engine::wire::emit::{self, ChecksumMode, IpFields, LinkOut, OptionsOut, SegmentOut};
use synfin_engine::wire::parse::{Packet, ParseOptions, VlanTags, parse};
use synfin_engine::wire::{Addr, Mac, Seq, TcpFlags, TcpOptions, TcpSegment};

const SHARD_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const PEER_MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);
const SHARD: Addr = Addr::v4([198, 18, 0, 1]);
/// All peers are beyond it, so one neighbour will do for millions of them.
const ROUTER: Addr = Addr::v4([198, 18, 0, 2]);
const FIRST_PEER: Addr = Addr::v4([198, 19, 0, 0]);
pub const PORT: u16 = 80;
/// Frames of both directions.
const FRAMES: u32 = 1024;
pub const TIME_WAIT: Duration = Duration::from_secs(1);

/// What the shard's side of a connection does.
pub struct Listener {
    pub closes_at_once: bool,
}

impl App for Listener {
    type Conn = ();

    fn accepted(&mut self, conn: &mut synfin_engine::shard::Conn<'_, ()>) {
        if self.closes_at_once {
            conn.close();
        }
    }
}

/// One end of a connection as the puppet remembers it.
#[derive(Clone, Copy)]
pub struct Peer {
    pub number: u32,
    pub seq: Seq,
    pub ack: Seq,
    ts_recent: u32,
}

pub struct Puppet {
    pub shard: Shard<Listener>,
    pub now: Instant,
    pool: FramePool,
    rx: Vec<Frame>,
    tx: Vec<Frame>,
}

impl Puppet {
    pub fn new(closes_at_once: bool) -> Puppet {
        let local = LocalNet { first: SHARD, count: 1, prefix_len: 24, exclusive: true };
        let mut config = ShardConfig::new(SHARD_MAC, vec![local]);
        config.gateway_v4 = Some(ROUTER);
        config.static_neighbours = vec![(ROUTER, PEER_MAC)];
        config.tcp.time_wait = TIME_WAIT;
        let now = Instant::from_nanos(1_000_000_000_000);
        let mut shard = Shard::new(config, Listener { closes_at_once }, now);
        shard.listen(PORT);
        let pool = FramePool::heap(FRAMES, 2048);
        Puppet { shard, now, pool, rx: Vec::with_capacity(64), tx: Vec::with_capacity(FRAMES as usize / 2) }
    }

    /// The peer with this number, before it has said anything: another address for every 60,000 of them.
    pub fn peer(number: u32) -> Peer {
        Peer { number, seq: Seq(number.wrapping_mul(0x9e37_79b9)), ack: Seq(0), ts_recent: 0 }
    }

    /// Prepares a segment of the peer's for the next [`Puppet::ingest`].
    ///
    /// # Panics
    /// The frames are used up.
    pub fn say(&mut self, peer: &Peer, flags: TcpFlags, payload: &[u8]) {
        let stamp = (self.now.as_nanos() >> 20) as u32;
        let timestamp = Some((stamp, peer.ts_recent));
        let options = match flags.syn() {
            true => TcpOptions {
                mss: Some(1460),
                window_scale: Some(7),
                sack_permitted: true,
                timestamp,
                ..TcpOptions::NONE
            },
            false => TcpOptions { timestamp, ..TcpOptions::NONE },
        };
        let segment = SegmentOut {
            src: FIRST_PEER.plus(peer.number / 60_000),
            dst: SHARD,
            src_port: 1024 + (peer.number % 60_000) as u16,
            dst_port: PORT,
            seq: peer.seq,
            ack: peer.ack,
            flags,
            window: 0x2000,
            options: OptionsOut::Any(&options),
            payload_len: payload.len() as u16,
            ip: IpFields::default(),
            checksum: ChecksumMode::Full,
        };
        let link = LinkOut { src: PEER_MAC, dst: SHARD_MAC, vlan: VlanTags::default() };
        let mut frame = self.pool.alloc().expect("frames go back after every burst");
        let written = emit::tcp(&mut frame, &link, &segment, |out| out.copy_from_slice(payload));
        assert!(written, "a segment fits into a frame");
        self.rx.push(frame);
    }

    /// The shard takes the prepared segments, and says what it has to say.
    #[inline]
    pub fn turn(&mut self) {
        let mut cx = Cx { now: self.now, backlog: Backlog::None, pool: &mut self.pool, tx: &mut self.tx };
        self.shard.ingest(&mut self.rx, &mut cx);
        self.shard.emit(&mut cx);
    }

    /// The shard acts on deadlines, once.
    #[inline]
    pub fn expire(&mut self) {
        let mut cx = Cx { now: self.now, backlog: Backlog::None, pool: &mut self.pool, tx: &mut self.tx };
        self.shard.expire(&mut cx);
    }

    /// Hands what the shard has said to `hear`, and takes the frames back.
    pub fn answers(&mut self, mut hear: impl FnMut(&TcpSegment)) -> usize {
        let sent = self.tx.len();
        for frame in self.tx.drain(..) {
            if let Ok((_, Packet::Tcp(segment))) = parse(frame.bytes(), ParseOptions { verify_checksums: false }) {
                hear(&segment);
            }
            self.pool.free(frame);
        }
        sent
    }

    /// Opens connections for `peers`.
    ///
    /// # Panics
    /// The shard did not answer every SYN.
    pub fn open(&mut self, peers: &mut [Peer]) {
        peers.iter().for_each(|peer| self.say(peer, TcpFlags::SYN, &[]));
        self.turn();
        self.note_answers(peers);
        for peer in peers.iter_mut() {
            peer.seq += 1;
            self.say(peer, TcpFlags::ACK, &[]);
        }
        self.turn();
    }

    /// Peers note what they have to acknowledge. Answers come in the order of the peers.
    ///
    /// # Panics
    /// There is not one answer for each.
    pub fn note_answers(&mut self, peers: &mut [Peer]) {
        let mut waiting = peers.iter_mut();
        let answers = self.answers(|segment| {
            let Some(peer) = waiting.next() else { return };
            peer.ack = segment.end();
            peer.ts_recent = segment.options.timestamp.map_or(0, |(value, _)| value);
        });
        assert_eq!(answers, peers.len(), "one answer for each peer");
    }
}
