//! SYN cookies: answers to SYNs that leave nothing behind, and connections out of the ACKs that bring them back.

use super::Shard;
use super::app::App;
use super::core::{Core, Cx};
use super::ingest::Item;
use crate::base::{DropReason, Event};
use crate::tcp::open::Surroundings;
use crate::tcp::reset::Bare;
use crate::tcp::{HalfOpen, State, options};
use crate::wire::emit::OptionsOut;
use crate::wire::{Seq, TcpFlags, TcpSegment};

impl<A: App> Shard<A> {
    /// An ACK that belongs to no record, while cookies are out: if it brings a good one, the SYN that it was baked for is
    /// put together again, and the handshake ends as any other. False: it is nothing that could bring a cookie.
    #[cold]
    pub(super) fn redeem_cookie(&mut self, item: &mut Item, cx: &mut Cx<'_>) -> bool {
        let core = &mut self.core;
        let flags = item.seg.flags;
        if !flags.ack() || flags.syn() || flags.rst() || !core.is_listening(item.key.local_port) {
            return false;
        }
        match core.half_of_cookie(item, cx) {
            Ok((half, around)) => {
                if let Some(slot) = core.establish(&half, &around, None, item) {
                    core.proto.counters.event(Event::PassiveOpens);
                    core.proto.counters.event(Event::SynCookiesAccepted);
                    self.begin(slot, item, cx);
                }
            }
            Err(reason) => {
                if core.trace.is_on() {
                    core.trace_in(&item.seg, State::Listen, State::Listen);
                }
                core.proto.counters.drop(reason);
                if reason == DropReason::CookieBad {
                    let bare = Bare { seq: item.seg.ack, ack: Seq(0), flags: TcpFlags::RST };
                    core.reset_answer(item, bare, State::Listen, cx);
                }
            }
        }
        true
    }
}

impl Core {
    /// Answers a SYN with a cookie, to where it came from.
    pub(super) fn send_cookie(&mut self, item: &mut Item, cx: &mut Cx<'_>) {
        if self.trace.is_on() {
            self.trace_in(&item.seg, State::Listen, State::Listen);
        }
        let own_mss = self.own_mss.to(&item.key.remote);
        let config = self.proto.config_at(item.key.local_port);
        let cookie = self.cookies.bake(&item.key, &item.seg, own_mss, config, &self.proto.clock);
        let ts_offset = self.isn.ts_offset(&item.key);
        let ts_val = cookie.ts.wrapping_add(ts_offset);
        let options = options::for_syn_ack(config, own_mss, ts_val, &cookie.options);
        let window = config.receive_buffer_bytes.min(0xffff) as u16;
        let bare = Bare { seq: cookie.iss, ack: item.seg.seq + 1, flags: TcpFlags::SYN | TcpFlags::ACK };
        if self.answer(item, bare, window, OptionsOut::Any(&options), State::Listen, cx) {
            self.proto.counters.event(Event::SynCookiesSent);
        } else {
            self.proto.counters.drop(DropReason::TxFull);
        }
    }

    /// A SYN for which there is no half-open record: a cookie needs none. But one that would end a TIME-WAIT has to wait: the ACK
    /// that brings a cookie would find the record of the old connection, beyond whose numbers a cookie cannot go. (Who has
    /// such a record is no stranger, and gets no cookie as long as there is room.) False, for convenience.
    #[cold]
    pub(super) fn no_room_for_half(
        &mut self,
        item: &mut Item,
        beyond: Option<Seq>,
        reason: DropReason,
        cx: &mut Cx<'_>,
    ) -> bool {
        if self.cookies.allowed() && beyond.is_none() {
            self.send_cookie(item, cx);
        } else {
            // TIME-WAIT has had it traced before.
            if self.trace.is_on() && beyond.is_none() {
                self.trace_in(&item.seg, State::Listen, State::Listen);
            }
            self.proto.counters.drop(reason);
        }
        false
    }

    /// The half-open record that would be here, and what it leaves out, had the SYN not been answered with a cookie.
    fn half_of_cookie(&mut self, item: &Item, cx: &Cx<'_>) -> Result<(HalfOpen, Surroundings), DropReason> {
        let (key, ack) = (item.key, &item.seg);
        let ts_offset = self.isn.ts_offset(&key);
        let own_mss = self.own_mss.to(&key.remote);
        let config = self.proto.config_at(key.local_port);
        let (options, own_scale) = self.cookies.redeem(&key, ack, ts_offset, own_mss, config, &self.proto.clock)?;
        let hop = self.locals.next_hop(key.local, &key.remote).ok_or(DropReason::NeighbourUnresolved)?;
        let neighbour = self.neigh.caller(hop, item.sender(), cx.now, true).ok_or(DropReason::TableFull)?;
        let (around, _) = self.surroundings(key, neighbour);
        let syn = TcpSegment { seq: ack.seq - 1, flags: TcpFlags::SYN, options, ..*ack };
        let mut half = HalfOpen::new(&syn, &around, ack.ack - 1, &mut self.proto.env_at(key.local_port));
        half.was_announced(own_scale);
        // Nobody knows when the SYN,ACK went out.
        half.flags |= HalfOpen::RESENT;
        Ok((half, around))
    }
}
