//! What routers and the peer's host say about our segments (RFC 1122 4.2.3.9, RFC 5461, RFC 5927): believed only of a
//! live connection and a sequence number that is under way.
//!
//! A hard error ends a connection that is being opened. Everything else is a soft error, even a hard one about a
//! connection that works: it is remembered, and when the retries are used up it is the cause that the application
//! hears of. An ACK of anything new shows that the trouble has passed.

use super::app::{CloseReason, Report};
use super::core::Core;
use crate::base::{DropReason, Event, Instant};
use crate::table::{FlowKey, FlowKind};
use crate::tcp::flag;
use crate::tcp::recovery::path_mtu;
use crate::wire::Seq;
use crate::wire::parse::{IcmpError, IcmpErrorKind};
use std::collections::HashMap;

#[derive(Clone, Copy)]
struct Trouble {
    why: CloseReason,
    /// SND.UNA when it was heard of.
    una: Seq,
    /// The connection ends because of it.
    is_end: bool,
}

/// Soft errors that are remembered at once.
const REMEMBERED_MAX: usize = 4096;
/// When there is no room, those that have passed are looked for, no more often than this.
const SWEEP_NS: u64 = 1_000_000_000;

/// The last error of each connection that had one, by slot. Hardly any has.
#[derive(Default)]
pub(super) struct Troubles {
    by_slot: HashMap<u32, Trouble>,
    /// When it was last looked which of them have passed.
    swept: Instant,
}

impl Troubles {
    /// Takes note of an error. False: there is no room for another soft one. (Of hard ones there are only as many as
    /// connections that end in this turn.)
    fn note(&mut self, slot: u32, trouble: Trouble) -> bool {
        let fits = trouble.is_end || self.by_slot.len() < REMEMBERED_MAX || self.by_slot.contains_key(&slot);
        if fits {
            self.by_slot.insert(slot, trouble);
        }
        fits
    }

    /// Forgets what has passed, if there is no room left: `una_of` has the present SND.UNA of a slot.
    fn sweep(&mut self, now: Instant, una_of: impl Fn(u32) -> Option<Seq>) {
        if self.by_slot.len() >= REMEMBERED_MAX && now.nanos_since(self.swept) >= SWEEP_NS {
            self.by_slot.retain(|&slot, trouble| trouble.is_end || una_of(slot) == Some(trouble.una));
            self.swept = now;
        }
    }

    /// The error that ends the connection.
    pub fn end_of(&self, slot: u32) -> Option<CloseReason> {
        self.by_slot.get(&slot).filter(|t| t.is_end).map(|t| t.why)
    }

    /// The last error, unless something was acknowledged since.
    pub fn since(&self, slot: u32, una: Seq) -> Option<CloseReason> {
        self.by_slot.get(&slot).filter(|t| t.una == una).map(|t| t.why)
    }

    #[inline(always)]
    pub fn forget(&mut self, slot: u32) {
        if !self.by_slot.is_empty() {
            self.by_slot.remove(&slot);
        }
    }
}

/// Takes note of an error. `Ok(false)`: there is nothing to answer.
pub(super) fn take(core: &mut Core, e: &IcmpError) -> Result<bool, DropReason> {
    let local = core.locals.id_of(&e.local).ok_or(DropReason::IpNotForUs)?;
    let key = FlowKey { remote: e.remote, remote_port: e.remote_port, local_port: e.local_port, local, reserved: 0 };
    let hash = core.flows.hash(&key);
    let flow = core.find(hash, &key).filter(|f| f.kind() == FlowKind::Conn).ok_or(DropReason::IcmpStale)?;
    let slot = flow.index();
    let t = core.conns.get_mut(slot).ok_or(DropReason::IcmpStale)?;
    if !e.seq.within(t.snd_una, t.flight()) {
        return Err(DropReason::IcmpStale);
    }
    core.proto.counters.event(Event::IcmpErrorsIn);
    let (is_opening, una) = (!t.state().is_synchronized(), t.snd_una);
    if let IcmpErrorKind::TooBig { mtu } = e.kind {
        let mut env = core.proto.env_of(slot, t.flags);
        if path_mtu::too_big(t, e.seq, mtu, e.datagram_len, &mut env) {
            core.mark_pending(slot);
        }
        return Ok(false);
    }
    let is_end = is_opening && matches!(e.kind, IcmpErrorKind::Refused | IcmpErrorKind::Prohibited);
    let why = match e.kind {
        IcmpErrorKind::NetUnreachable => CloseReason::NetUnreachable,
        IcmpErrorKind::Refused if is_opening => CloseReason::Refused,
        _ => CloseReason::Unreachable,
    };
    core.troubles.sweep(core.proto.clock.now, |slot| core.conns.get(slot).map(|t| t.snd_una));
    if !core.troubles.note(slot, Trouble { why, una, is_end }) {
        core.proto.counters.event(Event::IcmpErrorsForgotten);
    }
    if !is_end {
        core.report(slot, Report::Icmp(e.kind));
    } else if let Some(t) = core.conns.get_mut(slot) {
        t.set(flag::ABORT);
        core.mark_pending(slot);
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOFT: Trouble = Trouble { why: CloseReason::Unreachable, una: Seq(1), is_end: false };

    #[test]
    fn no_more_than_so_many_soft_errors_are_remembered_and_hard_ones_always() {
        let mut troubles = Troubles::default();
        let full = REMEMBERED_MAX as u32;
        assert!((0..full).all(|slot| troubles.note(slot, SOFT)));
        assert!(!troubles.note(full, SOFT));
        assert!(troubles.note(7, SOFT), "it has one already");
        assert!(troubles.note(full, Trouble { is_end: true, ..SOFT }));
        assert_eq!(troubles.end_of(full), Some(CloseReason::Unreachable));
        // Connections that end make room.
        troubles.forget(full);
        troubles.forget(3);
        assert!(troubles.note(full + 1, SOFT));
        assert!(!troubles.note(full + 2, SOFT));
    }

    #[test]
    fn errors_that_have_passed_make_room_for_others() {
        let mut troubles = Troubles::default();
        let at = |s: u64| Instant::from_nanos(s * SWEEP_NS);
        (0..REMEMBERED_MAX as u32).for_each(|slot| assert!(troubles.note(slot, SOFT)));
        // Of every other connection something was acknowledged since.
        let una_of = |slot: u32| Some(Seq(1 + slot % 2));
        troubles.sweep(at(5), una_of);
        assert_eq!(troubles.by_slot.len(), REMEMBERED_MAX / 2);
        assert_eq!((troubles.since(2, Seq(1)), troubles.since(3, Seq(1))), (Some(SOFT.why), None));
        let refilled = (0..REMEMBERED_MAX as u32).filter(|&slot| troubles.note(slot, SOFT)).count();
        assert_eq!(refilled, REMEMBERED_MAX);
        troubles.sweep(at(5), una_of);
        assert_eq!(troubles.by_slot.len(), REMEMBERED_MAX, "not twice in the same second");
    }
}
