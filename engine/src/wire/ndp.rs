//! Neighbour solicitations and advertisements (RFC 4861 4.3, 4.4, 7.1), read and written. Hop limit and checksum
//! are always verified: nothing from beyond the link may touch the neighbour table.
//!
//! Left out: router discovery and redirects; the engine is told its gateway.

use super::checksum::Sum;
use super::emit::{IpFields, LinkOut, room_for};
use super::field::{get, put};
use super::icmp::PROTOCOL_V6;
use super::ipv6::{self, Datagram};
use super::parse::{LinkInfo, Ndp};
use super::{Addr, Mac, eth};
use crate::base::{DropReason, Frame};

pub(super) const SOLICITATION: u8 = 135;
pub(super) const ADVERTISEMENT: u8 = 136;

const HOP_LIMIT: u8 = 255;
/// Type, code, checksum, flags, target.
const MESSAGE_LEN: usize = 24;
/// An option with an Ethernet address: type, length in units of 8 bytes, address.
const LINK_OPTION_LEN: usize = 8;
const SOURCE_LINK_ADDR: u8 = 1;
const TARGET_LINK_ADDR: u8 = 2;
const FLAG_SOLICITED: u8 = 0x40;
const FLAG_OVERRIDE: u8 = 0x20;
const ALL_NODES: Addr = Addr([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

/// Reads a solicitation or an advertisement, and checks all that RFC 4861 7.1.1 and 7.1.2 ask for.
///
/// # Errors
/// `NdpBad`.
pub(super) fn parse(ip: &Datagram<'_>) -> Result<Ndp, DropReason> {
    let (h, options) = ip.body.split_first_chunk::<MESSAGE_LEN>().ok_or(DropReason::NdpBad)?;
    if ip.hop_limit != HOP_LIMIT || h[1] != 0 || !ip.transport_checksum_is_valid(&[]) {
        return Err(DropReason::NdpBad);
    }
    let is_solicitation = h[0] == SOLICITATION;
    let option = if is_solicitation { SOURCE_LINK_ADDR } else { TARGET_LINK_ADDR };
    let flags = if is_solicitation { 0 } else { h[4] };
    let ndp = Ndp {
        is_solicitation,
        src: ip.src,
        dst: ip.dst,
        target: Addr(get::<8, 16, _>(h)),
        link_addr: link_addr(options, option).ok_or(DropReason::NdpBad)?,
        solicited: flags & FLAG_SOLICITED != 0,
        override_flag: flags & FLAG_OVERRIDE != 0,
    };
    let from_nobody = ndp.src == Addr::UNSPECIFIED_V6;
    let source_is_possible = match is_solicitation {
        // Duplicate address detection: to the solicited-node group, and without a link address.
        true => !from_nobody || (ndp.dst == ndp.target.solicited_node() && ndp.link_addr.is_none()),
        false => !from_nobody && (ndp.dst.is_unicast() || !ndp.solicited),
    };
    if !source_is_possible || ndp.target.is_v4() || !ndp.target.is_unicast() {
        return Err(DropReason::NdpBad);
    }
    Ok(ndp)
}

/// The Ethernet address in the option of this kind, if there is one. `None`: options broken.
fn link_addr(options: &[u8], wanted: u8) -> Option<Option<Mac>> {
    let (mut rest, mut found) = (options, None);
    while !rest.is_empty() {
        let h = rest.first_chunk::<2>()?;
        let len = usize::from(h[1]) * 8;
        if len == 0 {
            return None;
        }
        let (option, behind) = rest.split_at_checked(len)?;
        if h[0] == wanted {
            let mac = Mac(get::<2, 6, LINK_OPTION_LEN>(option.try_into().ok()?));
            if mac.is_group() || mac == Mac::ZERO {
                return None;
            }
            found = Some(mac);
        }
        rest = behind;
    }
    Some(found)
}

/// Asks who has `target`, in the name of `src` at `link.src`. With `link.dst` a group
/// ([`LinkOut::solicited_node`]) it goes to the solicited-node address, otherwise to `target` itself (to confirm
/// a known neighbour, RFC 4861 7.3.3). An unspecified `src` makes it a probe for duplicates (RFC 4862 5.4.2).
///
/// Returns false (frame emptied) when the chunk is too small.
#[must_use]
pub fn ndp_solicitation(frame: &mut Frame, link: &LinkOut, src: Addr, target: Addr) -> bool {
    let dst = if link.dst.is_group() { target.solicited_node() } else { target };
    let link_addr = (src != Addr::UNSPECIFIED_V6).then_some(link.src);
    let ndp = Ndp { is_solicitation: true, src, dst, target, link_addr, solicited: false, override_flag: false };
    message(frame, link, &ndp)
}

/// Tells `dst` that `target` (an address of ours) is at `link.src`, overriding what it knew. Marked as solicited
/// when `dst` is one host and not a group.
///
/// Returns false (frame emptied) when the chunk is too small.
#[must_use]
pub fn ndp_advertisement(frame: &mut Frame, link: &LinkOut, target: Addr, dst: Addr) -> bool {
    let ndp = Ndp {
        is_solicitation: false,
        src: target,
        dst,
        target,
        link_addr: Some(link.src),
        solicited: dst.is_unicast(),
        override_flag: true,
    };
    message(frame, link, &ndp)
}

/// Answers a received solicitation that arrived with `info`: its target is at `mac`. A probe for duplicates is
/// answered to all nodes (RFC 4861 7.2.4).
///
/// Returns false (frame emptied) when the chunk is too small.
#[must_use]
pub fn ndp_reply(frame: &mut Frame, info: &LinkInfo, mac: Mac, solicitation: &Ndp) -> bool {
    let (dst, dst_mac) = match solicitation.src == Addr::UNSPECIFIED_V6 {
        true => (ALL_NODES, Mac::for_ipv6_group(&ALL_NODES)),
        false => (solicitation.src, solicitation.link_addr.unwrap_or(info.src)),
    };
    let link = LinkOut { src: mac, dst: dst_mac, vlan: info.vlan };
    ndp_advertisement(frame, &link, solicitation.target, dst)
}

#[must_use]
fn message(frame: &mut Frame, link: &LinkOut, ndp: &Ndp) -> bool {
    let len = MESSAGE_LEN + if ndp.link_addr.is_some() { LINK_OPTION_LEN } else { 0 };
    if !room_for(frame, eth::header_len(link.vlan) + ipv6::HEADER_LEN + len) {
        return false;
    }
    let datagram = eth::write(frame.bytes_mut(), link, eth::TYPE_IPV6);
    let ip = IpFields { diffserv: 0, hop_limit: HOP_LIMIT };
    let body = datagram.and_then(|out| ipv6::write(out, &ndp.src, &ndp.dst, PROTOCOL_V6, len, ip));
    body.and_then(|(out, addresses)| write(out, ndp, addresses)).is_some()
}

fn write(out: &mut [u8], ndp: &Ndp, addresses: Sum) -> Option<()> {
    let pseudo = addresses.u32(out.len() as u32).u16(u16::from(PROTOCOL_V6));
    let (h, options) = out.split_first_chunk_mut::<MESSAGE_LEN>()?;
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    let (kind, option) = match ndp.is_solicitation {
        true => (SOLICITATION, SOURCE_LINK_ADDR),
        false => (ADVERTISEMENT, TARGET_LINK_ADDR),
    };
    put::<0, 4, _>(h, [kind, 0, 0, 0]);
    put::<4, 4, _>(h, [flag(ndp.solicited, FLAG_SOLICITED) | flag(ndp.override_flag, FLAG_OVERRIDE), 0, 0, 0]);
    put::<8, 16, _>(h, ndp.target.0);
    if let (Some(mac), Some(o)) = (ndp.link_addr, options.first_chunk_mut::<LINK_OPTION_LEN>()) {
        put::<0, 2, _>(o, [option, (LINK_OPTION_LEN / 8) as u8]);
        put::<2, 6, _>(o, mac.0);
    }
    let sum = pseudo.bytes(h).bytes(options).finish();
    put::<2, 2, _>(h, sum);
    Some(())
}
