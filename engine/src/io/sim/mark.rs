//! Congestion marks, as a router sets them (RFC 3168 section 5).

use crate::wire::checksum::update;

const CE: u8 = 3;

/// Marks the datagram of an untagged frame, if its sender is capable of heeding that. False: it is not, or has the mark.
pub fn mark(bytes: &mut [u8]) -> bool {
    match bytes {
        [_, _, _, _, _, _, _, _, _, _, _, _, 8, 0, ip @ ..] => mark_v4(ip),
        [_, _, _, _, _, _, _, _, _, _, _, _, 0x86, 0xdd, ip @ ..] => mark_v6(ip),
        _ => false,
    }
}

fn mark_v4(ip: &mut [u8]) -> bool {
    let Some(header) = ip.first_chunk_mut::<20>() else { return false };
    if matches!(header[1] & CE, 0 | CE) {
        return false;
    }
    let old = u16::from_be_bytes([header[0], header[1]]);
    header[1] |= CE;
    let checksum = update(u16::from_be_bytes([header[10], header[11]]), old, old | u16::from(CE));
    [header[10], header[11]] = checksum.to_be_bytes();
    true
}

fn mark_v6(ip: &mut [u8]) -> bool {
    let Some(traffic_class) = ip.get_mut(1) else { return false };
    if matches!(*traffic_class >> 4 & CE, 0 | CE) {
        return false;
    }
    *traffic_class |= CE << 4;
    true
}
