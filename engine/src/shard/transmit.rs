//! From decisions to frames: everything the shard sends as TCP goes through here.

mod burst;
mod parts;
mod plain;
mod sender;

use super::core::{Core, Cx};
use super::ingest::Item;
use super::window::brings_much;
use crate::base::{DropReason, Event, Frame};
use crate::tcp::open::Surroundings;
use crate::tcp::output::{self, Plan};
use crate::tcp::reset::Bare;
use crate::tcp::timewait::{Agreed, TimeWait};
use crate::tcp::{HalfOpen, State, ecn, expected, flag, options, rtt};
use crate::wire::emit::{OptionsOut, PlainIp, PlainTcp, UsualSyn};
use crate::wire::segment::SackBlock;
use crate::wire::{FastOpenCookie, Seq, TcpFlags};
use burst::Burst;
use sender::{Apart, timestamp_option};

/// What became of a segment that was to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sent {
    Done,
    /// No free frame, or the burst is full: try again next time.
    NoRoom,
    /// The next hop's link address is not known yet.
    NoNeighbour,
}

impl Core {
    /// Sends all that connection `slot` may send now.
    pub(super) fn output(&mut self, slot: u32, cx: &mut Cx<'_>) -> Sent {
        let Some(t) = self.conns.get_mut(slot) else { return Sent::Done };
        if t.state() == State::SynSent && self.fast.is_unused() {
            return self.output_syn(slot, cx);
        }
        let is_paced = self.proto.pacing_of(slot, t.flags).is_some();
        self.proto.release_boundaries(slot, t);
        if brings_much(t) {
            self.grow_window(slot);
        }
        let mut is_held_back;
        let mut burst = Burst::default();
        loop {
            is_held_back = is_paced && self.is_held_back(slot);
            if is_held_back {
                break;
            }
            let Some(t) = self.conns.get_mut(slot) else { return Sent::Done };
            let (env, boundaries) = self.proto.sending_of(slot, t.flags);
            let Some(mut plan) = output::next(t, &env, boundaries) else { break };
            if plan.flags.syn() {
                self.fill_syn(slot, &mut plan);
            }
            if plan.len > 0 {
                self.push_burst(slot, &mut plan, &mut burst);
            }
            match self.send_any(slot, &plan, cx) {
                Sent::Done if is_paced => self.pace(slot, plan.len),
                // Nothing follows before the peer has answered.
                Sent::Done if plan.flags.is_bare_syn() => return Sent::Done,
                Sent::Done => {}
                Sent::NoNeighbour => return self.wait_for_neighbour(slot),
                Sent::NoRoom => return Sent::NoRoom,
            }
        }
        let Some(t) = self.conns.get_mut(slot) else { return Sent::Done };
        if !is_held_back {
            output::settle(t, &self.proto.env_of(slot, t.flags));
        }
        if t.has(flag::KEEPALIVE_PROBE) {
            let seq = t.snd_nxt - 1;
            let sent = self.send_ack(slot, seq, None, cx);
            if sent != Sent::NoRoom
                && let Some(t) = self.conns.get_mut(slot)
            {
                t.clear(flag::KEEPALIVE_PROBE);
            }
            return sent;
        }
        if t.has(flag::ACK_NOW) && !matches!(t.state(), State::SynSent | State::Closed) {
            let seq = t.snd_max;
            return self.send_ack(slot, seq, None, cx);
        }
        Sent::Done
    }

    /// As [`Core::output`], for a connection that begins with its SYN alone.
    #[inline(always)]
    fn output_syn(&mut self, slot: u32, cx: &mut Cx<'_>) -> Sent {
        let Apart { conns, neigh, mut sender, .. } = self.apart();
        let Some(t) = conns.get_mut(slot) else { return Sent::Done };
        let Some(plan) = output::first(t, &sender.proto.env_of(slot, t.flags)) else { return Sent::Done };
        if cx.tx.len() < cx.tx.capacity()
            && sender.is_plain_syn(t)
            && let Some(dst) = neigh.station(t.neighbour)
            && let Some(frame) = cx.pool.alloc()
        {
            output::commit(t, &plan, &mut sender.proto.env());
            sender.send_plain_syn(t, &plan, dst, &mut Some(frame), cx);
            return Sent::Done;
        }
        match self.send_any(slot, &plan, cx) {
            Sent::NoNeighbour => self.wait_for_neighbour(slot),
            sent => sent,
        }
    }

