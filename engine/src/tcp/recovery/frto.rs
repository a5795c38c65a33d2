//! Spurious time-outs of connections without timestamps (F-RTO, RFC 5682 section 3): after the time-out has sent the first
//! segment again, and an ACK has moved on, two new segments go out instead of more old ones. If then something is reported
//! that was sent before the time-out and never since, the path had only been slow. Without SACK, that is any further
//! ACK that moves on, and a duplicate one goes back to what is lost. With timestamps, an echo says so at once (`undo`).

use super::Block;
use super::acked::Ack;
use crate::tcp::tcb::{Tcb, flag};

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Frto {
    #[default]
    Off,
    /// The first segment was sent again.
    Resent,
    /// New segments are under way, and the next ACK decides.
    Testing,
}

/// Bytes of new data that the test may have under way.
pub fn room(t: &Tcb, b: &Block) -> u32 {
    (2 * u32::from(t.mss)).saturating_sub(t.snd_nxt.since(b.recover))
}

/// An ACK after a time-out. `brings_originals`: it reports something that was sent before the time-out and not since. True:
/// the time-out was spurious.
pub fn on_ack(t: &Tcb, b: &mut Block, ack: &Ack<'_>, brings_originals: bool) -> bool {
    let was = core::mem::take(&mut b.frto);
    if was == Frto::Testing {
        return brings_originals;
    }
    let mss = u32::from(t.mss);
    let unsent = if t.snd_max.before(t.snd_end) { t.snd_end.since(t.snd_max) } else { 0 };
    let has_more = t.snd_una.before(b.recover) && (unsent >= mss || (unsent > 0 && t.has(flag::NODELAY)));
    // SND.WND is still that of the ACK before.
    let fits = t.snd_max.since(t.snd_una) + mss <= u32::from(ack.seg.window) << t.snd_scale();
    // RFC 5682 2.1 (2a): an ACK of a part says nothing of the rest.
    let is_whole = ack.advanced > 0 && b.undo.is_first_acknowledged(t.snd_una);
    if was == Frto::Resent && is_whole && has_more && fits {
        b.frto = Frto::Testing;
    }
    false
}
