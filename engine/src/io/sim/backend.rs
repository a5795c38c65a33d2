//! A backend without a device: two virtual devices joined back to back, one or more queues each.
//!
//! Every queue may run in a thread of its own. A sent frame travels as a token over a lock-free ring; the
//! receiver copies the bytes into its own pool and sends the token back, as a driver in copy mode would. Like
//! veth, what queue q sends arrives at queue q of the peer (modulo its number of queues); [`SimIo::with_peer_rss`] makes
//! the peer a device that spreads by a hash. Lossless; for anything worse put a [`Fault`](crate::io::tap::Fault) around
//! an end.

use crate::base::{Backlog, Frame, FramePool};
use crate::io::copy::copy_as_sent;
use crate::io::{IoStats, PacketIo};
use crate::steering::Rss;
use crate::wire::parse::peek_tuple;
use core::time::Duration;
use crossbeam::queue::ArrayQueue;
use crossbeam::sync::{Parker, Unparker};
use std::sync::Arc;

/// A frame on its way, with the queue that it has to go home to.
struct Sent {
    frame: Frame,
    from: usize,
}

/// One queue of one end.
pub struct SimIo {
    pool: FramePool,
    me: usize,
    end: char,
    incoming: Arc<ArrayQueue<Sent>>,
    /// To each queue of the peer.
    outgoing: Vec<Way>,
    /// How the peer's device chooses among them; without it the number of this queue does.
    peer_rss: Option<Rss>,
    /// Own frames whose sending is done.
    done: Arc<ArrayQueue<Frame>>,
    /// Where the peer's queues collect theirs.
    peer_done: Vec<Arc<ArrayQueue<Frame>>>,
    parker: Parker,
    offload: bool,
    stats: IoStats,
}

/// The way to a queue of the peer.
struct Way {
    ring: Arc<ArrayQueue<Sent>>,
    waker: Unparker,
    needs_wakeup: bool,
}

/// The rings of one queue.
#[derive(Clone)]
struct RingPair {
    incoming: Arc<ArrayQueue<Sent>>,
    done: Arc<ArrayQueue<Frame>>,
}

/// One device while the two are put together.
struct Rings {
    rings: Vec<RingPair>,
    parkers: Vec<Parker>,
}

/// What one device needs of the other.
struct Face {
    rings: Vec<RingPair>,
    wakers: Vec<Unparker>,
}

impl Rings {
    fn new(pools: &[FramePool], ring_frames: usize) -> Rings {
        let ring = |pool: &FramePool| RingPair {
            incoming: Arc::new(ArrayQueue::new(ring_frames.max(1))),
            // A queue may send any frame of its arena, so this is enough for all of them: never full.
            done: Arc::new(ArrayQueue::new(pool.arena().chunks() as usize)),
        };
        Rings { rings: pools.iter().map(ring).collect(), parkers: pools.iter().map(|_| Parker::new()).collect() }
    }

    fn face(&self) -> Face {
        Face { rings: self.rings.clone(), wakers: self.parkers.iter().map(|p| p.unparker().clone()).collect() }
    }
}

impl Face {
    fn ways(&self) -> Vec<Way> {
        let way = |(ring, waker): (&RingPair, &Unparker)| Way {
            ring: ring.incoming.clone(),
            waker: waker.clone(),
            needs_wakeup: false,
        };
        self.rings.iter().zip(&self.wakers).map(way).collect()
    }
}

impl SimIo {
    /// Two ends with one queue and a pool of `frames` frames each.
    pub fn pair(frames: u32, chunk_bytes: u32, ring_frames: usize) -> (SimIo, SimIo) {
        let pools = || vec![FramePool::heap(frames, chunk_bytes)];
        let (mut a, mut b) = Self::devices(pools(), pools(), ring_frames);
        (a.remove(0), b.remove(0))
    }

    /// Two devices with a queue for each pool (at least one a side), rings of `ring_frames` frames.
    pub fn devices(a: Vec<FramePool>, b: Vec<FramePool>, ring_frames: usize) -> (Vec<SimIo>, Vec<SimIo>) {
        assert!(!a.is_empty() && !b.is_empty(), "a device has at least one queue");
        let (rings_a, rings_b) = (Rings::new(&a, ring_frames), Rings::new(&b, ring_frames));
        let (face_a, face_b) = (rings_a.face(), rings_b.face());
        (Self::queues('A', a, rings_a, &face_b), Self::queues('B', b, rings_b, &face_a))
    }

