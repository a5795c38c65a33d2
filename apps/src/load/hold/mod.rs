//! Hold mode on one worker: an engine `App` that opens a number of connections, holds them, sends requests over some of
//! them, and closes them all.
//!
//! Nothing here costs time or much memory for connections that are merely there: a connection is 16 bytes
//! ([`conn`]) and a name in a list from which one is drawn at random; timeouts watch only those that wait for the peer
//! (`waiting`). Several workers keep step: none begins its hold before all have opened theirs.

pub mod conn;
mod names;
mod pace;
mod waiting;

pub use conn::{Dialogue, HeldConn};
pub use names::Names;
pub use pace::Pace;

use super::client::Steer;
use super::dialer::{self, Dialer};
use super::latency::Latencies;
use super::protocol::Protocol;
use super::schedule::Share;
use super::tally::{MissReason, Tally};
use super::tuples::Tuples;
use crate::cli::load::CloseMode;
use crate::live::{Board, Figures, Shown, Signals};
use crate::pipe::Pipe;
use conn::Stage;
use std::sync::Arc;
use synfin_engine::base::Instant;
use synfin_engine::shard::app::{ConnId, Connect, ConnectError};
use synfin_engine::shard::conn::{Conn, Net};
use synfin_engine::shard::{App, CloseReason};
use waiting::{Unanswered, Waiting};

/// Connections opened, closed or asked something in one turn of the poll loop at most, so that a burst of them does not
/// hold up what has come in.
const STEPS_PER_TURN: u32 = 64;
/// Tuples tried for one launch, per worker (each worker can use one in so many).
const TRIES_PER_LAUNCH: u32 = 64;
/// Connections drawn for one request: all of them would have to be busy with another.
const DRAWS_PER_REQUEST: u32 = 16;
/// Timeouts looked at in one turn.
const EXPIRIES_PER_TURN: usize = 256;
/// How often figures are published: so much at most is missing from what is shown.
const PUBLISH_NS: u64 = 2_000_000;

/// What one worker is to do.
pub struct HoldConfig {
    /// Connections of this worker.
    pub connections: u64,
    pub share: Share,
    /// When connections are opened, and when they are closed.
    pub pace: Pace,
    /// Handshakes, and later closes, under way at most.
    pub at_a_time: u64,
    pub hold_ns: u64,
    /// When requests are due; `None`: never.
    pub requests: Option<Pace>,
    pub max_lateness_ns: u64,
    pub timeout_ns: u64,
    /// With more failures than this there is no point in opening more.
    pub failures_max: u64,
    pub close: CloseMode,
    pub seed: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Opening,
    /// Own connections are open; waiting for those of other workers.
    Opened,
    Holding,
    /// No more requests; their last responses may come.
    Settling,
    Closing,
    Done,
}

pub struct Holder<P: Protocol> {
    dialogue: Dialogue<P>,
    config: HoldConfig,
    tuples: Tuples,
    steer: Option<Steer>,
    names: Names,
    waiting: Waiting,
    phase: Phase,
    /// When the present phase began; `None` before the first turn.
    since: Option<Instant>,
    last_turn: Instant,
    launches: u64,
    unanswered: Unanswered,
    outcome: Durations,
    requests_missed: u64,
    /// When the first turn was.
    start: Instant,
    /// Somebody has stopped the run before the hold was over.
    stopped: bool,
    board: Arc<Board>,
    signals: Arc<Signals>,
    published: Instant,
}

/// How long each part of the run took.
#[derive(Clone, Copy, Default, Debug)]
pub struct Durations {
    /// Until the last handshake was complete.
    pub opening_ns: u64,
    pub holding_ns: u64,
    /// Until the last connection had come to an orderly end.
    pub closing_ns: u64,
    /// All of them, with what lies between them.
    pub whole_ns: u64,
}

/// What a worker has found out.
#[derive(Clone, Default)]
pub struct Outcome {
    pub tally: Tally,
    pub latencies: Latencies,
    pub durations: Durations,
    /// The most connections held at a time.
    pub held_peak: u64,
    /// Held connections that failed.
    pub broken: u64,
    /// Requests that were due and not sent: the generator was late, or no connection was free.
    pub requests_missed: u64,
    /// Somebody has stopped the run before the hold was over.
    pub stopped: bool,
}

