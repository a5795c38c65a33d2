//! Copies of frames: between pools, and with the checksum that a device would have filled in.

use crate::base::frame::chain::PARTS_MAX;
use crate::base::{Frame, FramePool};
use crate::wire::checksum::Sum;

/// A new frame of `pool` with these bytes, in parts where a chunk is too small for them; `None` when the pool is exhausted
/// or a packet has not so many parts.
pub fn copy_bytes(bytes: &[u8], pool: &mut FramePool) -> Option<Frame> {
    copy_in_parts(bytes, PARTS_MAX, pool)
}

fn copy_in_parts(bytes: &[u8], parts_max: usize, pool: &mut FramePool) -> Option<Frame> {
    let mut frame = pool.alloc()?;
    let (here, behind) = bytes.split_at(bytes.len().min(frame.room_bytes()));
    if frame.set_len(here.len()) {
        frame.bytes_mut().copy_from_slice(here);
    }
    if behind.is_empty() {
        return Some(frame);
    }
    let rest = if parts_max > 1 { copy_in_parts(behind, parts_max - 1, pool) } else { None };
    join(frame, rest, pool)
}

/// `frame` with `rest` behind it; without a rest there is no packet.
fn join(mut frame: Frame, rest: Option<Frame>, pool: &mut FramePool) -> Option<Frame> {
    let refused = match rest {
        Some(rest) => frame.append(rest).err(),
        None => {
            pool.free(frame);
            return None;
        }
    };
    match refused {
        None => Some(frame),
        Some(rest) => {
            pool.free(rest);
            pool.free(frame);
            None
        }
    }
}

/// A copy of `frame` in `pool`, in the same parts; `None` when the pool is exhausted or its chunks are too small.
pub fn copy_frame(frame: &Frame, pool: &mut FramePool) -> Option<Frame> {
    let copy = copy_in_parts(frame.bytes(), 1, pool)?;
    match frame.rest() {
        None => Some(copy),
        Some(rest) => {
            let rest = copy_frame(rest, pool);
            join(copy, rest, pool)
        }
    }
}

/// What the wire would carry: a copy of `frame` in `pool`, a pending checksum request carried out.
pub fn copy_as_sent(frame: &Frame, pool: &mut FramePool) -> Option<Frame> {
    let mut copy = copy_frame(frame, pool)?;
    if let Some((start, offset)) = frame.checksum_request() {
        complete_checksum_of(&mut copy, start, offset);
    }
    Some(copy)
}

/// As [`complete_checksum`], for a frame that may have parts.
pub fn complete_checksum_of(frame: &mut Frame, start: u16, offset: u16) {
    let Some(first) = frame.bytes().get(usize::from(start)..) else { return };
    let mut sum = Sum::ZERO.bytes_at(0, first);
    let mut at = first.len();
    for part in frame.parts().skip(1) {
        sum = sum.bytes_at(at, part.bytes());
        at += part.len();
    }
    let place = usize::from(start) + usize::from(offset);
    if let Some(field) = frame.bytes_mut().get_mut(place..place + 2) {
        field.copy_from_slice(&sum.finish());
    }
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
        assert_eq!(pool.available(), 1);
        let copy = copy_bytes(&[7; 60], &mut pool).unwrap();
        assert!(copy_bytes(&[7; 60], &mut pool).is_none());
        assert_eq!(copy.bytes(), [7; 60]);
        pool.free(copy);
        assert_eq!(pool.available(), 1);
    }

    #[test]
    fn bytes_that_fill_several_chunks_come_back_in_order_and_with_one_checksum() {
        let bytes: Vec<u8> = (0..5000u32).map(|i| (i * 7 % 251) as u8).collect();
        let mut pool = FramePool::heap(8, 2048);
        for len in [1983, 1984, 1985, 3969, 5000] {
            let mut packet = copy_bytes(&bytes[..len], &mut pool).unwrap();
            packet.request_checksum(14, 6);
            let copy = copy_as_sent(&packet, &mut pool).unwrap();
            let got: Vec<u8> = copy.parts().flat_map(|part| part.bytes()).copied().collect();
            let mut want = bytes[..len].to_vec();
            complete_checksum(&mut want, 14, 6);
            assert!(got == want, "{len} bytes");
            [packet, copy].into_iter().for_each(|frame| pool.free(frame));
            assert_eq!(pool.available(), 8);
        }
        assert!(copy_bytes(&[0; 4 * 1984 + 1], &mut pool).is_none());
        assert_eq!(pool.available(), 8);
    }
}
