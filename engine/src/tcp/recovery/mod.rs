//! Loss recovery: what was lost, what to send again and when, and how the window comes down meanwhile.
//!
//! One job a file: [`records`] and [`scoreboard`] which segments are under way (RFC 2018, 6675), [`rack`] which of them
//! are lost (RFC 8985), [`tlp`] probes at the tail, [`prr`] the window during a recovery (RFC 6937), [`undo`] taking a
//! reduction back (RFC 3522, 3708), `frto` how a time-out without timestamps shows to be spurious (RFC 5682),
//! [`path_mtu`] how large segments may be, `paths` what other connections are told of that, `reno` recovery without SACK (RFC 6582), `ecn` marks of congestion (RFC
//! 3168); `acked`, `sent` and `timer` what an ACK, a transmission and a deadline do to all of that.
//!
//! The state lives in a side block that a connection has only while there is something to remember: more than one segment
//! under way, a loss, a path that reorders, a window that CUBIC wants to come back to. A connection of one segment each way
//! has none before it has to probe for its ACK. Blocks and records are pooled and bounded per shard. Without a block, a connection repairs
//! losses by time-out alone; with a block but without room for records, it does as without SACK: three duplicate ACKs,
//! NewReno, and go-back-N after a time-out, until nothing is under way. Both are counted (`recovery_exhausted`).

mod acked;
pub(super) mod ecn;
mod frto;
pub mod path_mtu;
mod paths;
pub mod prr;
pub mod rack;
pub mod records;
mod reno;
pub mod scoreboard;
mod sent;
pub mod timer;
pub mod tlp;
pub mod undo;

#[cfg(test)]
mod scoreboard_tests;

pub(super) use acked::on_ack;
pub(super) use sent::{Again, on_sent, room, to_resend};

use super::congestion::{self, Memory};
use super::env::{Clock, Common};
use super::tcb::{NONE, Tcb, flag};
use crate::base::time::Tick;
use crate::table::Recycler;
use crate::wire::Seq;
use ecn::Notice;
use frto::Frto;
use path_mtu::PathMtu;
use paths::Paths;
use prr::Prr;
use rack::Rack;
use records::{Chunks, Marks, Record};
use scoreboard::Scoreboard;
use tlp::Probe;
use undo::Undo;

/// Segments of one connection that are remembered; no more than these are under way at once.
const SEGMENTS_MAX: u32 = 1 << 18;

/// What a connection is about.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Phase {
    /// No loss, as far as is known.
    #[default]
    Open,
    /// Fast recovery.
    Recovery,
    /// A time-out has come; what it took for lost is sent again in slow start.
    Timeout,
}

/// The side block.
#[derive(Debug)]
pub struct Block {
    board: Scoreboard,
    /// The scoreboard has a record for all that lies between SND.UNA and SND.NXT.
    is_tracking: bool,
    phase: Phase,
    /// Recovery is over when this is acknowledged (RFC 6675: RecoveryPoint).
    recover: Seq,
    rack: Rack,
    prr: Prr,
    undo: Undo,
    probe: Probe,
    frto: Frto,
    path: PathMtu,
    memory: Memory,
    notice: Notice,
    /// The window was full when what ends here was sent: its ACKs let the window grow.
    limited_until: Option<Seq>,
    /// The most that was under way meanwhile.
    burst: u32,
    /// When ACKs came last, and how much all those of that moment have acknowledged.
    burst_at_us: u32,
    burst_acked: u32,
    /// The first of the lost segments goes out, whether the window has room or not.
    is_forced: bool,
    /// The retransmission time-out proper, while `rtx_at` has a reordering or probe timer.
    rto_at: Tick,
}

impl Default for Block {
    fn default() -> Self {
        Block {
            board: Scoreboard::default(),
            is_tracking: false,
            phase: Phase::Open,
            recover: Seq(0),
            rack: Rack::new(Seq(0), 0),
            prr: Prr::default(),
            undo: Undo::default(),
            probe: Probe::default(),
            frto: Frto::Off,
            path: PathMtu::default(),
            memory: Memory::default(),
            notice: Notice::default(),
            limited_until: None,
            burst: 0,
            burst_at_us: 0,
            burst_acked: 0,
            is_forced: false,
            rto_at: Tick(0),
        }
    }
}

impl Block {
    fn in_recovery(&self) -> bool {
        self.phase != Phase::Open
    }

    /// The window was full when what starts at `una` was sent.
    fn was_limited(&mut self, una: Seq) -> bool {
        // A mark that is left behind would seem to lie ahead 2^31 bytes further on.
        self.limited_until = self.limited_until.filter(|&until| una.before(until));
        self.limited_until.is_some()
    }

    /// An ACK, or a deadline, of the burst that is read at `now_us`.
    fn take_note(&mut self, advanced: u32, now_us: u32) {
        if self.burst_at_us != now_us {
            (self.burst_at_us, self.burst_acked) = (now_us, 0);
        }
        self.burst_acked += advanced;
    }

