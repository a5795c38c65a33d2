//! What routers and the peer's host say about our segments (RFC 1122 4.2.3.9, RFC 5461, RFC 5927): believed only of a
//! live connection and a sequence number that is under way.
//!
//! A hard error ends a connection that is being opened. Everything else is a soft error, even a hard one about a
//! connection that works: it is remembered, and when the retries are used up it is the cause that the application
//! hears of. An ACK of anything new shows that the trouble has passed.

use super::app::{CloseReason, Report};
use super::core::Core;
use crate::base::{DropReason, Event};
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

/// The last error of each connection that had one, by slot. Hardly any has.
#[derive(Default)]
pub(super) struct Troubles(HashMap<u32, Trouble>);

impl Troubles {
    /// The error that ends the connection.
    pub fn end_of(&self, slot: u32) -> Option<CloseReason> {
        self.0.get(&slot).filter(|t| t.is_end).map(|t| t.why)
    }

    /// The last error, unless something was acknowledged since.
    pub fn since(&self, slot: u32, una: Seq) -> Option<CloseReason> {
        self.0.get(&slot).filter(|t| t.una == una).map(|t| t.why)
    }

    #[inline(always)]
    pub fn forget(&mut self, slot: u32) {
        if !self.0.is_empty() {
            self.0.remove(&slot);
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
    core.troubles.0.insert(slot, Trouble { why, una, is_end });
    if !is_end {
        core.report(slot, Report::Icmp(e.kind));
    } else if let Some(t) = core.conns.get_mut(slot) {
        t.set(flag::ABORT);
        core.mark_pending(slot);
    }
    Ok(false)
}
