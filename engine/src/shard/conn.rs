//! Handles through which an application reaches the shard during a callback. What is asked for here only marks
//! the connection; it goes out with the burst.

use super::app::{ConnId, Connect, ConnectError, Payload, SendError};
use super::core::{Core, list};
use super::users::Users;
use crate::base::{Backlog, Event, Instant};
use crate::table::FlowKey;
use crate::tcp::congestion::Algorithm;
use crate::tcp::{State, Tcb, flag, open, timers};
use crate::wire::Addr;

/// Below this many queued bytes `writable` is called.
const LOW_WATER_BYTES: u32 = 64 * 1024;

/// One connection during a callback.
pub struct Conn<'a, U> {
    /// The application's own data.
    pub user: &'a mut U,
    pub(super) core: &'a mut Core,
    pub(super) slot: u32,
}

impl<U> Conn<'_, U> {
    pub(super) fn tcb(&self) -> Option<&Tcb> {
        self.core.conns.get(self.slot)
    }

    fn tcb_mut(&mut self) -> Option<&mut Tcb> {
        self.core.conns.get_mut(self.slot)
    }

    pub fn id(&self) -> ConnId {
        ConnId { slot: self.slot, generation: self.core.conns.generation(self.slot) }
    }

    pub fn now(&self) -> Instant {
        self.core.proto.clock.now
    }

    pub fn local(&self) -> (Addr, u16) {
        self.tcb().map_or((Addr::UNSPECIFIED_V6, 0), |t| (self.core.local_addr(&t.key), t.key.local_port))
    }

    pub fn remote(&self) -> (Addr, u16) {
        self.tcb().map_or((Addr::UNSPECIFIED_V6, 0), |t| (t.key.remote, t.key.remote_port))
    }

    pub fn state(&self) -> State {
        self.tcb().map_or(State::Closed, Tcb::state)
    }

    /// Queues bytes by reference. Empty payloads are accepted and do nothing.
    ///
    /// # Errors
    /// `Full`: nothing was queued, `writable` will be called. `TooLarge`: nothing was queued, and never will be. `Closed`:
    /// our side is closed.
    pub fn send(&mut self, payload: Payload) -> Result<(), SendError> {
        let limit = self.core.config.limits.send_queue_bytes;
        let Some(t) = self.core.conns.get_mut(self.slot).filter(|t| may_send(t)) else {
            return Err(SendError::Closed);
        };
        if payload.is_empty() {
            return Ok(());
        }
        if payload.len() > u64::from(limit) {
            return Err(SendError::TooLarge);
        }
        let fits = u64::from(t.queued_bytes()) + payload.len() <= u64::from(limit);
        let len = payload.len() as u32;
        if !fits || !self.core.send.push(&mut t.send, t.snd_end, payload) {
            t.set(flag::WANT_WRITABLE);
            return Err(SendError::Full);
        }
        t.snd_end += len;
        list(self.slot, t, &mut self.core.pending);
        Ok(())
    }

    /// Copies bytes into pooled buffers and queues them; returns how many were taken. Fewer than given: `writable` will
    /// be called.
    ///
    /// # Errors
    /// `Closed`: our side is closed.
    pub fn send_copy(&mut self, bytes: &[u8]) -> Result<usize, SendError> {
        let limit = self.core.config.limits.send_queue_bytes;
        let Some(t) = self.core.conns.get_mut(self.slot).filter(|t| may_send(t)) else {
            return Err(SendError::Closed);
        };
        let room = limit.saturating_sub(t.queued_bytes()) as usize;
        let n = self.core.send.push_copy(&mut t.send, t.snd_end, &bytes[..bytes.len().min(room)]);
        t.snd_end += n as u32;
        if n < bytes.len() {
            // Without bytes under way no ACK will bring `writable`: it has to come with the next free buffer.
            if t.queued_bytes() == 0 && !t.has(flag::WANT_WRITABLE) {
                self.core.starved.push(self.slot);
            }
            t.set(flag::WANT_WRITABLE);
        }
        self.core.mark_pending(self.slot);
        Ok(n)
    }

    /// As [`send_copy`](Self::send_copy), and what was taken is urgent (RFC 9293 3.8.5), with all before it that is still on its
    /// way. New applications do without (RFC 6093).
    ///
    /// # Errors
    /// As [`send_copy`](Self::send_copy).
    pub fn send_urgent(&mut self, bytes: &[u8]) -> Result<usize, SendError> {
        let n = self.send_copy(bytes)?;
        if n > 0 {
            self.core.urge(self.slot);
        }
        Ok(n)
    }

    /// Bytes queued and not yet acknowledged.
    pub fn queued_bytes(&self) -> u32 {
        self.tcb().map_or(0, Tcb::queued_bytes)
    }

    /// Asks for one call of `writable` when acknowledgements bring the queue below 64 KiB; if nothing is queued, as soon as
    /// there is a buffer for `send_copy`.
    pub fn want_writable(&mut self) {
        if let Some(t) = self.core.conns.get_mut(self.slot) {
            if t.queued_bytes() == 0 && !t.has(flag::WANT_WRITABLE) {
                self.core.starved.push(self.slot);
            }
            t.set(flag::WANT_WRITABLE);
        }
    }

    /// Closes our direction after what is queued (FIN); receiving goes on.
    pub fn shutdown(&mut self) {
        if let Some(t) = self.core.conns.get_mut(self.slot) {
            if t.state() == State::SynSent {
                return self.abort();
            }
            t.set(flag::FIN_QUEUED);
            list(self.slot, t, &mut self.core.pending);
        }
    }

    /// Closes our direction after what is queued, and takes no more data: what has come and was not taken, or still
    /// comes, is answered with RST (RFC 9293 3.10.4, RFC 2525 2.17).
    pub fn close(&mut self) {
        let Some(t) = self.core.conns.get_mut(self.slot) else { return };
        if self.core.recv.unread(t.recv, t.rcv_nxt) > 0 {
            return self.abort();
        }
        t.set(flag::RECEIVE_SHUT);
        timers::limit_fin_wait_2(t, &self.core.proto.env_of(self.slot, t.flags));
        self.shutdown();
    }

    /// RST now; `closed(Aborted)` follows.
    pub fn abort(&mut self) {
        if let Some(t) = self.tcb_mut() {
            t.set(flag::ABORT);
            self.core.mark_pending(self.slot);
        }
    }

    /// Offers again what `data` left.
    pub fn resume_receive(&mut self) {
        if let Some(t) = self.tcb_mut()
            && t.take(flag::RECEIVE_STALLED)
        {
            t.set(flag::RESUME);
            self.core.mark_pending(self.slot);
        }
    }

    /// True: small segments go out at once. False: Nagle's algorithm (RFC 9293 3.7.4).
    pub fn set_nodelay(&mut self, on: bool) {
        if let Some(t) = self.tcb_mut() {
            if on {
                t.set(flag::NODELAY);
                // What Nagle's algorithm held back goes out.
                self.core.mark_pending(self.slot);
            } else {
                t.clear(flag::NODELAY);
            }
        }
    }

    /// Congestion control from now on; new connections have the configuration's.
    pub fn set_congestion(&mut self, algorithm: Algorithm) {
        if let Some(t) = self.tcb_mut() {
            t.set_algorithm(algorithm);
        }
    }

    /// Smoothed round-trip time in nanoseconds, once measured.
    pub fn srtt_ns(&self) -> Option<u64> {
        self.tcb().filter(|t| t.has(flag::RTT_VALID)).map(|t| u64::from(t.srtt_us) << 10)
    }
}