    /// The connection is tried again when the neighbour answers; its retransmission timer sees to it if not.
    fn wait_for_neighbour(&mut self, slot: u32) -> Sent {
        let Some(t) = self.conns.get_mut(slot) else { return Sent::Done };
        self.neigh.wait(t.neighbour, slot);
        if !t.has(flag::RTX_ON) {
            let rto = rtt::rto_ticks(t, self.proto.env_of(slot, t.flags).times);
            t.arm_rtx(self.proto.clock.tick.plus(rto));
        }
        Sent::Done
    }

    /// The table may have forgotten the next hop of a connection that was idle: then it is looked for again. True: its link
    /// address is known now.
    #[cold]
    fn seek_neighbour(&mut self, slot: u32) -> bool {
        let Some(t) = self.conns.get_mut(slot).filter(|t| !self.neigh.is_known(t.neighbour)) else { return false };
        let hop = self.locals.next_hop(t.key.local, &t.key.remote);
        let Some(id) = hop.and_then(|hop| self.neigh.lookup_or_create(hop, self.proto.clock.now)) else { return false };
        t.neighbour = id;
        self.neigh.mac(id).is_some()
    }

    fn take_frame(&mut self, cx: &mut Cx<'_>) -> Option<Frame> {
        if cx.tx.len() == cx.tx.capacity() {
            return None;
        }
        cx.pool.alloc()
    }

    /// Sends what the application has said to an expected segment, and with it the ACK, unless the connection is over: in
    /// `frame`, in which the segment came, if one segment holds it and nothing is in the way of it. A bare ACK waits for the
    /// end of the burst, which may bring more that it can acknowledge. `listed`: the connection is asked then in any case.
    #[inline(always)]
    pub(super) fn answer_expected(&mut self, slot: u32, listed: bool, frame: &mut Option<Frame>, cx: &mut Cx<'_>) {
        if let Some(t) = self.conns.get_mut(slot).filter(|t| t.has(flag::PENDING) && !listed) {
            t.clear(flag::PENDING);
            self.answer_unlisted(slot, frame, cx);
        }
    }

    /// The short way of [`Core::answer_any`].
    #[inline(never)]
    fn answer_unlisted(&mut self, slot: u32, frame: &mut Option<Frame>, cx: &mut Cx<'_>) {
        let Apart { conns, neigh, wheel, mut sender } = self.apart();
        let Some(t) = conns.get_mut(slot) else { return };
        let full = cx.tx.len() == cx.tx.capacity();
        let holds = frame.as_ref().is_some_and(|f| parts::holds(f, t.snd_end.since(t.snd_max)));
        if t.has_unsent()
            && holds
            && !full
            && sender.is_plain(t)
            && let Some(dst) = neigh.station(t.neighbour)
            && let Some(plan) = expected::speak(t, &mut sender.proto.env())
        {
            sender.send_plain(t, &plan, dst, frame, cx);
            if let Some(deadline) = t.next_deadline() {
                wheel.arm_by(slot, deadline);
            }
        } else {
            self.answer_any(slot, frame, cx);
        }
    }

    #[inline(never)]
    fn answer_any(&mut self, slot: u32, frame: &mut Option<Frame>, cx: &mut Cx<'_>) {
        let Apart { conns, neigh, sender, .. } = self.apart();
        let Some(t) = conns.get_mut(slot) else { return };
        let speaks = t.has_unsent() && t.flags & (flag::ABORT | flag::RESUME) == 0;
        let is_parted = sender.proto.release_boundaries(slot, t);
        let full = cx.tx.len() == cx.tx.capacity();
        let holds = frame.as_ref().is_some_and(|f| parts::holds(f, t.snd_end.since(t.snd_max)));
        let before = t.state();
        if speaks
            && !is_parted
            && holds
            && !full
            && let Some(dst_mac) = neigh.mac(t.neighbour)
            && let Some(plan) = expected::speak(t, &mut sender.proto.env_of(slot, t.flags))
        {
            self.send_plan(slot, &plan, before, dst_mac, frame, cx);
            return self.reschedule(slot);
        }
        if (speaks && self.output(slot, cx) != Sent::NoRoom) || !self.wants_output(slot) {
            self.reschedule(slot);
        } else {
            self.mark_pending(slot);
        }
    }

