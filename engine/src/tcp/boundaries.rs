//! Places in the stream that no segment reaches across (MSG_EOR): what is queued behind one never shares a segment with what
//! stands before it, however often either is sent, and however large segments are by then. Records of what is under way
//! need no such care: a segment that was sent once is sent again as it was.

use crate::wire::Seq;
use std::collections::VecDeque;

/// The boundaries of one connection, in the order of the stream.
#[derive(Default, Debug)]
pub struct Boundaries(VecDeque<Seq>);

impl Boundaries {
    /// So many of them may lie in what is not acknowledged.
    pub const LIMIT: usize = 1024;

    /// How many lie beyond `una`, before which everything is acknowledged.
    pub fn count(&self, una: Seq) -> usize {
        self.0.len() - self.first_beyond(una)
    }

    /// Those up to `una` part nothing any more. True: others do.
    pub fn release(&mut self, una: Seq) -> bool {
        self.0.drain(..self.first_beyond(una));
        !self.0.is_empty()
    }

    /// A boundary where the queue ends. Two in the same place are one.
    pub fn push(&mut self, end: Seq) {
        if self.0.back() != Some(&end) {
            self.0.push_back(end);
        }
    }

    /// How many of the `waiting` bytes from number `seq` on may share a segment.
    pub fn joinable(&self, seq: Seq, waiting: u32) -> u32 {
        self.0.get(self.first_beyond(seq)).map_or(waiting, |end| end.since(seq).min(waiting))
    }

    fn first_beyond(&self, seq: Seq) -> usize {
        self.0.partition_point(|end| end.at_or_before(seq))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_share_a_segment_up_to_the_next_boundary() {
        let mut b = Boundaries::default();
        assert_eq!(b.joinable(Seq(0), 77), 77);
        // The numbers come round in between.
        let first = Seq(u32::MAX - 99);
        for at in [100, 100, 150, 400] {
            b.push(first + at);
        }
        assert_eq!(b.count(first), 3);
        for (at, waiting, joinable) in
            [(0, 999, 100), (0, 60, 60), (99, 999, 1), (100, 999, 50), (150, 999, 250), (400, 9, 9)]
        {
            assert_eq!(b.joinable(first + at, waiting), joinable, "{at}");
        }
        assert!(b.release(first + 120));
        assert_eq!((b.count(first + 120), b.joinable(first + 120, 999)), (2, 30));
        assert!(!b.release(first + 400));
        assert_eq!((b.count(first + 400), b.joinable(first + 400, 999)), (0, 999));
    }
}