    /// What was under way before the burst that is being read. Nothing is sent until all of its ACKs are read: what the first
    /// of them have acknowledged is missing from what is outstanding, but not from what the path has carried.
    fn in_use(&self, t: &Tcb) -> u32 {
        t.snd_nxt.since(t.snd_una).saturating_add(self.burst_acked)
    }

    /// Remembers the state before a reduction, unless an earlier one can still be taken back.
    fn save_for_undo(&mut self, t: &Tcb, by_timeout: bool) {
        self.undo = Undo::new(t.snd_una, t.cwnd, t.ssthresh, self.memory.cubic, by_timeout);
    }

    /// How long the next flight of segments would miss what is remembered; `None`: there is nothing to miss.
    fn rest(&self) -> Option<Rest> {
        let owes = self.notice.is_due() || self.probe.is_unmeasured();
        if !self.path.is_plain() || !self.rack.is_plain() || owes {
            return Some(Rest::PathAge);
        }
        let is_settled = self.phase == Phase::Open && !self.undo.is_set() && !self.probe.is_pending();
        (!is_settled || !self.memory.cubic.is_plain()).then_some(Rest::TimeOut)
    }
}

/// For how long the block of a connection that has nothing under way is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rest {
    /// One time-out: the window starts anew then (RFC 5681 4.1), and no report of duplicates comes so late. ssthresh stays,
    /// and where congestion avoidance begins after it, CUBIC's plateau is (RFC 9438 4.8).
    TimeOut,
    /// As long as what is known of a path counts (RFC 8201 5.3): how large segments it takes, how far it reorders them; that
    /// the peer has not been told of a reduction (CWR), for want of new data; and that nothing was measured since the last probe.
    PathAge,
}

/// What is under way is on record.
#[inline(always)]
pub(super) fn is_tracking(t: &Tcb, pool: &Pool) -> bool {
    t.recovery != NONE && pool.get(t.recovery).is_some_and(|b| b.is_tracking)
}

/// A loss is being repaired.
pub fn is_recovering(t: &Tcb, pool: &Pool) -> bool {
    pool.get(t.recovery).is_some_and(Block::in_recovery)
}

/// A round trip was measured by other means than records.
pub(super) fn measured(t: &Tcb, pool: &mut Pool) {
    if let Some((b, _)) = pool.parts(t.recovery) {
        b.probe.measured();
    }
}

/// What a time-out took for lost is sent again.
pub fn is_after_timeout(t: &Tcb, pool: &Pool) -> bool {
    pool.get(t.recovery).is_some_and(|b| b.phase == Phase::Timeout)
}

/// How far back a segment came in that was never sent again, in bytes, at most, and how many did.
pub fn reordering(t: &Tcb, pool: &Pool) -> (u32, u32) {
    pool.get(t.recovery).map_or((0, 0), |b| b.rack.reordering())
}

/// The window came down because of a congestion mark, and nothing sent since was acknowledged.
pub fn is_reduced_by_mark(t: &Tcb, pool: &Pool) -> bool {
    pool.get(t.recovery).is_some_and(|b| b.phase == Phase::Open && b.notice.covers(t.snd_una))
}

/// The smallest round trip of the last seconds and the last one, as far as they are remembered.
pub fn rtts_us(t: &Tcb, pool: &Pool) -> (u32, u32) {
    let rack = pool.get(t.recovery).map(|b| &b.rack);
    let min = rack.map_or(t.srtt_us, |rack| rack.min_rtt_us().min(t.srtt_us));
    (min, rack.and_then(Rack::rtt_us).unwrap_or(t.srtt_us))
}

/// How many segments are SACKed, how many were sent again and not reported since, and how many are to be sent again.
pub fn reported(t: &Tcb, pool: &Pool) -> (u32, u32, u32) {
    pool.get(t.recovery).map_or((0, 0, 0), |b| b.board.counts(&pool.chunks))
}

/// The side blocks and records of a shard.
pub struct Pool {
    blocks: Recycler<Block>,
    chunks: Chunks,
    paths: Paths,
}

impl Common {
    /// As [`Pool::open`].
    fn open_recovery(&mut self, t: &mut Tcb) -> bool {
        self.recovery.open(t, &self.clock)
    }
}

impl Pool {
    /// Addresses that a block takes.
    pub const BLOCK_BYTES: usize = size_of::<Block>();
    /// Addresses that a segment under way takes.
    pub const SEGMENT_BYTES: usize = size_of::<Record>();

    pub fn new(limit_blocks: u32, limit_records: u32) -> Pool {
        let (blocks, chunks) = (Recycler::with_limit(limit_blocks), Chunks::new(limit_records));
        Pool { blocks, chunks, paths: Paths::default() }
    }

    pub fn blocks_in_use(&self) -> usize {
        self.blocks.in_use()
    }

    pub fn chunks_in_use(&self) -> usize {
        self.chunks.in_use()
    }

    fn get(&self, block: u32) -> Option<&Block> {
        if block == NONE { None } else { self.blocks.get(block) }
    }

    fn parts(&mut self, block: u32) -> Option<(&mut Block, &mut Chunks)> {
        if block == NONE {
            return None;
        }
        self.blocks.get_mut(block).map(|b| (b, &mut self.chunks))
    }

