//! The TCP header (RFC 9293 3.1), read and written. The urgent pointer is left to [`peek_urgent`] and [`set_urgent`].

use super::checksum::Sum;
use super::emit::{ChecksumMode, SegmentOut};
use super::eth::Link;
use super::field::{put, u16_at, u32_at};
use super::ipv6::Datagram;
use super::parse::{Packet, Parsed};
use super::{Seq, TcpFlags, TcpOptions, TcpSegment, options};
use crate::base::DropReason;

pub(super) const PROTOCOL: u8 = 6;
pub(super) const HEADER_LEN: usize = 20;
/// Where the checksum lies in the header.
pub(super) const CHECKSUM_OFFSET: usize = 16;

/// Reads the segment in a datagram of a frame. `behind`: the parts of the frame that follow the one with the headers.
///
/// # Errors
/// One of the `Tcp*` reasons.
#[inline(always)]
pub(super) fn parse(link: &Link<'_>, ip: &Datagram<'_>, verify: bool, behind: &[&[u8]]) -> Parsed {
    let h = ip.body.first_chunk::<HEADER_LEN>().ok_or(DropReason::TcpHeaderBad)?;
    if verify && !ip.transport_checksum_is_valid(behind) {
        return Err(DropReason::TcpChecksumBad);
    }
    let header_len = usize::from(h[12] >> 4) * 4;
    let option_bytes = ip.body.get(HEADER_LEN..header_len).ok_or(DropReason::TcpHeaderBad)?;
    if u16_at::<0, _>(h) == 0 || u16_at::<2, _>(h) == 0 {
        return Err(DropReason::TcpPortZero);
    }
    if let Some(timestamp) = options::only_timestamp(option_bytes) {
        let options = TcpOptions { timestamp, ..TcpOptions::NONE };
        return Ok((link.info(), Packet::Tcp(segment(ip, h, link.len + ip.header_len, header_len, options))));
    }
    let options = options::parse(option_bytes, TcpFlags(h[13]).syn());
    Ok((link.info(), Packet::Tcp(segment(ip, h, link.len + ip.header_len, header_len, options))))
}

/// `at` is where the TCP header begins in the frame.
#[inline(always)]
fn segment(ip: &Datagram<'_>, h: &[u8; HEADER_LEN], at: usize, header_len: usize, options: TcpOptions) -> TcpSegment {
    TcpSegment {
        src: ip.src,
        dst: ip.dst,
        src_port: u16_at::<0, _>(h),
        dst_port: u16_at::<2, _>(h),
        seq: Seq(u32_at::<4, _>(h)),
        ack: Seq(u32_at::<8, _>(h)),
        flags: TcpFlags(h[13]),
        window: u16_at::<14, _>(h),
        options,
        payload_start: (at + header_len) as u16,
        payload_len: (ip.body.len() + ip.missing - header_len) as u16,
        ecn: ip.ecn,
    }
}

/// Source and destination port.
pub(super) fn peek_ports(bytes: &[u8]) -> Option<(u16, u16)> {
    let h = bytes.first_chunk::<4>()?;
    Some((u16_at::<0, _>(h), u16_at::<2, _>(h)))
}

/// The urgent pointer, whether or not URG says that it means anything.
pub(super) fn peek_urgent(bytes: &[u8]) -> Option<u16> {
    Some(u16_at::<18, _>(bytes.first_chunk::<HEADER_LEN>()?))
}

/// Writes the urgent pointer into a header that has none, and into its checksum if that is complete.
pub(super) fn set_urgent(header: &mut [u8], pointer: u16, checksum: ChecksumMode) {
    let Some(h) = header.first_chunk_mut::<HEADER_LEN>() else { return };
    put::<18, 2, _>(h, pointer.to_be_bytes());
    if checksum == ChecksumMode::Full {
        let sum = Sum::ZERO.u16(!u16_at::<CHECKSUM_OFFSET, _>(h)).u16(pointer).finish();
        put::<CHECKSUM_OFFSET, 2, _>(h, sum);
    }
}

/// Writes header, options (`header_len` bytes together) and payload over the whole of `out`, which has exactly the
/// length of the segment, or of what of it is not elsewhere. `pseudo` is the sum of the pseudo-header, `behind` that of what
/// is elsewhere. `None` if the length does not fit.
#[inline(always)]
pub(super) fn write(
    out: &mut [u8],
    segment: &SegmentOut<'_>,
    header_len: usize,
    pseudo: Sum,
    behind: Sum,
    payload: &mut dyn FnMut(&mut [u8]),
) -> Option<()> {
    let (h, rest) = out.split_first_chunk_mut::<HEADER_LEN>()?;
    let words = [
        u32::from(segment.src_port) << 16 | u32::from(segment.dst_port),
        segment.seq.0,
        segment.ack.0,
        (header_len as u32) << 26 | u32::from(segment.flags.0) << 16 | u32::from(segment.window),
    ];
    put::<0, 4, _>(h, words[0].to_be_bytes());
    put::<4, 4, _>(h, words[1].to_be_bytes());
    put::<8, 4, _>(h, words[2].to_be_bytes());
    put::<12, 4, _>(h, words[3].to_be_bytes());
    // At once, so that one number is kept and not four.
    let header = words.iter().fold(pseudo.plus(behind), |sum, w| sum.u32(*w));
    let (body, option_sum) = options::write(rest, segment.options)?;
    // Most segments of short connections carry nothing.
    if !body.is_empty() {
        payload(body);
    }
    let field = match segment.checksum {
        ChecksumMode::Offload => pseudo.unfinished(),
        ChecksumMode::Full => {
            let header = header.plus(option_sum);
            if body.is_empty() { header.finish() } else { header.bytes(body).finish() }
        }
    };
    let [c0, c1] = field;
    put::<CHECKSUM_OFFSET, 4, _>(h, [c0, c1, 0, 0]);
    Some(())
}
