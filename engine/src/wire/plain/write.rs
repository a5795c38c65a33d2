//! Writing a plain segment: no options, timestamps alone, or those of an ordinary SYN.

use super::LINK;
use crate::base::Frame;
use crate::wire::checksum::{Sum, addresses};
use crate::wire::emit::{ChecksumMode, room_for};
use crate::wire::field::put;
use crate::wire::{Addr, Mac, Seq, TcpFlags, TcpOptions, eth, ipv4, ipv6, options, tcp};

/// The options of a plain segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlainOptions {
    None,
    /// Value and echo.
    Timestamp(u32, u32),
    /// With SACK-permitted.
    Syn {
        mss: u16,
        timestamp: (u32, u32),
        window_scale: u8,
    },
}

impl PlainOptions {
    #[inline(always)]
    pub fn timestamp(timestamp: Option<(u32, u32)>) -> PlainOptions {
        timestamp.map_or(PlainOptions::None, |(value, echo)| PlainOptions::Timestamp(value, echo))
    }

    /// `options`, if they are plain.
    #[inline(always)]
    pub fn of(options: &TcpOptions) -> Option<PlainOptions> {
        match options {
            TcpOptions { sack_len: 1.., .. } | TcpOptions { fast_open: Some(_), .. } => None,
            TcpOptions {
                mss: Some(mss), window_scale: Some(scale), sack_permitted: true, timestamp: Some(t), ..
            } => Some(PlainOptions::Syn { mss: *mss, timestamp: *t, window_scale: *scale }),
            TcpOptions { mss: None, window_scale: None, sack_permitted: false, timestamp, .. } => {
                Some(PlainOptions::timestamp(*timestamp))
            }
            _ => None,
        }
    }

    #[inline(always)]
    fn len(self) -> usize {
        match self {
            PlainOptions::None => 0,
            PlainOptions::Timestamp(..) => 12,
            PlainOptions::Syn { .. } => 20,
        }
    }
}

/// A segment to be written.
#[derive(Clone, Copy, Debug)]
pub struct PlainOut {
    pub link_src: Mac,
    pub link_dst: Mac,
    pub src: Addr,
    pub dst: Addr,
    pub src_port: u16,
    pub dst_port: u16,
    pub seq: Seq,
    pub ack: Seq,
    pub flags: TcpFlags,
    pub window: u16,
    pub options: PlainOptions,
    pub payload_len: u16,
    pub checksum: ChecksumMode,
}

/// Writes the segment, its payload filled in by `payload`. False when the frame is too small: it is then empty.
#[must_use]
#[inline(always)]
pub fn write(frame: &mut Frame, s: &PlainOut, payload: impl FnOnce(&mut [u8])) -> bool {
    let v4 = s.src.is_v4();
    let ip_len = if v4 { ipv4::HEADER_LEN } else { ipv6::HEADER_LEN };
    let header_len = tcp::HEADER_LEN + s.options.len();
    let tcp_len = header_len + usize::from(s.payload_len);
    if !room_for(frame, LINK + ip_len + tcp_len) {
        return false;
    }
    let written = network(frame.bytes_mut(), s, v4, tcp_len).and_then(|(out, addresses)| {
        let pseudo = addresses.u32(tcp_len as u32).u16(u16::from(tcp::PROTOCOL));
        transport(out, s, header_len, pseudo, payload)
    });
    if written.is_some() && s.checksum == ChecksumMode::Offload {
        frame.request_checksum((LINK + ip_len) as u16, tcp::CHECKSUM_OFFSET as u16);
    }
    written.is_some()
}

/// Link and network header. Returns what is behind them, and the sum of the addresses.
#[inline(always)]
fn network<'a>(bytes: &'a mut [u8], s: &PlainOut, v4: bool, tcp_len: usize) -> Option<(&'a mut [u8], Sum)> {
    if v4 {
        let (h, out) = bytes.split_first_chunk_mut::<{ LINK + ipv4::HEADER_LEN }>()?;
        link(h, s, eth::TYPE_IPV4);
        let words = [
            0x4500_0000 | (ipv4::HEADER_LEN + tcp_len) as u32,
            u32::from(ipv4::DONT_FRAGMENT),
            u32::from(ipv4::TTL) << 24 | u32::from(tcp::PROTOCOL) << 16,
        ];
        let (src, dst) = (s.src.v4_bytes(), s.dst.v4_bytes());
        let addresses = Sum::ZERO.u32(u32::from_be_bytes(src)).u32(u32::from_be_bytes(dst));
        let checksum = words.iter().fold(addresses, |sum, w| sum.u32(*w)).finish();
        put::<14, 4, _>(h, words[0].to_be_bytes());
        put::<18, 4, _>(h, words[1].to_be_bytes());
        put::<22, 4, _>(h, words[2].to_be_bytes());
        put::<24, 2, _>(h, checksum);
        put::<26, 4, _>(h, src);
        put::<30, 4, _>(h, dst);
        Some((out, addresses))
    } else {
        let (h, out) = bytes.split_first_chunk_mut::<{ LINK + ipv6::HEADER_LEN }>()?;
        link(h, s, eth::TYPE_IPV6);
        put::<14, 4, _>(h, 0x6000_0000u32.to_be_bytes());
        let rest = (tcp_len as u32) << 16 | u32::from(tcp::PROTOCOL) << 8 | u32::from(ipv6::HOP_LIMIT);
        put::<18, 4, _>(h, rest.to_be_bytes());
        put::<22, 16, _>(h, s.src.0);
        put::<38, 16, _>(h, s.dst.0);
        Some((out, addresses(&s.src, &s.dst)))
    }
}

