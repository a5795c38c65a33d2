//! A hierarchical timing wheel: one timer for each slot number, armed, moved and cancelled in constant time.
//!
//! Six levels of 64 buckets; a bucket of level *k* spans 64^k ticks. A timer lies on the level of the highest six-bit
//! digit in which its time differs from the wheel's own time, in the bucket of that digit. So every bucket of
//! a lower level comes before every bucket of a higher one, and one bitmap per level finds the next occupied bucket
//! at once, however far away it is. When the wheel's time reaches a bucket, its whole list becomes the *current*
//! list in one step; the timers in it then either expire or move to lower levels, one unit of the caller's budget each,
//! so that a million timers due at once never hold up the caller.
//!
//! Lists are intrusive: the links are kept by slot number, in 12 bytes each. A timer that is moved to a later time
//! stays where it is and is sorted in again when its bucket is reached: the usual life of a retransmission timer
//! is to be pushed back with every ACK, and this touches no other timer's memory.
//!
//! Left out on purpose: callbacks, and times more than [`HORIZON_TICKS`] away.

use crate::base::time::Tick;
use crate::base::{Zeroed, ZeroedExtent};

/// How far ahead of the last [`Wheel::advance`] a timer may be armed (about 39 hours).
pub const HORIZON_TICKS: u32 = 1 << 30;

const LEVELS: usize = 6;
const DIGIT_BITS: u32 = 6;
const BUCKETS: usize = 1 << DIGIT_BITS;
/// Two bits are left of 32 for the digit of the highest level: it has only this many buckets, and wraps.
const TOP_BUCKETS: u32 = 4;
const TOP: usize = LEVELS - 1;

/// Links are slot numbers, or list heads when this bit is set.
const HEAD: u32 = 1 << 31;
/// The list of timers that are being looked at; the lists before it are the buckets, level by level.
const CURRENT: u32 = HEAD | (LEVELS * BUCKETS) as u32;
/// As the next one: in no list.
const IDLE: u32 = u32::MAX;

/// Links are kept with all bits turned over, so that a node of zeroes is in no list.
#[derive(Clone, Copy, Debug)]
struct Node {
    not_next: u32,
    not_prev: u32,
    at: Tick,
}

const _: () = assert!(size_of::<Node>() == 12);

impl Zeroed for Node {
    const ZERO: Node = Node { not_next: !IDLE, not_prev: !IDLE, at: Tick(0) };
}

impl Node {
    #[inline(always)]
    fn next(&self) -> u32 {
        !self.not_next
    }

    #[inline(always)]
    fn is_armed(&self) -> bool {
        self.next() != IDLE
    }
}

#[derive(Clone, Copy, Debug)]
struct Head {
    first: u32,
    last: u32,
}

/// See the module's essay.
#[derive(Debug)]
pub struct Wheel {
    /// The wheel's own time: every timer up to here has expired or is in the current list.
    at: Tick,
    nodes: ZeroedExtent<Node>,
    heads: Box<[Head]>,
    /// One bit for each bucket that is not empty.
    occupied: [u64; LEVELS],
    len: u32,
}

impl Wheel {
    /// Addresses that each slot takes.
    pub const SLOT_BYTES: usize = size_of::<Node>();

    /// For slots below `slots`, and below 2^31.
    pub fn new(now: Tick, slots: u32) -> Wheel {
        let heads = (0..=(LEVELS * BUCKETS) as u32).map(|i| Head { first: HEAD | i, last: HEAD | i }).collect();
        Wheel { at: now, nodes: ZeroedExtent::with_limit(slots.min(HEAD)), heads, occupied: [0; LEVELS], len: 0 }
    }

    /// Timers armed.
    pub fn len(&self) -> u32 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// When the slot's timer is due; None when it is not armed.
    #[inline]
    pub fn armed(&self, slot: u32) -> Option<Tick> {
        self.nodes.get(slot).filter(|n| n.is_armed()).map(|n| n.at)
    }

    /// Sets the slot's timer to `at`, whether or not it was armed. A time that has passed expires with the next
    /// [`Wheel::advance`]. Slots are dense: memory is kept for those around them too.
    pub fn arm(&mut self, slot: u32, at: Tick) {
        let Some(node) = self.nodes.reach(slot) else { return };
        let (armed, before) = (node.is_armed(), node.at);
        node.at = at;
        if armed {
            if at.since(before) >= 0 {
                return;
            }
            self.unlink(slot);
        } else {
            self.len += 1;
        }
        self.place(slot, at);
    }

    /// Sees to it that the slot's timer is due at `at` or before.
    #[inline]
    pub fn arm_by(&mut self, slot: u32, at: Tick) {
        match self.armed(slot) {
            Some(armed) if armed.since(at) <= 0 => {}
            _ => self.arm(slot, at),
        }
    }

    /// Disarms the slot's timer; nothing happens when it was not armed.
    pub fn cancel(&mut self, slot: u32) {
        if self.armed(slot).is_some() {
            self.unlink(slot);
            self.len -= 1;
        }
    }

    /// Gives the memory of the slots from `left` on back. Their timers are cancelled.
    pub fn truncate(&mut self, left: u32) {
        (left..self.nodes.len()).for_each(|slot| self.cancel(slot));
        self.nodes.truncate(left);
    }

