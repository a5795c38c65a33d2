//! Ethernet II with up to two VLAN tags (IEEE 802.1Q, and 802.1ad for the outer of two).
//!
//! A tag with VLAN id 0 carries only a priority and counts as none (802.1Q 6.9.1). Sent frames carry 0x8100 when
//! there is one tag, and 0x88a8 outside 0x8100 when there are two; what the peer used outside is not remembered.

use super::Mac;
use super::emit::LinkOut;
use super::field::{get, put, u16_at};
use super::parse::{LinkInfo, VlanTags};
use crate::base::DropReason;

pub(super) const TYPE_IPV4: u16 = 0x0800;
pub(super) const TYPE_ARP: u16 = 0x0806;
pub(super) const TYPE_IPV6: u16 = 0x86dd;
const TYPE_8021Q: u16 = 0x8100;
const TYPE_8021AD: u16 = 0x88a8;
/// What switches used outside before 802.1ad.
const TYPE_QINQ_OLD: u16 = 0x9100;
const VLAN_ID_MASK: u16 = 0x0fff;

/// A frame's link header, and what follows it.
pub(super) struct Link<'a> {
    header: &'a [u8; 14],
    vlan: VlanTags,
    pub ether_type: u16,
    /// Where `body` begins in the frame.
    pub len: usize,
    pub body: &'a [u8],
}

impl Link<'_> {
    /// What a reply needs.
    #[inline(always)]
    pub fn info(&self) -> LinkInfo {
        let (dst, src) = (Mac(get::<0, 6, _>(self.header)), Mac(get::<6, 6, _>(self.header)));
        LinkInfo { src, dst, vlan: self.vlan }
    }
}

/// Reads the link header.
///
/// # Errors
/// `FrameTooShort`; `EtherTypeUnknown` for a third tag.
#[inline(always)]
pub(super) fn parse(bytes: &[u8]) -> Result<Link<'_>, DropReason> {
    let (header, body) = bytes.split_first_chunk::<14>().ok_or(DropReason::FrameTooShort)?;
    let ether_type = u16_at::<12, _>(header);
    if !is_tag(ether_type) {
        return Ok(Link { header, vlan: VlanTags::default(), ether_type, len: header.len(), body });
    }
    let (vlan, ether_type, body) = untag(body)?;
    Ok(Link { header, vlan, ether_type, len: bytes.len() - body.len(), body })
}

#[inline(always)]
fn is_tag(ether_type: u16) -> bool {
    matches!(ether_type, TYPE_8021Q | TYPE_8021AD | TYPE_QINQ_OLD)
}

/// Takes one or two tags off `body`, which begins behind the first tag's ethertype.
#[inline(never)]
fn untag(body: &[u8]) -> Result<(VlanTags, u16, &[u8]), DropReason> {
    let mut vlan = VlanTags::default();
    let mut body = body;
    for _ in 0..2 {
        let (tag, rest) = body.split_first_chunk::<4>().ok_or(DropReason::FrameTooShort)?;
        let id = u16_at::<0, _>(tag) & VLAN_ID_MASK;
        if id != 0 {
            vlan.ids[usize::from(vlan.count & 1)] = id;
            vlan.count += 1;
        }
        body = rest;
        let ether_type = u16_at::<2, _>(tag);
        if !is_tag(ether_type) {
            return Ok((vlan, ether_type, body));
        }
    }
    Err(DropReason::EtherTypeUnknown)
}

/// Bytes that [`write`] takes.
#[inline(always)]
pub(super) fn header_len(vlan: VlanTags) -> usize {
    14 + 4 * usize::from(vlan.count.min(2))
}

/// Writes the link header and returns what follows it; `None` if it does not fit.
#[inline(always)]
pub(super) fn write<'a>(out: &'a mut [u8], link: &LinkOut, ether_type: u16) -> Option<&'a mut [u8]> {
    if link.vlan.count > 0 {
        return write_tagged(out, link, ether_type);
    }
    let (h, rest) = out.split_first_chunk_mut::<14>()?;
    put::<0, 6, _>(h, link.dst.0);
    put::<6, 6, _>(h, link.src.0);
    put::<12, 2, _>(h, ether_type.to_be_bytes());
    Some(rest)
}

