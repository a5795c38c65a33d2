//! Writing a plain segment, of the kind that [`plain`](super::plain) reads: an untagged Ethernet frame, an IPv4 header
//! without options, and TCP options whose number is known. Nearly every frame that is sent is one.
//!
//! The bytes are those that the long way of [`emit`](super::emit) would write, with every place known at compile time.

use super::checksum::Sum;
use super::emit::{ChecksumMode, LinkOut, OptionsOut, SegmentOut, room_for};
use super::field::put;
use super::options::UsualSyn;
use super::{eth, ipv4, options, tcp};
use crate::base::Frame;

const IP_AT: usize = 14;
const TCP_AT: usize = IP_AT + ipv4::HEADER_LEN;
const OPTIONS_AT: usize = TCP_AT + tcp::HEADER_LEN;

/// Headers with timestamps alone, and with the options of an ordinary SYN.
const WITH_TIMESTAMPS: usize = OPTIONS_AT + 12;
const OF_SYN: usize = OPTIONS_AT + 20;

/// As [`emit::tcp`](super::emit::tcp), for a segment between IPv4 addresses on a link without VLAN, with timestamps as its only
/// options, whatever `s.options` says.
#[must_use]
#[inline(always)]
pub fn tcp_with_timestamps(
    frame: &mut Frame,
    link: &LinkOut,
    s: &SegmentOut<'_>,
    (value, echo): (u32, u32),
    payload: impl FnOnce(&mut [u8]),
) -> bool {
    write::<WITH_TIMESTAMPS, 3>(frame, link, s, [options::TIMESTAMP_WORD, value, echo], payload)
}

/// As [`tcp_with_timestamps`], with the options of an ordinary SYN, and without payload.
#[must_use]
#[inline(always)]
pub fn syn(frame: &mut Frame, link: &LinkOut, s: &SegmentOut<'_>, options: &UsualSyn) -> bool {
    write::<OF_SYN, 5>(frame, link, s, options.words(), |_| {})
}

/// As [`emit::tcp`](super::emit::tcp), if it is a segment between IPv4 addresses without payload that has the options of an
/// ordinary SYN, and there is no VLAN. `None`, and nothing was written: it is another.
#[inline(always)]
pub(super) fn usual_syn(frame: &mut Frame, link: &LinkOut, s: &SegmentOut<'_>) -> Option<bool> {
    let OptionsOut::Any(options) = s.options else { return None };
    if s.payload_len > 0 || link.vlan.count > 0 {
        return None;
    }
    Some(syn(frame, link, s, &UsualSyn::of(options)?))
}

/// Writes a segment between IPv4 addresses into `frame`, headers in front of its payload. False (frame emptied) when the chunk
/// is too small.
#[inline(always)]
fn write<const HEADERS: usize, const WORDS: usize>(
    frame: &mut Frame,
    link: &LinkOut,
    s: &SegmentOut<'_>,
    options: [u32; WORDS],
    payload: impl FnOnce(&mut [u8]),
) -> bool {
    const { assert!(HEADERS == OPTIONS_AT + 4 * WORDS, "the options fill the rest of the headers") };
    if !room_for(frame, HEADERS + usize::from(s.payload_len)) {
        return false;
    }
    let Some((h, body)) = frame.bytes_mut().split_first_chunk_mut::<HEADERS>() else { return false };
    put::<0, 6, _>(h, link.dst.0);
    put::<6, 6, _>(h, link.src.0);
    put::<12, 2, _>(h, eth::TYPE_IPV4.to_be_bytes());
    let tcp_len = (HEADERS - TCP_AT) as u32 + u32::from(s.payload_len);
    let (src, dst) = (u32::from_be_bytes(s.src.v4_bytes()), u32::from_be_bytes(s.dst.v4_bytes()));
    let addresses = Sum::ZERO.u32(src).u32(dst);
    let service_and_len = u32::from(s.ip.diffserv) << 16 | (ipv4::HEADER_LEN as u32 + tcp_len);
    let hops_and_protocol = u32::from(s.ip.hop_limit) << 8 | u32::from(tcp::PROTOCOL);
    let constant = Sum::ZERO.u32(0x4500_0000).u32(ipv4::DONT_FRAGMENT.into());
    let sum = addresses.plus(constant).u32(service_and_len).u16(hops_and_protocol as u16);
    put::<IP_AT, 4, _>(h, (0x4500_0000 | service_and_len).to_be_bytes());
    put::<{ IP_AT + 4 }, 4, _>(h, u32::from(ipv4::DONT_FRAGMENT).to_be_bytes());
    put::<{ IP_AT + 8 }, 2, _>(h, (hops_and_protocol as u16).to_be_bytes());
    put::<{ IP_AT + 10 }, 2, _>(h, sum.finish());
    put::<{ IP_AT + 12 }, 4, _>(h, src.to_be_bytes());
    put::<{ IP_AT + 16 }, 4, _>(h, dst.to_be_bytes());
    let pseudo = addresses.u32(tcp_len).u16(u16::from(tcp::PROTOCOL));
    let words = [
        u32::from(s.src_port) << 16 | u32::from(s.dst_port),
        s.seq.0,
        s.ack.0,
        ((HEADERS - TCP_AT) as u32) << 26 | u32::from(s.flags.0) << 16 | u32::from(s.window),
    ];
    put::<TCP_AT, 4, _>(h, words[0].to_be_bytes());
    put::<{ TCP_AT + 4 }, 4, _>(h, words[1].to_be_bytes());
    put::<{ TCP_AT + 8 }, 4, _>(h, words[2].to_be_bytes());
    put::<{ TCP_AT + 12 }, 4, _>(h, words[3].to_be_bytes());
    let mut header = words.iter().fold(pseudo, |sum, word| sum.u32(*word));
    for (to, word) in h[OPTIONS_AT..].as_chunks_mut::<4>().0.iter_mut().zip(options) {
        *to = word.to_be_bytes();
        header = header.u32(word);
    }
    if !body.is_empty() {
        payload(body);
    }
    let [c0, c1] = match s.checksum {
        ChecksumMode::Offload => pseudo.unfinished(),
        ChecksumMode::Full if body.is_empty() => header.finish(),
        ChecksumMode::Full => header.bytes(body).finish(),
    };
    put::<{ TCP_AT + tcp::CHECKSUM_OFFSET }, 4, _>(h, [c0, c1, 0, 0]);
    if s.checksum == ChecksumMode::Offload {
        frame.request_checksum(TCP_AT as u16, tcp::CHECKSUM_OFFSET as u16);
    }
    true
}
