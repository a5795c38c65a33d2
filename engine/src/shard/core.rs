//! What a shard consists of, apart from the application. Everything here is owned by one thread.

use super::app::{ConnId, Report};
use super::config::ShardConfig;
use super::fast_open::FastOpens;
use super::icmp_errors::Troubles;
use super::locals::Locals;
use super::pacing::Pacer;
use super::recv_queue::RecvPool;
use super::send_queue::SendPool;
use super::starved::Starved;
use super::trace::Trace;
use super::tuning::Tunings;
use super::window::Windows;
use crate::base::hash::SipKey;
use crate::base::{Backlog, ChunkQueue, Counters, Frame, FramePool, Instant};
use crate::neigh::{NeighId, NeighTable, Probe};
use crate::table::{AgingTable, FlowKey, FlowKind, FlowRef, FlowTable, NamedSlab, Slab};
use crate::tcp::isn::Start;
use crate::tcp::open::Surroundings;
use crate::tcp::output;
use crate::tcp::{
    ChallengeLimiter, Clock, Common, CookieJar, HalfOpen, IsnGenerator, Tcb, TcpConfig, TimeWait, Times, flag, options,
    recovery,
};
use crate::timer::{Fifo, Wheel};
use crate::wire::emit::{LinkOut, PlainIp};
use crate::wire::{Addr, Mac, Seq, TcpSegment};
use core::ops::{Deref, DerefMut};

/// Far enough below 2^31 that sequence numbers of what is queued can be told apart.
const SEND_QUEUE_BYTES_MAX: u32 = (1 << 30) + (1 << 20);
/// Handshakes end long before their first retransmission is due, and leave its entry behind. So many may begin within
/// that time for each that may be open at once. (Of later retransmissions there are at most two.)
const TIMERS_PER_HALF_OPEN: u32 = 16;
/// Neighbours that the table can hold.
const NEIGHBOURS: u32 = 131_072;

/// The world outside, for the length of one call: the time, the frame pool, and where frames to send are put. `tx` is
/// never grown beyond its capacity.
pub struct Cx<'a> {
    pub now: Instant,
    /// What has come besides what `ingest` is given.
    pub backlog: Backlog,
    pub pool: &'a mut FramePool,
    pub tx: &'a mut Vec<Frame>,
}

/// The parts that segment processing needs together ([`Env`](crate::tcp::Env) borrows them).
pub(super) struct Protocol {
    pub common: Common,
    pub config: TcpConfig,
    pub times: Times,
    /// Connections and ports that differ from `config`.
    pub tunings: Tunings,
    /// Receive buffers that have grown.
    pub windows: Windows,
    /// Of `config`.
    pub plain_ip: PlainIp,
}

impl Deref for Protocol {
    type Target = Common;

    #[inline(always)]
    fn deref(&self) -> &Common {
        &self.common
    }
}

impl DerefMut for Protocol {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Common {
        &mut self.common
    }
}

/// The MSS that we announce.
#[derive(Clone, Copy)]
pub(super) struct OwnMss {
    v4: u16,
    v6: u16,
}

impl OwnMss {
    #[inline(always)]
    pub fn to(self, remote: &Addr) -> u16 {
        if remote.is_v4() { self.v4 } else { self.v6 }
    }
}

pub struct Core {
    pub(super) config: ShardConfig,
    pub(super) proto: Protocol,
    /// No VLAN: frames may be plain.
    pub(super) untagged: bool,
    pub(super) own_mss: OwnMss,
    /// Nor is there a trace: what is sent may take the short way.
    pub(super) untagged_unseen: bool,
    /// Link header of the next segment to be sent: `dst` is filled in for each, the rest stays.
    pub(super) link: LinkOut,
    /// What has come besides the last burst.
    pub(super) backlog: Backlog,
    /// SYNs that came while it was deep; wraps around.
    pub(super) syns_behind: u32,
    pub(super) locals: Locals,
    pub(super) flows: FlowTable,
    pub(super) conns: NamedSlab<Tcb>,
    pub(super) halves: Slab<HalfOpen>,
    pub(super) time_wait: AgingTable<TimeWait>,
    /// One node per connection, armed at or before the earliest of its deadlines.
    pub(super) wheel: Wheel,
    /// SYN,ACK retransmissions: one queue for each number of tries.
    pub(super) half_timers: Vec<Fifo>,
    /// A bit for each of these queues that has entries.
    pub(super) half_timers_in_use: u32,
    pub(super) send: SendPool,
    pub(super) recv: RecvPool,
    pub(super) neigh: NeighTable,
    pub(super) isn: IsnGenerator,
    pub(super) cookies: CookieJar,
    pub(super) fast: FastOpens,
    /// Ports with a listener, sorted.
    pub(super) listeners: Vec<u16>,
    /// Connections with something to send (flag PENDING), who has waited longest first.
    pub(super) pending: ChunkQueue<u32>,
    pub(super) starved: Starved,
    /// What ICMP said of connections.
    pub(super) troubles: Troubles,
    pub(super) pacer: Pacer,
    pub(super) trace: Trace,
    /// Some address is the kernel's too, which then gets the answers to our ARP and NDP questions.
    pub(super) hears_no_replies: bool,
    /// Frames whose bytes were read out: they go back to the pool with the next `emit`.
    pub(super) spent: Vec<Frame>,
    /// What applications are told at the end of the burst.
    pub(super) reports: Vec<(ConnId, Report)>,
    /// Scratch space for `resolve::ask_neighbours`.
    pub(super) probes: Vec<Probe>,
}