    /// Anything: a SYN, a retransmission, the segments of a long stream.
    pub(super) fn send_any(&mut self, slot: u32, plan: &Plan, cx: &mut Cx<'_>) -> Sent {
        let mut frame = self.take_frame(cx).and_then(|frame| parts::with_room(frame, plan.len, cx.pool));
        if frame.is_none() {
            return Sent::NoRoom;
        }
        let Apart { conns, neigh, mut sender, .. } = self.apart();
        let t = conns.get_mut(slot);
        let mac = t.as_ref().and_then(|t| neigh.station(t.neighbour));
        let (Some(t), Some(dst_mac)) = (t, mac) else {
            frame.into_iter().for_each(|frame| cx.pool.free(frame));
            return if self.seek_neighbour(slot) { self.send_any(slot, plan, cx) } else { Sent::NoNeighbour };
        };
        let before = t.state();
        output::commit(t, plan, &mut sender.proto.env_of(slot, t.flags));
        if sender.is_plain(t) && !plan.flags.syn() && frame.as_ref().is_some_and(|frame| !frame.has_more()) {
            sender.send_plain(t, plan, dst_mac, &mut frame, cx);
        } else {
            let dst_mac = *dst_mac;
            self.send_plan(slot, plan, before, dst_mac, &mut frame, cx);
        }
        Sent::Done
    }

    /// A bare ACK of connection `slot`, in `frame` if there is one. SACK blocks go with it (RFC 2018).
    pub(super) fn send_ack(&mut self, slot: u32, seq: Seq, frame: Option<Frame>, cx: &mut Cx<'_>) -> Sent {
        self.send_control(slot, seq, TcpFlags::ACK, None, frame, cx)
    }

    /// As [`Core::send_ack`] with the next number, in the frame of the segment that it answers.
    pub(super) fn send_ack_in(&mut self, slot: u32, frame: &mut Option<Frame>, cx: &mut Cx<'_>) -> Sent {
        let Apart { conns, neigh, mut sender, .. } = self.apart();
        let Some(t) = conns.get_mut(slot) else { return Sent::Done };
        let seq = t.snd_max;
        if frame.is_some()
            && cx.tx.len() < cx.tx.capacity()
            && sender.is_plain(t)
            && let Some(dst) = neigh.station(t.neighbour)
        {
            sender.send_plain(t, &Plan::bare(seq, TcpFlags::ACK), dst, frame, cx);
            return Sent::Done;
        }
        let frame = frame.take();
        self.send_ack(slot, seq, frame, cx)
    }

    /// The bare ACK for a segment that brought only bytes that had come before; those of `dsack` are named in it
    /// (RFC 2883).
    pub(super) fn send_duplicate_ack(
        &mut self,
        slot: u32,
        dsack: Option<SackBlock>,
        frame: Option<Frame>,
        cx: &mut Cx<'_>,
    ) -> Sent {
        let Some(seq) = self.conns.get(slot).map(|t| t.snd_max) else { return Sent::Done };
        self.send_control(slot, seq, TcpFlags::ACK, dsack, frame, cx)
    }

    /// As [`send_duplicate_ack`](Self::send_duplicate_ack), in a frame of its own, or with the burst if there is none.
    pub(super) fn acknowledge_duplicate(&mut self, slot: u32, dsack: Option<SackBlock>, cx: &mut Cx<'_>) {
        if self.send_duplicate_ack(slot, dsack, None, cx) == Sent::NoRoom
            && let Some(t) = self.conns.get_mut(slot)
        {
            t.set(flag::ACK_NOW);
        }
    }

    /// The RST that ends connection `slot` (RFC 9293 3.10.5). Its number is the highest sent: the RFC's SND.NXT does not
    /// fall back on a time-out. One that is to be abandoned acknowledges what has come, and that is all.
    pub(super) fn send_reset(&mut self, slot: u32, cx: &mut Cx<'_>) -> Sent {
        let Some(t) = self.conns.get(slot) else { return Sent::Done };
        if matches!(t.state(), State::Closed | State::SynSent | State::TimeWait) {
            return Sent::Done;
        }
        let seq = t.snd_max;
        if self.config.abandons {
            return self.send_ack(slot, seq, None, cx);
        }
        let sent = self.send_control(slot, seq, TcpFlags::RST | TcpFlags::ACK, None, None, cx);
        if sent == Sent::Done {
            self.proto.counters.event(Event::ResetsOut);
        }
        sent
    }

