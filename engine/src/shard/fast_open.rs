//! TCP Fast Open (RFC 7413): connections whose SYN carries data, as a client and as a server.
//!
//! What such a connection needs beyond its control block is kept here, by slot; the others cost a look whether there is
//! anything. A server's connection has its control block, and its application, from the SYN on: it is in SYN-RECEIVED, may
//! send at once behind its SYN,ACK (but no FIN before the handshake is complete), and counts as pending until then.

use super::Shard;
use super::app::{App, CloseReason, ConnId, Connect, ConnectError};
use super::conn::{Conn, Net};
use super::core::{Core, Cx};
use super::ingest::Item;
use crate::base::{DropReason, Event, Instant};
use crate::table::FlowKey;
use crate::tcp::fast_open::{Answer, Brought, CookieBaker, CookieCache, FastOpen, Opening};
use crate::tcp::open::{self, Surroundings};
use crate::tcp::output::Plan;
use crate::tcp::receive::Outcome;
use crate::tcp::{HalfOpen, State, flag};
use crate::wire::{FastOpenCookie, Seq, TcpFlags};
use core::time::Duration;
use std::collections::{HashMap, VecDeque};

/// How long a pending connection that was reset still counts, so that who forges addresses, and has the true owners reset
/// what he opened, comes no further than the limit (RFC 7413 5.1).
const RESET_COUNTS: Duration = Duration::from_secs(60);
/// Of the data in a SYN: what TCP options can take.
const OPTION_BYTES_MAX: u16 = 40;

enum Side {
    Client {
        opening: Opening,
        /// Bytes that the SYN carried.
        sent: u32,
    },
    Server {
        port: u16,
        irs: Seq,
        /// The cookie for the SYN,ACK: the one that came will soon be too old.
        grant: Option<FastOpenCookie>,
    },
}

struct Fast {
    side: Side,
    /// The handshake is complete.
    is_open: bool,
    /// All data of the SYN were acknowledged with it.
    took_data: bool,
}

pub(super) struct FastOpens {
    baker: CookieBaker,
    cache: CookieCache,
    /// By slot.
    conns: HashMap<u32, Fast>,
    /// By listening port.
    pending: HashMap<u16, u32>,
    /// Pending ones that were reset, and until when they count.
    reset: VecDeque<(Instant, u16)>,
}

impl FastOpens {
    pub fn new(secret: [u64; 2]) -> FastOpens {
        FastOpens {
            baker: CookieBaker::new(secret),
            cache: CookieCache::default(),
            conns: HashMap::new(),
            pending: HashMap::new(),
            reset: VecDeque::new(),
        }
    }

    /// No connection opens with data.
    #[inline(always)]
    pub fn is_unused(&self) -> bool {
        self.conns.is_empty()
    }

    /// The option of the SYN or SYN,ACK that connection `slot` is about to send.
    #[inline(always)]
    pub fn option(&self, slot: u32, plan: &Plan) -> Option<FastOpenCookie> {
        if self.conns.is_empty() || plan.retransmit {
            return None;
        }
        self.option_of(slot, plan.flags)
    }

    #[cold]
    fn option_of(&self, slot: u32, flags: TcpFlags) -> Option<FastOpenCookie> {
        self.conns.get(&slot).and_then(|fast| match fast.side {
            Side::Client { opening, .. } => opening.option.filter(|_| !flags.ack()),
            Side::Server { grant, .. } => grant,
        })
    }

    /// The SYN carried data, and all of them were taken.
    pub fn took_data(&self, slot: u32) -> bool {
        self.conns.get(&slot).is_some_and(|fast| fast.took_data)
    }

    fn is_server(&self, slot: u32) -> bool {
        self.conns.get(&slot).is_some_and(|fast| matches!(fast.side, Side::Server { .. }))
    }

    fn pending(&mut self, port: u16, now: Instant) -> u32 {
        while let Some(&(until, port)) = self.reset.front()
            && until <= now
        {
            self.reset.pop_front();
            self.no_longer_pending(port);
        }
        self.pending.get(&port).copied().unwrap_or(0)
    }

