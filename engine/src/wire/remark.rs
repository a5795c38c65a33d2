//! Diffserv field and hop limit of a frame that is written already: hardly any connection wants other than the usual ones,
//! so writing a segment need not ask.

use super::checksum::update;
use super::field::{put, u16_at, u32_at};
use super::{eth, ipv4, ipv6};
use crate::base::Frame;

/// What applications can choose of the IP header (RFC 9293 3.9.1.9, 3.9.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IpFields {
    /// The byte that was once called type of service, or traffic class. Its two low bits, which are ECN's, do not count.
    pub diffserv: u8,
    /// TTL, or hop limit.
    pub hop_limit: u8,
}

impl Default for IpFields {
    fn default() -> Self {
        IpFields { diffserv: 0, hop_limit: ipv4::TTL }
    }
}

/// Sets the fields of the datagram in `frame`. False, and nothing is changed, if it holds none.
#[cold]
pub fn remark(frame: &mut Frame, fields: IpFields) -> bool {
    let Ok(link) = eth::parse(frame.bytes()) else { return false };
    let (at, ether_type) = (link.len, link.ether_type);
    let Some(datagram) = frame.bytes_mut().get_mut(at..) else { return false };
    let done = match ether_type {
        eth::TYPE_IPV4 => remark_v4(datagram, fields),
        eth::TYPE_IPV6 => remark_v6(datagram, fields),
        _ => None,
    };
    done.is_some()
}

fn remark_v4(datagram: &mut [u8], fields: IpFields) -> Option<()> {
    let h = datagram.first_chunk_mut::<{ ipv4::HEADER_LEN }>()?;
    let (class, hops) = (u16_at::<0, _>(h), u16_at::<8, _>(h));
    h[1] = h[1] & 3 | fields.diffserv & !3;
    h[8] = fields.hop_limit;
    let sum = update(u16_at::<10, _>(h), class, u16_at::<0, _>(h));
    let sum = update(sum, hops, u16_at::<8, _>(h));
    put::<10, 2, _>(h, sum.to_be_bytes());
    Some(())
}

fn remark_v6(datagram: &mut [u8], fields: IpFields) -> Option<()> {
    let h = datagram.first_chunk_mut::<{ ipv6::HEADER_LEN }>()?;
    let word = u32_at::<0, _>(h) & !(0xfc << 20) | u32::from(fields.diffserv & !3) << 20;
    put::<0, 4, _>(h, word.to_be_bytes());
    h[7] = fields.hop_limit;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::test_frames::*;

    #[test]
    fn fields_are_set_and_nothing_else_changes() {
        let fields = IpFields { diffserv: 0xb8 | 3, hop_limit: 7 };
        for v6 in [false, true] {
            let bytes = tcp_frame(&TO_US, &segment(v6, &timestamps(), 10));
            let marked = frame_bytes(|f| {
                assert!(f.set_len(bytes.len()));
                f.bytes_mut().copy_from_slice(&bytes);
                assert!(remark(f, fields));
            });
            assert_eq!(parse_tcp(&marked, VERIFY), parse_tcp(&bytes, VERIFY), "IPv6 {v6}");
            let (class, hops) = match v6 {
                false => (marked[15], marked[22]),
                true => ((u16_at::<14, _>(marked.first_chunk::<16>().unwrap()) >> 4) as u8, marked[21]),
            };
            assert_eq!((class, hops), (0xb8, 7), "the ECN bits stay 0");
        }
        frame_bytes(|f| {
            assert!(crate::wire::emit::arp_request(f, &TO_US, PEER_V4, US_V4));
            assert!(!remark(f, fields), "ARP has no such fields");
        });
    }
}
