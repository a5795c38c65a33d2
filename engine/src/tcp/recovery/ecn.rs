//! What the recovery block remembers of reductions for the sake of explicit congestion notification (RFC 3168).

use super::{Block, Phase, timer};
use crate::base::Event;
use crate::tcp::congestion;
use crate::tcp::env::Env;
use crate::tcp::tcb::{NONE, Tcb, flag};
use crate::wire::Seq;

/// Reductions as the peer has to hear of them.
#[derive(Clone, Copy, Default, Debug)]
pub struct Notice {
    /// The first new segment says that the window is smaller (CWR).
    is_due: bool,
    /// SND.NXT at the last reduction: until something beyond it is acknowledged, an echo is about what was known.
    until: Option<Seq>,
}

impl Notice {
    pub fn is_due(&self) -> bool {
        self.is_due
    }

    /// Whether what ends at `una` was sent before the last reduction.
    pub fn covers(&self, una: Seq) -> bool {
        self.until.is_some_and(|until| !una.after(until))
    }

    /// The window was reduced, for whatever reason.
    pub fn reduced(&mut self, t: &Tcb) {
        if t.has(flag::ECN) {
            *self = Notice { is_due: true, until: Some(t.snd_nxt) };
        }
    }
}

/// An ACK echoes a mark. False: the window has come down for it already.
pub fn reduce(t: &mut Tcb, outstanding: u32, env: &mut Env<'_>) -> bool {
    if t.recovery == NONE && !env.open_recovery(t) {
        // Nothing can remember that it was done: the peer repeats its echo, and the window goes down as after a time-out.
        env.counters.event(Event::RecoveryExhausted);
        t.ssthresh = (t.cwnd / 2).max(2 * u32::from(t.mss));
        t.cwnd = u32::from(t.mss);
        return true;
    }
    let now_us = env.clock.us;
    let Some((b, _)) = env.recovery.parts(t.recovery) else { return false };
    b.take_note(0, now_us);
    if b.phase != Phase::Open || is_known(t, b) {
        return false;
    }
    let in_use = b.in_use(t).max(outstanding);
    t.ssthresh = congestion::reduce(t, &mut b.memory, in_use);
    t.cwnd = t.cwnd.min(t.ssthresh);
    b.undo.forget();
    b.notice.reduced(t);
    if !t.is_outstanding() && !t.is_resting() {
        // The echo came with the last ACK, after which there had been nothing to remember.
        timer::settle(t, env);
    }
    true
}

fn is_known(t: &Tcb, b: &Block) -> bool {
    b.notice.covers(t.snd_una)
}

/// New data go out: true if they have to say that the window is smaller.
pub fn take_notice(t: &Tcb, env: &mut Env<'_>) -> bool {
    let Some((b, _)) = env.recovery.parts(t.recovery) else { return false };
    core::mem::take(&mut b.notice.is_due)
}
