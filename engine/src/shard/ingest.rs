//! A burst of received frames: all parsed first, all looked up, then run by kind: SYNs, data, ends.
//!
//! The lanes keep the code and the tables of one kind of work in the cache. The order of segments of one
//! connection inside a lane stays; between lanes it is the order of a connection's life.

use super::app::App;
use super::core::{Core, Cx};
use super::trace::TraceEvent;
use super::{Shard, resolve};
use crate::base::prefetch::prefetch_start;
use crate::base::{DropReason, Event, Frame};
use crate::table::{FlowKey, FlowKind, FlowRef};
use crate::tcp::State;
use crate::wire::TcpSegment;
use crate::wire::parse::{LinkInfo, Packet, ParseOptions, parse};

/// Frames handled in one go.
pub const BURST: usize = 64;

/// A received segment on its way through the shard. The frame is taken out when it becomes a reply or is kept.
pub(super) struct Item {
    pub seg: TcpSegment,
    pub link: LinkInfo,
    pub key: FlowKey,
    pub hash: u64,
    /// What [`Core::prefetch`] found; other segments of the burst may have changed it since.
    pub flow: Option<FlowRef>,
    pub frame: Option<Frame>,
}

impl Item {
    fn lane(&self) -> Lane {
        let flags = self.seg.flags;
        if flags.syn() {
            Lane::Open
        } else if flags.fin() || flags.rst() {
            Lane::End
        } else {
            Lane::Data
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lane {
    Open,
    Data,
    End,
}

impl<A: App> Shard<A> {
    /// Handles all frames in `rx`. What they bring about is sent by [`Shard::emit`], apart from answers that need no
    /// connection and bare ACKs that must not wait.
    pub fn ingest(&mut self, rx: &mut Vec<Frame>, cx: &mut Cx<'_>) {
        self.core.set_clock(cx.now);
        let mut frames = rx.drain(..);
        loop {
            let mut batch = std::mem::take(&mut self.batch);
            // Headers were written by another core: fetching all of them at once hides most of the way.
            for frame in frames.as_slice().iter().take(BURST) {
                prefetch_start(frame.bytes());
            }
            for frame in frames.by_ref().take(BURST) {
                self.core.classify(frame, &mut batch, cx, &mut self.touched);
            }
            if batch.is_empty() && frames.len() == 0 {
                self.batch = batch;
                break;
            }
            self.core.prefetch(&mut batch);
            for lane in [Lane::Open, Lane::Data, Lane::End] {
                for item in batch.iter_mut().filter(|i| i.lane() == lane) {
                    self.segment(item, cx);
                }
            }
            for item in batch.drain(..) {
                if let Some(frame) = item.frame {
                    cx.pool.free(frame);
                }
            }
            self.batch = batch;
        }
        drop(frames);
        self.wake_waiters(cx);
    }
}

impl Core {
    /// Parses a frame. Segments go into the batch, written where they stay; everything else is dealt with here.
    #[inline]
    fn classify(&mut self, frame: Frame, batch: &mut Vec<Item>, cx: &mut Cx<'_>, resolved: &mut Vec<u32>) {
        let counters = &mut self.proto.counters;
        counters.event(Event::FramesIn);
        counters.add(Event::BytesIn, frame.len() as u64);
        let options = ParseOptions { verify_checksums: self.config.verify_checksums };
        let (link, packet) = match parse(frame.bytes(), options) {
            Ok(parsed) => parsed,
            Err(reason) => return self.discard(frame, reason, cx),
        };
        if link.dst != self.config.mac && !link.dst.is_group() {
            return self.discard(frame, DropReason::NotOurMac, cx);
        }
        if link.vlan != self.config.vlan {
            return self.discard(frame, DropReason::VlanMismatch, cx);
        }
        match packet {
            Packet::Tcp(seg) => {
                if link.dst.is_group() {
                    return self.discard(frame, DropReason::NotOurMac, cx);
                }
                let Some(key) = self.key_of(&seg) else {
                    return self.discard(frame, DropReason::IpNotForUs, cx);
                };
                self.proto.counters.event(Event::SegmentsIn);
                let hash = self.flows.hash(&key);
                batch.push(Item { seg, link, key, hash, flow: None, frame: Some(frame) });
            }
            other => resolve::other_packet(self, frame, &link, &other, cx, resolved),
        }
    }

    #[cold]
    fn discard(&mut self, frame: Frame, reason: DropReason, cx: &mut Cx<'_>) {
        self.proto.counters.drop(reason);
        cx.pool.free(frame);
    }

    /// Touches what the burst will need, all at once, so that the misses overlap.
    #[inline]
    fn prefetch(&self, batch: &mut [Item]) {
        use crate::base::prefetch::prefetch;
        for item in batch {
            item.flow = self.flows.candidate(item.hash);
            let Some(flow) = item.flow else { continue };
            match flow.kind() {
                FlowKind::Conn => self.conns.get(flow.index()).map(prefetch),
                FlowKind::HalfOpen => self.halves.get(flow.index()).map(prefetch),
            };
        }
    }

    /// The record that `item` belongs to. Without another search if it is the connection that was found before: a
    /// connection that is over leaves its slot without a key.
    #[inline]
    pub(super) fn find_again(&self, item: &Item) -> Option<FlowRef> {
        let is_it =
            |f: &FlowRef| f.kind() == FlowKind::Conn && self.conns.get(f.index()).is_some_and(|t| t.key == item.key);
        item.flow.filter(is_it).or_else(|| self.find(item.hash, &item.key))
    }

    #[cold]
    pub(super) fn trace_in(&mut self, seg: &TcpSegment, before: State, after: State) {
        self.trace.push(TraceEvent {
            at: self.proto.clock.now,
            outgoing: false,
            src: seg.src,
            dst: seg.dst,
            src_port: seg.src_port,
            dst_port: seg.dst_port,
            seq: seg.seq,
            ack: seg.ack,
            flags: seg.flags,
            window: seg.window,
            options: seg.options,
            payload_len: seg.payload_len,
            before,
            after,
        });
    }
}
