//! A segment, from what is to be said to the frame in the burst.

use super::parts::write_parts;
use crate::base::{Counters, DropReason, Event, Frame, Instant};
use crate::neigh::NeighTable;
use crate::shard::config::ShardConfig;
use crate::shard::core::{Core, Cx, OwnMss, Protocol};
use crate::shard::fast_open::FastOpens;
use crate::shard::locals::Locals;
use crate::shard::recv_queue::RecvPool;
use crate::shard::send_queue::SendPool;
use crate::shard::trace::{Trace, TraceEvent};
use crate::table::{FlowKey, NamedSlab};
use crate::tcp::output::{self, Plan};
use crate::tcp::reset::Bare;
use crate::tcp::{State, Tcb, ecn, flag, options};
use crate::timer::Wheel;
use crate::wire::emit::{self, IpFields, LinkOut, OptionsOut, SegmentOut};
use crate::wire::{FastOpenCookie, Mac, Seq, TcpFlags, TcpOptions};

/// What sending takes besides the connection that sends: so that who has its control block at hand can pass it on.
pub(in crate::shard) struct Sender<'a> {
    pub proto: &'a mut Protocol,
    pub config: &'a ShardConfig,
    pub locals: &'a Locals,
    pub fast: &'a FastOpens,
    pub send: &'a SendPool,
    recv: &'a RecvPool,
    pub trace: &'a mut Trace,
    pub link: &'a LinkOut,
    pub untagged_unseen: &'a bool,
    pub own_mss: OwnMss,
}

/// A shard's core in parts that can be changed side by side.
pub(super) struct Apart<'a> {
    pub conns: &'a mut NamedSlab<Tcb>,
    pub neigh: &'a mut NeighTable,
    pub wheel: &'a mut Wheel,
    pub sender: Sender<'a>,
}

impl Core {
    #[inline(always)]
    pub(super) fn apart(&mut self) -> Apart<'_> {
        let Core { conns, neigh, wheel, proto, config, locals, fast, send, recv, trace, link, untagged_unseen, .. } =
            self;
        let own_mss = self.own_mss;
        Apart {
            conns,
            neigh,
            wheel,
            sender: Sender { proto, config, locals, fast, send, recv, trace, link, untagged_unseen, own_mss },
        }
    }

    #[inline(always)]
    pub(in crate::shard) fn sender(&mut self) -> Sender<'_> {
        self.apart().sender
    }
}

impl Core {
    /// The segment of a plan that is taken note of as sent, whatever kind it is of; the connection was in state `before` then.
    #[inline(never)]
    pub(super) fn send_plan(
        &mut self,
        slot: u32,
        plan: &Plan,
        before: State,
        dst_mac: Mac,
        frame: &mut Option<Frame>,
        cx: &mut Cx<'_>,
    ) {
        let Apart { conns, mut sender, .. } = self.apart();
        let (Some(t), Some(into)) = (conns.get_mut(slot), frame.as_mut()) else { return };
        let is_syn = plan.flags.syn();
        let unread = sender.recv.unread(t.recv, t.rcv_nxt);
        let ts_val = sender.proto.clock.ts.wrapping_add(t.ts_offset);
        let of_syn;
        let options = if is_syn {
            // Whatever a router has said meanwhile: that is about our direction (RFC 8201 5.4).
            let own_mss = sender.own_mss.to(&t.key.remote);
            let cookie = sender.fast.option(slot, plan);
            of_syn = syn_options(t, sender.proto.config_of(slot, t.flags), own_mss, ts_val, cookie);
            OptionsOut::Any(&of_syn)
        } else {
            timestamp_option(t.has(flag::TIMESTAMPS), ts_val, t.ts_recent)
        };
        let window = output::acknowledge(t, unread, sender.proto.buffer_of(slot, t.flags), is_syn);
        let (block, ip) = (t.send, sender.proto.config_of(slot, t.flags).ip);
        let data_at = plan.seq + u32::from(is_syn);
        let ack = if plan.flags.ack() { t.rcv_nxt } else { Seq(0) };
        let is_new_data = plan.len > 0 && !plan.retransmit;
        let (flags, ecn) = match t.has(flag::ECN) {
            true => ecn::outgoing(t, plan.flags, is_new_data, &mut sender.proto.env_of(slot, t.flags)),
            false => (plan.flags, 0),
        };
        // What is urgent is told with the data that follow: a SYN with URG is what many take for an attack.
        let urgent = if is_syn { None } else { sender.proto.urgent_pointer(slot, t, plan.seq) };
        let flags = if urgent.is_some() { flags | TcpFlags::URG } else { flags };
        let push = if plan.burst > 1 { TcpFlags::PSH } else { TcpFlags(0) };
        let bare = Bare { seq: plan.seq, ack, flags: flags | push };
        let segment = sender.bare(&t.key, bare, window, options, ip.with_ecn(ecn));
        let segment = SegmentOut { payload_len: plan.len as u16, ..segment };
        sender.note(&segment, (before, t.state()));
        let link = LinkOut { dst: dst_mac, ..*sender.link };
        let written = match into.has_more() {
            false => emit::tcp(into, &link, &segment, |out| sender.send.read(block, data_at, out)),
            true => write_parts(into, &link, &segment, (sender.send, block), &mut sender.proto.counters),
        };
        if let Some(pointer) = urgent.filter(|_| written) {
            emit::set_urgent(into, &link, &segment, pointer);
        }
        sender.push(frame, written, cx);
    }
}

