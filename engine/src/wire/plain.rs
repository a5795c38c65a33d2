//! Reading a plain segment: an untagged Ethernet frame, an IP header without options or extensions, TCP with no
//! options, with timestamps alone, or with those of an ordinary SYN. Nearly every frame of a well-behaved peer is one.
//!
//! [`read`] does the same as [`parse`](super::parse::parse()), with every place known at compile time. What is not plain,
//! or not in order, takes the long way, which alone says what is wrong with it.

use super::checksum::Sum;
use super::field::{get, u16_at, u32_at};
use super::{Addr, Mac, Seq, TcpFlags, TcpOptions, TcpSegment, eth, ipv4, ipv6, options, tcp};

/// Length of an untagged Ethernet header.
const LINK: usize = 14;
const IPV4: u16 = eth::TYPE_IPV4.to_be();
const IPV6: u16 = eth::TYPE_IPV6.to_be();

/// What the IP header said.
struct Network {
    /// Where the TCP header begins in the frame, and where the datagram ends.
    tcp_at: usize,
    end: usize,
    /// Both addresses, for the pseudo-header.
    addresses: Sum,
    ecn: u8,
}

/// Reads `bytes` into `seg` if they are a plain segment that is in order and addressed to station `own`. False: the
/// long way has to look at them; `seg` then holds anything.
#[inline(always)]
pub fn read(bytes: &[u8], own: &Mac, verify_checksums: bool, seg: &mut TcpSegment) -> bool {
    let Some(h) = bytes.first_chunk::<{ LINK + ipv6::HEADER_LEN }>() else { return false };
    let [own @ .., own4, own5] = own.0;
    if get::<0, 4, _>(h) != own || get::<4, 2, _>(h) != [own4, own5] {
        return false;
    }
    match u16_at::<12, _>(h).to_be() {
        IPV4 => transport(bytes, network_v4(h, seg), verify_checksums, seg),
        IPV6 => read_v6(bytes, h, verify_checksums, seg),
        _ => false,
    }
}

#[inline(never)]
fn read_v6(bytes: &[u8], h: &[u8; LINK + ipv6::HEADER_LEN], verify_checksums: bool, seg: &mut TcpSegment) -> bool {
    transport(bytes, network_v6(h, seg), verify_checksums, seg)
}

/// What follows the IP header.
#[inline(always)]
fn transport(bytes: &[u8], network: Option<Network>, verify_checksums: bool, seg: &mut TcpSegment) -> bool {
    let Some(network) = network else { return false };
    let Some(tcp_bytes) = bytes.get(network.tcp_at..network.end) else { return false };
    let Some((h, rest)) = tcp_bytes.split_first_chunk::<{ tcp::HEADER_LEN }>() else { return false };
    let flags = TcpFlags(h[13]);
    let header_len = usize::from(h[12] >> 4) * 4;
    match header_len {
        32 if rest.first_chunk().is_some_and(|o: &[u8; 12]| u32_at::<0, _>(o) == options::TIMESTAMP_WORD) => {
            let Some(o) = rest.first_chunk::<12>() else { return false };
            none(&mut seg.options);
            seg.options.timestamp = Some((u32_at::<4, _>(o), u32_at::<8, _>(o)));
        }
        20 => {
            none(&mut seg.options);
            seg.options.timestamp = None;
        }
        40 if flags.syn() => {
            let Some(usual) = rest.first_chunk().and_then(options::of_usual_syn) else { return false };
            none(&mut seg.options);
            (seg.options.mss, seg.options.window_scale) = (Some(usual.mss), Some(usual.window_scale));
            (seg.options.sack_permitted, seg.options.timestamp) = (true, Some(usual.timestamps));
        }
        _ => return false,
    }
    seg.src_port = u16_at::<0, _>(h);
    seg.dst_port = u16_at::<2, _>(h);
    seg.seq = Seq(u32_at::<4, _>(h));
    seg.ack = Seq(u32_at::<8, _>(h));
    seg.flags = flags;
    seg.window = u16_at::<14, _>(h);
    seg.payload_start = (network.tcp_at + header_len) as u16;
    seg.payload_len = (tcp_bytes.len() - header_len) as u16;
    seg.ecn = network.ecn;
    if seg.src_port == 0 || seg.dst_port == 0 {
        return false;
    }
    // Last, so that nothing has to be kept meanwhile.
    let pseudo = network.addresses.u32(tcp_bytes.len() as u32).u16(u16::from(tcp::PROTOCOL));
    !verify_checksums || pseudo.segment(tcp_bytes).is_valid()
}

/// There is none but timestamps, which are left as they are.
#[inline(always)]
fn none(options: &mut TcpOptions) {
    options.sack = TcpOptions::NONE.sack;
    (options.mss, options.window_scale, options.fast_open) = (None, None, None);
    (options.sack_permitted, options.sack_len) = (false, 0);
}