    fn no_longer_pending(&mut self, port: u16) {
        if let Some(n) = self.pending.get_mut(&port) {
            *n -= 1;
            if *n == 0 {
                self.pending.remove(&port);
            }
        }
    }
}

impl<A: App> Shard<A> {
    /// A SYN that opens a connection at once, with the data that it brings. False: it is to be answered as any other.
    #[inline]
    pub(super) fn fast_open(&mut self, item: &mut Item, cx: &mut Cx<'_>) -> bool {
        let limit = self.core.proto.config_at(item.key.local_port).fast_open.server_pending_max;
        limit > 0 && self.try_fast_open(item, limit, cx)
    }

    #[cold]
    fn try_fast_open(&mut self, item: &mut Item, limit: u32, cx: &mut Cx<'_>) -> bool {
        let core = &mut self.core;
        if !item.seg.flags.is_bare_syn() || !core.is_listening(item.key.local_port) {
            return false;
        }
        let Some(grant) = core.may_fast_open(item, limit) else { return false };
        let Some(slot) = core.begin_fast_open(item, grant, cx) else { return false };
        self.users.set(slot, A::Conn::default());
        self.with_app(slot, |app, conn| app.accepted(conn));
        let mut out = Outcome::default();
        if let Some(t) = self.core.conns.get(slot) {
            out.payload(&item.seg, t, 1);
        }
        if out.data_len > 0 {
            self.core.fast.conns.entry(slot).and_modify(|fast| fast.took_data = true);
            self.take_payload(slot, item, &out, cx);
        }
        self.core.mark_pending(slot);
        true
    }
}

impl<A: App> Shard<A> {
    /// Forgets what is known of servers: their cookies, and what became of data in SYNs.
    pub fn forget_fast_open_servers(&mut self) {
        self.core.fast.cache = CookieCache::default();
    }
}

/// Why a connection ended that was refused as far as TCP knows: for one that was accepted with its SYN it is a reset.
pub(super) fn refused(core: &Core, slot: u32) -> CloseReason {
    if core.fast.is_server(slot) { CloseReason::Reset } else { CloseReason::Refused }
}

impl Core {
    /// `Some`: the SYN opens a connection at once; the cookie that its client is to use from now on, if it needs one.
    fn may_fast_open(&mut self, item: &Item, limit: u32) -> Option<Option<FastOpenCookie>> {
        if self.cookies.wanted(self.halves.len(), self.halves.limit()) {
            return None;
        }
        let port = item.key.local_port;
        let config = self.proto.config_at(port).fast_open;
        let brought = match (item.seg.options.fast_open, config.server_without_cookie && item.seg.payload_len > 0) {
            (_, true) => Brought::Good,
            (Some(cookie), false) if !cookie.is_request() => {
                let server = self.local_addr(&item.key);
                let now = self.proto.clock.now;
                self.fast.baker.judge(&config, cookie.bytes(), &item.key.remote, &server, now)
            }
            _ => return None,
        };
        if brought == Brought::Nothing {
            self.proto.counters.event(Event::FastOpenCookiesBad);
            return None;
        }
        if self.fast.pending(port, self.proto.clock.now) >= limit || self.conns.len() == self.conns.limit() {
            self.proto.counters.event(Event::FastOpensDeclined);
            return None;
        }
        Some(if brought == Brought::Old { self.fast_open_grant(item) } else { None })
    }

    /// The cookie for the SYN,ACK that answers `item`, if its SYN asks for one, or has one that is wrong or old.
    #[inline(always)]
    pub(super) fn fast_open_grant(&mut self, item: &Item) -> Option<FastOpenCookie> {
        if item.seg.options.fast_open.is_some() { self.grant(item) } else { None }
    }

    #[inline(never)]
    fn grant(&mut self, item: &Item) -> Option<FastOpenCookie> {
        let asked = item.seg.options.fast_open?;
        let config = self.proto.config_at(item.key.local_port).fast_open;
        if config.server_pending_max == 0 {
            return None;
        }
        let cookie = {
            let server = self.local_addr(&item.key);
            self.fast.baker.bake(&config, &item.key.remote, &server, self.proto.clock.now)
        };
        if asked.bytes() == cookie {
            return None;
        }
        self.proto.counters.event(Event::FastOpenCookiesSent);
        FastOpenCookie::new(&cookie, asked.experimental)
    }

