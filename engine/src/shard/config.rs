//! What a shard is told once, at its start.

use super::recv_queue::RecvPool;
use super::send_queue::SendPool;
use crate::neigh::NeighTable;
use crate::tcp::{HalfOpen, Tcb, TcpConfig, recovery};
use crate::timer::Wheel;
use crate::wire::emit::ChecksumMode;
use crate::wire::parse::VlanTags;
use crate::wire::{Addr, Mac};

/// A range of consecutive addresses that belong to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalNet {
    pub first: Addr,
    /// How many addresses, at least 1.
    pub count: u32,
    /// Prefix length of the subnet they lie in: what is in it is on-link, the rest goes to a gateway.
    pub prefix_len: u8,
    /// True: the address is the engine's alone, so the engine answers ARP, neighbour solicitations and pings
    /// for it. False: the kernel has the address too and goes on answering them.
    pub exclusive: bool,
}

/// Bounds of everything that could grow.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connections: u32,
    pub half_open: u32,
    pub time_wait: u32,
    /// Received frames that may be kept for reassembly or unread, over all connections.
    pub held_frames: u32,
    /// Bytes that one connection may have queued for sending (unacknowledged ones included); at most 2^30, whatever
    /// this says, so that sequence numbers tell them apart.
    pub send_queue_bytes: u32,
    /// 2-KiB buffers for `send_copy`, over all connections.
    pub copy_buffers: u32,
    /// Connections that may have loss-recovery state at once, and segments under way that may be on record, over all
    /// connections. Beyond that losses are repaired more slowly (`recovery_exhausted` counts).
    pub recovery_blocks: u32,
    pub tracked_segments: u32,
    /// The flow table has the memory for all of them from the start (11 bytes for each connection and half-open
    /// connection), instead of growing with their number.
    pub flows_prepared: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 4_000_000,
            half_open: 262_144,
            time_wait: 4_000_000,
            held_frames: 2_048,
            send_queue_bytes: 1 << 30,
            copy_buffers: 32_768,
            recovery_blocks: 262_144,
            tracked_segments: 1 << 20,
            flows_prepared: false,
        }
    }
}

impl Limits {
    /// Addresses that the tables of a shard set aside at its start, with `user_bytes` of the application's for each connection.
    /// They cost no memory, but a process may be allowed no more than so many: a shard that does not get them ends it.
    pub fn address_bytes(&self, user_bytes: usize) -> u64 {
        /// Of an index, for each entry.
        const ENTRY_BYTES: usize = 11;
        /// A slab has a bit for each slot that may be vacant.
        const SLOTS_PER_VACANCY_BYTE: u64 = 8;
        let connection = size_of::<Tcb>() + size_of::<u32>() + Wheel::SLOT_BYTES + ENTRY_BYTES + user_bytes;
        let blocks = SendPool::BLOCK_BYTES + RecvPool::BLOCK_BYTES;
        let recovery_blocks = self.recovery_blocks.min(self.connections);
        let parts = [
            (self.connections, connection + blocks),
            (self.half_open, size_of::<HalfOpen>() + ENTRY_BYTES),
            (self.time_wait, ENTRY_BYTES),
            (self.copy_buffers, SendPool::BUFFER_BYTES),
            (recovery_blocks, recovery::Pool::BLOCK_BYTES),
            (self.tracked_segments, recovery::Pool::SEGMENT_BYTES),
            (1, NeighTable::ADDRESS_BYTES),
        ];
        let records: u64 = parts.iter().map(|&(count, bytes)| u64::from(count) * bytes as u64).sum();
        // Three slabs have a slot for each connection: its control block and its two queues.
        let counts = [self.half_open, self.copy_buffers, recovery_blocks, self.tracked_segments];
        let slots = 3 * u64::from(self.connections) + counts.map(u64::from).iter().sum::<u64>();
        records + slots.div_ceil(SLOTS_PER_VACANCY_BYTE)
    }
}

/// Keys drawn from the operating system (or from a seed in simulations).
#[derive(Clone, Copy, Debug)]
pub struct Secrets {
    pub flow_hash: [u64; 2],
    /// For initial sequence numbers and timestamp offsets.
    pub isn: [u64; 2],
    pub syn_cookie: [u64; 2],
    /// What keys of Fast Open cookies are drawn from: the same for all shards of a server.
    pub fast_open: [u64; 2],
    /// What makes the number of challenge ACKs unpredictable.
    pub challenge: u64,
}

impl Secrets {
    pub fn from_seed(seed: u64) -> Secrets {
        let mut r = crate::base::Rng::new(seed);
        let mut two = || [r.next_u64(), r.next_u64()];
        let (flow_hash, isn, syn_cookie, fast_open) = (two(), two(), two(), two());
        Secrets { flow_hash, isn, syn_cookie, fast_open, challenge: r.next_u64() }
    }
}

/// Everything a shard needs to know.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    pub mac: Mac,
    pub vlan: VlanTags,
    /// IP MTU of the link in bytes.
    pub mtu: u16,
    pub locals: Vec<LocalNet>,
    /// Default gateway for each family that has one.
    pub gateway_v4: Option<Addr>,
    pub gateway_v6: Option<Addr>,
    /// Neighbours known beforehand.
    pub static_neighbours: Vec<(Addr, Mac)>,
    pub tcp: TcpConfig,
    pub limits: Limits,
    pub verify_checksums: bool,
    pub checksum: ChecksumMode,
    pub secrets: Secrets,
    /// A connection that is aborted ends without a word, as if the power had failed: no RST, and no answer to what still comes
    /// for it, or for any other connection that there is not. (RFC 9293 3.10.7.1 wants one: for testing what peers do without.)
    pub abandons: bool,
    /// Keep a record of every segment for `--trace`; costs time, for small runs.
    pub trace: bool,
}

impl ShardConfig {
    /// Defaults for one address on a link: no gateway, no VLAN, MTU 1500.
    pub fn new(mac: Mac, locals: Vec<LocalNet>) -> ShardConfig {
        ShardConfig {
            mac,
            vlan: VlanTags::default(),
            mtu: 1500,
            locals,
            gateway_v4: None,
            gateway_v6: None,
            static_neighbours: Vec::new(),
            tcp: TcpConfig::default(),
            limits: Limits::default(),
            verify_checksums: true,
            checksum: ChecksumMode::Full,
            secrets: Secrets::from_seed(0),
            abandons: false,
            trace: false,
        }
    }
}
