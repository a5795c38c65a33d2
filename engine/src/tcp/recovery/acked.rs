//! What an ACK means for a connection with a recovery block.

use super::frto::{self, Frto};
use super::path_mtu;
use super::rack::Moment;
use super::records::Chunks;
use super::tlp::ProbeVerdict;
use super::{Block, Phase, enter_recovery, reno, undo};
use crate::base::{Counters, Event};
use crate::tcp::congestion::{self, Growth};
use crate::tcp::env::{Clock, Common, Env};
use crate::tcp::rtt;
use crate::tcp::tcb::{Tcb, flag};
use crate::wire::segment::SackBlock;
use crate::wire::{Seq, TcpSegment};

/// An ACK, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct Ack<'a> {
    pub seg: &'a TcpSegment,
    /// How far it moved SND.UNA, which stands there already.
    pub advanced: u32,
    /// RFC 5681's definition of a duplicate.
    pub is_duplicate: bool,
    pub dsack: Option<SackBlock>,
    pub at: Moment,
}

/// What an ACK brought, as far as the window of a recovery goes by it.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Progress {
    pub advanced: u32,
    /// Bytes newly acknowledged or SACKed.
    pub delivered: u32,
    /// It moved forward and told of no further loss.
    pub is_safe: bool,
}

/// What it reported.
#[derive(Default)]
struct Report {
    delivered: u32,
    /// Something of it was sent before the last time-out and not since.
    has_originals: bool,
    /// The shortest trustworthy round trip, and the end of the segment that made it.
    rtt: Option<(u32, Seq)>,
}

/// Handles an ACK at or beyond SND.UNA. Returns in how many units of 1024 ns segments have to be judged again.
pub fn on_ack(t: &mut Tcb, seg: &TcpSegment, advanced: u32, is_duplicate: bool, env: &mut Env<'_>) -> Option<u32> {
    let Env { common: Common { clock, counters, recovery, .. }, .. } = env;
    let (b, chunks) = recovery.parts(t.recovery)?;
    b.take_note(advanced, clock.us);
    let ack = Ack {
        seg,
        advanced,
        is_duplicate,
        dsack: dsack(seg).filter(|_| t.has(flag::SACK)),
        at: Moment { now_us: clock.us, echo_age: echo_age(t, seg, clock) },
    };
    if !b.is_tracking {
        reno::on_ack(t, b, chunks, &ack, counters);
        return None;
    }
    let is_reordering = b.rack.reordering_seen;
    let report = read(t, b, chunks, &ack);
    if let Some((rtt_us, end)) = report.rtt {
        measure(t, b, rtt_us, end);
    }
    path_mtu::on_ack(t, b, clock, counters);
    take_back(t, b, chunks, &ack, report.has_originals, counters);
    let was_limited = b.was_limited(t.snd_una - advanced);
    let was_recovering = b.phase == Phase::Recovery;
    leave(t, b);
    let srtt_us = if t.has(flag::RTT_VALID) { t.srtt_us } else { b.rack.rtt_us().unwrap_or(0) };
    let lost_before = b.board.lost_bytes();
    let in_recovery = b.in_recovery();
    let wait = b.rack.detect(&mut b.board, chunks, clock.us, in_recovery, srtt_us);
    let has_new_loss = b.board.lost_bytes() > lost_before;
    probe(t, b, &ack);
    if b.path.is_probing() && path_mtu::on_loss(t, b, chunks, clock, counters) {
        return None;
    }
    let is_safe = advanced > 0 && !has_new_loss;
    after_detection(t, b, Progress { advanced, delivered: report.delivered, is_safe }, counters);
    if b.phase != Phase::Recovery && !was_recovering && advanced > 0 && was_limited {
        // What duplicate ACKs have reported has let new segments out already (limited transmit). Where segments often arrive out
        // of order it counts, or the window would never grow.
        let acked = if is_reordering { advanced } else { advanced.min(report.delivered) };
        grow(t, b, acked, report.rtt.map(|(rtt, _)| rtt), clock.us);
    }
    wait
}

/// D-SACK (RFC 2883 section 4): the first block lies below the ACK, or inside the second.
fn dsack(seg: &TcpSegment) -> Option<SackBlock> {
    let blocks = seg.options.sack_blocks();
    let first = *blocks.first()?;
    let is_old = first.end.at_or_before(seg.ack);
    let is_inside = blocks.get(1).is_some_and(|b| first.start.at_or_after(b.start) && first.end.at_or_before(b.end));
    (is_old || is_inside).then_some(first)
}

/// Age of the echoed timestamp.
fn echo_age(t: &Tcb, seg: &TcpSegment, clock: &Clock) -> Option<u32> {
    let (_, echo) = seg.options.timestamp.filter(|&(_, echo)| t.has(flag::TIMESTAMPS) && echo != 0)?;
    Some(clock.ts.wrapping_add(t.ts_offset).wrapping_sub(echo))
}

