//! ARP for IPv4 over Ethernet (RFC 826), read and written. Probes (RFC 5227, sender 0.0.0.0) are read like any
//! request. Left out: reverse ARP and every other hardware or protocol type.

use super::emit::{LinkOut, room_for};
use super::field::{get, put, u16_at};
use super::parse::Arp;
use super::{Addr, Mac, eth};
use crate::base::{DropReason, Frame};

const LEN: usize = 28;
const ETHERNET: u16 = 1;
const REQUEST: u16 = 1;
const REPLY: u16 = 2;

/// Reads a message.
///
/// # Errors
/// `ArpBad`: cut off, another hardware or protocol, neither request nor reply, or a sender that cannot be a
/// station or a host (it would poison the neighbour table).
#[inline(never)]
pub(super) fn parse(bytes: &[u8]) -> Result<Arp, DropReason> {
    let h = bytes.first_chunk::<LEN>().ok_or(DropReason::ArpBad)?;
    let kind = (u16_at::<0, _>(h), u16_at::<2, _>(h), h[4], h[5]);
    let is_request = match u16_at::<6, _>(h) {
        REQUEST => true,
        REPLY => false,
        _ => return Err(DropReason::ArpBad),
    };
    let arp = Arp {
        is_request,
        sender_mac: Mac(get::<8, 6, _>(h)),
        sender: Addr::v4(get::<14, 4, _>(h)),
        target_mac: Mac(get::<18, 6, _>(h)),
        target: Addr::v4(get::<24, 4, _>(h)),
    };
    let probe = is_request && arp.sender.v4_bytes() == [0; 4];
    let sender_is_possible =
        !arp.sender_mac.is_group() && arp.sender_mac != Mac::ZERO && (arp.sender.is_unicast() || probe);
    if kind != (ETHERNET, eth::TYPE_IPV4, 6, 4) || !sender_is_possible {
        return Err(DropReason::ArpBad);
    }
    Ok(arp)
}

/// Writes an ARP message into `frame`, replacing what it held. Returns false (frame emptied) when the chunk is
/// too small. Addresses are IPv4.
#[must_use]
fn message(frame: &mut Frame, link: &LinkOut, arp: &Arp) -> bool {
    if !room_for(frame, eth::header_len(link.vlan) + LEN) {
        return false;
    }
    let written = eth::write(frame.bytes_mut(), link, eth::TYPE_ARP).and_then(|body| write(body, arp));
    written.is_some()
}

fn write(out: &mut [u8], arp: &Arp) -> Option<()> {
    let h = out.first_chunk_mut::<LEN>()?;
    let [_, _, t0, t1] = u32::from(eth::TYPE_IPV4).to_be_bytes();
    put::<0, 6, _>(h, [0, ETHERNET as u8, t0, t1, 6, 4]);
    put::<6, 2, _>(h, (if arp.is_request { REQUEST } else { REPLY }).to_be_bytes());
    put::<8, 6, _>(h, arp.sender_mac.0);
    put::<14, 4, _>(h, arp.sender.v4_bytes());
    put::<18, 6, _>(h, arp.target_mac.0);
    put::<24, 4, _>(h, arp.target.v4_bytes());
    Some(())
}

/// Asks who has `target`, in the name of `sender` at `link.src`. `link.dst` is the broadcast address
/// ([`LinkOut::broadcast`]), or the station itself to confirm a known one (RFC 1122 2.3.2.1). A `sender` of
/// 0.0.0.0 makes it a probe, `sender` equal to `target` an announcement (RFC 5227).
///
/// Returns false (frame emptied) when the chunk is too small.
#[must_use]
pub fn arp_request(frame: &mut Frame, link: &LinkOut, sender: Addr, target: Addr) -> bool {
    let arp = Arp { is_request: true, sender_mac: link.src, sender, target_mac: Mac::ZERO, target };
    message(frame, link, &arp)
}