#[inline(always)]
fn network_v4(h: &[u8; LINK + ipv6::HEADER_LEN], seg: &mut TcpSegment) -> Option<Network> {
    const TCP_AT: usize = LINK + ipv4::HEADER_LEN;
    let end = LINK + usize::from(u16_at::<16, _>(h));
    let whole = u16_at::<20, _>(h) & ipv4::FRAGMENT_MASK == 0;
    let plain = h[14] == 0x45 && h[23] == tcp::PROTOCOL && whole && ipv4::source_is_possible(h[26]);
    let addresses = Sum::ZERO.u32(u32_at::<26, _>(h)).u32(u32_at::<30, _>(h));
    let header = addresses.u32(u32_at::<14, _>(h)).u32(u32_at::<18, _>(h)).u32(u32_at::<22, _>(h));
    if !plain || !header.is_valid() {
        return None;
    }
    seg.src = Addr::v4(get::<26, 4, _>(h));
    seg.dst = Addr::v4(get::<30, 4, _>(h));
    Some(Network { tcp_at: TCP_AT, end, addresses, ecn: h[15] & 3 })
}

#[inline(always)]
fn network_v6(h: &[u8; LINK + ipv6::HEADER_LEN], seg: &mut TcpSegment) -> Option<Network> {
    const TCP_AT: usize = LINK + ipv6::HEADER_LEN;
    let end = TCP_AT + usize::from(u16_at::<18, _>(h));
    // All special addresses begin with zeros, multicast with ones.
    let (src_high, dst_high) = (u32_at::<22, _>(h), u32_at::<38, _>(h));
    let usual = src_high != 0 && src_high < 0xff00_0000 && dst_high != 0;
    if h[14] >> 4 != 6 || h[20] != tcp::PROTOCOL || !usual {
        return None;
    }
    seg.src = Addr(get::<22, 16, _>(h));
    seg.dst = Addr(get::<38, 16, _>(h));
    let addresses = Sum::ZERO.header(h.last_chunk::<32>()?);
    Some(Network { tcp_at: TCP_AT, end, addresses, ecn: (u32_at::<14, _>(h) >> 20 & 3) as u8 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;
    use crate::wire::test_frames::*;

    /// What the short way makes of a frame has to be what the long way makes of it.
    fn short_way(bytes: &[u8]) -> Option<TcpSegment> {
        let mut seg = TcpSegment { ecn: 77, ..TcpSegment::default() };
        read(bytes, &US, true, &mut seg).then(|| {
            assert_eq!(seg, parse_tcp(bytes, VERIFY).1);
            seg
        })
    }

    #[test]
    fn every_plain_segment_takes_the_short_way_and_reads_the_same() {
        for v6 in [false, true] {
            for options in [TcpOptions::default(), timestamps(), syn_options()] {
                for len in [0, 1, 100, 1400] {
                    let mut out = segment(v6, &options, len);
                    if options.mss.is_some() {
                        out.flags = TcpFlags::SYN;
                    }
                    assert!(short_way(&tcp_frame(&TO_US, &out)).is_some(), "IPv6 {v6}, {options:?}, {len} bytes");
                }
            }
        }
    }

    #[test]
    fn other_kinds_of_frames_and_other_stations_take_the_long_way() {
        for (kind, bytes) in every_kind() {
            let mut seg = TcpSegment::default();
            if read(&bytes, &US, true, &mut seg) {
                assert_eq!(seg, parse_tcp(&bytes, VERIFY).1, "{kind}");
            }
            assert!(!read(&bytes, &PEER, true, &mut seg), "{kind} is not for another station");
        }
        let sack = timestamps_and_sack(2);
        assert!(short_way(&tcp_frame(&TO_US, &segment(false, &sack, 0))).is_none());
    }

    #[test]
    fn any_damage_either_reads_the_same_as_on_the_long_way_or_leads_there() {
        let mut rng = Rng::new(12);
        let options = [TcpOptions::default(), timestamps(), syn_options()];
        for round in 0..50_000 {
            let mut bytes = tcp_frame(&TO_US, &segment(round % 2 == 0, &options[round % 3], (round % 40) as u16));
            for _ in 0..=rng.below(2) {
                let at = rng.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << rng.below(8);
            }
            if rng.below(4) == 0 {
                let len = rng.below(bytes.len() as u64) as usize;
                bytes.truncate(len);
            }
            let mut seg = TcpSegment::default();
            for verify in [TRUST, VERIFY] {
                if read(&bytes, &US, verify.verify_checksums, &mut seg) {
                    assert_eq!(seg, parse_tcp(&bytes, verify).1);
                }
            }
        }
    }
}