fn may_send(t: &Tcb) -> bool {
    let open = t.state().sends_data() || matches!(t.state(), State::SynSent | State::SynReceived);
    open && !t.has(flag::FIN_QUEUED | flag::ABORT)
}

/// `writable` is due.
#[inline(always)]
pub(super) fn wants_writable(t: &Tcb) -> bool {
    t.has(flag::WANT_WRITABLE) && t.queued_bytes() < LOW_WATER_BYTES && may_send(t)
}

/// The shard during `App::poll`.
pub struct Net<'a, U> {
    pub(super) core: &'a mut Core,
    pub(super) users: &'a mut Users<U>,
}

impl<U: Default> Net<'_, U> {
    pub fn now(&self) -> Instant {
        self.core.proto.clock.now
    }

    /// More has come than this turn took. Who begins nothing new meanwhile keeps the queues short, in which frames would be
    /// lost.
    pub fn is_behind(&self) -> bool {
        self.core.backlog > Backlog::None
    }

    /// Takes note that [`Net::connect`] to the same place follows. With the first of them all that they need is fetched: among
    /// millions of connections this takes as long as everything else, for one or for several.
    #[inline]
    pub fn prepare(&mut self, to: &Connect) {
        let core = &mut *self.core;
        if let Some(key) = core.key_to(to) {
            let hash = core.flows.hash(&key);
            if !core.upcoming.push(hash) {
                core.fetch_upcoming();
                core.upcoming.push(hash);
            }
        }
    }

    /// Begins a connection: its SYN goes out with this turn's burst.
    ///
    /// # Errors
    /// Why it cannot begin; nothing was sent.
    pub fn connect(&mut self, to: Connect, user: U) -> Result<ConnId, ConnectError> {
        let core = &mut *self.core;
        if !core.upcoming.is_empty() {
            core.fetch_upcoming();
        }
        let key = core.key_to(&to).ok_or(ConnectError::NotLocal)?;
        let hash = core.flows.hash(&key);
        if core.find(hash, &key).is_some() || core.time_wait.find(hash).is_some() {
            return Err(ConnectError::AddressInUse);
        }
        let hop = core.locals.route(key.local, &to.remote).ok_or(ConnectError::NoRoute)?;
        let neighbour = core.neigh.lookup_or_create(hop, core.proto.clock.now).ok_or(ConnectError::TableFull)?;
        let (around, iss) = core.surroundings(key, neighbour);
        let slot = core.enter(hash, None).ok_or(ConnectError::TableFull)?;
        if let Some(t) = core.conns.get_mut(slot) {
            open::active(t, &around, iss, &mut core.proto.env());
            list(slot, t, &mut core.pending);
        }
        core.proto.counters.event(Event::ActiveOpens);
        self.users.set(slot, user);
        Ok(ConnId { slot, generation: core.conns.generation(slot) })
    }

    /// A live connection by its name.
    pub fn conn(&mut self, id: ConnId) -> Option<Conn<'_, U>> {
        if !self.core.conns.is_live(id.slot, id.generation) {
            return None;
        }
        let user = self.users.get_mut(id.slot)?;
        Some(Conn { user, core: self.core, slot: id.slot })
    }

    /// Connections that have a control block (half-open and TIME-WAIT not counted).
    pub fn live(&self) -> u32 {
        self.core.conns.len()
    }
}

impl Core {
    /// The key of a connection that we begin; `None` when the address is none of ours.
    fn key_to(&self, to: &Connect) -> Option<FlowKey> {
        let local = self.locals.id_of(&to.local)?;
        let &Connect { remote, remote_port, local_port, .. } = to;
        Some(FlowKey { remote, remote_port, local_port, local, reserved: 0 })
    }
}
