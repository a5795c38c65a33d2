//! Frames that arrived at the wrong worker go to the right one.
//!
//! Whose a frame is says the [`Policy`]. After each burst the frames of other owners go into the owners' inboxes:
//! lock-free rings of tokens. With one packet memory for all workers the token is all that moves. Otherwise the owner
//! copies the bytes into its own memory and sends the token home.
//!
//! What has no owner (ARP, NDP, pings) stays where it arrived, except answers about neighbours: every shard keeps a
//! neighbour table of its own, so each gets a copy. ICMP errors go to the owner of the connection they are about; where
//! only the device knows it, each worker gets a copy.
//!
//! Everything is bounded: a full inbox drops the frame and counts it, as a full device ring would.

use crate::base::frame::Arena;
use crate::base::{Backlog, Counters, DropReason, Event, Frame, FramePool};
use crate::io::copy::copy_frame;
use crate::steering::Policy;
use crate::wire::parse::{Packet, ParseOptions, parse, peek_tuple};
use crossbeam::queue::ArrayQueue;
use crossbeam::utils::CachePadded;
use std::sync::Arc;

/// A frame on its way to another worker, and where its memory belongs.
struct Handed {
    frame: Frame,
    from: usize,
}

/// The rings of all workers.
struct Rings {
    inboxes: Vec<CachePadded<ArrayQueue<Handed>>>,
    /// Tokens on their way home, one ring per worker; only used when workers have memories of their own.
    homes: Vec<CachePadded<ArrayQueue<Frame>>>,
    shared_memory: bool,
}

/// Rings of different workers share no cache line.
const _: () = assert!(align_of::<CachePadded<ArrayQueue<Handed>>>() >= 64);

/// One worker's end.
pub struct Handoff {
    rings: Arc<Rings>,
    policy: Policy,
    me: usize,
    /// The burst being sorted.
    burst: Vec<Frame>,
}

/// Where a frame belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Here,
    Worker(usize),
    Everywhere,
}

fn place_of(bytes: &[u8], policy: &Policy, me: usize, workers: usize) -> Place {
    let place = |owner| if owner == me { Place::Here } else { Place::Worker(owner) };
    if let Some((src, dst, src_port, dst_port)) = peek_tuple(bytes) {
        return policy.receiver((&src, src_port), (&dst, dst_port), workers).map_or(Place::Here, place);
    }
    match parse(bytes, ParseOptions { verify_checksums: true }) {
        Ok((_, Packet::Arp(arp))) if !arp.is_request => Place::Everywhere,
        Ok((_, Packet::Ndp(ndp))) if !ndp.is_solicitation => Place::Everywhere,
        Ok((_, Packet::IcmpError(e))) => {
            let owner = policy.receiver((&e.remote, e.remote_port), (&e.local, e.local_port), workers);
            owner.map_or(Place::Everywhere, place)
        }
        _ => Place::Here,
    }
}

impl Handoff {
    /// One end for each worker, given the arena of its pool. Workers share memory when there is one arena for all
    /// (`FramePool::split`). `burst_frames` is the largest burst that is sorted at once.
    pub fn connect(arenas: &[Arc<Arena>], policy: &Policy, burst_frames: usize, inbox_frames: usize) -> Vec<Handoff> {
        let inbox_frames = inbox_frames.max(1);
        let shared_memory = arenas.windows(2).all(|pair| Arc::ptr_eq(&pair[0], &pair[1]));
        // A worker's frames may fill the others' inboxes, one more be in each worker's hands, and those of the burst that
        // it is sorting be back before it looks.
        let out_frames = (inbox_frames + 1 + burst_frames) * arenas.len();
        let rings = Arc::new(Rings {
            inboxes: arenas.iter().map(|_| CachePadded::new(ArrayQueue::new(inbox_frames))).collect(),
            homes: arenas.iter().map(|_| CachePadded::new(ArrayQueue::new(out_frames))).collect(),
            shared_memory,
        });
        let end =
            |me| Handoff { rings: rings.clone(), policy: policy.clone(), me, burst: Vec::with_capacity(burst_frames) };
        (0..arenas.len()).map(end).collect()
    }

