//! Hostile bytes: the parser never panics, and finds every change under a checksum.

use super::emit;
use super::parse::{Packet, parse, peek_tuple};
use super::test_frames::*;
use crate::base::Rng;
use proptest::prelude::*;

/// Parses `bytes` in all ways and checks what holds for every frame.
fn swallow(bytes: &[u8]) {
    for options in [VERIFY, TRUST] {
        if let Ok((info, Packet::Tcp(s))) = parse(bytes, options) {
            assert!(usize::from(s.payload_start) + usize::from(s.payload_len) <= bytes.len());
            assert_eq!(peek_tuple(bytes), Some((s.src, s.dst, s.src_port, s.dst_port)));
            assert!(info.vlan.count <= 2 && s.options.sack_len <= 4);
        }
    }
    peek_tuple(bytes);
    // What is answered in place is still the same frame or a whole answer.
    if bytes.len() < 2000 {
        with_received(bytes, |f| {
            let answered = emit::echo_reply_in_place(f) || emit::arp_reply_in_place(f, US);
            assert!(answered || f.bytes() == bytes);
        });
    }
}

#[test]
fn every_truncation_of_every_kind_is_survived() {
    for (_, bytes) in every_kind() {
        (0..=bytes.len()).for_each(|len| swallow(&bytes[..len]));
    }
}

#[test]
fn every_change_of_one_byte_is_survived() {
    for (_, bytes) in every_kind() {
        let mut bytes = bytes;
        for at in 0..bytes.len() {
            let was = bytes[at];
            for value in 0..=255 {
                bytes[at] = value;
                swallow(&bytes);
            }
            bytes[at] = was;
        }
    }
}

/// One's complement sums tell every single changed byte apart (no byte change is a multiple of 0xffff), as
/// long as the change does not lie in the link header, or in IPv6 fields that nothing sums up.
#[test]
fn a_changed_byte_under_a_checksum_never_passes() {
    for (name, bytes) in every_kind().into_iter().filter(|(name, _)| !name.starts_with("arp")) {
        let good = parse(&bytes, VERIFY).expect("the frame is good");
        let ip = 14 + 4 * usize::from(good.0.vlan.count);
        let summed_from = if bytes[ip] >> 4 == 4 { ip } else { ip + 8 };
        let mut bytes = bytes;
        for at in summed_from..bytes.len() {
            let was = bytes[at];
            for value in (0..=255).filter(|&v| v != was) {
                bytes[at] = value;
                let got = parse(&bytes, VERIFY);
                // Extension headers are under no checksum: there a change must only leave the segment as it was.
                let harmless = name == "with extensions" && same_but_place(&got, &good);
                assert!(got.is_err() || harmless, "{name}, byte {at}, {was:#x} to {value:#x}: {got:?}");
            }
            bytes[at] = was;
        }
    }
}

fn same_but_place<E>(
    got: &Result<(super::parse::LinkInfo, Packet), E>,
    good: &(super::parse::LinkInfo, Packet),
) -> bool {
    match (got, good) {
        (Ok((_, Packet::Tcp(a))), (_, Packet::Tcp(b))) => {
            (a.seq, a.payload_len, a.options) == (b.seq, b.payload_len, b.options)
        }
        (Ok((_, Packet::Other(_))), _) => true,
        _ => false,
    }
}

#[test]
fn a_million_damaged_frames_are_survived() {
    let mut rng = Rng::new(0x5eed);
    let kinds = every_kind();
    for _ in 0..1_000_000 {
        let mut bytes = kinds[rng.below(kinds.len() as u64) as usize].1.clone();
        for _ in 0..=rng.below(4) {
            let at = rng.below(bytes.len() as u64) as usize;
            match rng.below(4) {
                0 => bytes.truncate(at.max(1)),
                1 => bytes.insert(at, rng.next_u32() as u8),
                _ => bytes[at] = rng.next_u32() as u8,
            }
        }
        for options in [VERIFY, TRUST] {
            if let Ok((_, Packet::Tcp(s))) = parse(&bytes, options) {
                assert!(usize::from(s.payload_start) + usize::from(s.payload_len) <= bytes.len(), "{bytes:02x?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0usize..4) {
        swallow(&bytes);
        // The same behind a plausible beginning, so that more than the ethertype is reached.
        let start: &[u8] = [&[8, 0, 0x45][..], &[0x86, 0xdd, 0x60], &[0x81, 0, 0, 1, 8, 6], &[0x86, 0xdd, 0x60, 0, 0, 0, 0, 90, 0]][kind];
        swallow(&[&[2; 12][..], start, &bytes].concat());
    }

    #[test]
    fn random_extension_headers_are_survived(bytes in proptest::collection::vec(0u8..64, 0..120), first in 0u8..64) {
        swallow(&ipv6_frame(first, 255, &bytes));
    }
}
