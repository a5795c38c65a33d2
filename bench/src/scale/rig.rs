//! The two shards and the link between them.

use super::Pauses;
use super::apps::{Client, Server, Tuples, addresses_for};
use crate::lifecycle::SERVER_PORT;
use std::collections::VecDeque;
use std::time::Duration;
use synfin_engine::base::{Backlog, Frame, FramePool, Instant};
use synfin_engine::shard::{App, Cx, LocalNet, Shard, ShardConfig};
use synfin_engine::tcp::{Keepalive, SynCookies};
use synfin_engine::wire::emit::{self, ChecksumMode, IpFields, LinkOut, OptionsOut, SegmentOut};
use synfin_engine::wire::parse::VlanTags;
use synfin_engine::wire::{Addr, Mac, Seq, TcpFlags, TcpOptions};

/// As a worker has them: frames that one turn receives, and those that it may send.
const RX_FRAMES: usize = 64;
const TX_FRAMES: usize = 256;
const POOL_FRAMES: u32 = 4096;
/// Virtual time that a turn of both ends takes.
const TURN_NS: u64 = 20_000;
/// Longer than the first retransmission time-out.
const SYN_TIMERS: Duration = Duration::from_secs(2);
/// 4-tuples of the connections that live beside the idle ones.
const EXCHANGE_TUPLES: u32 = 400_000;

const CLIENT_MAC: Mac = Mac([2, 0, 0, 0, 0, 0xa]);
const SERVER_MAC: Mac = Mac([2, 0, 0, 0, 0, 0xb]);

/// What a rig has to hold.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    pub connections: u32,
    pub half_open: u32,
    pub time_wait: u32,
    /// 4-tuples for connections that stay.
    pub idle_tuples: u32,
    /// 4-tuples for those that do not.
    pub exchange_tuples: u32,
    pub time_wait_life: Duration,
    pub keepalive: Option<Keepalive>,
    /// The flow tables do not grow.
    pub flows_prepared: bool,
}

impl Room {
    /// For `connections` idle ones, and some that live beside them.
    pub fn for_idle(connections: u32) -> Room {
        Room {
            connections: connections.saturating_add(10_000),
            half_open: 10_000,
            time_wait: 100_000,
            idle_tuples: connections,
            exchange_tuples: EXCHANGE_TUPLES,
            time_wait_life: Duration::from_millis(10),
            keepalive: None,
            flows_prepared: false,
        }
    }
}

pub struct Rig {
    pub client: Shard<Client>,
    pub server: Shard<Server>,
    pub now: Instant,
    /// Frames under way, to the client and to the server.
    links: [VecDeque<Frame>; 2],
    /// False: every frame is lost.
    pub connected: bool,
    pool: FramePool,
    rx: Vec<Frame>,
    tx: Vec<Frame>,
    /// Who floods.
    strangers: Tuples,
}

/// A pool whose memory is resident already.
fn touched_pool() -> FramePool {
    let mut pool = FramePool::heap(POOL_FRAMES, 2048);
    let mut frames: Vec<Frame> = std::iter::from_fn(|| pool.alloc()).collect();
    for mut frame in frames.drain(..) {
        assert!(frame.set_len(1500), "a frame holds a packet");
        frame.bytes_mut().fill(1);
        pool.free(frame);
    }
    pool
}

fn config(mac: Mac, local: LocalNet, room: &Room) -> ShardConfig {
    let mut config = ShardConfig::new(mac, vec![local]);
    config.tcp.time_wait = room.time_wait_life;
    config.tcp.keepalive = room.keepalive;
    // What a record takes is seen when there is one for every SYN.
    config.tcp.syn_cookies = SynCookies::Off;
    config.limits.connections = room.connections;
    config.limits.half_open = room.half_open;
    config.limits.time_wait = room.time_wait;
    config.limits.flows_prepared = room.flows_prepared;
    config
}

impl Rig {
    pub fn new(room: &Room) -> Rig {
        let (first, remote) = (Addr::v4([198, 18, 0, 1]), Addr::v4([198, 19, 255, 1]));
        let addresses = addresses_for(room.idle_tuples) + addresses_for(room.exchange_tuples);
        let local = |first, count| LocalNet { first, count, prefix_len: 15, exclusive: true };
        let mut ours = config(CLIENT_MAC, local(first, addresses), room);
        let mut theirs = config(SERVER_MAC, local(remote, 1), room);
        ours.static_neighbours = vec![(remote, SERVER_MAC)];
        theirs.static_neighbours = (0..addresses).map(|n| (first.plus(n), CLIENT_MAC)).collect();
        let now = Instant::from_nanos(1_000_000_000_000);
        let client = Client::new(first, remote, room.idle_tuples, room.exchange_tuples);
        let mut server = Shard::new(theirs, Server::default(), now);
        server.listen(SERVER_PORT);
        Rig {
            client: Shard::new(ours, client, now),
            server,
            now,
            links: [VecDeque::new(), VecDeque::new()],
            connected: true,
            pool: touched_pool(),
            rx: Vec::with_capacity(RX_FRAMES),
            tx: Vec::with_capacity(TX_FRAMES),
            strangers: Tuples::new(first, remote, room.idle_tuples),
        }
    }

