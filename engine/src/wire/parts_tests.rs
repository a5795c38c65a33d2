//! A packet in parts reads and is written as the same packet in one piece.

use super::emit::{self, ChecksumMode, HEADERS_BYTES_MAX};
use super::parse::{Packet, VlanTags, parse, parse_parts};
use super::test_frames::*;
use crate::base::{DropReason, Frame, FramePool, Rng};
use crate::wire::TcpOptions;

/// Cuts `bytes` into up to four parts, the first of `first` bytes at least.
fn cut<'a>(bytes: &'a [u8], first: usize, rng: &mut Rng) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> =
        (0..1 + rng.below(3)).map(|_| first + rng.below((bytes.len() - first) as u64 + 1) as usize).collect();
    cuts.sort_unstable();
    let ends = cuts.iter().copied().chain([bytes.len()]);
    let starts = [0].into_iter().chain(cuts.iter().copied());
    starts.zip(ends).map(|(start, end)| &bytes[start..end]).collect()
}

#[test]
fn any_cut_behind_the_headers_reads_as_the_whole() {
    let mut rng = Rng::new(3);
    for round in 0..20_000u32 {
        let options = [TcpOptions::default(), timestamps(), timestamps_and_sack(2)];
        let out = segment(round % 2 == 0, &options[round as usize % 3], rng.below(9000) as u16);
        let mut bytes = tcp_frame(&TO_US, &out);
        let headers = bytes.len() - usize::from(out.payload_len);
        if rng.below(2) == 0 {
            // Damage, padding behind the datagram, or an end too early.
            match rng.below(3) {
                0 => bytes[headers.min(rng.below(headers as u64 + 1) as usize)..][..1].iter_mut().for_each(|b| *b ^= 4),
                1 => bytes.resize(bytes.len() + rng.below(50) as usize, 0xee),
                _ => bytes.truncate(headers + rng.below(u64::from(out.payload_len) + 1) as usize),
            }
        }
        let parts = cut(&bytes, headers.min(bytes.len()), &mut rng);
        for options in [VERIFY, TRUST] {
            let (whole, in_parts) = (parse(&bytes, options), parse_parts(parts[0], &parts[1..], options));
            match whole {
                Ok((_, Packet::Tcp(_))) => assert_eq!(in_parts, whole),
                // What is no segment any more is nothing in parts either, for whatever reason.
                _ => assert!(in_parts.is_err(), "{whole:?} {in_parts:?}"),
            }
        }
    }
}

#[test]
fn headers_have_to_stand_in_the_first_part_and_only_tcp_may_come_in_parts() {
    let options = timestamps();
    let bytes = tcp_frame(&TO_US, &segment(false, &options, 100));
    let headers = bytes.len() - 100;
    for first in 0..headers {
        let (head, rest) = bytes.split_at(first);
        assert!(parse_parts(head, &[rest], VERIFY).is_err(), "{first}");
    }
    for (kind, bytes) in every_kind() {
        if !matches!(parse(&bytes, VERIFY), Ok((_, Packet::Tcp(_)))) && parse(&bytes, VERIFY).is_ok() {
            let (head, rest) = bytes.split_at(bytes.len() - 1);
            assert_eq!(parse_parts(head, &[rest], VERIFY), Err(DropReason::PartsNotTcp), "{kind}");
        }
    }
}

fn fresh(pool: &mut FramePool, count: usize) -> Frame {
    let mut frames: Vec<Frame> = (0..count).map(|_| pool.alloc().unwrap()).collect();
    pool.chain(&mut frames).unwrap()
}

#[test]
fn a_segment_written_in_parts_is_byte_for_byte_the_one_written_whole() {
    let each = 2048 - 64;
    let here = each - HEADERS_BYTES_MAX;
    let fill = |at: usize, out: &mut [u8]| out.iter_mut().zip(at..).for_each(|(b, i)| *b = (i % 251) as u8);
    let mut pool = FramePool::heap(4, 2048);
    for (len, parts) in [(here + 1, 2), (here + each, 2), (here + each + 1, 3), (here + 3 * each, 4), (5001, 3)] {
        for (v6, vlan) in [(false, NO_VLAN), (true, NO_VLAN), (true, VlanTags { count: 2, ids: [5, 6] })] {
            for checksum in [ChecksumMode::Full, ChecksumMode::Offload] {
                let options = timestamps();
                let mut out = segment(v6, &options, len as u16);
                out.checksum = checksum;
                let link = emit::LinkOut { vlan, ..TO_US };
                let mut request = None;
                let whole = frame_bytes(|frame| {
                    assert!(emit::tcp(frame, &link, &out, |out| fill(0, out)));
                    request = frame.checksum_request();
                });
                let mut frame = fresh(&mut pool, parts);
                assert!(emit::tcp_in_parts(&mut frame, &link, &out, fill));
                assert!(frame.parts().all(|part| !part.is_empty()));
                assert_eq!(frame.checksum_request(), request);
                let bytes: Vec<u8> = frame.parts().flat_map(Frame::bytes).copied().collect();
                assert!(bytes == whole, "{len} bytes, IPv6 {v6}");
                pool.free(frame);
            }
        }
    }
    let options = timestamps();
    let mut frame = fresh(&mut pool, 2);
    assert!(!emit::tcp_in_parts(&mut frame, &TO_US, &segment(false, &options, (here + each + 1) as u16), fill));
    pool.free(frame);
    assert_eq!(pool.available(), 4);
}