    fn queues(end: char, pools: Vec<FramePool>, own: Rings, peer: &Face) -> Vec<SimIo> {
        let queue = |(me, ((pool, ring), parker)): (usize, ((FramePool, RingPair), Parker))| SimIo {
            pool,
            me,
            end,
            incoming: ring.incoming,
            outgoing: peer.ways(),
            peer_rss: None,
            done: ring.done,
            peer_done: peer.rings.iter().map(|r| r.done.clone()).collect(),
            parker,
            offload: false,
            stats: IoStats::default(),
        };
        pools.into_iter().zip(own.rings).zip(own.parkers).enumerate().map(queue).collect()
    }

    /// Lets senders leave checksums to this device; the receiver's copy then gets the right one.
    pub fn with_checksum_offload(mut self) -> SimIo {
        self.offload = true;
        self
    }

    /// Lets the peer's device choose the queue of a TCP segment by its hash. Everything else arrives on its queue 0.
    pub fn with_peer_rss(mut self, rss: Rss) -> SimIo {
        self.peer_rss = Some(rss);
        self
    }

    /// The number of the peer's queue on which a frame will arrive.
    fn way_of(&self, frame: &Frame) -> usize {
        let Some(rss) = &self.peer_rss else { return self.me % self.outgoing.len() };
        let tuple = peek_tuple(frame.bytes());
        let queue = tuple.map_or(0, |(src, dst, src_port, dst_port)| rss.queue(&src, &dst, src_port, dst_port));
        usize::from(queue) % self.outgoing.len()
    }
}

impl PacketIo for SimIo {
    fn rx_burst(&mut self, rx: &mut Vec<Frame>) -> usize {
        let before = rx.len();
        while rx.len() < rx.capacity() {
            let Some(Sent { frame, from }) = self.incoming.pop() else { break };
            match copy_as_sent(&frame, &mut self.pool) {
                Some(copy) => rx.push(copy),
                None => self.stats.kernel_fill_ring_empty += 1,
            }
            let home = self.peer_done.get(from).is_some_and(|done| done.push(frame).is_ok());
            debug_assert!(home, "the ring home holds every frame of its arena");
        }
        let came = rx.len() - before;
        self.stats.rx_frames += came as u64;
        came
    }

    fn backlog(&self) -> Backlog {
        Backlog::of(self.incoming.len(), self.incoming.capacity())
    }

    fn tx_burst(&mut self, tx: &mut Vec<Frame>) -> usize {
        let room = |way: &Way| way.ring.capacity() - way.ring.len();
        let room = match self.peer_rss {
            None => room(&self.outgoing[self.me % self.outgoing.len()]),
            // Whichever they will take.
            Some(_) => self.outgoing.iter().map(room).min().unwrap_or(0),
        };
        let mut taken = 0;
        for frame in tx.drain(..room.min(tx.len())) {
            let way = self.way_of(&frame);
            let way = &mut self.outgoing[way];
            match way.ring.push(Sent { frame, from: self.me }) {
                Ok(()) => {
                    taken += 1;
                    way.needs_wakeup = true;
                }
                // Another queue of this device took the room in between: lost like in a full device queue.
                Err(Sent { frame, .. }) => {
                    self.stats.tx_refused += 1;
                    self.pool.free(frame);
                }
            }
        }
        self.stats.tx_frames += taken as u64;
        taken
    }

    fn reclaim(&mut self) {
        while let Some(frame) = self.done.pop() {
            self.pool.free(frame);
        }
    }

    fn kick(&mut self) {
        let mut woken = false;
        for way in self.outgoing.iter_mut().filter(|way| way.needs_wakeup) {
            way.needs_wakeup = false;
            way.waker.unpark();
            woken = true;
        }
        self.stats.kicks += u64::from(woken);
    }

    fn wait(&mut self, timeout: Duration) {
        if self.incoming.is_empty() {
            self.parker.park_timeout(timeout);
        }
    }

    fn pool(&mut self) -> &mut FramePool {
        &mut self.pool
    }

    fn stats(&self) -> IoStats {
        self.stats
    }

    fn describe(&self) -> String {
        format!("sim {}#{}", self.end, self.me)
    }

