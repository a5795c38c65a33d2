//! What is known about one neighbour.

use crate::base::{Extent, Instant};
use crate::wire::{Addr, Mac};

/// Names a neighbour until it is forgotten, and nobody afterwards: the entry's place in the lower bits, and above it
/// how often the place was given to another.
pub type NeighId = u32;

const PLACE_BITS: u32 = 17;
/// As many neighbours as ids can tell apart.
pub(super) const PLACES: u32 = 1 << PLACE_BITS;
const GENERATION_MASK: u16 = (u32::MAX >> PLACE_BITS) as u16;

#[inline]
pub(super) const fn place(id: NeighId) -> u32 {
    id & (PLACES - 1)
}

/// The states of RFC 4861 7.3.2, with DELAY and PROBE as phases of `Stale`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum NeighState {
    /// Being asked for; no link address yet.
    Incomplete,
    /// Confirmed within the last 30 s.
    Reachable,
    /// The link address was right once.
    Stale,
    /// Did not answer.
    Failed,
    /// Configured.
    Static,
}

impl NeighState {
    /// There is a link address to send to.
    pub const fn is_resolved(self) -> bool {
        matches!(self, NeighState::Reachable | NeighState::Stale | NeighState::Static)
    }

    pub const fn name(self) -> &'static str {
        match self {
            NeighState::Incomplete => "incomplete",
            NeighState::Reachable => "reachable",
            NeighState::Stale => "stale",
            NeighState::Failed => "failed",
            NeighState::Static => "static",
        }
    }
}

/// A question to send: an ARP request or a neighbour solicitation about `addr`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Probe {
    pub id: NeighId,
    pub addr: Addr,
    /// To this station only; to everybody (broadcast, solicited-node multicast) when None.
    pub unicast: Option<Mac>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub addr: Addr,
    pub mac: Mac,
    pub state: NeighState,
    /// Questions sent in the present state.
    pub tries: u8,
    /// `Stale` only: in use, so the timer that leads to questions is running.
    pub probing: bool,
    /// `Reachable`: when it was confirmed last. `Failed`: since when.
    pub since: Instant,
    pub waiters: Vec<u32>,
    generation: u16,
}

const _: () = assert!(size_of::<Entry>() == 64);

impl Entry {
    const fn new(addr: Addr, generation: u16) -> Entry {
        Entry {
            addr,
            mac: Mac::ZERO,
            state: NeighState::Incomplete,
            tries: 0,
            probing: false,
            since: Instant::ZERO,
            waiters: Vec::new(),
            generation,
        }
    }

    /// Nobody has used it for a while, and nobody waits for it.
    pub fn is_forgettable(&self, now: Instant) -> bool {
        match self.state {
            NeighState::Stale => !self.probing,
            NeighState::Failed => self.waiters.is_empty() && now.nanos_since(self.since) >= super::HOLD_NS,
            NeighState::Incomplete | NeighState::Reachable | NeighState::Static => false,
        }
    }
}

/// Entries under their ids.
pub(super) struct Entries(Extent<Entry>);

impl Entries {
    pub fn new() -> Entries {
        Entries(Extent::with_limit(PLACES))
    }

    pub fn len(&self) -> u32 {
        self.0.len()
    }

    /// `None` when the neighbour was forgotten.
    #[inline]
    pub fn get(&self, id: NeighId) -> Option<&Entry> {
        self.0.get(place(id)).filter(|e| e.generation == generation(id))
    }

    /// Of whoever has the place of `id` now.
    #[inline(always)]
    pub fn at(&self, id: NeighId) -> Option<&Entry> {
        self.0.get(place(id))
    }

    #[inline]
    pub fn get_mut(&mut self, id: NeighId) -> Option<&mut Entry> {
        self.0.get_mut(place(id)).filter(|e| e.generation == generation(id))
    }

    pub fn push(&mut self, addr: Addr) -> NeighId {
        self.0.push(Entry::new(addr, 0));
        self.len() - 1
    }

    /// Gives the place of `id` to `addr`; the new id.
    pub fn replace(&mut self, id: NeighId, addr: Addr) -> Option<NeighId> {
        let entry = self.get_mut(id)?;
        *entry = Entry::new(addr, (entry.generation + 1) & GENERATION_MASK);
        Some(self.id_at(place(id)))
    }

    /// The id of whoever has this place now.
    pub fn id_at(&self, place: u32) -> NeighId {
        self.0.get(place).map_or(0, |e| u32::from(e.generation)) << PLACE_BITS | place
    }
}

#[inline]
const fn generation(id: NeighId) -> u16 {
    (id >> PLACE_BITS) as u16
}
