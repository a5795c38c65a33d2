//! Copies of frames: between pools, and with the checksum that a device would have filled in.

use crate::base::{Frame, FramePool};
use crate::wire::checksum::Sum;

/// A new frame of `pool` with these bytes; `None` when the pool is exhausted or its chunks are too small.
pub fn copy_bytes(bytes: &[u8], pool: &mut FramePool) -> Option<Frame> {
    let mut frame = pool.alloc()?;
    if !frame.set_len(bytes.len()) {
        pool.free(frame);
        return None;
    }
    frame.bytes_mut().copy_from_slice(bytes);
    Some(frame)
}

/// What the wire would carry: a copy of `frame` in `pool`, a pending checksum request carried out.
pub fn copy_as_sent(frame: &Frame, pool: &mut FramePool) -> Option<Frame> {
    let mut copy = copy_bytes(frame.bytes(), pool)?;
    if let Some((start, offset)) = frame.checksum_request() {
        complete_checksum(copy.bytes_mut(), start, offset);
    }
    Some(copy)
}

/// Does in software what [`Frame::request_checksum`] asks of the device: the Internet checksum (RFC 1071) of
/// `bytes[start..]`, whose checksum field at `start + offset` holds the pseudo-header sum, is stored in that
/// field. Does nothing when the field lies outside.
pub fn complete_checksum(bytes: &mut [u8], start: u16, offset: u16) {
    let (start, offset) = (usize::from(start), usize::from(offset));
    let Some(covered) = bytes.get_mut(start..) else { return };
    let sum = Sum::ZERO.bytes(covered).finish();
    if let Some(field) = covered.get_mut(offset..offset + 2) {
        field.copy_from_slice(&sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_completed_checksum_makes_the_sum_over_pseudo_header_and_segment_all_ones() {
        // The pseudo-header is two arbitrary words here; its sum stands in the field at offset 4.
        let pseudo = [0x12, 0x34, 0xab, 0xcd];
        for len in [9usize, 10, 63] {
            let mut bytes: Vec<u8> = (0..len as u8).map(|i| i.wrapping_mul(37)).collect();
            bytes[6..8].copy_from_slice(&Sum::ZERO.bytes(&pseudo).unfinished());
            complete_checksum(&mut bytes, 2, 4);
            let whole = [&pseudo[..], &bytes[2..]].concat();
            assert!(Sum::ZERO.bytes(&whole).is_valid());
        }
    }

    #[test]
    fn a_request_outside_the_frame_changes_nothing() {
        let mut bytes = [1u8, 2, 3, 4];
        complete_checksum(&mut bytes, 5, 0);
        complete_checksum(&mut bytes, 2, 1);
        complete_checksum(&mut bytes, u16::MAX, u16::MAX);
        assert_eq!(bytes, [1, 2, 3, 4]);
    }

    #[test]
    fn a_copy_that_finds_no_room_costs_no_frame() {
        let mut pool = FramePool::heap(1, 2048);
        assert!(copy_bytes(&[0; 2048], &mut pool).is_none());
        let copy = copy_bytes(&[7; 60], &mut pool).unwrap();
        assert!(copy_bytes(&[7; 60], &mut pool).is_none());
        assert_eq!(copy.bytes(), [7; 60]);
        pool.free(copy);
        assert_eq!(pool.available(), 1);
    }
}