impl Sender<'_> {
    /// A segment without payload from our end of `key` to the other.
    #[inline(always)]
    pub fn bare<'a>(
        &self,
        key: &FlowKey,
        bare: Bare,
        window: u16,
        options: OptionsOut<'a>,
        ip: IpFields,
    ) -> SegmentOut<'a> {
        SegmentOut {
            src: *self.locals.addr(key.local),
            dst: key.remote,
            src_port: key.local_port,
            dst_port: key.remote_port,
            seq: bare.seq,
            ack: bare.ack,
            flags: bare.flags,
            window,
            options,
            payload_len: 0,
            ip,
            checksum: self.config.checksum,
        }
    }

    /// Sends a segment without payload. `states`: of its connection before and after.
    #[inline(always)]
    pub fn send_bare(
        &mut self,
        frame: &mut Option<Frame>,
        dst: Mac,
        s: &SegmentOut<'_>,
        states: (State, State),
        cx: &mut Cx<'_>,
    ) {
        let Some(into) = frame else { return };
        self.note(s, states);
        let written = emit::tcp(into, &LinkOut { dst, ..*self.link }, s, |_| {});
        self.push(frame, written, cx);
    }

    /// For the trace, if there is one.
    #[inline(always)]
    fn note(&mut self, segment: &SegmentOut<'_>, (before, after): (State, State)) {
        if self.trace.is_on() {
            trace_out(self.trace, self.proto.clock.now, segment, before, after);
        }
    }

    /// A segment into the burst, which has room. `written`: there was room for it in the frame.
    #[inline(always)]
    pub fn push(&mut self, frame: &mut Option<Frame>, written: bool, cx: &mut Cx<'_>) {
        match frame.take() {
            Some(frame) if written => {
                self.proto.counters.event(Event::SegmentsOut);
                self.push_frame(frame, cx);
            }
            frame => unwritten(&mut self.proto.counters, frame, cx),
        }
    }

    /// Puts a finished frame into the burst, which has room.
    #[inline(always)]
    pub fn push_frame(&mut self, frame: Frame, cx: &mut Cx<'_>) {
        self.proto.counters.event(Event::FramesOut);
        self.proto.counters.add(Event::BytesOut, frame.len() as u64);
        cx.tx.push(frame);
    }
}

pub(super) fn timestamp_option(on: bool, ts_val: u32, ts_recent: u32) -> OptionsOut<'static> {
    if on { OptionsOut::Timestamp(ts_val, ts_recent) } else { OptionsOut::None }
}

/// Options of our SYN, or of the SYN,ACK of a simultaneous open (where only what the peer offered is repeated).
fn syn_options(
    t: &Tcb,
    config: &crate::tcp::TcpConfig,
    own_mss: u16,
    ts_val: u32,
    fast_open: Option<FastOpenCookie>,
) -> TcpOptions {
    let mut o = TcpOptions { fast_open, ..options::for_syn(config, own_mss, ts_val) };
    if t.state() == State::SynReceived {
        o.timestamp = t.has(flag::TIMESTAMPS).then_some((ts_val, t.ts_recent));
        o.sack_permitted = t.has(flag::SACK);
        if t.scales == 0 {
            o.window_scale = None;
        }
    }
    o
}

// What follows has no sender as an argument: then none has to stand in memory for what nearly never happens.

#[cold]
fn trace_out(trace: &mut Trace, at: Instant, s: &SegmentOut<'_>, before: State, after: State) {
    trace.push(TraceEvent {
        at,
        outgoing: true,
        src: s.src,
        dst: s.dst,
        src_port: s.src_port,
        dst_port: s.dst_port,
        seq: s.seq,
        ack: s.ack,
        flags: s.flags,
        window: s.window,
        options: s.options.to_options(),
        payload_len: s.payload_len,
        before,
        after,
    });
}

#[cold]
fn unwritten(counters: &mut Counters, frame: Option<Frame>, cx: &mut Cx<'_>) {
    counters.drop(DropReason::NoFrame);
    frame.into_iter().for_each(|frame| cx.pool.free(frame));
}
