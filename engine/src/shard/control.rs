//! What socket layers ask of a connection beyond what every application needs: bytes read out instead of lent, times and
//! limits of its own, and how it is doing. None of it lies on the way of a segment.

use super::app::CloseReason;
use super::conn::{Conn, Net};
use crate::base::Event;
use crate::base::time::TICK_SHIFT;
use crate::tcp::{Boundaries, State, Tcb, TcpConfig, acknowledge, flag, recovery, rtt, timers};
use crate::wire::Seq;

/// How a connection is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnInfo {
    pub state: State,
    /// Largest payload of a segment we send.
    pub mss: u16,
    /// The MSS that we announce.
    pub own_mss: u16,
    /// Congestion window and slow-start threshold in bytes.
    pub cwnd: u32,
    pub ssthresh: u32,
    /// Nanoseconds; 0 until measured.
    pub srtt_ns: u64,
    pub rttvar_ns: u64,
    pub rto_ns: u64,
    /// Time-outs since the last sign of life, back-off exponent, unanswered keepalive probes.
    pub retries: u8,
    pub backoff: u8,
    pub keepalive_probes: u8,
    /// Bytes (SYN and FIN included) that are sent and not acknowledged; bytes that were never sent.
    pub flight_bytes: u32,
    pub unsent_bytes: u32,
    /// The peer's window, and what of ours is left.
    pub send_window: u32,
    pub receive_window: u32,
    /// The receive buffer, as far as it has grown.
    pub receive_buffer_bytes: u32,
    pub timestamps: bool,
    pub sack: bool,
    pub ecn: bool,
    /// The SYN carried data, all of which were taken (RFC 7413).
    pub syn_data: bool,
    pub in_recovery: bool,
    /// What a time-out took for lost is sent again.
    pub in_timeout: bool,
    /// Segments that are SACKed, sent again and under way, and still to be sent again.
    pub sacked_segments: u32,
    pub resent_segments: u32,
    pub lost_segments: u32,
    /// Shift counts, the peer's and ours.
    pub send_scale: u8,
    pub receive_scale: u8,
    /// How far back a segment came in, in bytes, at most.
    pub reordering_bytes: u32,
    pub reordered_segments: u32,
    /// A congestion mark has reduced the window.
    pub in_reduction: bool,
    /// As [`Conn::stream_positions`].
    pub positions: (Seq, Seq),
}