/// Tells `to` at `link.dst` that `sender` is at `link.src`, in a frame of its own.
///
/// Returns false (frame emptied) when the chunk is too small.
#[must_use]
pub fn arp_reply(frame: &mut Frame, link: &LinkOut, sender: Addr, to: Addr) -> bool {
    let arp = Arp { is_request: false, sender_mac: link.src, sender, target_mac: link.dst, target: to };
    message(frame, link, &arp)
}

/// Turns the received ARP request in `frame` into the reply that its target is at `mac`.
///
/// Returns false, the frame unchanged, when it holds no ARP request.
#[must_use]
pub fn arp_reply_in_place(frame: &mut Frame, mac: Mac) -> bool {
    let Ok(received) = eth::parse(frame.bytes()) else { return false };
    let (at, info) = (received.len, received.info());
    match (received.ether_type, parse(received.body)) {
        (eth::TYPE_ARP, Ok(request)) if request.is_request => {
            let reply = Arp {
                is_request: false,
                sender_mac: mac,
                sender: request.target,
                target_mac: request.sender_mac,
                target: request.sender,
            };
            eth::put_addresses(frame.bytes_mut(), info.src, mac);
            let written = frame.bytes_mut().get_mut(at..).and_then(|body| write(body, &reply));
            written.is_some() && frame.set_len(at + LEN)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::{Packet, ParseOptions, VlanTags, parse};
    use super::*;
    use crate::base::FramePool;

    const US: Addr = Addr::v4([198, 18, 0, 1]);
    const PEER: Addr = Addr::v4([198, 18, 0, 2]);
    const OUR_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const PEER_MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);
    const CHECK: ParseOptions = ParseOptions { verify_checksums: true };

    #[test]
    fn a_request_goes_out_as_broadcast_and_is_answered_in_place_within_its_vlans() {
        let mut pool = FramePool::heap(1, 2048);
        let mut frame = pool.alloc().unwrap();
        for vlan in [(0, [0, 0]), (1, [5, 0]), (2, [5, 6])].map(|(count, ids)| VlanTags { count, ids }) {
            assert!(arp_request(&mut frame, &LinkOut::broadcast(PEER_MAC, vlan), PEER, US));
            let (info, packet) = parse(frame.bytes(), CHECK).unwrap();
            assert_eq!((info.src, info.dst, info.vlan), (PEER_MAC, Mac::BROADCAST, vlan));
            let want = Arp { is_request: true, sender_mac: PEER_MAC, sender: PEER, target_mac: Mac::ZERO, target: US };
            assert_eq!(packet, Packet::Arp(want));

            let unpadded = frame.len();
            assert!(frame.set_len(64));
            assert!(arp_reply_in_place(&mut frame, OUR_MAC));
            assert_eq!(frame.len(), unpadded, "padding is not sent back");
            let (info, packet) = parse(frame.bytes(), CHECK).unwrap();
            assert_eq!((info.src, info.dst, info.vlan), (OUR_MAC, PEER_MAC, vlan));
            let want = Arp { is_request: false, sender_mac: OUR_MAC, sender: US, target_mac: PEER_MAC, target: PEER };
            assert_eq!(packet, Packet::Arp(want));

            let in_place = frame.bytes().to_vec();
            assert!(!arp_reply_in_place(&mut frame, OUR_MAC), "a reply is not answered");
            assert_eq!(frame.bytes(), in_place);
            assert!(arp_reply(&mut frame, &LinkOut { src: OUR_MAC, dst: PEER_MAC, vlan }, US, PEER));
            assert_eq!(frame.bytes(), in_place);
        }
        pool.free(frame);
    }

    #[test]
    fn a_chunk_too_small_leaves_an_empty_frame() {
        let mut pool = FramePool::heap(1, 64 + 41);
        let mut frame = pool.alloc().unwrap();
        assert!(!arp_request(&mut frame, &LinkOut::broadcast(PEER_MAC, VlanTags::default()), PEER, US));
        assert!(frame.is_empty());
        pool.free(frame);
    }
}