impl Core {
    pub fn new(mut config: ShardConfig, now: Instant) -> Core {
        config.limits.send_queue_bytes = config.limits.send_queue_bytes.min(SEND_QUEUE_BYTES_MAX);
        let limits = config.limits;
        let tcp = config.tcp;
        let key = SipKey { k0: config.secrets.flow_hash[0], k1: config.secrets.flow_hash[1] };
        let mut neigh = NeighTable::new(NEIGHBOURS, key, now);
        for &(addr, mac) in &config.static_neighbours {
            neigh.add_static(addr, mac);
        }
        let flows = limits.connections.saturating_add(limits.half_open);
        let mut flows = FlowTable::new(key, flows);
        if limits.flows_prepared {
            flows.prepare();
        }
        let times = Times::new(&tcp);
        let mut core = Core {
            proto: Protocol {
                common: Common {
                    clock: Clock::at(now),
                    counters: Counters::default(),
                    challenge: ChallengeLimiter::new(tcp.challenge_acks_per_s, config.secrets.challenge),
                    recovery: recovery::Pool::new(
                        limits.recovery_blocks.min(limits.connections),
                        limits.tracked_segments,
                    ),
                },
                times,
                config: tcp,
                tunings: Tunings::default(),
                windows: Windows::new(limits.held_frames),
                plain_ip: PlainIp::new(tcp.ip.with_ecn(0)),
            },
            untagged: config.vlan.count == 0,
            own_mss: OwnMss { v4: options::own_mss(config.mtu, true), v6: options::own_mss(config.mtu, false) },
            untagged_unseen: config.vlan.count == 0 && !config.trace,
            link: LinkOut { src: config.mac, dst: Mac::ZERO, vlan: config.vlan },
            backlog: Backlog::None,
            syns_behind: 0,
            locals: Locals::new(&config.locals, config.gateway_v4, config.gateway_v6),
            flows,
            conns: NamedSlab::with_limit(limits.connections),
            halves: Slab::with_limit(limits.half_open),
            time_wait: AgingTable::new(limits.time_wait, times.time_wait),
            wheel: Wheel::new(now.tick(), limits.connections),
            half_timers: Vec::new(),
            half_timers_in_use: 0,
            send: SendPool::new(limits.connections, limits.copy_buffers),
            recv: RecvPool::new(limits.connections, limits.held_frames),
            neigh,
            isn: IsnGenerator::new(config.secrets.isn, tcp.fixed_iss),
            cookies: CookieJar::new(config.secrets.syn_cookie, tcp.syn_cookies),
            fast: FastOpens::new(config.secrets.fast_open),
            listeners: Vec::new(),
            pending: ChunkQueue::new(),
            starved: Starved::default(),
            troubles: Troubles::default(),
            pacer: Pacer::default(),
            trace: Trace::new(config.trace),
            hears_no_replies: config.locals.iter().any(|net| !net.exclusive),
            spent: Vec::new(),
            reports: Vec::new(),
            probes: Vec::new(),
            config,
        };
        core.provide_half_timers(tcp.syn_retries);
        core
    }

    /// SYN,ACKs may be sent again so often.
    pub(super) fn provide_half_timers(&mut self, syn_retries: u8) {
        let queues = usize::from(syn_retries.min(HalfOpen::RETRIES_MAX)) + 1;
        let limit = self.config.limits.half_open.saturating_mul(TIMERS_PER_HALF_OPEN);
        while self.half_timers.len() < queues {
            self.half_timers.push(Fifo::new(limit));
        }
    }

    /// All steps of a turn are told the same time.
    #[inline(always)]
    pub(super) fn set_clock(&mut self, now: Instant) {
        if now != self.proto.clock.now {
            self.proto.clock = Clock::at(now);
        }
    }

