//! The short way of what connections mostly send: an untagged frame with IPv4 and timestamps, written on the spot.

use super::sender::Sender;
use crate::base::Frame;
use crate::shard::core::{Core, Cx};
use crate::shard::trace::Trace;
use crate::tcp::output::{self, Plan};
use crate::tcp::reset::Bare;
use crate::tcp::{NONE, Tcb, flag, options};
use crate::wire::emit::{self, LinkOut, OptionsOut, SegmentOut, UsualSyn};
use crate::wire::{Addr, Mac, Seq, TcpFlags};

#[inline(always)]
fn is_plain(remote: &Addr, link: &LinkOut, trace: &Trace) -> bool {
    remote.is_v4() && link.vlan.count == 0 && !trace.is_on()
}

impl Core {
    /// Frames to `remote` are plain, and nobody watches.
    #[inline(always)]
    pub(super) fn writes_plain(&self, remote: &Addr) -> bool {
        is_plain(remote, &self.link, &self.trace)
    }
}

impl Sender<'_> {
    /// What the connection sends now, without SYN, has nothing about it that only the long way knows, and nobody watches.
    #[inline(always)]
    pub fn is_plain(&self, t: &Tcb) -> bool {
        const UNUSUAL: u32 = flag::ECN | flag::TUNED | flag::GROWN;
        let usual = t.flags & (UNUSUAL | flag::TIMESTAMPS) == flag::TIMESTAMPS && t.recv == NONE;
        usual && self.writes_plain(&t.key.remote)
    }

    #[inline(always)]
    fn writes_plain(&self, remote: &Addr) -> bool {
        is_plain(remote, self.link, self.trace)
    }

    /// The segment of a plan that is taken note of as sent, of a connection that [is plain](Self::is_plain).
    #[inline(always)]
    pub fn send_plain(&mut self, t: &mut Tcb, plan: &Plan, dst_mac: Mac, frame: &mut Option<Frame>, cx: &mut Cx<'_>) {
        let Some(into) = frame else { return };
        let window = output::acknowledge(t, 0, self.proto.config.receive_buffer_bytes, false);
        let timestamps = (self.proto.clock.ts.wrapping_add(t.ts_offset), t.ts_recent);
        let push = if plan.burst > 1 { TcpFlags::PSH } else { TcpFlags(0) };
        let bare = Bare { seq: plan.seq, ack: t.rcv_nxt, flags: plan.flags | push };
        let segment = self.bare(&t.key, bare, window, OptionsOut::None, self.proto.config.ip.with_ecn(0));
        let segment = SegmentOut { payload_len: plan.len as u16, ..segment };
        let link = LinkOut { dst: dst_mac, ..*self.link };
        let read = |out: &mut [u8]| self.send.read(t.send, plan.seq, out);
        let written = emit::tcp_with_timestamps(into, &link, &segment, timestamps, read);
        self.push(frame, written, cx);
    }
    /// The SYN that the connection sends has all options of an ordinary one, and nothing about it that only the long way knows.
    #[inline(always)]
    pub fn is_plain_syn(&self, t: &Tcb, plan: &Plan) -> bool {
        let config = &self.proto.config;
        let usual = plan.flags.is_bare_syn() && t.flags & flag::TUNED == 0 && config.sack && config.timestamps;
        usual && self.fast.is_unused() && self.writes_plain(&t.key.remote)
    }

    /// As [`Sender::send_plain`], for a SYN that [is plain](Self::is_plain_syn).
    #[inline(always)]
    pub fn send_plain_syn(
        &mut self,
        t: &mut Tcb,
        plan: &Plan,
        dst_mac: Mac,
        frame: &mut Option<Frame>,
        cx: &mut Cx<'_>,
    ) {
        let config = &self.proto.config;
        let window = output::acknowledge(t, 0, config.receive_buffer_bytes, true);
        let bare = Bare { seq: plan.seq, ack: Seq(0), flags: plan.flags };
        let segment = self.bare(&t.key, bare, window, OptionsOut::None, config.ip.with_ecn(0));
        let options = UsualSyn {
            mss: options::own_mss(self.config.mtu, true).min(config.mss_max),
            timestamps: (self.proto.clock.ts.wrapping_add(t.ts_offset), 0),
            window_scale: self.proto.times.own_scale,
        };
        self.push_plain_syn(&segment, &options, dst_mac, frame, cx);
    }

    /// Writes and sends a SYN or SYN,ACK that is plain.
    #[inline(always)]
    pub fn push_plain_syn(
        &mut self,
        segment: &SegmentOut<'_>,
        options: &UsualSyn,
        dst_mac: Mac,
        frame: &mut Option<Frame>,
        cx: &mut Cx<'_>,
    ) {
        let Some(into) = frame else { return };
        let written = emit::syn(into, &LinkOut { dst: dst_mac, ..*self.link }, segment, options);
        self.push(frame, written, cx);
    }
}
