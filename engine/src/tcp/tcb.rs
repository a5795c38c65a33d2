//! The control block of a connection: flat, 136 bytes, no pointers. What only some connections need for some
//! of the time (send queue, reassembly) lives in pooled side blocks named by index.

use super::State;
use crate::base::time::Tick;
use crate::table::FlowKey;
use crate::wire::Seq;

/// "No side block".
pub const NONE: u32 = u32::MAX;

/// Switches and marks of a connection.
pub mod flag {
    /// Timestamps were agreed on (RFC 7323).
    pub const TIMESTAMPS: u32 = 1 << 0;
    /// SACK was agreed on (RFC 2018).
    pub const SACK: u32 = 1 << 1;
    /// Nagle's algorithm is off.
    pub const NODELAY: u32 = 1 << 2;
    /// The application has closed its sending side: a FIN follows the last queued byte.
    pub const FIN_QUEUED: u32 = 1 << 3;
    /// The FIN has been sent at least once.
    pub const FIN_SENT: u32 = 1 << 4;
    /// The application takes no more data (`close`): data that still comes is answered with RST.
    pub const RECEIVE_SHUT: u32 = 1 << 5;
    /// An ACK has to go out with this burst.
    pub const ACK_NOW: u32 = 1 << 6;
    /// In the list of connections that have something to send.
    pub const PENDING: u32 = 1 << 7;
    /// `rtx_at`, `ack_at`, `life_at` are set.
    pub const RTX_ON: u32 = 1 << 8;
    pub const ACK_ON: u32 = 1 << 9;
    pub const LIFE_ON: u32 = 1 << 10;
    /// The retransmission timer runs for a closed window (persist, RFC 9293 3.8.6.1).
    pub const PERSIST: u32 = 1 << 11;
    /// One octet (or the FIN) may go out although the window is closed.
    pub const PROBE: u32 = 1 << 12;
    /// Something has to be sent again: what, `recovery` knows.
    pub const RESEND: u32 = 1 << 13;
    /// The controller is CUBIC, not NewReno.
    pub const CUBIC: u32 = 1 << 14;
    /// A segment ending at `rtt_seq` is being timed (Karn).
    pub const RTT_TIMING: u32 = 1 << 15;
    /// srtt and rttvar hold a measurement.
    pub const RTT_VALID: u32 = 1 << 16;
    /// The application has to be told when there is room to send.
    pub const WANT_WRITABLE: u32 = 1 << 17;
    /// The application left bytes and has not resumed.
    pub const RECEIVE_STALLED: u32 = 1 << 18;
    /// `abort` was called: RST goes out with this burst.
    pub const ABORT: u32 = 1 << 19;
    /// The application has been told of the peer's FIN.
    pub const PEER_CLOSED_TOLD: u32 = 1 << 20;
    /// Explicit congestion notification was agreed on (RFC 3168).
    pub const ECN: u32 = 1 << 21;
    /// `resume_receive` was called and bytes have to be offered again.
    pub const RESUME: u32 = 1 << 22;
    /// A keepalive probe has to go out.
    pub const KEEPALIVE_PROBE: u32 = 1 << 23;
    /// The receive buffer has grown, or may: how far, is kept beside the control block (`shard::window`).
    pub const GROWN: u32 = 1 << 24;
    /// Our SYN or SYN,ACK had to be sent again: the first RTO is 3 s unless a round trip is measured (RFC 6298 5.7).
    pub const SYN_LOST: u32 = 1 << 25;
    /// What `rtx_at` has is not the time-out but RACK's reordering timer, or the time for a tail loss probe (RFC 8985). The
    /// former without `RTX_ON`: the end of a rest.
    pub const REORDER_TIMER: u32 = 1 << 26;
    pub const PROBE_TIMER: u32 = 1 << 27;
    /// The connection is young: the next segments are acknowledged at once. Meanwhile `ack_at` has their number.
    pub const QUICK_ACKS: u32 = 1 << 29;
    /// A congestion mark has come, and no word yet that the peer has reduced its window: every ACK says so (ECE).
    pub const ECN_ECHO: u32 = 1 << 28;
    /// The application has more to say soon: less than a full segment waits for it.
    pub const CORKED: u32 = 1 << 30;
    /// The connection has times and limits of its own, kept beside it (`shard::tuning`).
    pub const TUNED: u32 = 1 << 31;
}

