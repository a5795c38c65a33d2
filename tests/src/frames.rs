//! Frames for fuzzing: random bytes, valid frames with changes, and well-formed segments whose fields make no sense.

use crate::host::{Host, OUR_MAC, OUR_PORT, OURS, PEER, PEER_MAC, PEER_PORT, plain_config};
use synfin_engine::base::{Counters, DropReason, Event, FramePool, Rng};
use synfin_engine::wire::emit::{self, ChecksumMode, IpFields, LinkOut, OptionsOut, SegmentOut};
use synfin_engine::wire::parse::VlanTags;
use synfin_engine::wire::segment::SackBlock;
use synfin_engine::wire::{Addr, Mac, Seq, TcpFlags, TcpOptions};

const OURS_V6: Addr = Addr([0x20, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
const PEER_V6: Addr = Addr([0x20, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);

/// Reasons for which a frame is dropped before it counts as a TCP segment, an ARP message and so on.
const BEFORE_TCP: [DropReason; 24] = [
    DropReason::FrameTooShort,
    DropReason::EtherTypeUnknown,
    DropReason::PartsNotTcp,
    DropReason::VlanMismatch,
    DropReason::NotOurMac,
    DropReason::IpVersionBad,
    DropReason::IpHeaderBad,
    DropReason::IpChecksumBad,
    DropReason::IpFragment,
    DropReason::IpSourceBad,
    DropReason::IpNotForUs,
    DropReason::IpProtocolUnknown,
    DropReason::Ipv6ExtensionBad,
    DropReason::ArpBad,
    DropReason::ArpNotForUs,
    DropReason::NdpBad,
    DropReason::IcmpBad,
    DropReason::IcmpIgnored,
    DropReason::IcmpStale,
    DropReason::TcpHeaderBad,
    DropReason::TcpChecksumBad,
    DropReason::TcpPortZero,
    DropReason::FaultInjected,
    DropReason::HandoffFull,
];

/// Frames with a known fate: taken as what they are, or dropped for one declared reason. Equals the frames received.
pub fn accounted(c: &Counters) -> u64 {
    let taken = [Event::SegmentsIn, Event::ArpIn, Event::NdpIn, Event::IcmpEchoRequests, Event::IcmpErrorsIn]
        .map(|e| c.count(e));
    let dropped = BEFORE_TCP.map(|r| c.dropped(r));
    taken.iter().sum::<u64>() + dropped.iter().sum::<u64>()
}

/// The drops, for people.
pub fn drops(c: &Counters) -> String {
    let some = DropReason::ALL.iter().filter(|&&r| c.dropped(r) > 0);
    some.map(|r| format!("{} {}", r.name(), c.dropped(*r))).collect::<Vec<_>>().join(", ")
}

/// Valid frames to start from.
pub struct Corpus {
    frames: Vec<Vec<u8>>,
}

impl Default for Corpus {
    fn default() -> Self {
        Corpus::new()
    }
}

fn bytes_of(build: impl FnOnce(&mut synfin_engine::base::Frame) -> bool) -> Vec<u8> {
    let mut pool = FramePool::heap(1, 4096);
    let mut frame = pool.alloc().expect("one frame");
    assert!(build(&mut frame), "the frame fits");
    let bytes = frame.bytes().to_vec();
    pool.free(frame);
    bytes
}

fn link() -> LinkOut {
    LinkOut { src: PEER_MAC, dst: OUR_MAC, vlan: VlanTags::default() }
}

fn segment(
    v6: bool,
    flags: TcpFlags,
    seq: u32,
    ack: u32,
    options: &TcpOptions,
    payload: &[u8],
    ports: (u16, u16),
) -> Vec<u8> {
    bytes_of(|frame| {
        let (src, dst) = if v6 { (PEER_V6, OURS_V6) } else { (PEER, OURS) };
        let s = SegmentOut {
            src,
            dst,
            src_port: ports.0,
            dst_port: ports.1,
            seq: Seq(seq),
            ack: Seq(ack),
            flags,
            window: 1000,
            options: OptionsOut::Any(options),
            payload_len: payload.len() as u16,
            ip: IpFields::default(),
            checksum: ChecksumMode::Full,
        };
        emit::tcp(frame, &link(), &s, |to| to.copy_from_slice(payload))
    })
}

impl Corpus {
    pub fn new() -> Corpus {
        let ts = TcpOptions { timestamp: Some((5, 6)), ..TcpOptions::default() };
        let syn = TcpOptions {
            mss: Some(1460),
            window_scale: Some(7),
            sack_permitted: true,
            timestamp: Some((5, 0)),
            ..TcpOptions::default()
        };
        let block = SackBlock { start: Seq(400), end: Seq(500) };
        let sack = TcpOptions { sack: [block; 4], sack_len: 3, timestamp: Some((7, 6)), ..TcpOptions::default() };
        let ports = (PEER_PORT, OUR_PORT);
        let mut frames = Vec::new();
        for v6 in [false, true] {
            frames.push(segment(v6, TcpFlags::SYN, 100, 0, &syn, b"", ports));
            frames.push(segment(v6, TcpFlags::ACK, 101, 301, &ts, b"", ports));
            frames.push(segment(v6, TcpFlags::ACK | TcpFlags::PSH, 101, 301, &ts, b"GET / HTTP/1.1\r\n\r\n", ports));
            frames.push(segment(v6, TcpFlags::ACK, 101, 301, &sack, b"", ports));
            frames.push(segment(v6, TcpFlags::ACK | TcpFlags::FIN, 119, 301, &ts, b"", ports));
            frames.push(segment(v6, TcpFlags::RST, 101, 0, &TcpOptions::default(), b"", ports));
        }
        let broadcast = LinkOut { dst: Mac::BROADCAST, ..link() };
        frames.push(bytes_of(|f| emit::arp_request(f, &broadcast, PEER, OURS)));
        frames.push(bytes_of(|f| emit::arp_reply(f, &link(), PEER, OURS)));
        let group = LinkOut::solicited_node(PEER_MAC, VlanTags::default(), &OURS_V6);
        frames.push(bytes_of(|f| emit::ndp_solicitation(f, &group, PEER_V6, OURS_V6)));
        frames.push(bytes_of(|f| emit::ndp_advertisement(f, &link(), PEER_V6, OURS_V6)));
        Corpus { frames }
    }

    /// A listener with both families, ordinary options, and small limits, so that they are reached.
    pub fn target() -> Host {
        let mut config = plain_config();
        let mut v6 = config.locals[0];
        (v6.first, v6.prefix_len) = (OURS_V6, 64);
        config.locals.push(v6);
        config.static_neighbours.push((PEER_V6, PEER_MAC));
        config.tcp.timestamps = true;
        config.tcp.sack = true;
        config.limits.connections = 500;
        config.limits.half_open = 300;
        config.limits.time_wait = 200;
        config.limits.held_frames = 256;
        let mut host = Host::server(config);
        host.shard.app_mut().react = Some(|told, conn| {
            use crate::host::Told;
            match told {
                Told::Data(d) => {
                    let _ = conn.send_copy(d);
                }
                Told::PeerClosed => conn.shutdown(),
                _ => {}
            }
        });
        host
    }

    /// Random length, random bytes; often with a plausible start, so that it gets past the first checks.
    pub fn random(rng: &mut Rng, out: &mut Vec<u8>) {
        out.clear();
        out.resize(rng.below(200) as usize, 0);
        rng.fill(out);
        if out.len() > 14 && rng.chance(0.9) {
            out[..6].copy_from_slice(&OUR_MAC.0);
            let types: [[u8; 2]; 4] = [[8, 0], [0x86, 0xdd], [8, 6], [0x81, 0]];
            out[12..14].copy_from_slice(&types[rng.below(4) as usize]);
            out[14] = if out[12] == 8 { 0x45 } else { 0x60 };
        }
    }

    /// A valid frame with a few bytes changed, cut off, or lengthened.
    pub fn mutated(&self, rng: &mut Rng, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.frames[rng.below(self.frames.len() as u64) as usize]);
        for _ in 0..rng.below(5) {
            let at = rng.below(out.len() as u64) as usize;
            match rng.below(4) {
                0 => out[at] ^= 1 << rng.below(8),
                1 => out[at] = rng.next_u32() as u8,
                2 => out.truncate(at.max(1)),
                _ => out.insert(at, rng.next_u32() as u8),
            }
        }
    }

    /// A segment with right checksums, near the window of a small set of connections, and nonsense otherwise.
    pub fn hostile(&self, rng: &mut Rng, out: &mut Vec<u8>) {
        let near = |rng: &mut Rng, base: u32| match rng.below(8) {
            0 => rng.next_u32(),
            1 => base.wrapping_sub(rng.below(3) as u32),
            _ => base.wrapping_add(rng.below(40) as u32),
        };
        let mut options = TcpOptions::default();
        if rng.chance(0.7) {
            let val = near(rng, 1_000_000);
            options.timestamp = Some((val, near(rng, 1_000)));
        }
        if rng.chance(0.2) {
            options.mss = Some(rng.next_u32() as u16);
            options.window_scale = Some(rng.next_u32() as u8);
            options.sack_permitted = rng.chance(0.5);
        }
        let flags = match rng.below(10) {
            0 => TcpFlags(rng.next_u32() as u8),
            1 | 2 => TcpFlags::SYN,
            3 => TcpFlags::ACK | TcpFlags::FIN,
            _ => TcpFlags::ACK,
        };
        let mut payload = [0u8; 64];
        let len = if rng.chance(0.5) { rng.below(64) as usize } else { 0 };
        rng.fill(&mut payload[..len]);
        let ports = (PEER_PORT + rng.below(64) as u16, OUR_PORT + u16::from(rng.chance(0.02)));
        let (seq, ack) = (near(rng, 100), near(rng, 300));
        *out = segment(rng.chance(0.3), flags, seq, ack, &options, &payload[..len], ports);
    }
}