    /// Gives the block of `t` one, if the pool has one. What is under way already is at most one segment, or is not tracked.
    fn open(&mut self, t: &mut Tcb, clock: &Clock) -> bool {
        let Some(index) = self.blocks.take() else { return false };
        let Some(b) = self.blocks.get_mut(index) else { return false };
        let board = core::mem::take(&mut b.board);
        *b = Block { board, rack: Rack::new(t.snd_una, clock.us), ..Block::default() };
        if t.has(flag::RTT_VALID) {
            b.probe.measured();
        }
        t.recovery = index;
        let under_way = t.snd_nxt.since(t.snd_una);
        b.is_tracking = t.has(flag::SACK) && under_way <= u32::from(t.mss) + 1;
        if b.is_tracking && under_way > 0 {
            // If it is being timed, that is when it was sent; else it was sent more than once.
            let is_timed = t.has(flag::RTT_TIMING);
            let sent_us = if is_timed { t.rtt_at_us } else { clock.us };
            let una = t.snd_una;
            // What is not full, or did not leave together with the next one, was all there was.
            let is_alone = under_way < u32::from(t.mss) || (is_timed && sent_us != clock.us);
            let is_alone = is_alone || t.snd_una + under_way == t.snd_end;
            let marks = Marks::new(!is_timed, is_alone, is_alone);
            b.is_tracking = b.board.push(&mut self.chunks, una, under_way as u16, sent_us, marks);
        }
        true
    }

    /// Gives back all that `t` has.
    pub fn release(&mut self, t: &mut Tcb) {
        if let Some((b, chunks)) = self.parts(t.recovery) {
            b.board.clear(chunks);
            self.blocks.give_back(t.recovery);
        }
        t.recovery = NONE;
    }

    /// Nothing is under way any more: the block goes unless it remembers something, for the time that is returned.
    fn settle(&mut self, t: &mut Tcb) -> Option<Rest> {
        let (b, chunks) = self.parts(t.recovery)?;
        let rest = b.rest();
        if rest.is_none() {
            self.release(t);
            return None;
        }
        b.board.clear(chunks);
        b.is_tracking = t.has(flag::SACK);
        rest
    }

    /// The connection has rested. A path that took less may have changed: segments are as large as the ends agreed on.
    pub(super) fn forget(&mut self, t: &mut Tcb) {
        if let Some(ceiling) = self.get(t.recovery).and_then(|b| b.path.ceiling()) {
            t.mss = ceiling;
            // One segment always has room.
            t.cwnd = t.cwnd.max(u32::from(ceiling));
        }
        self.release(t);
    }

    /// SND.NXT goes back to SND.UNA: everything is sent anew, and recorded anew.
    pub(super) fn go_back(&mut self, t: &mut Tcb) {
        match self.parts(t.recovery) {
            Some((b, chunks)) => rewind(t, b, chunks),
            None => {
                t.snd_nxt = t.snd_una;
                t.clear(flag::RESEND | flag::RTT_TIMING);
            }
        }
    }
}

fn rewind(t: &mut Tcb, b: &mut Block, chunks: &mut Chunks) {
    t.snd_nxt = t.snd_una;
    // What is timed is sent again (Karn).
    t.clear(flag::RESEND | flag::RTT_TIMING);
    b.board.clear(chunks);
    b.is_tracking = t.has(flag::SACK);
    b.is_forced = false;
    b.frto = Frto::Off;
    b.probe.forget();
    b.path.forget_probe();
}

/// A loss: ssthresh comes down, and what was is remembered. `advanced`: how far the ACK that tells of it moved SND.UNA.
fn enter_recovery(t: &mut Tcb, b: &mut Block, advanced: u32) {
    b.save_for_undo(t, false);
    let in_use = b.in_use(t);
    // The ACK itself is reported to PRR as all that follow are.
    b.prr = Prr::start(in_use, b.burst_acked.saturating_sub(advanced));
    t.ssthresh = congestion::reduce(t, &mut b.memory, in_use);
    b.phase = Phase::Recovery;
    b.recover = t.snd_nxt;
    b.notice.reduced(t);
    b.probe.forget();
    if !b.is_tracking {
        // What is timed may be sent again. Records know which were.
        t.clear(flag::RTT_TIMING);
    }
}

/// The reduction was not called for: everything is as before.
fn undo(t: &mut Tcb, b: &mut Block, chunks: &mut Chunks) {
    // Also where the window is no smaller by now: a small one hardly shrinks, but slow start would be over.
    t.cwnd = t.cwnd.max(b.undo.cwnd);
    t.ssthresh = t.ssthresh.max(b.undo.ssthresh);
    b.memory.cubic = b.undo.cubic;
    if b.in_recovery() {
        b.board.find_lost(chunks);
        b.phase = Phase::Open;
        b.is_forced = false;
        t.clear(flag::RESEND);
    }
    // A recovery that was wrong took reordering for loss.
    b.rack.reordering_seen |= !b.undo.by_timeout;
    b.undo.forget();
}