/// Transmission control block (RFC 9293 3.3.1). Times: `us` fields in units of 1024 ns.
#[derive(Clone, PartialEq, Debug)]
#[repr(C)]
pub struct Tcb {
    pub key: FlowKey,
    pub flags: u32,
    /// Written by `transition` alone.
    pub(super) state: State,
    /// Shift counts agreed in the handshake (RFC 7323 2): high nibble the peer's, low nibble ours.
    pub scales: u8,
    /// Largest payload of a segment we send, options already taken off.
    pub mss: u16,

    /// Next sequence number expected.
    pub rcv_nxt: Seq,
    /// Right edge of the window we have offered; never moves left.
    pub rcv_adv: Seq,
    /// rcv_nxt as the peer last heard it (RFC 7323: Last.ACK.sent).
    pub last_ack_sent: Seq,
    pub ts_recent: u32,

    /// Oldest unacknowledged.
    pub snd_una: Seq,
    /// Next to send; falls back to snd_una on a time-out.
    pub snd_nxt: Seq,
    /// Highest ever sent: what an ACK may acknowledge.
    pub snd_max: Seq,
    /// End of what the application has queued; the FIN has this number.
    pub snd_end: Seq,
    pub snd_wnd: u32,
    /// Sequence number of the segment that gave snd_wnd. RFC 9293's SND.WL2 is left out: an ACK that gets as far as the
    /// window is never older than the one that gave the last.
    pub snd_wl1: Seq,
    /// Congestion window and slow-start threshold in bytes.
    pub cwnd: u32,
    pub ssthresh: u32,

    pub srtt_us: u32,
    pub rttvar_us: u32,
    pub rtt_seq: Seq,
    pub rtt_at_us: u32,
    /// Added to our timestamp clock, different for each connection (RFC 7323 7.1).
    pub ts_offset: u32,
    /// When ts_recent was taken (`Clock::coarse`), for the 24-day rule (RFC 7323 5.5).
    pub ts_recent_at: u16,
    /// The largest window that the peer ever offered, as a window field: see [`Tcb::max_snd_wnd`].
    pub max_snd_field: u16,

    /// Retransmission or persist.
    pub rtx_at: Tick,
    /// Delayed ACK; while `QUICK_ACKS` lasts, how many more are not to be delayed.
    pub ack_at: Tick,
    /// Keepalive, or the end of FIN-WAIT-2.
    pub life_at: Tick,
    /// Time-outs since the last sign of life, and the exponent of the back-off.
    pub retries: u8,
    pub backoff: u8,
    pub dup_acks: u8,
    pub keepalive_probes: u8,

    /// Next hop in the neighbour table.
    pub neighbour: u32,
    /// Side blocks: send queue; reassembly and unread bytes; loss recovery.
    pub send: u32,
    pub recv: u32,
    pub recovery: u32,
}

// Millions of these.
const _: () = assert!(core::mem::size_of::<Tcb>() == 136);

impl Default for Tcb {
    fn default() -> Self {
        Tcb {
            key: FlowKey::default(),
            flags: 0,
            state: State::Closed,
            scales: 0,
            mss: 536,
            rcv_nxt: Seq(0),
            rcv_adv: Seq(0),
            last_ack_sent: Seq(0),
            ts_recent: 0,
            snd_una: Seq(0),
            snd_nxt: Seq(0),
            snd_max: Seq(0),
            snd_end: Seq(0),
            snd_wnd: 0,
            snd_wl1: Seq(0),
            cwnd: 0,
            ssthresh: u32::MAX,
            srtt_us: 0,
            rttvar_us: 0,
            rtt_seq: Seq(0),
            rtt_at_us: 0,
            ts_offset: 0,
            ts_recent_at: 0,
            max_snd_field: 0,
            rtx_at: Tick(0),
            ack_at: Tick(0),
            life_at: Tick(0),
            retries: 0,
            backoff: 0,
            dup_acks: 0,
            keepalive_probes: 0,
            neighbour: 0,
            send: NONE,
            recv: NONE,
            recovery: NONE,
        }
    }
}

impl Tcb {
    #[inline(always)]
    pub fn state(&self) -> State {
        self.state
    }

    /// For `transition` and the constructors in `open` alone.
    #[inline(always)]
    pub(super) fn write_state(&mut self, state: State) {
        self.state = state;
    }

    #[inline(always)]
    pub fn has(&self, mask: u32) -> bool {
        self.flags & mask != 0
    }

    #[inline(always)]
    pub fn set(&mut self, mask: u32) {
        self.flags |= mask;
    }

    #[inline(always)]
    pub fn clear(&mut self, mask: u32) {
        self.flags &= !mask;
    }

    /// Sets or clears `mask` and tells whether it had been set.
    #[inline(always)]
    pub fn take(&mut self, mask: u32) -> bool {
        let had = self.has(mask);
        self.clear(mask);
        had
    }

