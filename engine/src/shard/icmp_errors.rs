//! What routers and the peer's host say about our segments (RFC 1122 4.2.3.9, RFC 5461, RFC 5927): believed only of a
//! live connection and a sequence number that is under way.
//!
//! A hard error ends a connection that is being opened. Everything else is a soft error, even a hard one about a
//! connection that works: it is remembered, and when the retries are used up it is the cause that the application
//! hears of. An ACK of anything new shows that the trouble has passed.

use super::app::CloseReason;
use super::core::Core;
use crate::base::{DropReason, Event};
use crate::table::{FlowKey, FlowKind};
use crate::tcp::{flag, options};
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
        core.too_big(slot, mtu);
        return Ok(false);
    }
    let is_end = is_opening && matches!(e.kind, IcmpErrorKind::Refused | IcmpErrorKind::Prohibited);
    let why = match e.kind {
        IcmpErrorKind::NetUnreachable => CloseReason::NetUnreachable,
        IcmpErrorKind::Refused if is_opening => CloseReason::Refused,
        _ => CloseReason::Unreachable,
    };
    core.troubles.0.insert(slot, Trouble { why, una, is_end });
    if is_end && let Some(t) = core.conns.get_mut(slot) {
        t.set(flag::ABORT);
        core.mark_pending(slot);
    }
    Ok(false)
}

impl Core {
    fn too_big(&mut self, slot: u32, mtu: u32) {
        let Some(t) = self.conns.get_mut(slot) else { return };
        let v4 = t.key.remote.is_v4();
        // RFC 1191 and 8201: no less than what every link must carry; 0 is an old router that does not say.
        let floor = if v4 { 576 } else { 1280 };
        let mtu = mtu.max(floor).min(u32::from(self.config.mtu)) as u16;
        let options = if t.has(flag::TIMESTAMPS) { options::TIMESTAMP_BYTES } else { 0 };
        let mss = options::own_mss(mtu, v4) - options;
        if mss < t.mss {
            t.mss = mss;
            t.snd_nxt = t.snd_una;
            self.mark_pending(slot);
        }
    }
}