/// Enters into the scoreboard what the ACK reports.
fn read(t: &Tcb, b: &mut Block, chunks: &mut Chunks, ack: &Ack<'_>) -> Report {
    let Block { board, rack, recover, .. } = b;
    let mut report = Report::default();
    let Report { rtt, has_originals, .. } = &mut report;
    let mut newest = None;
    let mut each = |d| {
        if let Some(r) = rack.delivered(&d, &ack.at, &mut newest)
            && rtt.is_none_or(|(shortest, _)| r <= shortest)
        {
            *rtt = Some((r, d.end));
        }
        *has_originals |= !d.retransmitted && d.end.at_or_before(*recover);
    };
    let mut bytes = board.acknowledge(chunks, t.snd_una, &mut each);
    // In the order of the stream, so that what comes in order looks like it.
    let mut blocks = ack.seg.options.sack;
    let blocks = &mut blocks[..ack.seg.options.sack_blocks().len()];
    blocks.sort_unstable_by_key(|block| block.start.since(t.snd_una));
    for block in blocks {
        let is_sane = block.start.before(block.end) && block.end.at_or_before(t.snd_nxt);
        if is_sane && block.end.after(t.snd_una) {
            bytes += board.sack(chunks, block.start.max(t.snd_una), block.end, &mut each);
        }
    }
    report.delivered = bytes;
    report
}

/// One measurement in each round trip (RFC 7323 appendix G: more would shorten the estimator's memory).
fn measure(t: &mut Tcb, b: &mut Block, rtt_us: u32, end: Seq) {
    if !t.has(flag::RTT_VALID) || (t.has(flag::RTT_TIMING) && end.at_or_after(t.rtt_seq)) {
        t.clear(flag::RTT_TIMING);
        rtt::sample(t, rtt_us);
        b.probe.measured();
    }
}

/// Looks for signs that a reduction was not called for.
fn take_back(
    t: &mut Tcb,
    b: &mut Block,
    chunks: &mut Chunks,
    ack: &Ack<'_>,
    has_originals: bool,
    counters: &mut Counters,
) {
    let mut is_refuted = ack.advanced > 0 && b.in_recovery() && b.undo.is_refuted_by_echo(t.snd_una, &ack.at);
    // ACKs that come in one burst are read before anything is sent.
    is_refuted |= b.phase == Phase::Recovery && b.undo.is_without_resent() && !b.board.has_lost();
    if let Some(block) = ack.dsack {
        counters.event(Event::DsacksIn);
        if !b.probe.is_for(block.end) {
            b.rack.on_duplicate_report(t.snd_una, t.snd_nxt);
            is_refuted |= b.undo.is_refuted_by_duplicate(block.start);
        }
    }
    if b.frto != Frto::Off {
        is_refuted |= frto::on_ack(t, b, ack, has_originals) && b.undo.is_set();
    }
    if is_refuted {
        count_undo(b, counters);
        undo(t, b, chunks);
    }
}

pub(super) fn count_undo(b: &Block, counters: &mut Counters) {
    counters.event(if b.undo.by_timeout { Event::SpuriousTimeouts } else { Event::SpuriousRecoveries });
}

/// Recovery ends with the ACK of what was outstanding when it began.
fn leave(t: &mut Tcb, b: &mut Block) {
    if !b.in_recovery() || t.snd_una.before(b.recover) {
        return;
    }
    if b.phase == Phase::Recovery {
        t.cwnd = t.ssthresh;
    }
    b.rack.on_recovered();
    b.phase = Phase::Open;
    b.is_forced = false;
}

/// A probe's fate (RFC 8985 7.4).
fn probe(t: &mut Tcb, b: &mut Block, ack: &Ack<'_>) {
    let is_bare = ack.advanced == 0 && ack.seg.seq_len() == 0 && ack.seg.options.sack_blocks().is_empty();
    let verdict = b.probe.on_ack(t.snd_una, is_bare, ack.dsack.map(|d| d.end));
    if verdict == ProbeVerdict::Repaired && b.phase == Phase::Open && !b.board.has_lost() {
        let in_use = b.in_use(t);
        t.ssthresh = congestion::reduce(t, &mut b.memory, in_use);
        t.cwnd = t.cwnd.min(t.ssthresh);
        b.undo.forget();
        b.notice.reduced(t);
    }
}

/// Losses may have been detected: begins recovery if this is the first, and sets the window of one that goes on.
pub(super) fn after_detection(t: &mut Tcb, b: &mut Block, by: Progress, counters: &mut Counters) {
    if b.phase == Phase::Open {
        b.is_forced = false;
        if b.board.has_lost() {
            counters.event(Event::FastRetransmits);
            enter_recovery(t, b, by.advanced);
        }
    }
    if b.phase == Phase::Recovery {
        let mss = u32::from(t.mss);
        t.cwnd = b.prr.window(by.delivered, b.board.flight_bytes(), t.ssthresh, mss, by.is_safe);
    }
    if b.board.has_lost() && b.frto != Frto::Testing {
        t.set(flag::RESEND);
    } else {
        t.clear(flag::RESEND);
    }
}

/// The window grows with what was acknowledged.
pub(super) fn grow(t: &mut Tcb, b: &mut Block, acked: u32, rtt_us: Option<u32>, now_us: u32) {
    let is_slow_start = t.cwnd < t.ssthresh;
    if is_slow_start && t.cwnd >= b.burst.saturating_mul(2) && b.phase == Phase::Open {
        // Nothing has shown that the path takes twice what it got.
        return;
    }
    congestion::watch_slow_start(t, &mut b.memory, rtt_us);
    let growth = Growth { acked, now_us, after_timeout: b.phase == Phase::Timeout };
    congestion::grow(t, Some(&mut b.memory), &growth);
}