    fn checksum_offload(&self) -> bool {
        self.offload
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::frame::Arena;

    fn filled(io: &mut SimIo, first: u32, n: u32) -> Vec<Frame> {
        let mut frames = Vec::with_capacity(n as usize);
        for i in first..first + n {
            let Some(mut f) = io.pool().alloc() else { break };
            assert!(f.set_len(64));
            f.bytes_mut()[..4].copy_from_slice(&i.to_be_bytes());
            frames.push(f);
        }
        frames
    }

    fn number(f: &Frame) -> u32 {
        u32::from_be_bytes(f.bytes()[..4].try_into().unwrap())
    }

    #[test]
    fn frames_arrive_in_order_and_every_one_comes_home() {
        let (mut a, mut b) = SimIo::pair(8, 2048, 4);
        let mut tx = filled(&mut a, 0, 6);
        let mut rx = Vec::with_capacity(8);
        assert_eq!((a.tx_burst(&mut tx), tx.len()), (4, 2));
        assert_eq!(b.rx_burst(&mut rx), 4);
        assert_eq!(a.tx_burst(&mut tx), 2);
        assert_eq!(b.rx_burst(&mut rx), 2);
        assert_eq!(rx.iter().map(number).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
        rx.drain(..).for_each(|f| b.pool().free(f));
        a.reclaim();
        assert_eq!((a.pool().available(), b.pool().available()), (8, 8));
    }

    #[test]
    fn a_receiver_without_frames_loses_and_counts() {
        let (mut a, mut b) = SimIo::pair(4, 2048, 8);
        let mut tx = filled(&mut a, 0, 4);
        let held: Vec<Frame> = std::iter::from_fn(|| b.pool().alloc()).collect();
        assert_eq!(a.tx_burst(&mut tx), 4);
        assert_eq!(b.rx_burst(&mut Vec::with_capacity(8)), 0);
        assert_eq!(b.stats().kernel_fill_ring_empty, 4);
        held.into_iter().for_each(|f| b.pool().free(f));
        a.reclaim();
        assert_eq!(a.pool().available(), 4);
    }

    #[test]
    fn an_offloaded_checksum_arrives_complete() {
        let (a, mut b) = SimIo::pair(4, 2048, 8);
        let mut a = a.with_checksum_offload();
        let mut tx = filled(&mut a, 0x0102_0304, 1);
        tx[0].bytes_mut()[4..].fill(0);
        tx[0].request_checksum(2, 10);
        assert_eq!(a.tx_burst(&mut tx), 1);
        let mut rx = Vec::with_capacity(1);
        assert_eq!(b.rx_burst(&mut rx), 1);
        assert_eq!(rx[0].bytes()[12..14], (!0x0304u16).to_be_bytes());
        rx.drain(..).for_each(|f| b.pool().free(f));
    }

    #[test]
    fn each_queue_sends_to_the_queue_of_its_number() {
        let pools = |n| FramePool::split(Arena::heap(2048, 8 * n as u32), n);
        let (mut a, mut b) = SimIo::devices(pools(2), pools(2), 8);
        for q in 0..2u32 {
            let io = &mut a[q as usize];
            let mut tx = filled(io, 10 + q, 1);
            assert_eq!(io.tx_burst(&mut tx), 1);
        }
        for (q, io) in b.iter_mut().enumerate() {
            let mut rx = Vec::with_capacity(4);
            assert_eq!(io.rx_burst(&mut rx), 1);
            assert_eq!(number(&rx[0]), 10 + q as u32);
            rx.drain(..).for_each(|f| io.pool().free(f));
        }
        for io in a.iter_mut().chain(&mut b) {
            io.reclaim();
            assert_eq!(io.pool().available(), 8);
        }
    }

    #[test]
    fn both_ends_run_in_threads_of_their_own_and_lose_nothing() {
        const N: u32 = 20_000;
        let (mut a, mut b) = SimIo::pair(64, 2048, 16);
        let echo = std::thread::spawn(move || {
            let (mut rx, mut echoed) = (Vec::with_capacity(16), 0);
            while echoed < N {
                b.reclaim();
                if b.rx_burst(&mut rx) == 0 && rx.is_empty() {
                    b.wait(Duration::from_millis(1));
                }
                echoed += b.tx_burst(&mut rx) as u32;
                b.kick();
            }
            while b.pool().available() < b.pool().capacity() {
                b.reclaim();
                std::thread::yield_now();
            }
        });
        let (mut tx, mut rx, mut next, mut got) = (Vec::with_capacity(16), Vec::with_capacity(16), 0, 0);
        while got < N {
            a.reclaim();
            if tx.is_empty() {
                tx = filled(&mut a, next, (N - next).min(16));
                next += tx.len() as u32;
            }
            a.tx_burst(&mut tx);
            a.kick();
            if a.rx_burst(&mut rx) == 0 {
                a.wait(Duration::from_millis(1));
            }
            for f in rx.drain(..) {
                assert_eq!(number(&f), got);
                got += 1;
                a.pool().free(f);
            }
        }
        echo.join().unwrap();
        a.reclaim();
        assert_eq!(a.pool().available(), 64);
    }
}