#[inline(never)]
fn write_tagged<'a>(out: &'a mut [u8], link: &LinkOut, ether_type: u16) -> Option<&'a mut [u8]> {
    put_addresses(out, link.dst, link.src);
    let [outer, inner] = link.vlan.ids.map(|id| (id & VLAN_ID_MASK).to_be_bytes());
    let tags = [(TYPE_8021AD, outer), (TYPE_8021Q, inner)];
    let tags = if link.vlan.count == 1 { &[(TYPE_8021Q, outer)][..] } else { &tags[..] };
    let mut rest = out.get_mut(12..)?;
    for (tag_type, tag) in tags {
        let (h, behind) = rest.split_first_chunk_mut::<4>()?;
        put::<0, 2, _>(h, tag_type.to_be_bytes());
        put::<2, 2, _>(h, *tag);
        rest = behind;
    }
    let (h, rest) = rest.split_first_chunk_mut::<2>()?;
    *h = ether_type.to_be_bytes();
    Some(rest)
}

/// Replaces the addresses of a whole frame; its tags stay.
pub(super) fn put_addresses(frame: &mut [u8], dst: Mac, src: Mac) {
    if let Some(h) = frame.first_chunk_mut::<12>() {
        put::<0, 6, _>(h, dst.0);
        put::<6, 6, _>(h, src.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Tag = (u16, u16);

    fn tagged(tags: &[Tag]) -> Vec<u8> {
        let mut f = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        for (ether_type, tci) in tags {
            f.extend_from_slice(&ether_type.to_be_bytes());
            f.extend_from_slice(&tci.to_be_bytes());
        }
        f.extend_from_slice(&TYPE_IPV4.to_be_bytes());
        f.push(0x45);
        f
    }

    #[test]
    fn every_tag_type_is_taken_off_and_the_priority_ignored() {
        let cases: &[(&[Tag], u8, [u16; 2])] = &[
            (&[], 0, [0, 0]),
            (&[(0x8100, 0xe064)], 1, [100, 0]),
            (&[(0x88a8, 100)], 1, [100, 0]),
            (&[(0x9100, 100)], 1, [100, 0]),
            (&[(0x88a8, 100), (0x8100, 0x6fff)], 2, [100, 0xfff]),
            (&[(0x9100, 100), (0x8100, 7)], 2, [100, 7]),
            (&[(0x8100, 100), (0x8100, 7)], 2, [100, 7]),
            (&[(0x8100, 0xe000)], 0, [0, 0]),
            (&[(0x8100, 0), (0x8100, 7)], 1, [7, 0]),
        ];
        for &(tags, count, ids) in cases {
            let bytes = tagged(tags);
            let link = parse(&bytes).unwrap_or_else(|r| panic!("{tags:x?}: {r:?}"));
            assert_eq!(link.info().vlan, VlanTags { count, ids }, "{tags:x?}");
            assert_eq!((link.ether_type, link.body), (TYPE_IPV4, &[0x45][..]), "{tags:x?}");
            assert_eq!(link.info().dst, Mac([2, 0, 0, 0, 0, 1]));
            assert_eq!(link.info().src, Mac([2, 0, 0, 0, 0, 2]));
        }
    }

    #[test]
    fn a_third_tag_is_not_understood() {
        let bytes = tagged(&[(0x88a8, 1), (0x8100, 2), (0x8100, 3)]);
        assert_eq!(parse(&bytes).err(), Some(DropReason::EtherTypeUnknown));
    }

    #[test]
    fn tags_are_written_as_802_1q_and_802_1ad_say() {
        for (vlan, want) in [
            (VlanTags::default(), vec![]),
            (VlanTags { count: 1, ids: [100, 0] }, vec![(0x8100, 100)]),
            (VlanTags { count: 1, ids: [0xf064, 0] }, vec![(0x8100, 100)]),
            (VlanTags { count: 2, ids: [100, 7] }, vec![(0x88a8, 100), (0x8100, 7)]),
        ] {
            let link = LinkOut { src: Mac([2, 0, 0, 0, 0, 2]), dst: Mac([2, 0, 0, 0, 0, 1]), vlan };
            let mut out = vec![0x45; header_len(vlan) + 1];
            assert_eq!(write(&mut out, &link, TYPE_IPV4).map(|rest| rest.len()), Some(1));
            assert_eq!(out, tagged(&want));
            out.truncate(header_len(vlan) - 1);
            assert!(write(&mut out, &link, TYPE_IPV4).is_none());
        }
    }
}
