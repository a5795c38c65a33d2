//! Packets from one device to another, through a link that does them harm.
//!
//! One thread serves both directions. A packet is copied into the link and, when it is due, out of it into the other
//! device's memory: two devices share none, and the copies cost less than the system calls around them.

use synfin_engine::base::{Frame, Instant};
use synfin_engine::io::sim::{End, LinkStats, SimLink};
use synfin_engine::io::{IoStats, PacketIo, offloaded};
use synfin_engine::worker::Clock;

/// Packets moved at once.
const BURST_FRAMES: usize = 256;

/// Packets and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub packets: u64,
    pub bytes: u64,
}

impl Traffic {
    fn count(&mut self, frames: &[Frame]) {
        self.packets += frames.len() as u64;
        self.bytes += frames.iter().map(|f| f.len() as u64).sum::<u64>();
    }
}

/// A device at one end of the link.
struct Side<I> {
    queues: Vec<I>,
    rx: Vec<Frame>,
    /// Due, and not taken by the device yet.
    tx: Vec<Frame>,
    came: Traffic,
    delivered: Traffic,
}

/// Two devices and the link between them.
pub struct Bridge<I: PacketIo> {
    link: SimLink,
    /// Indexed by [`End`].
    sides: [Side<I>; 2],
}

impl<I: PacketIo> Bridge<I> {
    /// Each device has at least one queue. All queues are read, the first is sent on.
    pub fn new(link: SimLink, a: Vec<I>, b: Vec<I>) -> Bridge<I> {
        let side = |queues| Side {
            queues,
            rx: Vec::with_capacity(BURST_FRAMES),
            tx: Vec::with_capacity(BURST_FRAMES),
            came: Traffic::default(),
            delivered: Traffic::default(),
        };
        Bridge { link, sides: [side(a), side(b)] }
    }

    /// Takes what has come and hands over what is due. Returns whether there was anything to do.
    pub fn round(&mut self, clock: &Clock) -> bool {
        let came = self.take(End::A, clock.now()) | self.take(End::B, clock.now());
        let left = self.hand_over(End::A, clock.now()) | self.hand_over(End::B, clock.now());
        came | left
    }

    fn take(&mut self, end: End, now: Instant) -> bool {
        let Side { queues, rx, came, .. } = &mut self.sides[end as usize];
        let before = came.packets;
        for queue in queues {
            queue.rx_burst(rx);
            came.count(rx);
            for mut frame in rx.drain(..) {
                offloaded::complete(frame.bytes_mut());
                self.link.send(end, frame.bytes(), now);
                queue.pool().free(frame);
            }
        }
        came.packets > before
    }

    fn hand_over(&mut self, end: End, now: Instant) -> bool {
        let Side { queues, tx, delivered, .. } = &mut self.sides[end as usize];
        queues.iter_mut().for_each(PacketIo::reclaim);
        let Some(queue) = queues.first_mut() else { return false };
        let waiting = tx.len();
        // With fewer free frames the link would lose packets: they had better wait until others are sent.
        if queue.pool().available() >= tx.capacity() {
            self.link.receive(end, now, queue.pool(), tx);
        }
        delivered.count(&tx[waiting..]);
        let taken = queue.tx_burst(tx);
        queues.iter_mut().for_each(PacketIo::kick);
        taken > 0
    }

    /// When the next packet is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.link.next_arrival()
    }

    /// What came from this device.
    pub fn came_from(&self, end: End) -> Traffic {
        self.sides[end as usize].came
    }

    /// What was handed to this device.
    pub fn delivered_to(&self, end: End) -> Traffic {
        self.sides[end as usize].delivered
    }

    /// What became of the packets that came from this device.
    pub fn fates(&self, from: End) -> LinkStats {
        self.link.stats(from)
    }

    /// What this device has counted.
    pub fn device(&self, end: End) -> IoStats {
        let mut sum = IoStats::default();
        self.sides[end as usize].queues.iter().for_each(|queue| sum.merge(&queue.stats()));
        sum
    }
}

impl<I: PacketIo> Drop for Bridge<I> {
    fn drop(&mut self) {
        for Side { queues, tx, .. } in &mut self.sides {
            let Some(queue) = queues.first_mut() else { continue };
            tx.drain(..).for_each(|frame| queue.pool().free(frame));
        }
    }
}