impl<U> Conn<'_, U> {
    /// Sequence numbers of the oldest byte that is not acknowledged (of the first, while the handshake lasts) and of the
    /// next one expected.
    pub fn stream_positions(&self) -> (Seq, Seq) {
        self.tcb().map_or((Seq(0), Seq(0)), |t| {
            let syn = u32::from(!t.state().is_synchronized());
            (t.snd_una + syn, t.rcv_nxt)
        })
    }

    /// Bytes that came in order and were left by [`App::data`](super::App::data).
    pub fn unread(&self) -> u32 {
        self.tcb().map_or(0, |t| self.core.recv.unread(t.recv, t.stream_end()))
    }

    /// The peer has closed its direction, whether or not everything before was taken.
    pub fn peer_has_closed(&self) -> bool {
        matches!(self.state(), State::CloseWait | State::Closing | State::LastAck | State::TimeWait | State::Closed)
    }

    /// Reads what [`App::data`](super::App::data) left, in order, and returns how many bytes that were. `peek`: they
    /// stay.
    pub fn read(&mut self, out: &mut [u8], peek: bool) -> usize {
        let Some(t) = self.core.conns.get_mut(self.slot) else { return 0 };
        let end = t.stream_end();
        if peek {
            return self.core.recv.peek(t.recv, end, out);
        }
        let n = self.core.recv.read(t.recv, end, out, &mut self.core.spent);
        if n == 0 {
            return 0;
        }
        let unread = self.core.recv.unread(t.recv, end);
        let ended = t.stream_end() != t.rcv_nxt;
        if unread == 0 && ended {
            // The end of the stream has waited behind these bytes.
            self.resume_receive();
            return n;
        }
        if unread == 0 {
            t.clear(flag::RECEIVE_STALLED);
            self.core.recv.give_back_if_empty(&mut t.recv);
        }
        let buffer = self.core.proto.buffer_of(self.slot, t.flags).min(0xffff << t.rcv_scale());
        // Each ACK tells the window anyway: one more is only worth it when the window is twice what the peer knows.
        if buffer.saturating_sub(unread) >= t.rcv_wnd().saturating_mul(2) {
            self.core.window_opened(self.slot);
            self.core.mark_pending(self.slot);
        }
        n
    }

    /// What came in order and was not read, at most the first `limit` bytes, of a connection that is about to be over
    /// ([`App::ending`](super::App::ending)).
    pub fn rest(&self, limit: usize) -> Vec<u8> {
        let Some(t) = self.tcb() else { return Vec::new() };
        let unread = self.core.recv.unread(t.recv, t.rcv_nxt) as usize;
        let mut rest = vec![0; unread.min(limit)];
        // A FIN is counted in, but is no byte.
        let n = self.core.recv.peek(t.recv, t.rcv_nxt, &mut rest);
        rest.truncate(n);
        rest
    }

    /// True: less than a full segment waits for more, or for the FIN. False: what waited goes out.
    pub fn set_corked(&mut self, on: bool) {
        let Some(t) = self.core.conns.get_mut(self.slot) else { return };
        if on {
            t.set(flag::CORKED);
        } else if t.take(flag::CORKED) {
            self.core.mark_pending(self.slot);
        }
    }

    /// True: the next segments are acknowledged at once. False: ACKs are delayed, since the application will answer.
    pub fn set_quick_acks(&mut self, on: bool) {
        let slot = self.slot;
        let Some(t) = self.core.conns.get_mut(slot) else { return };
        if on && t.take(flag::ACK_ON) {
            t.set(flag::ACK_NOW);
            self.core.mark_pending(slot);
        }
        let Some(t) = self.core.conns.get_mut(slot) else { return };
        match on {
            true => acknowledge::begin(t, &self.core.proto.env_of(slot, t.flags)),
            false => t.clear(flag::QUICK_ACKS),
        }
    }

    /// True: what was queued last is the beginning of something, and needs no PSH.
    pub fn set_unfinished(&mut self, on: bool) {
        let Some(t) = self.core.conns.get(self.slot) else { return };
        self.core.send.set_unfinished(t.send, on.then_some(t.snd_end));
    }

    /// Boundaries ([`part`](Self::part)) in what is not acknowledged.
    pub fn boundaries(&self) -> usize {
        self.core.boundaries(self.slot)
    }

    /// There is room for another boundary.
    pub fn may_part(&mut self) -> bool {
        let has_room = self.boundaries() < Boundaries::LIMIT;
        if !has_room {
            self.core.proto.counters.event(Event::BoundariesExhausted);
        }
        has_room
    }

    /// What is queued by now never shares a segment with what will be. False: there is no room to remember that.
    pub fn part(&mut self) -> bool {
        let may = self.may_part();
        if may {
            self.core.part(self.slot);
        }
        may
    }

    /// Gives this connection times and limits of its own. What the handshake agreed on stays as it is.
    pub fn tune(&mut self, config: &TcpConfig) {
        let had = self.core.conns.get(self.slot).map(|t| self.core.proto.config_of(self.slot, t.flags).keepalive);
        self.core.tune(self.slot, config);
        let tick = self.core.proto.clock.tick;
        let Some(t) = self.core.conns.get_mut(self.slot) else { return };
        let env = self.core.proto.env_of(self.slot, t.flags);
        let opening = matches!(t.state(), State::SynSent | State::SynReceived);
        if had == Some(config.keepalive) || opening || timers::is_limited(t, &env) {
            return;
        }
        if config.keepalive.is_some() {
            t.life_at = tick.plus(env.times.keepalive_idle);
            t.set(flag::LIFE_ON);
        } else {
            t.clear(flag::LIFE_ON);
        }
        t.keepalive_probes = 0;
        self.core.reschedule(self.slot);
    }

    /// The configuration that applies to this connection.
    pub fn config(&self) -> TcpConfig {
        *self.core.proto.config_of(self.slot, self.tcb().map_or(0, |t| t.flags))
    }

    /// What ICMP said of this connection, though it goes on (a soft error, RFC 9293 3.9.2.2), unless something was
    /// acknowledged since. Told once.
    pub fn take_soft_error(&mut self) -> Option<CloseReason> {
        let una = self.tcb()?.snd_una;
        let error = self.core.troubles.since(self.slot, una);
        self.core.troubles.forget(self.slot);
        error
    }

    pub fn info(&self) -> Option<ConnInfo> {
        let t = self.tcb()?;
        let times = crate::tcp::Times::new(&self.config());
        let measured = t.has(flag::RTT_VALID);
        let own_mss = self.core.own_mss.to(&t.key.remote);
        let (sacked_segments, resent_segments, lost_segments) = recovery::reported(t, &self.core.proto.recovery);
        let (reordering_bytes, reordered_segments) = recovery::reordering(t, &self.core.proto.recovery);
        let ns = |us: u32| if measured { u64::from(us) << 10 } else { 0 };
        Some(ConnInfo {
            state: t.state(),
            mss: t.mss,
            own_mss: own_mss.min(self.config().mss_max),
            cwnd: t.cwnd,
            ssthresh: t.ssthresh,
            srtt_ns: ns(t.srtt_us),
            rttvar_ns: ns(t.rttvar_us),
            rto_ns: u64::from(rtt::rto_ticks(t, &times)) << TICK_SHIFT,
            retries: t.retries,
            backoff: t.backoff,
            keepalive_probes: t.keepalive_probes,
            flight_bytes: t.flight(),
            unsent_bytes: unsent_bytes(t),
            send_window: t.snd_wnd,
            receive_window: t.rcv_wnd(),
            receive_buffer_bytes: self.core.proto.buffer_of(self.slot, t.flags),
            timestamps: t.has(flag::TIMESTAMPS),
            sack: t.has(flag::SACK),
            ecn: t.has(flag::ECN),
            syn_data: self.core.fast.took_data(self.slot),
            in_recovery: recovery::is_recovering(t, &self.core.proto.recovery),
            in_timeout: recovery::is_after_timeout(t, &self.core.proto.recovery),
            sacked_segments,
            resent_segments,
            lost_segments,
            send_scale: t.snd_scale(),
            receive_scale: t.rcv_scale(),
            reordering_bytes,
            reordered_segments,
            in_reduction: recovery::is_reduced_by_mark(t, &self.core.proto.recovery),
            positions: self.stream_positions(),
        })
    }
}

fn unsent_bytes(t: &Tcb) -> u32 {
    let sent = t.snd_max.max(t.snd_una);
    if sent.before(t.snd_end) { t.snd_end.since(sent) } else { 0 }
}

impl<U: Default> Net<'_, U> {
    /// As [`Shard::listen`](super::Shard::listen), from inside the application; connections to the port get `config`
    /// instead of the shard's own.
    pub fn listen(&mut self, port: u16, config: Option<&TcpConfig>) {
        self.core.listen(port);
        self.core.tune_port(port, config);
    }

    /// Takes no new connections to `port` any more; half-open ones may still complete.
    pub fn stop_listening(&mut self, port: u16) {
        self.core.listeners.retain(|&p| p != port);
        self.core.tune_port(port, None);
    }
}
