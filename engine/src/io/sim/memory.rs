//! A link without any cost of its own: frames change hands, bytes stay where they are.
//!
//! For benches that measure two shards and nothing else. Both ends use one arena: one pool for both (one thread),
//! or two pools of `FramePool::split`. No delay, no loss, no bound but memory; a pending checksum request stays
//! pending, so the ends compute checksums in full or do not verify them.

use super::link::End;
use crate::base::Frame;

#[derive(Default)]
pub struct MemoryLink {
    /// Indexed by the receiving end.
    queues: [Vec<Frame>; 2],
}

impl MemoryLink {
    pub fn new() -> MemoryLink {
        MemoryLink::default()
    }

    /// Takes all frames of `tx`.
    #[inline]
    pub fn send(&mut self, from: End, tx: &mut Vec<Frame>) {
        let queue = &mut self.queues[from.other() as usize];
        if queue.is_empty() {
            std::mem::swap(queue, tx);
        } else {
            queue.append(tx);
        }
    }

    /// Hands over all that was sent to this end.
    #[inline]
    pub fn receive(&mut self, at: End, rx: &mut Vec<Frame>) -> usize {
        let queue = &mut self.queues[at as usize];
        let came = queue.len();
        if rx.is_empty() {
            std::mem::swap(queue, rx);
        } else {
            rx.append(queue);
        }
        came
    }

    pub fn is_empty(&self) -> bool {
        self.queues.iter().all(Vec::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::FramePool;

    #[test]
    fn frames_change_ends_in_order_and_keep_their_chunk() {
        let mut pool = FramePool::heap(8, 2048);
        let (mut link, mut rx) = (MemoryLink::new(), Vec::new());
        let mut sent = Vec::new();
        for burst in [3usize, 2] {
            let mut tx: Vec<Frame> = (0..burst).map_while(|_| pool.alloc()).collect();
            sent.extend(tx.iter().map(Frame::index));
            link.send(End::A, &mut tx);
            assert!(tx.is_empty());
        }
        assert_eq!(link.receive(End::A, &mut rx), 0);
        assert_eq!(link.receive(End::B, &mut rx), 5);
        assert_eq!(rx.iter().map(Frame::index).collect::<Vec<_>>(), sent);
        assert!(link.is_empty());
        rx.drain(..).for_each(|f| pool.free(f));
        assert_eq!(pool.available(), 8);
    }
}
