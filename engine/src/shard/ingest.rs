//! A burst of received frames: all parsed first, all looked up, then run by kind: SYNs, data, ends.
//!
//! The lanes keep the code and the tables of one kind of work in the cache. The order of segments of one
//! connection inside a lane stays; between lanes it is the order of a connection's life.

use super::app::App;
use super::core::{Core, Cx};
use super::trace::TraceEvent;
use super::{Shard, resolve};
use crate::base::prefetch::{prefetch, prefetch_start};
use crate::base::{Backlog, DropReason, Event, Frame};
use crate::table::{FlowKey, FlowKind, FlowRef};
use crate::tcp::State;
use crate::wire::parse::{Packet, ParseOptions, link_source, parse};
use crate::wire::{Mac, TcpFlags, TcpSegment, plain};

/// Frames handled in one go.
pub const BURST: usize = 64;
/// While more waits than can be done in time, one in so many SYNs is taken up.
const TAKEN_BEHIND: u32 = 8;

/// A received segment on its way through the shard. The frame is taken out when it becomes a reply or is kept.
#[derive(Default)]
pub(super) struct Item {
    pub seg: TcpSegment,
    pub key: FlowKey,
    pub hash: u64,
    /// Where in the flow table it begins.
    pub line: u32,
    /// What [`Core::prefetch`] found; other segments of the burst may have changed it since.
    pub flow: Option<FlowRef>,
    pub frame: Option<Frame>,
    /// What of the packet stands in other frames.
    pub rest: Option<Frame>,
}

impl Item {
    /// The station that sent it. Only as long as the frame is here.
    pub fn sender(&self) -> Mac {
        self.frame.as_ref().and_then(|frame| link_source(frame.bytes())).unwrap_or(Mac::ZERO)
    }
}

/// The segments of a burst, and their order by kind.
pub(super) struct Batch {
    /// [`BURST`] of them, written over again by each burst.
    items: Vec<Item>,
    len: usize,
    lanes: Lanes,
}

/// Indices into the items of a batch, by kind: SYNs, data, ends.
struct Lanes {
    indices: [[u8; BURST]; LANES],
    lens: [usize; LANES],
}

const LANES: usize = 3;

impl Lanes {
    #[inline(always)]
    fn push(&mut self, lane: usize, index: u8) {
        let lane = lane % LANES;
        let len = self.lens[lane] % BURST;
        self.indices[lane][len] = index;
        self.lens[lane] = len + 1;
    }
}

impl Batch {
    pub fn new() -> Batch {
        let lanes = Lanes { indices: [[0; BURST]; LANES], lens: [0; LANES] };
        Batch { items: (0..BURST).map(|_| Item::default()).collect(), len: 0, lanes }
    }
}

/// Which lane a segment runs in.
#[inline(always)]
fn lane(flags: TcpFlags, found: bool) -> usize {
    // A SYN for a 4-tuple that is taken waits for the RST or FIN before it that may set it free.
    let taken = found && !flags.ack();
    if flags.syn() && !taken {
        0
    } else if flags.0 & (TcpFlags::SYN.0 | TcpFlags::FIN.0 | TcpFlags::RST.0) != 0 {
        2
    } else {
        1
    }
}

impl<A: App> Shard<A> {
    /// Handles all frames in `rx`. What they bring about is sent by [`Shard::emit`], apart from what travels in the
    /// frame that asked for it and bare ACKs that must not wait.
    pub fn ingest(&mut self, rx: &mut Vec<Frame>, cx: &mut Cx<'_>) {
        self.core.set_clock(cx.now);
        self.core.backlog = cx.backlog;
        let Some(mut batch) = self.batch.take() else { return };
        let mut frames = rx.drain(..);
        while frames.len() > 0 {
            // Headers were written by another core: fetching all of them at once hides most of the way.
            let all = frames.as_slice();
            let burst = all.get(..BURST).unwrap_or(all);
            burst.iter().for_each(|frame| prefetch_start(frame.bytes()));
            for _ in 0..burst.len() {
                let Some(item) = batch.items.get_mut(batch.len) else { break };
                item.frame = frames.next();
                batch.len += usize::from(self.core.classify(item, cx, &mut self.touched));
            }
            self.run(&mut batch, cx);
        }
        drop(frames);
        self.batch = Some(batch);
        self.wake_waiters();
        self.tell_reports();
    }

    /// Looks up all segments of the batch, then runs them lane by lane and empties it.
    fn run(&mut self, batch: &mut Batch, cx: &mut Cx<'_>) {
        let items = batch.items.get_mut(..core::mem::take(&mut batch.len)).unwrap_or(&mut []);
        if let [item] = items {
            // Nothing is gained by fetching ahead what is used at once.
            item.flow = self.core.flows.candidate_at(item.line, item.hash);
            return self.run_one(item, cx);
        }
        self.core.prefetch(items, &mut batch.lanes);
        let Lanes { indices, lens } = &mut batch.lanes;
        for (lane, len) in indices.iter().zip(lens) {
            for &index in lane.get(..core::mem::take(len)).unwrap_or(lane) {
                let Some(item) = items.get_mut(usize::from(index)) else { continue };
                self.run_one(item, cx);
            }
        }
    }

