//! F2: which link address belongs to which network address. ARP (RFC 826) and neighbour discovery (RFC 4861) share one
//! table: they differ in how messages look (`wire`), hardly in what they mean.
//!
//! The table owns what is known about each neighbour, when to ask again, and who waits for an answer. It never
//! builds or reads a message and never looks at a clock: messages are reported to it ([`NeighTable::learn`],
//! [`NeighTable::advertised`]), and it tells what to ask ([`NeighTable::poll`]).
//!
//! Reachability follows RFC 4861 section 7.3: an entry that nobody confirms for 30 s becomes stale; a stale one is
//! still used, but its first use starts a delay of 5 s in which TCP may confirm it, after which it is asked by unicast;
//! if that brings nothing, everybody is asked; if that brings nothing either, it has failed.
//!
//! A full table makes room by forgetting neighbours that nobody has sent to since they became stale, or that failed. An
//! id carries the generation of its place: one that was forgotten leads nowhere ([`NeighTable::is_known`]), and
//! whoever still has it looks again. Neighbours that make themselves known unasked get at most three
//! quarters of the room; the rest is kept for those we ask for and those who have proven to be there.
//!
//! Left out on purpose: router lists, redirects and prefix discovery: routes are configuration.

mod entry;

pub use entry::{NeighId, NeighState, Probe};

use crate::base::hash::{SipKey, siphash13};
use crate::base::time::{Instant, Tick};
use crate::timer::Wheel;
use crate::wire::{Addr, Mac};
use entry::{Entries, Entry, PLACES, place};
use hashbrown::HashTable;

const SECOND_NS: u64 = 1_000_000_000;
/// RETRANS_TIMER of RFC 4861: between two probes.
pub const RETRANS_NS: u64 = SECOND_NS;
/// MAX_MULTICAST_SOLICIT and MAX_UNICAST_SOLICIT of RFC 4861.
pub const TRIES: u8 = 3;
/// REACHABLE_TIME of RFC 4861: how long a confirmation lasts.
pub const REACHABLE_NS: u64 = 30 * SECOND_NS;
/// DELAY_FIRST_PROBE_TIME of RFC 4861: how long a stale entry in use waits for TCP's confirmation.
pub const DELAY_NS: u64 = 5 * SECOND_NS;
/// How long a neighbour that did not answer is not asked again.
pub const HOLD_NS: u64 = 3 * SECOND_NS;
/// Slots that may wait for one neighbour.
pub const WAITERS_MAX: usize = 1024;
/// Entries looked at to find one that can be forgotten.
const FORGET_BUDGET: u32 = 64;
/// Timers looked at in one [`NeighTable::poll`].
const POLL_BUDGET: usize = 64;

/// See the module's essay.
pub struct NeighTable {
    key: SipKey,
    /// The hash's upper half, and the id.
    by_addr: HashTable<(u32, NeighId)>,
    entries: Entries,
    limit: u32,
    timers: Wheel,
    due: Vec<u32>,
    /// Neighbours with waiters that failed in the last poll.
    failed: Vec<NeighId>,
    /// The latest time that was handed in.
    now: Instant,
    /// The neighbour that was looked for last: mostly it is looked for again.
    recent: NeighId,
    /// The place at which the search for one to forget goes on.
    hand: u32,
}

impl NeighTable {
    /// Addresses that a table sets aside.
    pub const ADDRESS_BYTES: usize = PLACES as usize * (Wheel::SLOT_BYTES + size_of::<Entry>());

    /// A table for at most `limit` neighbours, and 131,072 in any case.
    pub fn new(limit: u32, key: SipKey, now: Instant) -> NeighTable {
        NeighTable {
            key,
            by_addr: HashTable::new(),
            entries: Entries::new(),
            limit: limit.min(PLACES),
            timers: Wheel::new(now.tick(), PLACES),
            due: Vec::with_capacity(POLL_BUDGET),
            failed: Vec::new(),
            now,
            recent: 0,
            hand: 0,
        }
    }

