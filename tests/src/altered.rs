//! Segments as no well-behaved stack sends them: a scripted peer's, changed byte by byte, with lengths and checksums made
//! right again. IPv4, untagged.

use crate::host::{Host, OUR_MAC, PEER_MAC, Seg};
use synfin_engine::wire::checksum::checksum;

/// Where the IP header begins in a frame, and, without IP options, the TCP header.
pub const IP: usize = 14;
pub const TCP: usize = IP + 20;

/// The frame of the peer's segment, changed by `edit`.
pub fn altered(host: &mut Host, s: &Seg, edit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut frame = host.bytes_of(s);
    edit(&mut frame);
    set_lengths_and_checksums(&mut frame);
    frame
}

/// The frame of the peer's segment with these TCP options, whole words of them, instead of its own.
pub fn with_options(host: &mut Host, s: &Seg, options: &[u8]) -> Vec<u8> {
    assert!(options.len().is_multiple_of(4) && options.len() <= 40, "options fill words");
    altered(host, s, |frame| {
        let end = TCP + usize::from(frame[TCP + 12] >> 4) * 4;
        frame.splice(TCP + 20..end, options.iter().copied());
        frame[TCP + 12] = ((20 + options.len()) / 4) as u8 * 16;
    })
}

/// The frame of the peer's segment with URG and this pointer.
pub fn urgent(host: &mut Host, s: &Seg, pointer: u16) -> Vec<u8> {
    altered(host, s, |frame| {
        frame[TCP + 13] |= 0x20;
        frame[TCP + 18..TCP + 20].copy_from_slice(&pointer.to_be_bytes());
    })
}

/// An ICMP message of this type and code, with four bytes of its own, from the peer, about the segment that the host sent
/// to it with number `seq`.
pub fn icmp_about(host: &Host, kind: [u8; 2], rest: [u8; 4], seq: u32) -> Vec<u8> {
    let (ours, theirs) = (host.local.0.v4_bytes(), host.remote.0.v4_bytes());
    let quote =
        [&ip_header(6, ours, theirs, 20)[..], &host.local.1.to_be_bytes(), &host.remote.1.to_be_bytes()].concat();
    let mut message = [&kind[..], &[0, 0], &rest, &quote, &seq.to_be_bytes()].concat();
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let header = ip_header(1, theirs, ours, message.len());
    [&OUR_MAC.0[..], &PEER_MAC.0, &[8, 0], &header, &message].concat()
}

fn ip_header(protocol: u8, src: [u8; 4], dst: [u8; 4], body_len: usize) -> Vec<u8> {
    let total = (20 + body_len) as u16;
    let mut header = [&[0x45, 0], &total.to_be_bytes()[..], &[0, 0, 0x40, 0, 64, protocol, 0, 0], &src, &dst].concat();
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}

/// The bytes of the TCP options of a frame.
pub fn options_in(frame: &[u8]) -> &[u8] {
    &frame[TCP + 20..TCP + usize::from(frame[TCP + 12] >> 4) * 4]
}

fn set_lengths_and_checksums(frame: &mut [u8]) {
    let total = (frame.len() - IP) as u16;
    frame[IP + 2..IP + 4].copy_from_slice(&total.to_be_bytes());
    let tcp = IP + usize::from(frame[IP] & 15) * 4;
    frame[IP + 10..IP + 12].fill(0);
    let sum = checksum(&frame[IP..tcp]);
    frame[IP + 10..IP + 12].copy_from_slice(&sum.to_be_bytes());
    frame[tcp + 16..tcp + 18].fill(0);
    let len = (frame.len() - tcp) as u16;
    let pseudo_header = [&frame[IP + 12..IP + 20], &[0, 6], &len.to_be_bytes()].concat();
    let sum = checksum(&[&pseudo_header, &frame[tcp..]].concat());
    frame[tcp + 16..tcp + 18].copy_from_slice(&sum.to_be_bytes());
}
