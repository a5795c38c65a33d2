//! Writing a plain segment, of the kind that [`plain`](super::plain) reads: an untagged Ethernet frame, an IP header
//! without options or extensions, and TCP options whose number is known. Nearly every frame that is sent is one.
//!
//! The bytes are those that the long way of [`emit`](super::emit) would write, with every place known at compile time.

use super::checksum::Sum;
use super::emit::{ChecksumMode, IpFields, LinkOut, OptionsOut, SegmentOut, room_for};
use super::field::put;
use super::options::{self, UsualSyn};
use super::{Addr, Mac, Seq, TcpFlags, checksum, eth, ipv4, ipv6, tcp};
use crate::base::Frame;

/// Length of an untagged Ethernet header.
const LINK: usize = 14;

/// Where a plain segment goes, and how.
#[derive(Clone, Copy, Debug)]
pub struct PlainOut<'a> {
    pub src_mac: &'a Mac,
    pub dst_mac: &'a Mac,
    /// Both of the same family.
    pub src: &'a Addr,
    pub dst: &'a Addr,
    pub ip: PlainIp,
    pub checksum: ChecksumMode,
    pub payload_len: u16,
}

/// What IP headers have in common that are written with the same [`IpFields`].
#[derive(Clone, Copy, Debug)]
pub struct PlainIp {
    /// IPv4: version, header length and diffserv field, and room for the length.
    first: u32,
    hops_and_protocol: [u8; 2],
    /// IPv4: of all but the first word and the addresses.
    sum: Sum,
    /// IPv6: version, traffic class and flow label.
    first_v6: u32,
}

impl PlainIp {
    #[inline(always)]
    pub fn new(ip: IpFields) -> PlainIp {
        let hops_and_protocol = [ip.hop_limit, tcp::PROTOCOL];
        let sum = Sum::ZERO.u32(ipv4::DONT_FRAGMENT.into()).u16(u16::from_be_bytes(hops_and_protocol));
        let (first, first_v6) = (0x4500_0000 | u32::from(ip.diffserv) << 16, 6 << 28 | u32::from(ip.diffserv) << 20);
        PlainIp { first, hops_and_protocol, sum, first_v6 }
    }
}

/// What its TCP header says.
#[derive(Clone, Copy, Debug)]
pub struct PlainTcp<const WORDS: usize> {
    pub src_port: u16,
    pub dst_port: u16,
    pub seq: Seq,
    pub ack: Seq,
    pub flags: TcpFlags,
    pub window: u16,
    pub options: [u32; WORDS],
}

/// Timestamps alone: TSval and TSecr.
#[inline(always)]
pub const fn timestamp_words(value: u32, echo: u32) -> [u32; 3] {
    [options::TIMESTAMP_WORD, value, echo]
}

/// A plain segment whose TCP header is still to be written.
#[must_use]
pub struct Begun {
    /// Of the pseudo-header.
    sum: Sum,
    checksum: ChecksumMode,
}

/// Where its TCP header begins.
const fn tcp_at(v6: bool) -> usize {
    LINK + if v6 { ipv6::HEADER_LEN } else { ipv4::HEADER_LEN }
}

/// Makes `frame` a plain segment over IPv4 or IPv6 with `WORDS` words of options, and writes what goes before its TCP header. `None` (frame
/// emptied) when the chunk is too small. What [`end_plain`] says need not be kept meanwhile.
#[inline(always)]
pub fn begin_plain<const V6: bool, const WORDS: usize>(frame: &mut Frame, out: &PlainOut<'_>) -> Option<Begun> {
    let tcp_len = (tcp::HEADER_LEN + 4 * WORDS) as u32 + u32::from(out.payload_len);
    if !room_for(frame, tcp_at(V6) + tcp_len as usize) {
        return None;
    }
    let (h, rest) = frame.bytes_mut().split_first_chunk_mut::<LINK>()?;
    put::<0, 6, _>(h, out.dst_mac.0);
    put::<6, 6, _>(h, out.src_mac.0);
    let addresses = if V6 {
        put::<12, 2, _>(h, eth::TYPE_IPV6.to_be_bytes());
        put_v6(rest.first_chunk_mut()?, out, tcp_len)
    } else {
        put::<12, 2, _>(h, eth::TYPE_IPV4.to_be_bytes());
        put_v4(rest.first_chunk_mut()?, out, tcp_len)
    };
    let sum = addresses.u32(tcp_len).u16(u16::from(tcp::PROTOCOL));
    Some(Begun { sum, checksum: out.checksum })
}

/// The place of the payload in a segment that is begun: to be filled before its end is written.
#[inline(always)]
pub fn payload_of_plain<const V6: bool, const WORDS: usize>(frame: &mut Frame) -> &mut [u8] {
    frame.bytes_mut().get_mut(tcp_at(V6) + tcp::HEADER_LEN + 4 * WORDS..).unwrap_or_default()
}