    fn send_control(
        &mut self,
        slot: u32,
        seq: Seq,
        flags: TcpFlags,
        dsack: Option<SackBlock>,
        frame: Option<Frame>,
        cx: &mut Cx<'_>,
    ) -> Sent {
        let full = cx.tx.len() == cx.tx.capacity();
        let Some(frame) = frame.or_else(|| self.take_frame(cx)) else { return Sent::NoRoom };
        let Apart { conns, neigh, mut sender, .. } = self.apart();
        let t = conns.get_mut(slot);
        let mac = t.as_ref().and_then(|t| neigh.station(t.neighbour));
        let (Some(t), Some(dst_mac), false) = (t, mac, full) else {
            cx.pool.free(frame);
            return match full {
                true => Sent::NoRoom,
                false if self.seek_neighbour(slot) => self.send_control(slot, seq, flags, dsack, None, cx),
                false => {
                    self.proto.counters.drop(DropReason::NeighbourUnresolved);
                    Sent::NoNeighbour
                }
            };
        };
        if dsack.is_none() && sender.is_plain(t) {
            sender.send_plain(t, &Plan::bare(seq, flags), dst_mac, &mut Some(frame), cx);
            return Sent::Done;
        }
        let dst_mac = *dst_mac;
        let Some(t) = self.conns.get_mut(slot) else { return Sent::Done };
        let unread = self.recv.unread(t.recv, t.rcv_nxt);
        let ts_val = self.proto.clock.ts.wrapping_add(t.ts_offset);
        let mut options = timestamp_option(t.has(flag::TIMESTAMPS), ts_val, t.ts_recent);
        let mut with_sack;
        if t.has(flag::SACK) && (t.recv != crate::tcp::NONE || dsack.is_some()) {
            with_sack = options.to_options();
            let room = if t.has(flag::TIMESTAMPS) { 3 } else { 4 };
            if let Some(block) = dsack {
                with_sack.sack[0] = block;
                self.proto.counters.event(Event::DsacksOut);
            }
            let first = usize::from(dsack.is_some());
            let blocks = self.recv.sack_blocks(t.recv, t.rcv_nxt, &mut with_sack.sack[first..room]);
            with_sack.sack_len = (first + blocks) as u8;
            options = OptionsOut::Any(&with_sack);
        }
        let window = output::acknowledge(t, unread, self.proto.buffer_of(slot, t.flags), false);
        let bare = Bare { seq, ack: t.rcv_nxt, flags: ecn::echo(t, flags) };
        let (key, state, ip) = (t.key, t.state(), self.proto.config_of(slot, t.flags).ip);
        let segment = self.sender().bare(&key, bare, window, options, ip);
        self.sender().send_bare(&mut Some(frame), dst_mac, &segment, (state, state), cx);
        Sent::Done
    }

