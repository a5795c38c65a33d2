//! The stack with its clock, and the packets on their way to packetdrill.

use crate::settings::Settings;
use std::collections::VecDeque;
use std::time::Duration;
use synfin_engine::base::{Backlog, Frame, FramePool, Instant};
use synfin_engine::shard::{Cx, Limits, LocalNet, ShardConfig};
use synfin_engine::socket::{Options, Stack};
use synfin_engine::wire::{Addr, Mac};

const OUR_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
/// Everything beyond the stack is one station.
const PEER_MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);
const GATEWAY_V4: Addr = Addr::v4([192, 0, 2, 254]);
const GATEWAY_V6: Addr = Addr([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
const ETHERNET_BYTES: usize = 14;

const FRAMES: u32 = 1_024;
/// Scripts send and expect segments that are larger than the link's MTU.
const FRAME_BYTES: u32 = 65_536;
const BURST: usize = 512;
/// Any point in time that leaves room before it.
const START: Instant = Instant::from_nanos(1_000_000_000_000);

pub struct Machine {
    pub stack: Stack,
    pub now: Instant,
    pool: FramePool,
    tx: Vec<Frame>,
    /// IP packets that the stack has sent, and when.
    pub sent: VecDeque<(Instant, Vec<u8>)>,
}

fn config(s: &Settings) -> ShardConfig {
    let net = |&(first, count): &(Addr, u32)| {
        // Nothing is on the link: all packets go to the gateway.
        let prefix_len = if first.is_v4() { 32 } else { 128 };
        LocalNet { first, count, prefix_len, exclusive: true }
    };
    let mut config = ShardConfig::new(OUR_MAC, s.locals.iter().map(net).collect());
    (config.gateway_v4, config.gateway_v6) = (Some(GATEWAY_V4), Some(GATEWAY_V6));
    config.static_neighbours = vec![(GATEWAY_V4, PEER_MAC), (GATEWAY_V6, PEER_MAC)];
    config.mtu = s.mtu;
    config.tcp = config.tcp.with_fixed_receive_buffer(s.receive_buffer_bytes);
    (config.tcp.timestamps, config.tcp.sack, config.tcp.ecn) = (s.timestamps, s.sack, s.ecn);
    config.tcp.takes_unstamped = s.unstamped;
    config.tcp.fast_open = s.fast_open;
    (config.tcp.quick_acks, config.tcp.quick_ack_bytes_min) = (s.quick_acks, 0);
    config.tcp.delays_fin_acks = s.quick_acks > 0;
    (config.tcp.restarts_after_idle, config.tcp.burst_segments_min) = (s.restarts_after_idle, s.burst_segments_min);
    config.tcp.syn_retries = s.syn_retries;
    config.tcp.rto_margin_min = Duration::from_millis(200);
    // Two of Linux's ticks.
    config.tcp.reorder_margin = Duration::from_millis(2);
    config.limits = Limits {
        connections: 256,
        half_open: 256,
        time_wait: 256,
        held_frames: FRAMES / 2,
        copy_buffers: 8_192,
        ..Limits::default()
    };
    config
}

fn options(s: &Settings) -> Options {
    Options {
        send_buffer_bytes: s.send_buffer_bytes,
        unsent_low_water_default: s.unsent_low_water,
        ..Options::default()
    }
}

impl Machine {
    pub fn new(settings: &Settings) -> Machine {
        Machine {
            stack: Stack::new(config(settings), options(settings), START),
            now: START,
            pool: FramePool::heap(FRAMES, FRAME_BYTES),
            tx: Vec::with_capacity(BURST),
            sent: VecDeque::new(),
        }
    }

    /// What is opened from now on has these settings.
    pub fn configure(&mut self, settings: &Settings) {
        self.stack.configure(config(settings).tcp, options(settings), self.now);
    }

    /// The stack does what it can do now.
    pub fn turn(&mut self) {
        self.run(&mut Vec::new());
    }

    fn run(&mut self, rx: &mut Vec<Frame>) {
        loop {
            self.stack
                .turn(rx, &mut Cx { now: self.now, backlog: Backlog::None, pool: &mut self.pool, tx: &mut self.tx });
            let full = self.tx.len() == self.tx.capacity();
            for frame in self.tx.drain(..) {
                let packet = frame.bytes().get(ETHERNET_BYTES..).unwrap_or(&[]);
                self.sent.push_back((self.now, packet.to_vec()));
                self.pool.free(frame);
            }
            if !full {
                return;
            }
        }
    }

    /// The stack receives an IP packet. False: it does not fit a frame.
    pub fn receive(&mut self, packet: &[u8]) -> bool {
        let Some(mut frame) = self.pool.alloc() else { return false };
        let fits = frame.set_len(ETHERNET_BYTES + packet.len()) && !packet.is_empty();
        if !fits {
            self.pool.free(frame);
            return false;
        }
        let ethertype: [u8; 2] = if packet[0] >> 4 == 6 { [0x86, 0xdd] } else { [8, 0] };
        let bytes = frame.bytes_mut();
        bytes[..6].copy_from_slice(&OUR_MAC.0);
        bytes[6..12].copy_from_slice(&PEER_MAC.0);
        bytes[12..14].copy_from_slice(&ethertype);
        bytes[14..].copy_from_slice(packet);
        self.run(&mut vec![frame]);
        true
    }

    /// When the stack next does something by itself, if that is not after `end`.
    pub fn next_step(&self, end: Instant) -> Option<Instant> {
        let next = self.stack.next_deadline(self.now)?;
        // Deadlines are ticks: one that is "now" may need the clock to move past the tick.
        let next = if next > self.now { next } else { self.now + Duration::from_micros(1) };
        (next <= end).then_some(next)
    }
}