impl Outcome {
    /// Adds another worker's findings to these. Workers keep step, so their peaks add up.
    pub fn merge(&mut self, other: &Outcome) {
        self.tally.merge(&other.tally);
        self.latencies.merge(&other.latencies);
        let (d, o) = (&mut self.durations, &other.durations);
        d.opening_ns = d.opening_ns.max(o.opening_ns);
        d.holding_ns = d.holding_ns.max(o.holding_ns);
        d.closing_ns = d.closing_ns.max(o.closing_ns);
        d.whole_ns = d.whole_ns.max(o.whole_ns);
        self.held_peak += other.held_peak;
        self.broken += other.broken;
        self.requests_missed += other.requests_missed;
        self.stopped |= other.stopped;
    }
}

impl<P: Protocol> Holder<P> {
    pub fn new(
        protocol: P,
        config: HoldConfig,
        tuples: Tuples,
        steer: Option<Steer>,
        board: Arc<Board>,
        signals: Arc<Signals>,
    ) -> Holder<P> {
        Holder {
            dialogue: Dialogue::new(protocol, config.close, config.seed, Latencies::shown_on(board.clone())),
            waiting: Waiting::default(),
            config,
            tuples,
            steer,
            names: Names::default(),
            phase: Phase::Opening,
            since: None,
            last_turn: Instant::ZERO,
            launches: 0,
            unanswered: Unanswered::default(),
            outcome: Durations::default(),
            requests_missed: 0,
            start: Instant::ZERO,
            stopped: false,
            board,
            signals,
            published: Instant::ZERO,
        }
    }

    pub fn into_outcome(self) -> Outcome {
        let mut d = self.dialogue;
        d.cut_rest();
        let mut durations = self.outcome;
        // The run may have been cut short in any phase.
        let in_phase = |end: Instant| self.since.map_or(0, |since| end.nanos_since(since));
        match self.phase {
            Phase::Opening => durations.opening_ns = in_phase(d.last_established),
            Phase::Holding | Phase::Settling => durations.holding_ns = in_phase(self.last_turn),
            Phase::Closing => durations.closing_ns = in_phase(d.last_end),
            Phase::Opened | Phase::Done => {}
        }
        durations.whole_ns = self.last_turn.nanos_since(self.start);
        // What has not even come so far was ended from outside.
        let stopped = self.stopped || matches!(self.phase, Phase::Opening | Phase::Opened | Phase::Holding);
        Outcome {
            stopped,
            tally: d.tally,
            latencies: d.latencies,
            durations,
            held_peak: d.held_peak,
            broken: d.broken,
            requests_missed: self.requests_missed,
        }
    }

    /// One turn of the poll loop.
    fn turn(&mut self, net: &mut impl Dialer<HeldConn>) {
        let now = net.now();
        if self.since.is_none() {
            self.start = now;
        }
        let since = *self.since.get_or_insert(now);
        if self.phase != Phase::Done {
            self.last_turn = now;
        }
        self.expire(net, now);
        let stopped = self.signals.launching_is_stopped();
        self.stopped |= stopped && matches!(self.phase, Phase::Opening | Phase::Opened | Phase::Holding);
        match self.phase {
            Phase::Opening => self.open(net, since, now, stopped),
            Phase::Opened if stopped => self.enter(Phase::Settling, now),
            Phase::Opened if self.signals.opened() >= self.config.share.workers => self.enter(Phase::Holding, now),
            Phase::Holding if stopped || now >= since.plus_nanos(self.config.hold_ns) => {
                self.stop_asking(since, now);
                self.outcome.holding_ns = now.nanos_since(since);
                self.enter(Phase::Settling, now);
            }
            Phase::Holding => self.ask(net, since, now),
            Phase::Settling if self.dialogue.requests_open() == 0 => {
                self.config.pace.restart();
                self.enter(Phase::Closing, now);
            }
            Phase::Closing => self.close(net, since, now),
            Phase::Opened | Phase::Settling | Phase::Done => {}
        }
        self.publish(now);
    }

    fn enter(&mut self, phase: Phase, now: Instant) {
        (self.phase, self.since) = (phase, Some(now));
    }

