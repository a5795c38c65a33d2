//! How large a window a connection offers: its receive buffer grows with what the application really takes in a round
//! trip, so that the window is never what holds the sender back (the idea is that of dynamic right-sizing, Feng and
//! others, 2001). Only connections that bring much have anything here.
//!
//! All that is granted beyond the configured buffers comes out of one budget, the bytes that the frames for held segments
//! can hold. Who asks gets no more than half of what is left, so there is always something for the next. When that is too
//! little, those are asked to give back who have brought nothing worth mentioning for a while and hold nothing. What a
//! window has offered is never taken back: a buffer that grows smaller only keeps the edge from moving on.

use super::core::{Core, Protocol};
use crate::base::Segmented;
use crate::tcp::{NONE, Tcb, flag};
use crate::wire::Seq;
use std::collections::VecDeque;

/// Payload that a held frame is taken to have.
const FRAME_PAYLOAD_BYTES: u32 = 1_448;
/// Connections are looked at when their numbers pass a multiple of this: one that brings little most likely never is, and
/// none has to remember how much it has brought.
const WORTHWHILE_SHIFT: u32 = 16;
/// Less than this is not worth a grant.
const STEP_BYTES: u32 = 4_096;

/// Whoever has not filled a window for so many round trips, and at least so long (1 s), is idle.
const IDLE_ROUNDS: u32 = 4;
const IDLE_MIN_US: u32 = 976_563;
/// Connections that are asked to give back for one that wants more.
const ASKED: usize = 8;

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
    /// The slot stands in `Windows::granted`.
    is_listed: bool,
}

pub(super) struct Windows {
    by_slot: Segmented<Window>,
    /// What is left of the budget.
    free_bytes: u32,
    /// Slots whose connections have had a grant, who was asked last at the end.
    granted: VecDeque<u32>,
}

impl Windows {
    pub fn new(held_frames: u32) -> Windows {
        let free_bytes = held_frames.saturating_mul(FRAME_PAYLOAD_BYTES);
        Windows { by_slot: Segmented::new(), free_bytes, granted: VecDeque::new() }
    }

    /// No connection is left in the slots from `left` on.
    pub fn truncate(&mut self, left: u32) {
        if self.by_slot.len() > left as usize {
            self.by_slot.truncate(left);
            // Nothing says any more that these slots are listed.
            self.granted.retain(|&slot| slot < left);
        }
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

    /// Nothing has come for long that would have moved the window on.
    fn is_idle(&self, t: &Tcb, now_us: u32) -> bool {
        let patience = t.srtt_us.saturating_mul(IDLE_ROUNDS).max(IDLE_MIN_US);
        t.recv == NONE && now_us.wrapping_sub(self.begin_us) > patience
    }

    /// What the buffer should be: twice what the next round trip will bring, if it grows as the last did.
    fn wanted(&self, taken: u32) -> u32 {
        let growth = taken.saturating_sub(self.taken_bytes);
        taken.saturating_add(growth).saturating_mul(2)
    }
}

/// What is about to be acknowledged makes it worth looking at the buffer. Costs those that bring less than two full segments
/// at a time no more than a comparison.
#[inline(always)]
pub(super) fn brings_much(t: &Tcb) -> bool {
    t.rcv_nxt.since(t.last_ack_sent) >= 2 * u32::from(t.mss)
        && (t.has(flag::GROWN) || (t.rcv_nxt.0 ^ t.last_ack_sent.0) >> WORTHWHILE_SHIFT != 0)
        && t.state().receives_data()
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

    #[cold]
    #[inline(never)]
    fn buffer_beside(&self, slot: u32, flags: u32) -> u32 {
        let configured = self.config_of(slot, flags).receive_buffer_bytes;
        let grown = self.windows.by_slot.get(slot).filter(|_| flags & flag::GROWN != 0);
        grown.map_or(configured, |w| w.buffer_bytes)
    }
}

impl Core {
    /// Connection `slot`, which [brings much](brings_much), is about to acknowledge something.
    #[inline(never)]
    pub(super) fn grow_window(&mut self, slot: u32) {
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
            let is_listed = windows.by_slot.get(slot).is_some_and(|w| w.is_listed);
            let mut window = Window { buffer_bytes: configured, is_listed, ..Window::default() };
            window.begin(t, read, now_us);
            windows.by_slot.put(slot, window, Window::default);
            return t.set(flag::GROWN);
        }
        let Some(mut window) = windows.by_slot.get(slot).copied().filter(|w| w.is_over(t, read, now_us)) else {
            return;
        };
        let taken = read.since(window.begin);
        let more = window.wanted(taken).min(limit).saturating_sub(window.buffer_bytes);
        window.taken_bytes = taken;
        window.begin(t, read, now_us);
        if more > windows.free_bytes / 2 {
            windows.by_slot.put(slot, window, Window::default);
            self.collect_grants(now_us);
        }
        let windows = &mut self.proto.windows;
        let granted = windows.grant(more);
        window.buffer_bytes += granted;
        window.granted_bytes += granted;
        if granted > 0 && !window.is_listed {
            window.is_listed = true;
            windows.granted.push_back(slot);
        }
        windows.by_slot.put(slot, window, Window::default);
    }

    /// Asks some of those who have grants: what idle connections have goes back.
    #[cold]
    fn collect_grants(&mut self, now_us: u32) {
        for _ in 0..self.proto.windows.granted.len().min(ASKED) {
            let windows = &mut self.proto.windows;
            let Some(slot) = windows.granted.pop_front() else { return };
            let Some(window) = windows.by_slot.get_mut(slot) else { continue };
            let Some(t) = self.conns.get(slot).filter(|t| t.has(flag::GROWN)) else {
                window.is_listed = false;
                continue;
            };
            if window.is_idle(t, now_us) {
                window.is_listed = false;
                let flags = t.flags;
                self.forget_window(slot, flags);
            } else {
                windows.granted.push_back(slot);
            }
        }
    }

    /// The connection is over or idle, or its buffer was fixed: what it was granted goes back.
    #[inline(always)]
    pub(super) fn forget_window(&mut self, slot: u32, flags: u32) {
        if flags & flag::GROWN == 0 {
            return;
        }
        let windows = &mut self.proto.windows;
        if let Some(window) = windows.by_slot.get_mut(slot) {
            windows.free_bytes += core::mem::take(&mut window.granted_bytes);
        }
        if let Some(t) = self.conns.get_mut(slot) {
            t.clear(flag::GROWN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SEGMENT_LEN;

    #[test]
    fn slots_that_were_given_back_leave_the_list_of_grants_and_others_stay() {
        let mut windows = Windows::new(2_048);
        let left = SEGMENT_LEN as u32;
        for _ in 0..3 {
            for slot in [3, left, left + 7] {
                // As after a grant.
                if windows.by_slot.get(slot).is_none_or(|w| !w.is_listed) {
                    windows.granted.push_back(slot);
                }
                windows.by_slot.put(slot, Window { is_listed: true, ..Window::default() }, Window::default);
            }
            windows.truncate(left);
            assert_eq!(windows.granted, [3]);
        }
    }
}