    #[inline(always)]
    fn run_one(&mut self, item: &mut Item, cx: &mut Cx<'_>) {
        self.segment(item, cx);
        if let Some(frame) = item.frame.take() {
            cx.pool.free(frame);
        }
        if item.rest.is_some() {
            item.rest.take().into_iter().for_each(|rest| cx.pool.free(rest));
        }
    }
}

impl Core {
    /// Parses the frame of `item`. True: it is a segment, whose place is found. Everything else is dealt with here.
    #[inline(always)]
    fn classify(&mut self, item: &mut Item, cx: &mut Cx<'_>, resolved: &mut Vec<u32>) -> bool {
        let Some(frame) = &item.frame else { return false };
        let counters = &mut self.proto.counters;
        counters.event(Event::FramesIn);
        counters.add(Event::BytesIn, frame.len() as u64);
        let verify = self.config.verify_checksums;
        let short = self.untagged && !frame.has_more();
        let is_read = short && plain::read(frame.bytes(), &self.config.mac, verify, &mut item.seg);
        if !is_read && !self.classify_any(item, cx, resolved) {
            return false;
        }
        let Some(key) = self.key_of(&item.seg) else { return self.refuse(item, DropReason::IpNotForUs, cx) };
        self.proto.counters.event(Event::SegmentsIn);
        if self.backlog == Backlog::Deep && self.is_new(&item.seg) && self.sheds() {
            return self.refuse(item, DropReason::SynShed, cx);
        }
        item.key = key;
        item.hash = self.flows.hash(&key);
        item.line = self.flows.prefetch(item.hash);
        true
    }

    /// The long way: whatever is not a plain segment. True: a segment after all. False: its frame is not here any more.
    #[inline(never)]
    fn classify_any(&mut self, item: &mut Item, cx: &mut Cx<'_>, resolved: &mut Vec<u32>) -> bool {
        let Some(mut frame) = item.frame.take() else { return false };
        let options = ParseOptions { verify_checksums: self.config.verify_checksums };
        let parsed = if frame.has_more() { self.parse_parts(&frame) } else { parse(frame.bytes(), options) };
        let refused = match parsed {
            Err(reason) => reason,
            Ok((link, _)) if link.dst != self.config.mac && !link.dst.is_group() => DropReason::NotOurMac,
            Ok((link, _)) if link.vlan != self.config.vlan => DropReason::VlanMismatch,
            Ok((link, Packet::Tcp(_))) if link.dst.is_group() => DropReason::NotOurMac,
            Ok((_, Packet::Tcp(seg))) => {
                (item.seg, item.rest) = (seg, frame.take_rest());
                item.frame = Some(frame);
                return true;
            }
            Ok((link, other)) => {
                resolve::other_packet(self, frame, &link, &other, cx, resolved);
                return false;
            }
        };
        self.discard(frame, refused, cx);
        false
    }

    /// It begins something. When there is more to do than can be done, this is what is left undone: a SYN is the least that a
    /// peer can have lost, and comes again after a second; what belongs to connections under way makes room by being done.
    fn is_new(&self, seg: &TcpSegment) -> bool {
        seg.flags.is_bare_syn() && self.is_listening(seg.dst_port)
    }

    /// Whether the next SYN is one too many. Not each of them is: what keeps the shard behind may be something else, and for as
    /// long as it lasts nobody could connect.
    #[cold]
    fn sheds(&mut self) -> bool {
        self.syns_behind = self.syns_behind.wrapping_add(1);
        !self.syns_behind.is_multiple_of(TAKEN_BEHIND)
    }

    /// A well-formed segment goes no further: always false.
    #[cold]
    fn refuse(&mut self, item: &mut Item, reason: DropReason, cx: &mut Cx<'_>) -> bool {
        if let Some(rest) = item.rest.take() {
            cx.pool.free(rest);
        }
        if let Some(frame) = item.frame.take() {
            self.discard(frame, reason, cx);
        }
        false
    }

    /// Counts the reason and gives the frame back.
    #[cold]
    pub(super) fn discard(&mut self, frame: Frame, reason: DropReason, cx: &mut Cx<'_>) {
        self.proto.counters.drop(reason);
        cx.pool.free(frame);
    }

    /// Finds the lane of each segment, and touches what the burst will need, all at once, so that the misses overlap.
    #[inline]
    fn prefetch(&self, items: &mut [Item], lanes: &mut Lanes) {
        for (index, item) in items.iter_mut().enumerate() {
            item.flow = self.flows.candidate_at(item.line, item.hash);
            lanes.push(lane(item.seg.flags, item.flow.is_some()), index as u8);
            let Some(flow) = item.flow else {
                self.time_wait.prefetch(item.hash);
                continue;
            };
            match flow.kind() {
                FlowKind::Conn => self.conns.get(flow.index()).map(prefetch),
                FlowKind::HalfOpen => self.halves.get(flow.index()).map(prefetch),
            };
        }
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
