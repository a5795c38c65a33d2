//! How large a window a connection offers: its receive buffer grows with what the application really takes in a round
//! trip, so that the window is never what holds the sender back (the idea is that of dynamic right-sizing, Feng and
//! others, 2001). Only connections that bring much have anything here.
//!
//! All that is granted beyond the configured buffers comes out of one budget, the bytes that the frames for held segments
//! can hold. Who asks gets no more than half of what is left, so there is always something for the next. What a window
//! has offered is never taken back: a buffer that grows smaller only keeps the edge from moving on.

use super::core::{Core, Protocol};
use crate::base::Segmented;
use crate::tcp::{Tcb, flag};
use crate::wire::Seq;

/// Payload that a held frame is taken to have.
const FRAME_PAYLOAD_BYTES: u32 = 1_448;
/// Connections are looked at when their numbers pass a multiple of this: one that brings little most likely never is, and
/// none has to remember how much it has brought.
const WORTHWHILE_SHIFT: u32 = 16;
/// Less than this is not worth a grant.
const STEP_BYTES: u32 = 4_096;

/// The window of one connection.
#[derive(Clone, Copy, Default)]
struct Window {
    buffer_bytes: u32,
    /// Of those, how many come from the budget.
    granted_bytes: u32,
    /// The round trip that is being watched: what had been taken when it began, when that was, and the edge of the window
    /// then.
    begin: Seq,
    begin_us: u32,
    edge: Seq,
    /// Bytes taken in the round trip before.
    taken_bytes: u32,
}

pub(super) struct Windows {
    by_slot: Segmented<Window>,
    /// What is left of the budget.
    free_bytes: u32,
}

impl Windows {
    pub fn new(held_frames: u32) -> Windows {
        Windows { by_slot: Segmented::new(), free_bytes: held_frames.saturating_mul(FRAME_PAYLOAD_BYTES) }
    }

    /// No connection is left in a segment of the slab.
    pub fn release(&mut self, segment: u32) {
        self.by_slot.release(segment);
    }

    /// At most half of what is left of the budget, and nothing rather than little.
    fn grant(&mut self, wanted: u32) -> u32 {
        let granted = wanted.min(self.free_bytes / 2);
        if granted < STEP_BYTES {
            return 0;
        }
        self.free_bytes -= granted;
        granted
    }
}

impl Window {
    /// A round trip begins; everything in front of `read` has been taken.
    fn begin(&mut self, t: &Tcb, read: Seq, now_us: u32) {
        (self.begin, self.begin_us, self.edge) = (read, now_us, t.rcv_adv);
    }

    /// A round trip is over: as much time has passed, or, if it was never measured, bytes are here that the peer could not
    /// send before it had the ACK with which it began.
    fn is_over(&self, t: &Tcb, read: Seq, now_us: u32) -> bool {
        match t.has(flag::RTT_VALID) {
            true => now_us.wrapping_sub(self.begin_us) >= t.srtt_us,
            false => read.at_or_after(self.edge),
        }
    }

    /// What the buffer should be: twice what the next round trip will bring, if it grows as the last did.
    fn wanted(&self, taken: u32) -> u32 {
        let growth = taken.saturating_sub(self.taken_bytes);
        taken.saturating_add(growth).saturating_mul(2)
    }
}

impl Protocol {
    /// The receive buffer of a connection.
    #[inline(always)]
    pub fn buffer_of(&self, slot: u32, flags: u32) -> u32 {
        match flags & (flag::TUNED | flag::GROWN) {
            0 => self.config.receive_buffer_bytes,
            _ => self.buffer_beside(slot, flags),
        }
    }

    fn buffer_beside(&self, slot: u32, flags: u32) -> u32 {
        let configured = self.config_of(slot, flags).receive_buffer_bytes;
        let grown = self.windows.by_slot.get(slot).filter(|_| flags & flag::GROWN != 0);
        grown.map_or(configured, |w| w.buffer_bytes)
    }
}

impl Core {
    /// Connection `slot` is about to acknowledge something. Costs those that bring less than two full segments at a time no
    /// more than a comparison.
    #[inline(always)]
    pub(super) fn watch_window(&mut self, slot: u32) {
        if let Some(t) = self.conns.get(slot)
            && t.rcv_nxt.since(t.last_ack_sent) >= 2 * u32::from(t.mss)
            && (t.has(flag::GROWN) || (t.rcv_nxt.0 ^ t.last_ack_sent.0) >> WORTHWHILE_SHIFT != 0)
            && t.state().receives_data()
        {
            self.grow_window(slot);
        }
    }

    #[inline(never)]
    fn grow_window(&mut self, slot: u32) {
        let Some(t) = self.conns.get_mut(slot) else { return };
        let config = self.proto.config_of(slot, t.flags);
        let (configured, limit) =
            (config.receive_buffer_bytes, config.receive_window_max().min(0xffff << t.rcv_scale()));
        if limit <= configured {
            return;
        }
        let now_us = self.proto.clock.us;
        let read = t.rcv_nxt - self.recv.unread(t.recv, t.rcv_nxt);
        let windows = &mut self.proto.windows;
        if !t.has(flag::GROWN) {
            let mut window = Window { buffer_bytes: configured, ..Window::default() };
            window.begin(t, read, now_us);
            windows.by_slot.put(slot, window, Window::default);
            return t.set(flag::GROWN);
        }
        let Some(mut window) = windows.by_slot.get(slot).copied().filter(|w| w.is_over(t, read, now_us)) else {
            return;
        };
        let taken = read.since(window.begin);
        let wanted = window.wanted(taken).min(limit);
        let granted = windows.grant(wanted.saturating_sub(window.buffer_bytes));
        window.buffer_bytes += granted;
        window.granted_bytes += granted;
        window.taken_bytes = taken;
        window.begin(t, read, now_us);
        windows.by_slot.put(slot, window, Window::default);
    }

    /// The connection is over, or its buffer was fixed: what it was granted goes back.
    #[inline(always)]
    pub(super) fn forget_window(&mut self, slot: u32, flags: u32) {
        if flags & flag::GROWN == 0 {
            return;
        }
        let windows = &mut self.proto.windows;
        windows.free_bytes += windows.by_slot.get(slot).map_or(0, |w| w.granted_bytes);
        if let Some(t) = self.conns.get_mut(slot) {
            t.clear(flag::GROWN);
        }
    }
}