    fn begin_fast_open(&mut self, item: &Item, grant: Option<FastOpenCookie>, cx: &Cx<'_>) -> Option<u32> {
        let (key, seg) = (item.key, &item.seg);
        let port = key.local_port;
        let hop = self.locals.next_hop(key.local, &key.remote)?;
        let proven = seg.options.fast_open.is_some_and(|cookie| !cookie.is_request());
        let neighbour = self.neigh.caller(hop, item.sender(), cx.now, proven)?;
        let (around, iss): (Surroundings, Seq) = self.surroundings(key, neighbour);
        let slot = self.enter(item.hash, None)?;
        let t = self.conns.get_mut(slot)?;
        let env = &mut self.proto.env_at(port);
        let half = HalfOpen::new(seg, &around, iss, env);
        open::fast(t, &half, &around, seg, env);
        self.inherit_tuning(slot, port);
        if self.trace.is_on() {
            self.trace_in(seg, State::Listen, State::SynReceived);
        }
        let side = Side::Server { port, irs: seg.seq, grant };
        self.fast.conns.insert(slot, Fast { side, is_open: false, took_data: false });
        *self.fast.pending.entry(port).or_default() += 1;
        self.proto.counters.event(Event::PassiveOpens);
        self.proto.counters.event(Event::FastOpensAccepted);
        Some(slot)
    }

    /// The SYN of a connection that it has opened comes again: so does its SYN,ACK. False: it is something else.
    #[cold]
    pub(super) fn repeated_fast_open(&mut self, slot: u32, item: &Item, cx: &mut Cx<'_>) -> bool {
        let Some(Fast { side: Side::Server { irs, .. }, .. }) = self.fast.conns.get(&slot) else { return false };
        if !item.seg.flags.is_bare_syn() || item.seg.seq != *irs {
            return false;
        }
        if self.trace.is_on() {
            self.trace_in(&item.seg, State::SynReceived, State::SynReceived);
        }
        self.proto.counters.drop(DropReason::DataDuplicate);
        let Some(t) = self.conns.get_mut(slot).filter(|t| t.is_outstanding()) else { return true };
        // Which of the two is acknowledged nobody will know (Karn).
        t.clear(flag::RTT_TIMING);
        let flags = TcpFlags::SYN | TcpFlags::ACK | crate::tcp::ecn::of_syn_ack(t);
        let again =
            Plan { seq: t.snd_una, len: 0, flags, retransmit: true, out_of_turn: true, is_last: true, burst: 1 };
        // Should there be no room, its timer sends it.
        self.send_any(slot, &again, cx);
        true
    }

    /// Puts data into a SYN, if it may have some.
    #[inline]
    pub(super) fn fill_syn(&mut self, slot: u32, plan: &mut Plan) {
        if self.fast.conns.is_empty() || plan.retransmit || plan.flags.ack() {
            return;
        }
        let room = u32::from(self.fast_open_room(slot));
        let Some(queued) = self.conns.get(slot).map(|t| {
            let (_, boundaries) = self.proto.sending_of(slot, t.flags);
            boundaries.map_or(t.queued_bytes(), |b| b.joinable(t.snd_una + 1, t.queued_bytes()))
        }) else {
            return;
        };
        if let Some(Fast { side: Side::Client { sent, .. }, .. }) = self.fast.conns.get_mut(&slot) {
            plan.len = queued.min(room);
            *sent = plan.len;
            self.proto.counters.add(Event::FastOpensSent, u64::from(plan.len > 0));
        }
    }

    /// Bytes that the SYN of connection `slot` can carry.
    fn fast_open_room(&self, slot: u32) -> u16 {
        let Some(Fast { side: Side::Client { opening, .. }, .. }) = self.fast.conns.get(&slot) else { return 0 };
        let mss_max = self.conns.get(slot).map_or(0, |t| self.proto.config_of(slot, t.flags).mss_max);
        opening.room.min(mss_max.saturating_sub(OPTION_BYTES_MAX))
    }