    /// Neighbours known or asked for.
    pub fn len(&self) -> u32 {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The id of a neighbour that somebody wants to send to. One that is new, or that failed more than
    /// [`HOLD_NS`] ago, is asked for by the next [`NeighTable::poll`]. None when the table is full.
    #[inline(always)]
    pub fn lookup_or_create(&mut self, addr: Addr, now: Instant) -> Option<NeighId> {
        if self.is_recent(&addr) { Some(self.recent) } else { self.lookup_or_create_any(addr, now) }
    }

    #[inline(never)]
    fn lookup_or_create_any(&mut self, addr: Addr, now: Instant) -> Option<NeighId> {
        self.pass(now);
        match self.find(&addr) {
            Some(id) => {
                self.demand(id);
                Some(id)
            }
            None => {
                let id = self.create(addr, self.limit)?;
                self.ask_everybody(id);
                Some(id)
            }
        }
    }

    /// The id of a neighbour that has called us, from `mac`: its link address unless one is known already. A new one
    /// has made itself known unasked; `None` when there is no room for more of those (`proven`: it answered where we sent
    /// to, and gets of all the room), or when no station has this link address.
    #[inline(always)]
    pub fn caller(&mut self, addr: Addr, mac: Mac, now: Instant, proven: bool) -> Option<NeighId> {
        if self.is_recent(&addr) { Some(self.recent) } else { self.any_caller(addr, mac, now, proven) }
    }

    /// The neighbour that was looked for last, and there is no doubt about it.
    #[inline(always)]
    fn is_recent(&self, addr: &Addr) -> bool {
        let sure = |e: &Entry| matches!(e.state, NeighState::Reachable | NeighState::Static);
        self.entries.get(self.recent).is_some_and(|e| e.addr == *addr && sure(e))
    }

    #[inline(never)]
    fn any_caller(&mut self, addr: Addr, mac: Mac, now: Instant, proven: bool) -> Option<NeighId> {
        let Some(id) = self.find(&addr) else {
            let limit = if proven { self.limit } else { self.strangers() };
            return self.hear(addr, mac, now, Some(limit));
        };
        if self.mac(id).is_none() {
            self.learn(addr, mac, now, false);
        }
        Some(id)
    }

    /// The link address, if one is known. Using a stale one starts its delay.
    #[inline]
    pub fn mac(&mut self, id: NeighId) -> Option<Mac> {
        self.station(id).copied()
    }

    /// As [`NeighTable::mac`], where it stands.
    #[inline(always)]
    pub fn station(&mut self, id: NeighId) -> Option<&Mac> {
        let state = self.entries.get(id)?.state;
        if !matches!(state, NeighState::Reachable | NeighState::Static) && !self.may_use(id) {
            return None;
        }
        self.entries.at(id).map(|entry| &entry.mac)
    }

    /// There is a link address, though not confirmed of late.
    #[inline(never)]
    fn may_use(&mut self, id: NeighId) -> bool {
        let Some(entry) = self.entries.get_mut(id).filter(|e| e.state.is_resolved()) else { return false };
        if entry.state == NeighState::Stale && !entry.probing {
            entry.probing = true;
            entry.tries = 0;
            self.timers.arm(place(id), Tick::at_or_after(self.now.plus_nanos(DELAY_NS)));
        }
        true
    }

    /// False for an id whose neighbour was forgotten.
    pub fn is_known(&self, id: NeighId) -> bool {
        self.entries.get(id).is_some()
    }

    pub fn addr(&self, id: NeighId) -> Option<Addr> {
        self.entries.get(id).map(|e| e.addr)
    }

    /// `Failed` for an id that was never given out, or whose neighbour was forgotten.
    pub fn state(&self, id: NeighId) -> NeighState {
        self.entries.get(id).map_or(NeighState::Failed, |e| e.state)
    }

    /// A neighbour that is configured: never asked, never changed by messages. None when the table is full.
    pub fn add_static(&mut self, addr: Addr, mac: Mac) -> Option<NeighId> {
        let id = match self.find(&addr) {
            Some(id) => id,
            None => self.create(addr, self.limit)?,
        };
        let entry = self.entries.get_mut(id)?;
        entry.mac = mac;
        entry.state = NeighState::Static;
        self.timers.cancel(place(id));
        Some(id)
    }

    /// A message from the neighbour itself that names its link address: ARP of either kind (RFC 826, whose newest
    /// message wins), or the source of a neighbour solicitation (RFC 4861 7.2.3). A known entry takes the address
    /// and counts as confirmed; an unknown one is created if `create` (the message was meant for us).
    /// Some when the neighbour became resolved by this: somebody may wait for it.
    pub fn learn(&mut self, addr: Addr, mac: Mac, now: Instant, create: bool) -> Option<NeighId> {
        self.hear(addr, mac, now, create.then_some(self.strangers()))
    }

    /// Room for those who make themselves known.
    fn strangers(&self) -> u32 {
        self.limit - self.limit / 4
    }

    /// As [`NeighTable::learn`]; a new entry is created if there are less than `limit`.
    fn hear(&mut self, addr: Addr, mac: Mac, now: Instant, limit: Option<u32>) -> Option<NeighId> {
        self.pass(now);
        if !addr.is_unicast() || mac.is_group() || mac == Mac::ZERO {
            return None;
        }
        let (id, created) = match self.find(&addr) {
            Some(id) => (id, false),
            None => (self.create(addr, limit?)?, true),
        };
        let entry = self.entries.get_mut(id)?;
        if entry.state == NeighState::Static {
            return None;
        }
        let resolved = created || !entry.state.is_resolved();
        entry.mac = mac;
        self.reachable(id);
        resolved.then_some(id)
    }

    /// A neighbour advertisement (RFC 4861 7.2.5), with its Solicited and Override flags. Never creates an entry.
    /// Some when the neighbour became resolved by this.
    pub fn advertised(
        &mut self,
        addr: Addr,
        mac: Mac,
        solicited: bool,
        overrides: bool,
        now: Instant,
    ) -> Option<NeighId> {
        self.pass(now);
        if mac.is_group() || mac == Mac::ZERO {
            return None;
        }
        let id = self.find(&addr)?;
        let entry = self.entries.get_mut(id)?;
        let changed = entry.mac != mac;
        match entry.state {
            NeighState::Static => return None,
            NeighState::Incomplete | NeighState::Failed => {
                entry.mac = mac;
                if solicited {
                    self.reachable(id)
                } else {
                    self.stale(id)
                }
                return Some(id);
            }
            // Part I: it contradicts what we know and does not claim to know better.
            NeighState::Reachable if changed && !overrides => self.stale(id),
            NeighState::Stale if changed && !overrides => {}
            // Part II.
            NeighState::Reachable | NeighState::Stale => {
                entry.mac = mac;
                if solicited {
                    self.reachable(id);
                } else if changed {
                    self.stale(id);
                }
            }
        }
        None
    }

    /// TCP made progress with this neighbour: it received what we sent (RFC 4861 7.3.1).
    #[inline(always)]
    pub fn confirm(&mut self, id: NeighId, now: Instant) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        if entry.state == NeighState::Reachable {
            entry.since = now;
        } else if entry.state == NeighState::Stale {
            self.confirm_stale(id, now);
        }
    }