/// Writes the TCP header.
#[inline(always)]
pub fn end_plain<const V6: bool, const WORDS: usize>(frame: &mut Frame, begun: Begun, tcp: &PlainTcp<WORDS>) {
    let Begun { sum: pseudo, checksum } = begun;
    let segment = frame.bytes_mut().get_mut(tcp_at(V6)..).unwrap_or_default();
    let Some((h, rest)) = segment.split_first_chunk_mut::<{ tcp::HEADER_LEN }>() else { return };
    let fixed = [
        u32::from(tcp.src_port) << 16 | u32::from(tcp.dst_port),
        tcp.seq.0,
        tcp.ack.0,
        ((tcp::HEADER_LEN + 4 * WORDS) as u32) << 26 | u32::from(tcp.flags.0) << 16 | u32::from(tcp.window),
    ];
    put::<0, 4, _>(h, fixed[0].to_be_bytes());
    put::<4, 4, _>(h, fixed[1].to_be_bytes());
    put::<8, 4, _>(h, fixed[2].to_be_bytes());
    put::<12, 4, _>(h, fixed[3].to_be_bytes());
    let mut sum = fixed.iter().fold(pseudo, |sum, word| sum.u32(*word));
    let Some((options, body)) = rest.split_at_mut_checked(4 * WORDS) else { return };
    for (to, word) in options.as_chunks_mut::<4>().0.iter_mut().zip(tcp.options) {
        *to = word.to_be_bytes();
        sum = sum.u32(word);
    }
    let [c0, c1] = match checksum {
        ChecksumMode::Offload => pseudo.unfinished(),
        ChecksumMode::Full if body.is_empty() => sum.finish(),
        ChecksumMode::Full => sum.bytes(body).finish(),
    };
    put::<{ tcp::CHECKSUM_OFFSET }, 4, _>(h, [c0, c1, 0, 0]);
    if checksum == ChecksumMode::Offload {
        frame.request_checksum(tcp_at(V6) as u16, tcp::CHECKSUM_OFFSET as u16);
    }
}

/// As [`emit::tcp`](super::emit::tcp), if it is a segment between addresses of one family, without payload, that has the
/// options of an ordinary SYN, and there is no VLAN. `None`, and nothing was written: it is another.
#[inline(always)]
pub(super) fn usual_syn(frame: &mut Frame, link: &LinkOut, s: &SegmentOut<'_>) -> Option<bool> {
    let OptionsOut::Any(options) = s.options else { return None };
    if s.payload_len > 0 || link.vlan.count > 0 {
        return None;
    }
    let options = UsualSyn::of(options)?.words();
    let out = PlainOut {
        src_mac: &link.src,
        dst_mac: &link.dst,
        src: &s.src,
        dst: &s.dst,
        ip: PlainIp::new(s.ip),
        checksum: s.checksum,
        payload_len: 0,
    };
    let &SegmentOut { src_port, dst_port, seq, ack, flags, window, .. } = s;
    let tcp = PlainTcp { src_port, dst_port, seq, ack, flags, window, options };
    Some(if s.dst.is_v4() { plain::<false, 5>(frame, &out, &tcp) } else { plain::<true, 5>(frame, &out, &tcp) })
}

/// A plain segment without payload. False (frame emptied) when the chunk is too small.
#[inline(always)]
pub fn plain<const V6: bool, const WORDS: usize>(frame: &mut Frame, out: &PlainOut<'_>, tcp: &PlainTcp<WORDS>) -> bool {
    let begun = begin_plain::<V6, WORDS>(frame, out);
    begun.map(|begun| end_plain::<V6, WORDS>(frame, begun, tcp)).is_some()
}

/// Writes the IP header; returns the sum of both addresses.
#[inline(always)]
fn put_v4(h: &mut [u8; ipv4::HEADER_LEN], out: &PlainOut<'_>, tcp_len: u32) -> Sum {
    let (src, dst) = (out.src.v4_bytes(), out.dst.v4_bytes());
    let addresses = Sum::ZERO.u32(u32::from_be_bytes(src)).u32(u32::from_be_bytes(dst));
    let first = out.ip.first + (ipv4::HEADER_LEN as u32 + tcp_len);
    let sum = addresses.plus(out.ip.sum).u32(first);
    put::<0, 4, _>(h, first.to_be_bytes());
    put::<4, 4, _>(h, u32::from(ipv4::DONT_FRAGMENT).to_be_bytes());
    put::<8, 2, _>(h, out.ip.hops_and_protocol);
    put::<10, 2, _>(h, sum.finish());
    put::<12, 4, _>(h, src);
    put::<16, 4, _>(h, dst);
    addresses
}

