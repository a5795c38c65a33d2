//! Checksums, parsing, emitting.

use super::{Case, Work, repeat};
use std::hint::black_box;
use synfin_engine::base::{Frame, FramePool};
use synfin_engine::wire::checksum::checksum;
use synfin_engine::wire::emit::{self, ChecksumMode, IpFields, LinkOut, OptionsOut, SegmentOut};
use synfin_engine::wire::parse::{ParseOptions, VlanTags, parse};
use synfin_engine::wire::{Addr, Mac, Seq, TcpFlags, TcpOptions};

/// An IPv4 header, small frames, the largest payload of a 1500 and a 9000 byte MTU.
const CHECKSUM_BYTES: [usize; 4] = [20, 60, 1460, 8960];
const LINK: LinkOut =
    LinkOut { src: Mac([2, 0, 0, 0, 0, 1]), dst: Mac([2, 0, 0, 0, 0, 2]), vlan: VlanTags { count: 0, ids: [0; 2] } };
static PAYLOAD: [u8; 100] = [b'p'; 100];

pub fn cases() -> Vec<Case> {
    let checksums = CHECKSUM_BYTES.map(|bytes| Case::new("checksum", format!("{bytes} B"), move || sum_of(bytes)));
    let segments = Kind::ALL.into_iter().flat_map(|kind| ["IPv4", "IPv6"].map(|family| (kind, family)));
    let both = segments.flat_map(|(kind, family)| {
        let name = format!("{} {family}", kind.name());
        [
            Case::new("parse", name.clone(), move || parse_one(kind, family)),
            Case::new("emit", name, move || emit_one(kind, family)),
        ]
    });
    checksums.into_iter().chain(both).collect()
}

fn sum_of(bytes: usize) -> Work {
    let data: Vec<u8> = (0..bytes).map(|i| i as u8).collect();
    repeat(move || checksum(black_box(&data)))
}

/// Segments of a well-behaved connection.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Syn,
    Ack,
    Data,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Syn, Kind::Ack, Kind::Data];

    fn name(self) -> &'static str {
        match self {
            Kind::Syn => "SYN",
            Kind::Ack => "ACK",
            Kind::Data => "data 100 B",
        }
    }

    fn flags(self) -> TcpFlags {
        match self {
            Kind::Syn => TcpFlags::SYN,
            Kind::Ack => TcpFlags::ACK,
            Kind::Data => TcpFlags::ACK | TcpFlags::PSH,
        }
    }

    fn options(self) -> TcpOptions {
        let timestamp = Some((0x1234_5678, 0x9abc_def0));
        match self {
            Kind::Syn => TcpOptions {
                mss: Some(1460),
                window_scale: Some(3),
                sack_permitted: true,
                timestamp: Some((0x1234_5678, 0)),
                ..TcpOptions::NONE
            },
            Kind::Ack | Kind::Data => TcpOptions { timestamp, ..TcpOptions::NONE },
        }
    }

    fn payload(self) -> &'static [u8] {
        if matches!(self, Kind::Data) { &PAYLOAD } else { &[] }
    }
}

fn write(frame: &mut Frame, kind: Kind, (src, dst): (Addr, Addr), options: &TcpOptions) -> bool {
    let payload = kind.payload();
    let segment = SegmentOut {
        src,
        dst,
        src_port: 40_000,
        dst_port: 80,
        seq: Seq(0x0102_0304),
        ack: Seq(0x0506_0708),
        flags: kind.flags(),
        window: 0x2000,
        options: OptionsOut::Any(options),
        payload_len: payload.len() as u16,
        ip: IpFields::default(),
        checksum: ChecksumMode::Full,
    };
    emit::tcp(frame, &LINK, &segment, |out| out.copy_from_slice(payload))
}

fn addresses(family: &str) -> (Addr, Addr) {
    match family {
        "IPv4" => (Addr::v4([198, 18, 0, 1]), Addr::v4([198, 18, 0, 2])),
        _ => {
            let host = |n| Addr([0x20, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n]);
            (host(1), host(2))
        }
    }
}

/// A frame of a pool of its own, which lives as long as the program does.
fn frame() -> (FramePool, Frame) {
    let mut pool = FramePool::heap(1, 2048);
    let frame = pool.alloc().expect("the pool has one frame");
    (pool, frame)
}

fn parse_one(kind: Kind, family: &str) -> Work {
    let (pool, mut frame) = frame();
    let written = write(&mut frame, kind, addresses(family), &kind.options());
    let options = ParseOptions { verify_checksums: true };
    assert!(written && parse(frame.bytes(), options).is_ok(), "a frame that parses");
    repeat(move || {
        // The pool has to outlive its frame.
        black_box(&pool);
        parse(black_box(frame.bytes()), options)
    })
}

fn emit_one(kind: Kind, family: &str) -> Work {
    let (pool, mut frame) = frame();
    let (addresses, options) = (addresses(family), kind.options());
    repeat(move || {
        black_box(&pool);
        write(&mut frame, kind, black_box(addresses), &options)
    })
}