    /// Moves the wheel's time on to `now` and appends the slots whose timers are due (disarmed thereby) to `out`, in an
    /// order that depends only on the calls made before. Looks at no more than `budget` timers; true when that was
    /// too few: call again, with the same or a later time.
    #[inline(always)]
    pub fn advance(&mut self, now: Tick, budget: usize, out: &mut Vec<u32>) -> bool {
        if self.len == 0 {
            self.at = now;
            return false;
        }
        // Within a tick nothing more becomes due, unless it was armed for a time that had passed.
        let is_done = now == self.at && self.first(CURRENT).is_none();
        !is_done && self.turn(now, budget, out)
    }

    #[inline(never)]
    fn turn(&mut self, now: Tick, budget: usize, out: &mut Vec<u32>) -> bool {
        let mut left = budget;
        loop {
            while let Some(slot) = self.first(CURRENT) {
                if left == 0 {
                    return true;
                }
                left -= 1;
                self.unlink(slot);
                match self.nodes.get(slot) {
                    Some(node) if !node.at.is_due(self.at) => self.place(slot, node.at),
                    _ => {
                        self.len -= 1;
                        out.push(slot);
                    }
                }
            }
            match self.next_bucket() {
                Some((list, start)) if start.is_due(now) => {
                    self.at = start;
                    self.make_current(list);
                }
                _ => {
                    if now.since(self.at) > 0 {
                        self.at = now;
                    }
                    return false;
                }
            }
        }
    }

    /// A time before which nothing expires: exact for timers on the lowest level, else the start of the bucket of the
    /// earliest timer. After a timer was moved to a later time it may be earlier than need be, until that time
    /// has passed once.
    pub fn next_deadline(&self) -> Option<Tick> {
        if self.first(CURRENT).is_some() {
            return Some(self.at);
        }
        self.next_bucket().map(|(_, start)| start)
    }

    /// The earliest occupied bucket and the tick at which it starts. Only while the current list is empty or its
    /// timers are at most as early: then no bucket of the wheel's own time is occupied.
    fn next_bucket(&self) -> Option<(u32, Tick)> {
        let level = self.occupied.iter().position(|bits| *bits != 0)?;
        let shift = DIGIT_BITS * level as u32;
        let now_digit = digit(self.at, level);
        let mut bits = self.occupied[level];
        if level == TOP {
            bits |= bits << TOP_BUCKETS;
        }
        let steps = (bits >> now_digit).trailing_zeros();
        let start = Tick((self.at.0 >> shift).wrapping_add(steps).wrapping_shl(shift));
        let bucket = digit(start, level);
        Some((HEAD | (level * BUCKETS) as u32 | bucket, start))
    }

    /// Links a node that is in no list where its time belongs.
    fn place(&mut self, slot: u32, at: Tick) {
        let list = if at.is_due(self.at) {
            CURRENT
        } else {
            let level = ((at.0 ^ self.at.0).ilog2() / DIGIT_BITS) as usize;
            let bucket = digit(at, level);
            self.occupied[level] |= 1 << bucket;
            HEAD | (level * BUCKETS) as u32 | bucket
        };
        let last = self.last(list);
        if let Some(node) = self.nodes.get_mut(slot) {
            (node.not_next, node.not_prev) = (!list, !last);
        }
        self.set_next(last, slot);
        self.set_prev(list, slot);
    }

    /// Takes a node out of its list, whichever that is.
    fn unlink(&mut self, slot: u32) {
        let Some(node) = self.nodes.get_mut(slot) else { return };
        let (next, prev) = (node.next(), !node.not_prev);
        node.not_next = !IDLE;
        self.set_next(prev, next);
        self.set_prev(next, prev);
        if next == prev && next & HEAD != 0 {
            self.mark_empty(next);
        }
    }

    /// Makes a bucket's list the current one, which is empty.
    fn make_current(&mut self, list: u32) {
        let Some(Head { first, last }) = self
            .heads
            .get_mut((list & !HEAD) as usize)
            .map(|head| core::mem::replace(head, Head { first: list, last: list }))
        else {
            return;
        };
        self.mark_empty(list);
        self.set_next(CURRENT, first);
        self.set_prev(CURRENT, last);
        self.set_prev(first, CURRENT);
        self.set_next(last, CURRENT);
    }

    fn mark_empty(&mut self, list: u32) {
        let index = (list & !HEAD) as usize;
        if let Some(bits) = self.occupied.get_mut(index / BUCKETS) {
            *bits &= !(1 << (index % BUCKETS));
        }
    }

    fn first(&self, list: u32) -> Option<u32> {
        self.heads.get((list & !HEAD) as usize).map(|h| h.first).filter(|first| first & HEAD == 0)
    }

    fn last(&self, list: u32) -> u32 {
        self.heads.get((list & !HEAD) as usize).map_or(list, |h| h.last)
    }

    fn set_next(&mut self, link: u32, next: u32) {
        if link & HEAD != 0 {
            if let Some(head) = self.heads.get_mut((link & !HEAD) as usize) {
                head.first = next;
            }
        } else if let Some(node) = self.nodes.get_mut(link) {
            node.not_next = !next;
        }
    }

    fn set_prev(&mut self, link: u32, prev: u32) {
        if link & HEAD != 0 {
            if let Some(head) = self.heads.get_mut((link & !HEAD) as usize) {
                head.last = prev;
            }
        } else if let Some(node) = self.nodes.get_mut(link) {
            node.not_prev = !prev;
        }
    }

    pub fn memory_bytes(&self) -> usize {
        self.nodes.memory_bytes() + self.heads.len() * size_of::<Head>()
    }
}

fn digit(at: Tick, level: usize) -> u32 {
    (at.0 >> (DIGIT_BITS * level as u32)) & (BUCKETS as u32 - 1)
}

#[cfg(test)]
#[path = "wheel_tests.rs"]
mod tests;