    #[inline(never)]
    fn confirm_stale(&mut self, id: NeighId, now: Instant) {
        self.pass(now);
        self.reachable(id);
    }

    /// TCP gets no answers by way of this neighbour: it is asked with its next use whether it is still there (RFC 9293
    /// 3.8.3: negative advice).
    pub fn doubt(&mut self, id: NeighId, now: Instant) {
        self.pass(now);
        if self.state(id) == NeighState::Reachable {
            self.stale(id);
        }
    }

    /// Has `slot` handed out by [`NeighTable::take_waiters`] when the neighbour is resolved or has failed. False when
    /// it will not be: resolved already, failed a moment ago, or [`WAITERS_MAX`] slots wait.
    pub fn wait(&mut self, id: NeighId, slot: u32) -> bool {
        self.demand(id);
        match self.entries.get_mut(id) {
            Some(entry) if entry.state == NeighState::Incomplete && entry.waiters.len() < WAITERS_MAX => {
                entry.waiters.push(slot);
                true
            }
            _ => false,
        }
    }

    /// Appends the waiting slots, in the order in which they came, and forgets them. A slot that waited twice comes
    /// twice.
    pub fn take_waiters(&mut self, id: NeighId, out: &mut Vec<u32>) {
        if let Some(entry) = self.entries.get_mut(id) {
            out.append(&mut entry.waiters);
            entry.waiters = Vec::new();
        }
    }

    /// A neighbour for which somebody waits and that failed in the last poll; each comes once.
    pub fn pop_failed(&mut self) -> Option<NeighId> {
        self.failed.pop()
    }

    /// Does what is due: calls `out` for each question to send. What it does not get done is left to the next call.
    #[inline]
    pub fn poll(&mut self, now: Instant, out: impl FnMut(Probe)) {
        self.pass(now);
        self.failed.clear();
        self.timers.advance(self.now.tick(), POLL_BUDGET, &mut self.due);
        if !self.due.is_empty() {
            self.poll_due(out);
        }
    }

    #[inline(never)]
    fn poll_due(&mut self, mut out: impl FnMut(Probe)) {
        let mut due = core::mem::take(&mut self.due);
        for place in due.drain(..) {
            let id = self.entries.id_at(place);
            if let Some(probe) = self.expire(id) {
                out(probe);
            }
        }
        self.due = due;
    }