    pub(super) fn listen(&mut self, port: u16) {
        if let Err(at) = self.listeners.binary_search(&port) {
            self.listeners.insert(at, port);
        }
    }

    pub(super) fn is_listening(&self, port: u16) -> bool {
        self.listeners.binary_search(&port).is_ok()
    }

    /// The connection or half-open connection of this 4-tuple.
    #[inline]
    pub(super) fn find(&self, hash: u64, key: &FlowKey) -> Option<FlowRef> {
        self.flows.find(hash, |flow| self.is_of(flow, key))
    }

    /// Whether `flow` leads to the record of this 4-tuple.
    #[inline(always)]
    pub(super) fn is_of(&self, flow: FlowRef, key: &FlowKey) -> bool {
        let index = flow.index();
        match flow.kind() {
            FlowKind::Conn => self.conns.get(index).is_some_and(|t| t.key == *key),
            FlowKind::HalfOpen => self.halves.get(index).is_some_and(|h| h.key() == *key),
        }
    }

    /// The key of a received segment; `None` when it is not for one of our addresses.
    #[inline]
    pub(super) fn key_of(&self, seg: &TcpSegment) -> Option<FlowKey> {
        let local = self.locals.id_of(&seg.dst)?;
        Some(FlowKey { remote: seg.src, remote_port: seg.src_port, local_port: seg.dst_port, local, reserved: 0 })
    }

    /// What a new connection over the next hop `neighbour` has to know about where it is, and its initial sequence
    /// number.
    #[inline(always)]
    pub(super) fn surroundings(&self, key: FlowKey, neighbour: NeighId) -> (Surroundings, Seq) {
        let Start { iss, ts_offset } = self.isn.start(&key, self.proto.clock.now);
        let own_mss = self.own_mss.to(&key.remote);
        (Surroundings { key, own_mss, neighbour, ts_offset }, iss)
    }

    /// Puts a connection on the list of those that have something to send.
    #[inline]
    pub(super) fn mark_pending(&mut self, slot: u32) {
        if let Some(t) = self.conns.get_mut(slot) {
            list(slot, t, &mut self.pending);
        }
    }

    /// Sees to it that the wheel comes round by the earliest deadline. A deadline that only moved later costs nothing
    /// here: the wheel comes too early once and is told then.
    #[inline]
    pub(super) fn reschedule(&mut self, slot: u32) {
        let Some(deadline) = self.conns.get(slot).and_then(Tcb::next_deadline) else { return };
        self.wheel.arm_by(slot, deadline);
    }

    /// The application took what it had left: if that opens the window worthwhile, the peer must hear of it
    /// (RFC 9293 3.8.6.2.2).
    pub(super) fn window_opened(&mut self, slot: u32) {
        let Some(t) = self.conns.get_mut(slot) else { return };
        let unread = self.recv.unread(t.recv, t.rcv_nxt);
        let buffer = self.proto.buffer_of(slot, t.flags);
        let better = output::better_edge(t, unread, buffer, t.rcv_scale());
        if t.state().receives_data() && better.is_some() {
            t.set(flag::ACK_NOW);
        }
    }

    /// A good segment of connection `slot` came from `mac`. On an address shared with the kernel, answers to our ARP and
    /// NDP questions go to the kernel: the segment tells as well where its sender is.
    pub(super) fn hear_neighbour(&mut self, slot: u32, mac: Mac) {
        let Some(neighbour) = self.conns.get(slot).map(|t| t.neighbour) else { return };
        if self.neigh.state(neighbour).is_resolved() {
            return;
        }
        if let Some(addr) = self.neigh.addr(neighbour) {
            self.neigh.learn(addr, mac, self.proto.clock.now, false);
            self.mark_pending(slot);
        }
    }

    #[inline]
    pub(super) fn local_addr(&self, t: &FlowKey) -> Addr {
        *self.locals.addr(t.local)
    }

    /// True when nothing is left: no record, no side block, no held frame (for leak checks).
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
            && self.conns.is_empty()
            && self.halves.is_empty()
            && self.time_wait.is_empty()
            && self.send.blocks_in_use() == 0
            && self.send.buffers_in_use() == 0
            && self.recv.blocks_in_use() == 0
            && self.recv.frames_held() == 0
            && self.proto.recovery.blocks_in_use() == 0
            && self.proto.recovery.chunks_in_use() == 0
            && self.spent.is_empty()
    }
}

/// Puts connection `slot` on the list of those that have something to send, unless it stands there.
#[inline(always)]
pub(super) fn list(slot: u32, t: &mut Tcb, pending: &mut ChunkQueue<u32>) {
    if !t.has(flag::PENDING) {
        t.set(flag::PENDING);
        pending.push_back(slot);
    }
}