    /// The handshake of connection `slot` is complete, by `item`. True: its application has had it before.
    #[inline]
    pub(super) fn fast_open_established(&mut self, slot: u32, item: &Item, acked_bytes: u32) -> bool {
        !self.fast.conns.is_empty() && self.note_established(slot, item, acked_bytes)
    }

    #[cold]
    fn note_established(&mut self, slot: u32, item: &Item, acked_bytes: u32) -> bool {
        let Some(fast) = self.fast.conns.get_mut(&slot) else { return false };
        fast.is_open = true;
        let (opening, sent) = match &fast.side {
            Side::Client { opening, sent } => (*opening, *sent),
            &Side::Server { port, .. } => {
                self.fast.no_longer_pending(port);
                return true;
            }
        };
        let options = Some(&item.seg.options).filter(|_| item.seg.flags.syn());
        let answer = Answer {
            cookie: options.and_then(|o| o.fast_open),
            mss: options.and_then(|o| o.mss),
            had_data: sent > 0,
            acknowledged: acked_bytes > 0,
            was_repeated: self.conns.get(slot).is_some_and(|t| t.has(flag::SYN_LOST)),
        };
        fast.took_data = sent > 0 && acked_bytes >= sent;
        self.proto.counters.add(Event::FastOpensAcked, u64::from(fast.took_data));
        let local = self.local_addr(&item.key);
        self.fast.cache.learn(local, item.key.remote, &opening, &answer, self.proto.clock.now);
        false
    }

    /// Connection `slot` is over.
    #[inline]
    pub(super) fn forget_fast_open(&mut self, slot: u32, key: &FlowKey, why: CloseReason) {
        if !self.fast.conns.is_empty() {
            self.end_fast_open(slot, key, why);
        }
    }

    #[cold]
    fn end_fast_open(&mut self, slot: u32, key: &FlowKey, why: CloseReason) {
        let Some(fast) = self.fast.conns.remove(&slot).filter(|fast| !fast.is_open) else { return };
        let now = self.proto.clock.now;
        match fast.side {
            Side::Client { sent, .. } if sent > 0 && why == CloseReason::TimedOut => {
                let local = self.local_addr(key);
                self.fast.cache.unanswered(local, key.remote, now);
            }
            Side::Client { .. } => {}
            Side::Server { port, .. } if why == CloseReason::Reset => {
                self.fast.reset.push_back((now + RESET_COUNTS, port));
            }
            Side::Server { port, .. } => self.fast.no_longer_pending(port),
        }
    }
}

impl<U> Conn<'_, U> {
    /// Bytes that the SYN can carry, if it has not been sent yet: those that are queued before the end of the burst.
    pub fn fast_open_room(&self) -> u16 {
        self.core.fast_open_room(self.slot)
    }
}

impl<U: Default> Net<'_, U> {
    /// As [`Net::connect`], and what is queued for the connection in this turn may go with the SYN (RFC 7413), if the
    /// server has given us a cookie before; if not, it is asked for one. The server may get that data twice: only what does
    /// no harm then may be sent so. Without [`FastOpen::client`] it is an ordinary `connect`.
    ///
    /// # Errors
    /// As [`Net::connect`].
    pub fn connect_fast(&mut self, to: Connect, user: U) -> Result<ConnId, ConnectError> {
        let switches = self.core.proto.config.fast_open;
        self.connect_fast_with(to, user, &switches)
    }

    /// As [`Net::connect_fast`], with switches of its own.
    ///
    /// # Errors
    /// As [`Net::connect`].
    pub fn connect_fast_with(&mut self, to: Connect, user: U, switches: &FastOpen) -> Result<ConnId, ConnectError> {
        let id = self.connect(to, user)?;
        if let Some(opening) = self.fast_opening(to, switches) {
            let side = Side::Client { opening, sent: 0 };
            self.core.fast.conns.insert(id.slot, Fast { side, is_open: false, took_data: false });
        }
        Ok(id)
    }

    /// What the SYN of [`Net::connect_fast_with`] may carry now.
    pub fn fast_opening(&self, to: Connect, switches: &FastOpen) -> Option<Opening> {
        let own_mss = self.core.own_mss.to(&to.remote);
        self.core.fast.cache.opening(switches, to.local, to.remote, own_mss, self.core.proto.clock.now)
    }
}