    fn open(&mut self, net: &mut impl Dialer<HeldConn>, since: Instant, now: Instant, stopped: bool) {
        // Others must not wait for connections that this worker cannot open.
        let failed = self.dialogue.tally.failed_total() + self.dialogue.tally.missed_total();
        if failed > self.config.failures_max && !stopped {
            self.signals.stop_launching();
        }
        let over = stopped || self.launches >= self.config.connections;
        if over && (stopped || self.dialogue.opening == 0) {
            self.outcome.opening_ns = self.dialogue.last_established.nanos_since(since);
            self.signals.report_opened();
            return self.enter(Phase::Opened, now);
        }
        self.prepare(net, since, now);
        for _ in 0..STEPS_PER_TURN {
            if self.launches >= self.config.connections || self.dialogue.opening >= self.config.at_a_time {
                return;
            }
            let Some((index, due)) = self.config.pace.next(since, now) else { return };
            self.launches += 1;
            if let Err(reason) = self.dial(net, index, due) {
                // It would be the same with all that follow.
                let rest = self.config.connections - self.launches;
                self.launches += rest;
                return self.dialogue.tally.miss(reason, 1 + rest);
            }
        }
    }

    fn prepare(&self, net: &mut impl Dialer<HeldConn>, since: Instant, now: Instant) {
        let left = (self.config.connections - self.launches).min(u64::from(STEPS_PER_TURN));
        let room = self.config.at_a_time.saturating_sub(self.dialogue.opening).min(left);
        let launches = self.config.pace.due_now(since, now, room);
        let tries = TRIES_PER_LAUNCH.saturating_mul(self.config.share.workers);
        dialer::prepare(net, &self.tuples, self.steer.as_ref(), launches, tries);
    }

    fn dial(&mut self, net: &mut impl Dialer<HeldConn>, index: u64, due: Instant) -> Result<(), MissReason> {
        let tries = TRIES_PER_LAUNCH.saturating_mul(self.config.share.workers);
        let target = self.tuples.target(index);
        let (steer, dialogue) = (&self.steer, &mut self.dialogue);
        let mut result: Result<ConnId, MissReason> = Err(MissReason::NoTuple);
        self.tuples.next(target, tries, |to: Connect| {
            if steer.as_ref().is_some_and(|is_mine| !is_mine(&to)) {
                return false;
            }
            result = net.connect(to, dialogue.begin(due, target)).map_err(|e| match e {
                ConnectError::AddressInUse => MissReason::NoTuple,
                ConnectError::TableFull => MissReason::TableFull,
                ConnectError::NotLocal | ConnectError::NoRoute => MissReason::NoRoute,
            });
            if result.is_err() {
                dialogue.take_back();
            }
            result != Err(MissReason::NoTuple)
        });
        result.map(|id| {
            self.names.push(id);
            self.waiting.watch(id, self.last_turn);
        })
    }

    /// Sends the requests that are due, each over a connection drawn at random.
    fn ask(&mut self, net: &mut impl Dialer<HeldConn>, since: Instant, now: Instant) {
        for _ in 0..STEPS_PER_TURN {
            let Some((_, due)) = self.config.requests.as_mut().and_then(|pace| pace.next(since, now)) else { return };
            if now.nanos_since(due) > self.config.max_lateness_ns || !self.ask_one(net, due) {
                self.requests_missed += 1;
            }
        }
    }

    /// The hold is over: what was due in it and has not been sent never will be.
    fn stop_asking(&mut self, since: Instant, now: Instant) {
        let last = since.plus_nanos(self.config.hold_ns.saturating_sub(1)).min(now);
        while self.config.requests.as_mut().is_some_and(|pace| pace.next(since, last).is_some()) {
            self.requests_missed += 1;
        }
    }

    fn ask_one(&mut self, net: &mut impl Dialer<HeldConn>, due: Instant) -> bool {
        for _ in 0..DRAWS_PER_REQUEST {
            let Some((place, id)) = self.names.draw(&mut self.dialogue.rng) else { return false };
            let Some(mut conn) = net.conn(id) else {
                self.names.forget(place);
                continue;
            };
            if conn.user().stage == Stage::Idle {
                self.dialogue.request(&mut conn, due);
                self.waiting.watch(id, self.last_turn);
                return true;
            }
        }
        false
    }

    fn close(&mut self, net: &mut impl Dialer<HeldConn>, since: Instant, now: Instant) {
        if self.cut_at().is_some_and(|at| at <= now) {
            return self.cut(net, now);
        }
        for _ in 0..STEPS_PER_TURN {
            if self.names.is_empty() || self.dialogue.closing >= self.config.at_a_time {
                break;
            }
            let Some((_, due)) = self.config.pace.next(since, now) else { break };
            let Some(id) = self.names.pop() else { break };
            if let Some(mut conn) = net.conn(id)
                && self.dialogue.finish(&mut conn, due)
            {
                self.waiting.watch(id, now);
                self.unanswered.begun(now, self.dialogue.last_end);
            }
        }
        self.end_if_over(since, now);
    }