    #[inline(always)]
    pub fn snd_scale(&self) -> u8 {
        self.scales >> 4
    }

    #[inline(always)]
    pub fn rcv_scale(&self) -> u8 {
        self.scales & 15
    }

    /// Largest window the peer ever offered (RFC 5961 5.2, RFC 9293 3.8.6.2.1); that of a SYN, which is never scaled, is
    /// rounded up.
    #[inline(always)]
    pub fn max_snd_wnd(&self) -> u32 {
        u32::from(self.max_snd_field) << self.snd_scale()
    }

    /// The handshake has brought the peer's first window, and both scales.
    pub fn first_window(&mut self, window: u16) {
        self.snd_wnd = u32::from(window);
        self.max_snd_field = super::options::window_field(self.snd_wnd, self.snd_scale());
    }

    /// Bytes we have offered and not received.
    #[inline(always)]
    pub fn rcv_wnd(&self) -> u32 {
        self.rcv_adv.since(self.rcv_nxt)
    }

    /// Sent and not acknowledged, SYN and FIN included.
    #[inline(always)]
    pub fn flight(&self) -> u32 {
        self.snd_max.since(self.snd_una)
    }

    #[inline(always)]
    pub fn is_outstanding(&self) -> bool {
        self.snd_max != self.snd_una
    }

    /// Queued data bytes that were never acknowledged. snd_una passes snd_end when the FIN is acknowledged.
    pub fn queued_bytes(&self) -> u32 {
        if !self.state.is_synchronized() {
            // Our SYN still stands in front of them.
            return self.snd_end.since(self.snd_una + 1);
        }
        if self.snd_una.before(self.snd_end) { self.snd_end.since(self.snd_una) } else { 0 }
    }

    /// The number after the last byte of the stream received so far: rcv_nxt, less the FIN if that is in it.
    pub fn stream_end(&self) -> Seq {
        match self.state {
            State::CloseWait | State::Closing | State::LastAck | State::TimeWait | State::Closed => self.rcv_nxt - 1,
            _ => self.rcv_nxt,
        }
    }

    /// Something is queued beyond snd_nxt: bytes, or the FIN.
    #[inline(always)]
    pub fn has_unsent(&self) -> bool {
        let fin = self.has(flag::FIN_QUEUED) && self.snd_nxt.at_or_before(self.snd_end);
        self.snd_nxt.before(self.snd_end) || fin
    }

    /// Our FIN was sent and is acknowledged.
    #[inline(always)]
    pub fn fin_acked(&self) -> bool {
        self.has(flag::FIN_SENT) && self.snd_una.after(self.snd_end)
    }

    /// Starts or restarts the retransmission timer.
    #[inline(always)]
    pub fn arm_rtx(&mut self, at: Tick) {
        self.rtx_at = at;
        self.flags = (self.flags & !(flag::REORDER_TIMER | flag::PROBE_TIMER)) | flag::RTX_ON;
    }

    #[inline(always)]
    pub fn stop_rtx(&mut self) {
        self.clear(flag::RTX_ON | flag::PERSIST | flag::REORDER_TIMER | flag::PROBE_TIMER);
    }

    /// Nothing is under way; what recovery remembers may be forgotten at `until`. Whatever starts the retransmission timer
    /// ends the rest.
    pub fn rest(&mut self, until: Tick) {
        self.stop_rtx();
        self.rtx_at = until;
        self.set(flag::REORDER_TIMER);
    }

    pub fn is_resting(&self) -> bool {
        self.flags & (flag::RTX_ON | flag::REORDER_TIMER) == flag::REORDER_TIMER
    }

    /// The earliest of the deadlines that are set: mostly the retransmission alone.
    #[inline(always)]
    pub fn next_deadline(&self) -> Option<Tick> {
        match self.flags & (flag::RTX_ON | flag::REORDER_TIMER | flag::ACK_ON | flag::LIFE_ON) {
            0 => None,
            flag::RTX_ON => Some(self.rtx_at),
            _ => self.earliest_deadline(),
        }
    }

    fn earliest_deadline(&self) -> Option<Tick> {
        let mut earliest: Option<Tick> = None;
        let rtx = flag::RTX_ON | flag::REORDER_TIMER;
        for (mask, at) in [(rtx, self.rtx_at), (flag::ACK_ON, self.ack_at), (flag::LIFE_ON, self.life_at)] {
            if self.has(mask) {
                earliest = Some(match earliest {
                    Some(e) if at.since(e) >= 0 => e,
                    _ => at,
                });
            }
        }
        earliest
    }
}