    /// The SYN,ACK of a half-open connection, in `frame`.
    #[inline(always)]
    pub(super) fn send_syn_ack(
        &mut self,
        slot: u32,
        around: &Surroundings,
        grant: Option<FastOpenCookie>,
        frame: Frame,
        cx: &mut Cx<'_>,
    ) {
        let writes_plain = self.untagged_unseen;
        let (Some(h), false) = (self.halves.get(slot), cx.tx.len() == cx.tx.capacity()) else {
            self.proto.counters.drop(DropReason::TxFull);
            return cx.pool.free(frame);
        };
        let Some(dst_mac) = self.neigh.mac(around.neighbour) else {
            self.proto.counters.drop(DropReason::NeighbourUnresolved);
            return cx.pool.free(frame);
        };
        let ts_val = self.proto.clock.ts.wrapping_add(around.ts_offset);
        let config = self.proto.config_at(around.key.local_port);
        let before = if h.retries() == 0 { State::Listen } else { State::SynReceived };
        let (window, ip) = (config.receive_buffer_bytes.min(0xffff) as u16, config.ip);
        let echo = if h.has(HalfOpen::ECN) { TcpFlags::ECE } else { TcpFlags(0) };
        let bare = Bare { seq: h.iss, ack: h.irs + 1, flags: TcpFlags::SYN | TcpFlags::ACK | echo };
        if h.offers_all() && grant.is_none() && writes_plain {
            let (timestamps, window_scale) = ((ts_val, h.ts_recent), h.own_scale());
            let header = PlainTcp {
                src_port: around.key.local_port,
                dst_port: around.key.remote_port,
                seq: bare.seq,
                ack: bare.ack,
                flags: bare.flags,
                window,
                options: UsualSyn { mss: around.own_mss.min(config.mss_max), timestamps, window_scale }.words(),
            };
            let (ip, frame) = (PlainIp::new(ip.with_ecn(0)), &mut Some(frame));
            return self.sender().send_plain_header(&around.key, ip, &dst_mac, &header, frame, cx);
        }
        let mut options = options::for_syn(config, around.own_mss, ts_val);
        // Only what the SYN offered may be in the SYN,ACK (RFC 7323 2.2 and 3.2, RFC 2018 section 2), and each time the same.
        options.timestamp = h.has(HalfOpen::TIMESTAMPS).then_some((ts_val, h.ts_recent));
        options.sack_permitted = h.has(HalfOpen::SACK);
        options.window_scale = h.is_scaled().then_some(h.own_scale());
        options.fast_open = grant;
        let segment = self.sender().bare(&around.key, bare, window, OptionsOut::Any(&options), ip);
        self.sender().send_bare(&mut Some(frame), dst_mac, &segment, (before, State::SynReceived), cx);
    }

    /// A half-open connection's bare ACK, in the frame of the segment that it answers.
    pub(super) fn half_open_ack(&mut self, slot: u32, item: &mut Item, cx: &mut Cx<'_>) {
        let Some(h) = self.halves.get(slot) else { return };
        let ts_val = self.proto.clock.ts.wrapping_add(self.isn.ts_offset(&item.key));
        let options = timestamp_option(h.has(HalfOpen::TIMESTAMPS), ts_val, h.ts_recent);
        let config = self.proto.config_at(item.key.local_port);
        let window = options::window_field(config.receive_buffer_bytes, h.scales() & 15);
        let bare = Bare { seq: h.iss + 1, ack: h.irs + 1, flags: TcpFlags::ACK };
        self.answer(item, bare, window, options, State::SynReceived, cx);
    }

    /// The ACK of a TIME-WAIT record, in the frame of the segment that it answers. False: no room.
    pub(super) fn time_wait_ack(&mut self, w: &TimeWait, agreed: Agreed, item: &mut Item, cx: &mut Cx<'_>) -> bool {
        let ts_val = self.proto.clock.ts.wrapping_add(self.isn.ts_offset(&item.key));
        let options = timestamp_option(agreed.timestamps(), ts_val, w.ts_recent);
        let bare = Bare { seq: w.snd_nxt, ack: w.rcv_nxt, flags: TcpFlags::ACK };
        self.answer(item, bare, agreed.window(&self.proto.config), options, State::TimeWait, cx)
    }

    /// An RST for a segment that belongs nowhere, in its own frame.
    pub(super) fn reset_answer(&mut self, item: &mut Item, bare: Bare, state: State, cx: &mut Cx<'_>) {
        if self.answer(item, bare, 0, OptionsOut::None, state, cx) {
            self.proto.counters.event(Event::ResetsOut);
        }
    }

    /// A segment without payload that goes back to where `item` came from, in the same frame. False: there was no room
    /// for it. What it answers has been counted already.
    pub(super) fn answer(
        &mut self,
        item: &mut Item,
        bare: Bare,
        window: u16,
        options: OptionsOut<'_>,
        state: State,
        cx: &mut Cx<'_>,
    ) -> bool {
        if cx.tx.len() == cx.tx.capacity() {
            return false;
        }
        let dst_mac = item.sender();
        let ip = self.proto.config.ip;
        let segment = self.sender().bare(&item.key, bare, window, options, ip);
        let has_frame = item.frame.is_some();
        self.sender().send_bare(&mut item.frame, dst_mac, &segment, (state, state), cx);
        has_frame
    }
}