/// As [`put_v4`].
#[inline(always)]
fn put_v6(h: &mut [u8; ipv6::HEADER_LEN], out: &PlainOut<'_>, tcp_len: u32) -> Sum {
    let [hops, protocol] = out.ip.hops_and_protocol;
    put::<0, 4, _>(h, out.ip.first_v6.to_be_bytes());
    put::<4, 2, _>(h, (tcp_len as u16).to_be_bytes());
    put::<6, 2, _>(h, [protocol, hops]);
    put::<8, 16, _>(h, out.src.0);
    put::<24, 16, _>(h, out.dst.0);
    checksum::addresses(out.src, out.dst)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{FramePool, Rng};
    use crate::wire::emit;
    use crate::wire::test_frames::*;
    use crate::wire::{Addr, TcpOptions};

    /// A frame with what `f` writes: its bytes, and what it asks the device for.
    fn written(f: impl FnOnce(&mut Frame)) -> (Vec<u8>, Option<(u16, u16)>) {
        let mut pool = FramePool::heap(1, 2048);
        let mut frame = pool.alloc().expect("a pool of one frame has one");
        f(&mut frame);
        let result = (frame.bytes().to_vec(), frame.checksum_request());
        pool.free(frame);
        result
    }

    fn any_segment<'a>(rng: &mut Rng, v6: bool, options: &'a TcpOptions, payload_len: u16) -> SegmentOut<'a> {
        let mut bits = || rng.next_u64();
        let mut addr = || match v6 {
            false => Addr::v4((bits() as u32).to_be_bytes()),
            true => Addr((u128::from(bits()) << 64 | u128::from(bits())).to_be_bytes()),
        };
        SegmentOut {
            src: addr(),
            dst: addr(),
            src_port: bits() as u16,
            dst_port: bits() as u16,
            seq: Seq(bits() as u32),
            ack: Seq(bits() as u32),
            flags: TcpFlags(bits() as u8),
            window: bits() as u16,
            options: OptionsOut::Any(options),
            payload_len,
            ip: IpFields { diffserv: bits() as u8, hop_limit: bits() as u8 },
            checksum: if bits().is_multiple_of(2) { ChecksumMode::Full } else { ChecksumMode::Offload },
        }
    }

    fn fill(out: &mut [u8]) {
        out.iter_mut().enumerate().for_each(|(n, byte)| *byte = (n * 7) as u8);
    }

    /// The short way of `s` with these words of options.
    fn short_way<const V6: bool, const WORDS: usize>(
        s: &SegmentOut<'_>,
        options: [u32; WORDS],
    ) -> (Vec<u8>, Option<(u16, u16)>) {
        let &SegmentOut { src_port, dst_port, seq, ack, flags, window, ip, checksum, payload_len, .. } = s;
        let (src, dst, ip) = (&s.src, &s.dst, PlainIp::new(ip));
        let out = PlainOut { src_mac: &TO_US.src, dst_mac: &TO_US.dst, src, dst, ip, checksum, payload_len };
        written(|frame| {
            let begun = begin_plain::<V6, WORDS>(frame, &out).expect("there is room");
            let tcp = PlainTcp { src_port, dst_port, seq, ack, flags, window, options };
            fill(payload_of_plain::<V6, WORDS>(frame));
            end_plain::<V6, WORDS>(frame, begun, &tcp);
        })
    }

    #[test]
    fn short_way_writes_the_bytes_of_the_long_way() {
        let mut rng = Rng::new(31);
        for round in 0..8_000 {
            let v6 = round % 2 == 1;
            let (value, echo) = (rng.next_u64() as u32, rng.next_u64() as u32);
            let timestamps = TcpOptions { timestamp: Some((value, echo)), ..TcpOptions::default() };
            let s = any_segment(&mut rng, v6, &timestamps, (round % 300) as u16);
            let long = written(|frame| assert!(emit::tcp(frame, &TO_US, &s, fill)));
            let words = timestamp_words(value, echo);
            assert_eq!(if v6 { short_way::<true, 3>(&s, words) } else { short_way::<false, 3>(&s, words) }, long);
            let syn = TcpOptions { mss: Some(value as u16), window_scale: Some(echo as u8), ..timestamps };
            let syn = TcpOptions { sack_permitted: true, ..syn };
            let s = any_segment(&mut rng, v6, &syn, 0);
            let words = UsualSyn::of(&syn).expect("nothing is missing").words();
            let long = written(|frame| assert!(emit::tcp_in_parts(frame, &TO_US, &s, |_, _| {})));
            assert_eq!(if v6 { short_way::<true, 5>(&s, words) } else { short_way::<false, 5>(&s, words) }, long);
            assert_eq!(written(|frame| assert!(emit::tcp(frame, &TO_US, &s, fill))), long);
        }
    }

    #[test]
    fn what_finds_no_room_leaves_an_empty_frame() {
        let mut pool = FramePool::heap(1, 160);
        let mut frame = pool.alloc().expect("a pool of one frame has one");
        let options = TcpOptions::default();
        let SegmentOut { ip, checksum, .. } = segment(false, &options, 0);
        let (src_mac, dst_mac) = (&TO_US.src, &TO_US.dst);
        let (src, dst) = (&Addr::v4([198, 18, 0, 1]), &Addr::v4([198, 18, 0, 2]));
        let ip = PlainIp::new(ip);
        for payload_len in [30, 31] {
            let out = PlainOut { src_mac, dst_mac, src, dst, ip, checksum, payload_len };
            assert_eq!(begin_plain::<false, 3>(&mut frame, &out).is_some(), payload_len == 30);
            assert_eq!(frame.is_empty(), payload_len == 31);
        }
        pool.free(frame);
    }
}