    /// When [`Holder::cut`] is called for, unless a close comes to its end before.
    fn cut_at(&self) -> Option<Instant> {
        let since = self.unanswered.since(self.dialogue.last_end, self.config.at_a_time);
        since.map(|since| since.plus_nanos(self.config.timeout_ns))
    }

    /// For as long as one may wait, nobody has closed: nobody will, and there is no point in asking millions in turn.
    fn cut(&mut self, net: &mut impl Dialer<HeldConn>, now: Instant) {
        for _ in 0..STEPS_PER_TURN {
            let Some(id) = self.names.pop() else { break };
            if let Some(mut conn) = net.conn(id) {
                conn.abort();
            }
        }
        self.end_if_over(self.since.unwrap_or(now), now);
    }

    fn end_if_over(&mut self, since: Instant, now: Instant) {
        if self.names.is_empty() && self.dialogue.tally.open() == 0 {
            self.outcome.closing_ns = self.dialogue.last_end.nanos_since(since);
            self.enter(Phase::Done, now);
            self.show();
            self.signals.finish();
        }
    }

    fn expire(&mut self, net: &mut impl Dialer<HeldConn>, now: Instant) {
        let (dialogue, timeout_ns) = (&mut self.dialogue, self.config.timeout_ns);
        self.waiting.expire(EXPIRIES_PER_TURN, |id, since| {
            let mut conn = net.conn(id)?;
            let user = conn.user();
            if !user.stage.is_urgent() || since < user.mark {
                // It does not wait, or for something else by now, of which it has another entry.
                return None;
            }
            let deadline = since.plus_nanos(timeout_ns);
            if deadline > now {
                return Some(deadline);
            }
            dialogue.time_out(&mut conn);
            None
        });
    }

    fn publish(&mut self, now: Instant) {
        if now.nanos_since(self.published) < PUBLISH_NS {
            return;
        }
        self.published = now;
        self.show();
    }

    fn due(&self) -> Option<Instant> {
        let Some(since) = self.since else { return Some(Instant::ZERO) };
        let paced = |under_way: u64| (under_way < self.config.at_a_time).then(|| self.config.pace.due(since));
        let next = match self.phase {
            Phase::Opening if self.launches < self.config.connections => paced(self.dialogue.opening),
            Phase::Opening => (self.dialogue.opening == 0).then_some(Instant::ZERO),
            // The main thread or another worker ends this phase, without a frame to wake this one.
            Phase::Opened => Some(self.published.plus_nanos(PUBLISH_NS)),
            Phase::Holding => {
                let end = since.plus_nanos(self.config.hold_ns);
                Some(self.config.requests.as_ref().map_or(end, |pace| pace.due(since).min(end)))
            }
            Phase::Settling => (self.dialogue.requests_open() == 0).then_some(Instant::ZERO),
            Phase::Closing if !self.names.is_empty() => {
                paced(self.dialogue.closing).into_iter().chain(self.cut_at()).min()
            }
            Phase::Closing => (self.dialogue.tally.open() == 0).then_some(Instant::ZERO),
            Phase::Done => return None,
        };
        next.into_iter().chain(self.waiting.next_due()).min()
    }
}

impl<P: Protocol> App for Holder<P> {
    type Conn = HeldConn;

    fn connected(&mut self, conn: &mut Conn<'_, HeldConn>) {
        self.dialogue.connected(conn);
    }

    fn data(&mut self, conn: &mut Conn<'_, HeldConn>, bytes: &[u8]) -> usize {
        self.dialogue.data(conn, bytes)
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, HeldConn>) {
        self.dialogue.peer_closed(conn);
    }

    fn closed(&mut self, user: HeldConn, why: CloseReason, now: Instant) {
        self.dialogue.closed(user, why, now);
    }

    fn poll(&mut self, net: &mut Net<'_, HeldConn>) {
        self.turn(net);
    }

    fn next_wakeup(&self) -> Option<Instant> {
        self.due()
    }
}

impl<P: Protocol> Shown for Holder<P> {
    fn show(&self) {
        self.board.publish(&Figures { requests_missed: self.requests_missed, ..self.dialogue.tally.figures() });
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
