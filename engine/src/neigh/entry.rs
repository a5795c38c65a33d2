//! What is known about one neighbour.

use crate::base::Instant;
use crate::wire::{Addr, Mac};

/// Names a neighbour; stable as long as the table.
pub type NeighId = u32;

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
}

const _: () = assert!(size_of::<Entry>() == 64);

impl Entry {
    pub const fn new(addr: Addr) -> Entry {
        Entry {
            addr,
            mac: Mac::ZERO,
            state: NeighState::Incomplete,
            tries: 0,
            probing: false,
            since: Instant::ZERO,
            waiters: Vec::new(),
        }
    }
}
