//! Packets that are larger than a chunk: a frame with the rest of the packet behind it.
//!
//! The next frame stands, as the token it is, in the first bytes of the chunk of the frame before, where no packet begins:
//! so a packet is one [`Frame`] to whoever moves it, and only who reads or writes its bytes has to know about parts.
//! [`FramePool::free`] gives the whole packet back.

use super::{Frame, FramePool};
use core::mem::size_of;

/// Frames of one packet at most.
pub const PARTS_MAX: usize = 4;

/// Where the next frame stands in a chunk, no packet may begin.
const LINK_BYTES: u16 = size_of::<Frame>() as u16;

const _: () = assert!(LINK_BYTES == 24);

impl Frame {
    /// More of the packet stands in another chunk.
    #[inline(always)]
    pub fn has_more(&self) -> bool {
        self.more != 0
    }

    /// The frame behind this one.
    pub fn rest(&self) -> Option<&Frame> {
        // SAFETY: `more` says that `append` has written a frame there, aligned, in front of the bytes that `bytes` and
        // `bytes_mut` give away. It lives and is lent out as long as this frame.
        self.has_more().then(|| unsafe { self.chunk.cast::<Frame>().as_ref() })
    }

    /// As [`Frame::rest`], to change it.
    pub fn rest_mut(&mut self) -> Option<&mut Frame> {
        // SAFETY: as in `rest`; `&mut self` makes it exclusive.
        self.has_more().then(|| unsafe { self.chunk.cast::<Frame>().as_mut() })
    }

    /// Cuts off what is behind this frame.
    pub fn take_rest(&mut self) -> Option<Frame> {
        let more = core::mem::take(&mut self.more);
        // SAFETY: as in `rest`; with `more` taken back, nobody reads it there again.
        (more != 0).then(|| unsafe { self.chunk.cast::<Frame>().read() })
    }

    /// Puts `rest` behind this frame.
    ///
    /// # Errors
    /// `rest` itself: there is something behind already, or the packet begins where it would have to stand.
    pub fn append(&mut self, rest: Frame) -> Result<(), Frame> {
        if self.has_more() || self.start < LINK_BYTES || !self.chunk.cast::<Frame>().is_aligned() {
            return Err(rest);
        }
        // SAFETY: the chunk is ours and the place is aligned and inside it (`start` is), in front of the packet's bytes.
        unsafe { self.chunk.cast::<Frame>().write(rest) };
        self.more = 1;
        Ok(())
    }

    /// This frame and those behind it.
    pub fn parts(&self) -> impl Iterator<Item = &Frame> + Clone {
        std::iter::successors(Some(self), |frame| frame.rest())
    }

    /// Length of the whole packet.
    pub fn packet_bytes(&self) -> usize {
        self.parts().map(Frame::len).sum()
    }
}

impl FramePool {
    /// Gives back what is behind `frame`.
    #[cold]
    pub(super) fn free_rest(&mut self, frame: &mut Frame) {
        let mut rest = frame.take_rest();
        while let Some(mut part) = rest {
            rest = part.take_rest();
            self.free(part);
        }
    }

    /// One packet of these frames, first to last. `None`, and all of them given back, when there are none or too many, or
    /// one has no room in front.
    pub fn chain(&mut self, frames: &mut Vec<Frame>) -> Option<Frame> {
        if frames.len() > PARTS_MAX {
            frames.drain(..).for_each(|frame| self.free(frame));
        }
        let mut rest = frames.pop()?;
        while let Some(mut frame) = frames.pop() {
            if let Err(refused) = frame.append(rest) {
                self.free(refused);
                self.free(frame);
                frames.drain(..).for_each(|frame| self.free(frame));
                return None;
            }
            rest = frame;
        }
        Some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::frame::TX_HEADROOM_BYTES;

    fn filled(pool: &mut FramePool, byte: u8) -> Frame {
        let mut frame = pool.alloc().unwrap();
        assert!(frame.set_len(frame.room_bytes()));
        frame.bytes_mut().fill(byte);
        frame
    }

    #[test]
    fn a_packet_of_several_frames_travels_as_one_and_all_of_it_comes_home() {
        let mut pool = FramePool::heap(4, 2048);
        let mut frames: Vec<Frame> = (0..4).map(|i| filled(&mut pool, i)).collect();
        let packet = pool.chain(&mut frames).unwrap();
        let part_bytes = 2048 - usize::from(TX_HEADROOM_BYTES);
        assert_eq!((packet.parts().count(), packet.packet_bytes()), (4, 4 * part_bytes));
        for (part, byte) in packet.parts().zip(0..) {
            assert!(part.bytes().iter().all(|b| *b == byte), "the link stands outside the packet");
        }
        assert_eq!(pool.available(), 0);
        pool.free(packet);
        assert_eq!(pool.available(), 4);
    }

    #[test]
    fn what_cannot_be_one_packet_goes_back_to_the_pool() {
        let mut pool = FramePool::heap(8, 2048);
        let mut too_many: Vec<Frame> = (0..5).map(|i| filled(&mut pool, i)).collect();
        assert!(pool.chain(&mut too_many).is_none() && too_many.is_empty());
        let mut without_room = vec![filled(&mut pool, 0), pool.alloc_at(LINK_BYTES - 1).unwrap(), filled(&mut pool, 2)];
        assert!(pool.chain(&mut without_room).is_none() && without_room.is_empty());
        assert_eq!(pool.available(), 8);
    }

    #[test]
    fn the_rest_can_be_cut_off_once() {
        let mut pool = FramePool::heap(3, 2048);
        let (mut head, rest) = (filled(&mut pool, 1), filled(&mut pool, 2));
        assert!(head.append(rest).is_ok());
        let third = filled(&mut pool, 3);
        let refused = head.append(third).unwrap_err();
        head.rest_mut().unwrap().bytes_mut().fill(7);
        let rest = head.take_rest().unwrap();
        assert!(rest.bytes().iter().all(|b| *b == 7));
        assert!(head.take_rest().is_none() && head.rest().is_none());
        [head, rest, refused].into_iter().for_each(|frame| pool.free(frame));
        assert_eq!(pool.available(), 3);
    }
}