    /// Moves frames from the inbox into `rx`: at most half of what fits, so that the device has its turn too.
    /// Returns how many came.
    pub fn collect(&mut self, rx: &mut Vec<Frame>, pool: &mut FramePool, counters: &mut Counters) -> usize {
        self.take_home(pool);
        let (before, room) = (rx.len(), (rx.capacity() - rx.len()).div_ceil(2));
        let Some(inbox) = self.rings.inboxes.get(self.me) else { return 0 };
        for _ in 0..room {
            let Some(handed) = inbox.pop() else { break };
            match self.admit(handed, pool) {
                Some(frame) => rx.push(frame),
                None => counters.drop(DropReason::NoFrame),
            }
        }
        let came = rx.len() - before;
        counters.add(Event::HandoffIn, came as u64);
        came
    }

    /// What other workers have put into the inbox and was not collected.
    pub fn backlog(&self) -> Backlog {
        self.rings.inboxes.get(self.me).map_or(Backlog::None, |inbox| Backlog::of(inbox.len(), inbox.capacity()))
    }

    /// Sends the frames of `rx[first..]` that belong to others there; the order of the rest stays.
    pub fn sort(&mut self, rx: &mut Vec<Frame>, first: usize, pool: &mut FramePool, counters: &mut Counters) {
        let workers = self.rings.inboxes.len();
        self.burst.extend(rx.drain(first.min(rx.len())..));
        for frame in self.burst.drain(..) {
            match place_of(frame.bytes(), &self.policy, self.me, workers) {
                Place::Here => rx.push(frame),
                Place::Worker(owner) => self.rings.hand(owner, frame, self.me, pool, counters),
                Place::Everywhere => {
                    for other in (0..workers).filter(|&w| w != self.me) {
                        match copy_frame(&frame, pool) {
                            Some(copy) => {
                                counters.event(Event::HandoffCopies);
                                self.rings.hand(other, copy, self.me, pool, counters);
                            }
                            None => counters.drop(DropReason::NoFrame),
                        }
                    }
                    rx.push(frame);
                }
            }
        }
    }

    /// Gives back what lies in this worker's rings. Only sensible when no worker runs any more; call it for all
    /// workers, and then once more, since the first round sends tokens home.
    pub fn clear(&mut self, pool: &mut FramePool) {
        self.take_home(pool);
        let Some(inbox) = self.rings.inboxes.get(self.me) else { return };
        while let Some(Handed { frame, from }) = inbox.pop() {
            match self.rings.shared_memory {
                true => pool.free(frame),
                false => self.rings.send_home(frame, from),
            }
        }
    }

    /// Makes a handed frame this worker's own; `None` when its memory has no room for the copy.
    fn admit(&self, Handed { frame, from }: Handed, pool: &mut FramePool) -> Option<Frame> {
        if self.rings.shared_memory {
            return Some(frame);
        }
        let copy = copy_frame(&frame, pool);
        self.rings.send_home(frame, from);
        copy
    }

    fn take_home(&self, pool: &mut FramePool) {
        if let Some(home) = self.rings.homes.get(self.me) {
            while let Some(frame) = home.pop() {
                pool.free(frame);
            }
        }
    }
}

impl Rings {
    fn hand(&self, to: usize, frame: Frame, from: usize, pool: &mut FramePool, counters: &mut Counters) {
        let refused = match self.inboxes.get(to) {
            Some(inbox) => inbox.push(Handed { frame, from }).err().map(|handed| handed.frame),
            None => Some(frame),
        };
        match refused {
            None => counters.event(Event::HandoffOut),
            Some(frame) => {
                counters.drop(DropReason::HandoffFull);
                pool.free(frame);
            }
        }
    }

    fn send_home(&self, frame: Frame, owner: usize) {
        let arrived = self.homes.get(owner).is_some_and(|home| home.push(frame).is_ok());
        debug_assert!(arrived, "a ring home has room for all frames of its worker that are out");
    }
}

#[cfg(test)]
#[path = "handoff_tests.rs"]
mod tests;
