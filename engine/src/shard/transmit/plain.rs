//! The short way of what connections mostly send: an untagged frame with timestamps, written on the spot.

use super::sender::Sender;
use crate::base::Frame;
use crate::shard::core::Cx;
use crate::table::FlowKey;
use crate::tcp::output::{self, Plan};
use crate::tcp::{NONE, Tcb, flag};
use crate::wire::emit::{self, PlainIp, PlainOut, PlainTcp, UsualSyn};
use crate::wire::{Mac, Seq, TcpFlags};

impl Sender<'_> {
    /// What the connection sends now, without SYN, has nothing about it that only the long way knows, and nobody watches.
    #[inline(always)]
    pub fn is_plain(&self, t: &Tcb) -> bool {
        const UNUSUAL: u32 = flag::ECN | flag::TUNED | flag::GROWN;
        let usual = t.flags & (UNUSUAL | flag::TIMESTAMPS) == flag::TIMESTAMPS && t.recv == NONE;
        usual && *self.untagged_unseen
    }

    /// The segment of a plan that is taken note of as sent, of a connection that [is plain](Self::is_plain).
    #[inline(always)]
    pub fn send_plain(&mut self, t: &mut Tcb, plan: &Plan, dst: &Mac, frame: &mut Option<Frame>, cx: &mut Cx<'_>) {
        match t.key.remote.is_v4() {
            true => self.send_plain_over::<false>(t, plan, dst, frame, cx),
            false => self.send_plain_over_v6(t, *plan, dst, frame, cx),
        }
    }

    /// One piece of code for all who send over IPv6, so that the others stay as short as they are without it.
    #[inline(never)]
    fn send_plain_over_v6(&mut self, t: &mut Tcb, plan: Plan, dst: &Mac, frame: &mut Option<Frame>, cx: &mut Cx<'_>) {
        self.send_plain_over::<true>(t, &plan, dst, frame, cx);
    }

    #[inline(always)]
    fn send_plain_over<const V6: bool>(
        &mut self,
        t: &mut Tcb,
        plan: &Plan,
        dst: &Mac,
        frame: &mut Option<Frame>,
        cx: &mut Cx<'_>,
    ) {
        let Some(into) = frame else { return };
        let push = if plan.burst > 1 { TcpFlags::PSH } else { TcpFlags(0) };
        let out = self.plain_out(&t.key, self.proto.plain_ip, dst, plan.len as u16);
        let begun = emit::begin_plain::<V6, 3>(into, &out);
        let written = begun.is_some();
        if let Some(begun) = begun {
            let tcp = PlainTcp {
                src_port: t.key.local_port,
                dst_port: t.key.remote_port,
                seq: plan.seq,
                ack: t.rcv_nxt,
                flags: plan.flags | push,
                window: output::acknowledge(t, 0, self.proto.config.receive_buffer_bytes, false),
                options: emit::timestamp_words(self.proto.clock.ts.wrapping_add(t.ts_offset), t.ts_recent),
            };
            if plan.len > 0 {
                self.send.read(t.send, plan.seq, emit::payload_of_plain::<V6, 3>(into));
            }
            emit::end_plain::<V6, 3>(into, begun, &tcp);
        }
        self.push(frame, written, cx);
    }

    /// The SYN that the connection sends has all options of an ordinary one, and nothing about it that only the long way knows.
    #[inline(always)]
    pub fn is_plain_syn(&self, t: &Tcb) -> bool {
        let config = &self.proto.config;
        let usual = t.flags & flag::TUNED == 0 && config.sack && config.timestamps;
        usual && self.fast.is_unused() && *self.untagged_unseen
    }

    /// As [`Sender::send_plain`], for a SYN that [is plain](Self::is_plain_syn).
    #[inline(always)]
    pub fn send_plain_syn(&mut self, t: &mut Tcb, plan: &Plan, dst: &Mac, frame: &mut Option<Frame>, cx: &mut Cx<'_>) {
        let config = &self.proto.config;
        let options = UsualSyn {
            mss: self.own_mss.to(&t.key.remote).min(config.mss_max),
            timestamps: (self.proto.clock.ts.wrapping_add(t.ts_offset), 0),
            window_scale: self.proto.times.own_scale,
        };
        let header = PlainTcp {
            src_port: t.key.local_port,
            dst_port: t.key.remote_port,
            seq: plan.seq,
            ack: Seq(0),
            flags: plan.flags,
            window: output::acknowledge(t, 0, config.receive_buffer_bytes, true),
            options: options.words(),
        };
        self.send_plain_header(&t.key, self.proto.plain_ip, dst, &header, frame, cx);
    }

    /// A segment without data, a SYN or a SYN,ACK, that is plain.
    #[inline(always)]
    pub fn send_plain_header(
        &mut self,
        key: &FlowKey,
        ip: PlainIp,
        dst: &Mac,
        header: &PlainTcp<5>,
        frame: &mut Option<Frame>,
        cx: &mut Cx<'_>,
    ) {
        let Some(into) = frame else { return };
        let out = self.plain_out(key, ip, dst, 0);
        let written = match key.remote.is_v4() {
            true => emit::plain::<false, 5>(into, &out, header),
            false => emit::plain::<true, 5>(into, &out, header),
        };
        self.push(frame, written, cx);
    }

    #[inline(always)]
    fn plain_out<'a>(&'a self, key: &'a FlowKey, ip: PlainIp, dst_mac: &'a Mac, payload_len: u16) -> PlainOut<'a> {
        PlainOut {
            src_mac: &self.link.src,
            dst_mac,
            src: self.locals.addr(key.local),
            dst: &key.remote,
            ip,
            checksum: self.config.checksum,
            payload_len,
        }
    }
}