#[inline(always)]
fn link<const N: usize>(h: &mut [u8; N], s: &PlainOut, ether_type: u16) {
    put::<0, 6, _>(h, s.link_dst.0);
    put::<6, 6, _>(h, s.link_src.0);
    put::<12, 2, _>(h, ether_type.to_be_bytes());
}

#[inline(always)]
fn transport(
    out: &mut [u8],
    s: &PlainOut,
    header_len: usize,
    pseudo: Sum,
    payload: impl FnOnce(&mut [u8]),
) -> Option<()> {
    let (h, mut body) = out.split_first_chunk_mut::<{ tcp::HEADER_LEN }>()?;
    let words = [
        u32::from(s.src_port) << 16 | u32::from(s.dst_port),
        s.seq.0,
        s.ack.0,
        (header_len as u32) << 26 | u32::from(s.flags.0) << 16 | u32::from(s.window),
    ];
    put::<0, 4, _>(h, words[0].to_be_bytes());
    put::<4, 4, _>(h, words[1].to_be_bytes());
    put::<8, 4, _>(h, words[2].to_be_bytes());
    put::<12, 4, _>(h, words[3].to_be_bytes());
    let mut sum = words.iter().fold(pseudo, |sum, w| sum.u32(*w));
    match s.options {
        PlainOptions::None => {}
        PlainOptions::Timestamp(value, echo) => {
            (body, sum) = put_words([options::TIMESTAMP_WORD, value, echo], body, sum)?;
        }
        PlainOptions::Syn { mss, timestamp, window_scale } => {
            (body, sum) = put_words(options::usual_syn_words(mss, timestamp, window_scale), body, sum)?;
        }
    }
    if !body.is_empty() {
        payload(body);
    }
    let [c0, c1] = match s.checksum {
        ChecksumMode::Offload => pseudo.unfinished(),
        // Most segments of short connections carry nothing.
        ChecksumMode::Full if body.is_empty() => sum.finish(),
        ChecksumMode::Full => sum.bytes(body).finish(),
    };
    put::<{ tcp::CHECKSUM_OFFSET }, 4, _>(h, [c0, c1, 0, 0]);
    Some(())
}

#[inline(always)]
fn put_words<const N: usize>(words: [u32; N], out: &mut [u8], mut sum: Sum) -> Option<(&mut [u8], Sum)> {
    let (to, rest) = out.split_at_mut_checked(4 * N)?;
    for (to, word) in to.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *to = word.to_be_bytes();
        sum = sum.u32(word);
    }
    Some((rest, sum))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::test_frames::*;

    #[test]
    fn writes_byte_for_byte_what_the_long_way_writes() {
        for v6 in [false, true] {
            for options in [TcpOptions::default(), timestamps(), syn_options()] {
                for len in [0, 1, 77, 1400] {
                    for checksum in [ChecksumMode::Full, ChecksumMode::Offload] {
                        let mut s = segment(v6, &options, len);
                        s.checksum = checksum;
                        let plain = PlainOut {
                            link_src: TO_US.src,
                            link_dst: TO_US.dst,
                            src: s.src,
                            dst: s.dst,
                            src_port: s.src_port,
                            dst_port: s.dst_port,
                            seq: s.seq,
                            ack: s.ack,
                            flags: s.flags,
                            window: s.window,
                            options: PlainOptions::of(&options).unwrap(),
                            payload_len: len,
                            checksum,
                        };
                        let fill = |out: &mut [u8]| out.iter_mut().enumerate().for_each(|(i, b)| *b = i as u8);
                        let mut requested = [None; 2];
                        let long = frame_bytes(|frame| {
                            assert!(crate::wire::emit::tcp(frame, &TO_US, &s, fill));
                            requested[0] = frame.checksum_request();
                        });
                        let short = frame_bytes(|frame| {
                            assert!(write(frame, &plain, fill));
                            requested[1] = frame.checksum_request();
                        });
                        assert_eq!(short, long);
                        assert_eq!(requested[0], requested[1]);
                    }
                }
            }
        }
    }
}