    /// When [`NeighTable::poll`] next has something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.timers.next_deadline().map(|tick| tick.to_instant(self.now))
    }

    /// The entry's timer has run out.
    fn expire(&mut self, id: NeighId) -> Option<Probe> {
        let now = self.now;
        let entry = self.entries.get_mut(id)?;
        match entry.state {
            NeighState::Reachable if now.nanos_since(entry.since) < REACHABLE_NS => {
                self.timers.arm(place(id), Tick::at_or_after(entry.since.plus_nanos(REACHABLE_NS)));
                None
            }
            NeighState::Reachable => {
                self.stale(id);
                None
            }
            NeighState::Stale if entry.tries < TRIES => self.probe(id),
            NeighState::Stale => {
                // Perhaps it has moved to another link address.
                self.ask_everybody(id);
                None
            }
            NeighState::Incomplete if entry.tries < TRIES => self.probe(id),
            NeighState::Incomplete => {
                entry.state = NeighState::Failed;
                entry.since = now;
                if !entry.waiters.is_empty() {
                    self.failed.push(id);
                }
                None
            }
            NeighState::Failed | NeighState::Static => None,
        }
    }

    fn probe(&mut self, id: NeighId) -> Option<Probe> {
        let entry = self.entries.get_mut(id)?;
        entry.tries += 1;
        self.timers.arm(place(id), Tick::at_or_after(self.now.plus_nanos(RETRANS_NS)));
        Some(Probe { id, addr: entry.addr, unicast: entry.state.is_resolved().then_some(entry.mac) })
    }

    fn reachable(&mut self, id: NeighId) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.state = NeighState::Reachable;
        entry.since = self.now;
        self.timers.arm(place(id), Tick::at_or_after(self.now.plus_nanos(REACHABLE_NS)));
    }

    fn stale(&mut self, id: NeighId) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.state = NeighState::Stale;
        entry.probing = false;
        self.timers.cancel(place(id));
    }

    /// Begins to ask by broadcast or multicast, with the next poll.
    fn ask_everybody(&mut self, id: NeighId) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.state = NeighState::Incomplete;
        entry.tries = 0;
        self.timers.arm(place(id), self.now.tick());
    }

    /// Somebody wants to send: a neighbour that failed is asked again, unless it failed a moment ago.
    #[inline(always)]
    fn demand(&mut self, id: NeighId) {
        let failed = self.entries.get(id).filter(|e| e.state == NeighState::Failed);
        if failed.is_some_and(|e| self.now.nanos_since(e.since) >= HOLD_NS) {
            self.ask_everybody(id);
        }
    }

    /// Takes note of the time; keeps the wheel's own near it while no timer does.
    #[inline(always)]
    fn pass(&mut self, now: Instant) {
        self.now = self.now.max(now);
        if self.timers.is_empty() {
            self.timers.advance(self.now.tick(), 0, &mut self.due);
        }
    }

    #[inline(always)]
    fn find(&mut self, addr: &Addr) -> Option<NeighId> {
        if self.entries.get(self.recent).is_some_and(|e| e.addr == *addr) {
            return Some(self.recent);
        }
        self.find_by_hash(addr)
    }

    #[inline(never)]
    fn find_by_hash(&mut self, addr: &Addr) -> Option<NeighId> {
        let is_it = |id: NeighId| self.entries.get(id).is_some_and(|e| e.addr == *addr);
        let tag = self.tag(addr);
        let &(_, id) = self.by_addr.find(spread(tag), |&(t, id)| t == tag && is_it(id))?;
        self.recent = id;
        Some(id)
    }

    /// Adds an entry; when there are `limit` already, in the place of one that can be forgotten.
    fn create(&mut self, addr: Addr, limit: u32) -> Option<NeighId> {
        let id = if self.len() < limit { self.entries.push(addr) } else { self.forget_one(addr)? };
        let tag = self.tag(&addr);
        self.by_addr.insert_unique(spread(tag), (tag, id), |(t, _)| spread(*t));
        Some(id)
    }

    /// Looks on for an entry that nobody uses, and gives its place to `addr`. Those who still have its id find that it is
    /// not known any more.
    fn forget_one(&mut self, addr: Addr) -> Option<NeighId> {
        for _ in 0..FORGET_BUDGET.min(self.len()) {
            let id = self.entries.id_at(self.hand);
            self.hand = if self.hand + 1 < self.len() { self.hand + 1 } else { 0 };
            let Some(entry) = self.entries.get(id).filter(|e| e.is_forgettable(self.now)) else { continue };
            let tag = self.tag(&entry.addr);
            if let Ok(found) = self.by_addr.find_entry(spread(tag), |&(t, i)| t == tag && i == id) {
                found.remove();
            }
            self.timers.cancel(place(id));
            return self.entries.replace(id, addr);
        }
        None
    }

    fn tag(&self, addr: &Addr) -> u32 {
        let v = u128::from_le_bytes(addr.0);
        (siphash13(self.key, [v as u64, (v >> 64) as u64, 0]) >> 32) as u32
    }
}

/// hashbrown takes the bucket from the low bits and its control byte from the top seven.
const fn spread(tag: u32) -> u64 {
    (tag as u64) << 32 | tag as u64
}

#[cfg(test)]
mod tests;
