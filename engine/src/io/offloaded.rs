//! Checksums that a sender left to a device which does not exist.
//!
//! Over a veth pair a kernel hands frames over with the pseudo-header's sum where the TCP or UDP checksum belongs, and a
//! note beside the frame that says so. The note gets lost on the way through AF_XDP, but the sum tells as much.

use super::copy::complete_checksum;
use crate::wire::Addr;
use crate::wire::checksum::{Sum, pseudo_header};

const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
/// 802.1Q and 802.1ad.
const ETHERTYPES_VLAN: [[u8; 2]; 2] = [[0x81, 0x00], [0x88, 0xa8]];
const VLAN_TAGS_MAX: usize = 2;
const PROTO_TCP: u8 = 6;
const PROTO_UDP: u8 = 17;

/// Where a transport header stands in a frame.
struct Transport {
    start: usize,
    /// Behind the last byte of the IP packet; what follows is padding.
    end: usize,
    /// Of the checksum field, from `start` on.
    field: usize,
    pseudo_header: Sum,
}

/// Fills in the checksum of a TCP segment or UDP datagram whose sender left that to its device. Anything else stays as it
/// is: a finished checksum that happens to equal the pseudo-header's sum is computed again, to the same number.
pub fn complete(frame: &mut [u8]) {
    let Some(Transport { start, end, field, pseudo_header }) = transport(frame) else { return };
    let Some(packet) = frame.get_mut(..end) else { return };
    if packet.get(start + field..start + field + 2) == Some(&pseudo_header.unfinished()) {
        complete_checksum(packet, start as u16, field as u16);
    }
}

fn transport(frame: &[u8]) -> Option<Transport> {
    let mut at = 12;
    for _ in 0..VLAN_TAGS_MAX {
        if ETHERTYPES_VLAN.contains(&array(frame, at)?) {
            at += 4;
        }
    }
    let ip = at + 2;
    let (protocol, start, end, [src, dst]) = match array(frame, at)? {
        ETHERTYPE_IPV4 => {
            let [version_and_words] = array(frame, ip)?;
            // A fragment has no checksum of its own.
            if number(frame, ip + 6)? & 0x3fff != 0 {
                return None;
            }
            let addresses = [Addr::v4(array(frame, ip + 12)?), Addr::v4(array(frame, ip + 16)?)];
            let [protocol] = array(frame, ip + 9)?;
            (protocol, ip + 4 * usize::from(version_and_words & 15), ip + number(frame, ip + 2)?, addresses)
        }
        ETHERTYPE_IPV6 => {
            let addresses = [Addr(array(frame, ip + 8)?), Addr(array(frame, ip + 24)?)];
            let [protocol] = array(frame, ip + 6)?;
            (protocol, ip + 40, ip + 40 + number(frame, ip + 4)?, addresses)
        }
        _ => return None,
    };
    let field = match protocol {
        PROTO_TCP => 16,
        PROTO_UDP => 6,
        _ => return None,
    };
    let len = u32::try_from(end.checked_sub(start)?).ok()?;
    Some(Transport { start, end, field, pseudo_header: pseudo_header(&src, &dst, protocol, len) })
}

fn array<const N: usize>(frame: &[u8], at: usize) -> Option<[u8; N]> {
    frame.get(at..at + N)?.try_into().ok()
}

fn number(frame: &[u8], at: usize) -> Option<usize> {
    array(frame, at).map(|b| usize::from(u16::from_be_bytes(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with `payload` bytes behind a TCP or UDP header, padded to 60 bytes, the checksum left to a device.
    fn left_open(v4: bool, protocol: u8, payload: usize, tags: usize) -> Vec<u8> {
        let header = if protocol == PROTO_TCP { 20 } else { 8 };
        let len = header + payload;
        let mut f = vec![2; 12];
        (0..tags).for_each(|_| f.extend([0x81, 0, 0, 5]));
        let addresses = if v4 {
            f.extend([8, 0, 0x45, 0, 0, 20 + len as u8, 0, 0, 0x40, 0, 64, protocol, 0, 0]);
            f.extend([198, 18, 0, 1, 198, 18, 0, 2]);
            [Addr::v4([198, 18, 0, 1]), Addr::v4([198, 18, 0, 2])]
        } else {
            f.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, len as u8, protocol, 64]);
            f.extend([[0x20; 16], [0x21; 16]].concat());
            [Addr([0x20; 16]), Addr([0x21; 16])]
        };
        let start = f.len();
        f.extend((0..len).map(|i| (i * 37) as u8));
        let field = start + if protocol == PROTO_TCP { 16 } else { 6 };
        let sum = pseudo_header(&addresses[0], &addresses[1], protocol, len as u32);
        f[field..field + 2].copy_from_slice(&sum.unfinished());
        f.resize(f.len().max(60), 0);
        f
    }

    fn is_valid(frame: &[u8]) -> bool {
        let t = transport(frame).unwrap();
        t.pseudo_header.bytes(&frame[t.start..t.end]).is_valid()
    }

    #[test]
    fn a_checksum_left_to_a_device_is_filled_in_and_a_finished_one_left_alone() {
        for (v4, protocol, payload, tags) in
            [(true, 6, 0, 0), (true, 6, 99, 1), (true, 17, 7, 0), (false, 6, 100, 0), (false, 17, 1, 2)]
        {
            let mut frame = left_open(v4, protocol, payload, tags);
            assert!(!is_valid(&frame));
            complete(&mut frame);
            assert!(is_valid(&frame), "{v4} {protocol} {payload} {tags}");
            let finished = frame.clone();
            complete(&mut frame);
            assert_eq!(frame, finished);
        }
    }

    #[test]
    fn damage_is_never_repaired() {
        let mut frame = left_open(true, 6, 50, 0);
        complete(&mut frame);
        frame[60] ^= 4;
        let damaged = frame.clone();
        complete(&mut frame);
        assert_eq!(frame, damaged);
        assert!(!is_valid(&frame));
    }

    #[test]
    fn fragments_strange_lengths_and_cut_frames_stay_as_they_are() {
        let whole = left_open(true, 6, 50, 0);
        let with = |at: usize, byte: u8| {
            let mut f = whole.clone();
            f[at] = byte;
            f
        };
        let cut = (0..whole.len()).map(|len| whole[..len].to_vec());
        for frame in [with(20, 0x20), with(16, 0xff), with(17, 1), with(23, 1), with(13, 6)].into_iter().chain(cut) {
            let mut touched = frame.clone();
            complete(&mut touched);
            assert_eq!(touched, frame);
        }
    }
}