    /// One turn of both poll loops, each timed.
    pub fn turn(&mut self, client_pauses: &mut Pauses, server_pauses: &mut Pauses) {
        self.now = self.now.plus_nanos(TURN_NS);
        self.client_turn(client_pauses);
        self.server_turn(server_pauses);
    }

    pub fn client_turn(&mut self, pauses: &mut Pauses) {
        let Rig { client, links: [incoming, outgoing], pool, rx, tx, now, connected, .. } = self;
        turn(client, incoming, pool, (rx, tx), *now, pauses);
        pass_on(outgoing, tx, pool, *connected);
    }

    pub fn server_turn(&mut self, pauses: &mut Pauses) {
        let Rig { server, links: [outgoing, incoming], pool, rx, tx, now, connected, .. } = self;
        turn(server, incoming, pool, (rx, tx), *now, pauses);
        pass_on(outgoing, tx, pool, *connected);
    }

    /// A turn in which the server resets connections, as many as it can.
    pub fn server_abort_turn(&mut self, pauses: &mut Pauses) {
        let Rig { server, links: [outgoing, _], pool, tx, now, connected, .. } = self;
        pauses.time(|| server.abort_all(&mut Cx { now: *now, backlog: Backlog::None, pool, tx }));
        pass_on(outgoing, tx, pool, *connected);
    }

    /// Lets the time pass in which neither end has anything to do: turns without work say nothing about those with.
    pub fn skip_idle_time(&mut self) {
        let deadlines = [self.client.next_deadline(self.now), self.server.next_deadline(self.now)];
        if let Some(soonest) = deadlines.into_iter().flatten().min().filter(|_| self.under_way() == 0) {
            self.now = self.now.max(soonest);
        }
    }

    /// Lets the retransmission timers pass that were armed for handshakes and are not cancelled when these succeed, all of
    /// them: what is left over would be work of the turns that come after.
    pub fn let_timers_run_out(&mut self) {
        let end = self.now + SYN_TIMERS;
        let (mut client, mut server) = (Pauses::default(), Pauses::default());
        while self.now < end || self.has_work() {
            self.skip_idle_time();
            self.turn(&mut client, &mut server);
        }
    }

    /// Either end would not sleep now.
    pub fn has_work(&self) -> bool {
        let deadlines = [self.client.next_deadline(self.now), self.server.next_deadline(self.now)];
        self.under_way() > 0 || deadlines.into_iter().flatten().any(|at| at <= self.now)
    }

    /// Frames still to be received by either end.
    pub fn under_way(&self) -> usize {
        self.links.iter().map(VecDeque::len).sum()
    }

    /// Puts a burst of SYNs of strangers on the way to the server, from 4-tuples that were not used before.
    pub fn flood(&mut self, left: &mut u32) {
        for _ in 0..(*left).min(RX_FRAMES as u32) {
            let Some(mut frame) = self.pool.alloc() else { return };
            let from = self.strangers.take();
            let segment = SegmentOut {
                src: from.local,
                dst: from.remote,
                src_port: from.local_port,
                dst_port: from.remote_port,
                seq: Seq(*left),
                ack: Seq(0),
                flags: TcpFlags::SYN,
                window: 65_535,
                options: OptionsOut::Any(&TcpOptions {
                    mss: Some(1460),
                    timestamp: Some((1, 0)),
                    ..TcpOptions::default()
                }),
                payload_len: 0,
                ip: IpFields::default(),
                checksum: ChecksumMode::Full,
            };
            let link = LinkOut { src: CLIENT_MAC, dst: SERVER_MAC, vlan: VlanTags::default() };
            assert!(emit::tcp(&mut frame, &link, &segment, |_| {}), "a SYN fits into a frame");
            self.links[1].push_back(frame);
            *left -= 1;
        }
    }
}

fn turn<A: App>(
    shard: &mut Shard<A>,
    incoming: &mut VecDeque<Frame>,
    pool: &mut FramePool,
    (rx, tx): (&mut Vec<Frame>, &mut Vec<Frame>),
    now: Instant,
    pauses: &mut Pauses,
) {
    let burst = incoming.len().min(RX_FRAMES);
    rx.extend(incoming.drain(..burst));
    pauses.time(|| {
        let mut cx = Cx { now, backlog: Backlog::None, pool, tx };
        shard.ingest(rx, &mut cx);
        shard.expire(&mut cx);
        shard.poll_app(&mut cx);
        shard.emit(&mut cx);
    });
}

fn pass_on(link: &mut VecDeque<Frame>, tx: &mut Vec<Frame>, pool: &mut FramePool, connected: bool) {
    if connected {
        link.extend(tx.drain(..));
    } else {
        tx.drain(..).for_each(|frame| pool.free(frame));
    }
}
