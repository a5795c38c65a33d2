//! The load generator on one worker: an engine `App` that launches connections when they are due, gives up those that
//! take too long, and finishes tidily.

use super::conn::{ClientConn, Dialogue, time_out};
use super::dialer::{self, Dialer};
use super::latency::Latencies;
use super::protocol::Protocol;
use super::schedule::{ClosedLoop, OpenLoop, Share};
use super::tally::{MissReason, Tally};
use super::timeouts::{Timeouts, Verdict};
use super::tuples::Tuples;
use super::window::{Measured, Window};
use crate::cli::load::CloseMode;
use crate::live::{Board, Shown, Signals};
use crate::pipe::Pipe;
use std::sync::Arc;
use synfin_engine::base::Instant;
use synfin_engine::shard::app::{ConnId, Connect, ConnectError};
use synfin_engine::shard::conn::{Conn, Net};
use synfin_engine::shard::{App, CloseReason};

/// Launches in one turn of the poll loop at most, so that a burst of them does not hold up what has come in.
const LAUNCHES_PER_TURN: u32 = 64;
/// Tuples tried for one launch, per worker (each worker can use one in so many).
const TRIES_PER_LAUNCH: u32 = 64;
/// Timeouts looked at in one turn.
const EXPIRIES_PER_TURN: usize = 256;
/// After a search for a free tuple in vain, closed loop waits this long.
const RETRY_NS: u64 = 1_000_000;
/// Once all are launched, the load lasts until no more than this part of them is open.
const LAGGARDS_PART: u64 = 20;
/// How often figures are published: so much at most is missing from what is shown.
const PUBLISH_NS: u64 = 2_000_000;

/// Whether replies to a tuple reach this worker.
pub type Steer = Box<dyn Fn(&Connect) -> bool + Send>;

/// When connections are launched.
pub enum Plan {
    Open(OpenLoop),
    Closed(ClosedLoop),
}

/// What one worker is to do.
pub struct ClientConfig {
    pub plan: Plan,
    pub share: Share,
    /// Launches of this worker at most, missed ones included.
    pub launches_max: u64,
    pub duration_ns: Option<u64>,
    /// So long at the beginning, rates and latencies are not measured.
    pub warmup_ns: u64,
    pub drain_ns: u64,
    pub max_lateness_ns: u64,
    pub timeout_ns: u64,
    pub requests_per_connection: u32,
    /// The first request may go with the SYN (RFC 7413).
    pub fast_open: bool,
    pub close: CloseMode,
    pub seed: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Launching,
    /// All are launched, and go on until the time is up.
    Finishing,
    /// Time is up: waiting until this time for connections to finish.
    Draining(Instant),
    /// What was still open has been aborted.
    Cutting,
    Done,
}

pub struct Client<P: Protocol> {
    dialogue: Dialogue<P>,
    config: ClientConfig,
    tuples: Tuples,
    steer: Option<Steer>,
    timeouts: Timeouts,
    window: Window,
    start: Option<Instant>,
    phase: Phase,
    /// Launches that were due so far.
    launches: u64,
    /// Closed loop found no free tuple: since when, and when to look again.
    starved: Option<(Instant, Instant)>,
    starved_ns: u64,
    /// When launching ended.
    launching_ended: Option<Instant>,
    /// Somebody has stopped the run before it was over by itself.
    stopped: bool,
    board: Arc<Board>,
    signals: Arc<Signals>,
    published: Instant,
}

/// What a worker has found out.
#[derive(Clone, Default)]
pub struct Outcome {
    pub tally: Tally,
    /// What has been counted since the warm-up.
    pub measured: Tally,
    /// Of that, what came while load was offered: what rates are of.
    pub offered: Tally,
    /// Since the warm-up.
    pub latencies: Latencies,
    /// How long launching lasted.
    pub launching_ns: u64,
    /// From the first launch for as long as load was offered, warm-up included: until the time was up, or all were launched
    /// and all but the last few of them over.
    pub active_ns: u64,
    /// From the first launch until launching was over and the last response, and the last connection that was completed, had
    /// come to their end.
    pub whole_ns: u64,
    /// Somebody has stopped the run before it was over by itself.
    pub stopped: bool,
    /// Closed loop: how long connections could not be replaced for want of a free address and port.
    pub starved_ns: u64,
}

impl Outcome {
    /// Adds another worker's findings to these.
    pub fn merge(&mut self, other: &Outcome) {
        self.tally.merge(&other.tally);
        self.measured.merge(&other.measured);
        self.offered.merge(&other.offered);
        self.latencies.merge(&other.latencies);
        self.launching_ns = self.launching_ns.max(other.launching_ns);
        self.active_ns = self.active_ns.max(other.active_ns);
        self.whole_ns = self.whole_ns.max(other.whole_ns);
        self.stopped |= other.stopped;
        self.starved_ns += other.starved_ns;
    }
}

impl<P: Protocol> Client<P> {
    pub fn new(
        protocol: P,
        config: ClientConfig,
        tuples: Tuples,
        steer: Option<Steer>,
        board: Arc<Board>,
        signals: Arc<Signals>,
    ) -> Client<P> {
        let mut dialogue = Dialogue::new(protocol, config.close, config.seed, Latencies::shown_on(board.clone()));
        dialogue.are_replaced = matches!(config.plan, Plan::Closed(_)) && config.launches_max == u64::MAX;
        Client {
            dialogue,
            timeouts: Timeouts::new(config.timeout_ns, Instant::ZERO),
            window: Window::new(config.warmup_ns),
            config,
            tuples,
            steer,
            start: None,
            phase: Phase::Launching,
            launches: 0,
            starved: None,
            starved_ns: 0,
            launching_ended: None,
            stopped: false,
            board,
            signals,
            published: Instant::ZERO,
        }
    }

    pub fn into_outcome(mut self) -> Outcome {
        let (launching_ns, whole_ns) = (self.launching_ns(), self.lasted_ns());
        let (tally, latencies) = (&self.dialogue.tally, &mut self.dialogue.latencies);
        let Measured { all: measured, offered, active_ns } = self.window.finish(whole_ns, tally, latencies);
        Outcome {
            measured,
            offered,
            // What has not even come so far was ended from outside.
            stopped: self.stopped || matches!(self.phase, Phase::Launching | Phase::Finishing),
            tally: self.dialogue.tally,
            latencies: self.dialogue.latencies,
            launching_ns,
            active_ns,
            whole_ns,
            starved_ns: self.starved_ns,
        }
    }

    fn launching_ns(&self) -> u64 {
        let launching = self.start.zip(self.launching_ended.or(Some(self.published)));
        launching.map_or(0, |(start, end)| end.nanos_since(start))
    }

    /// From the first launch until launching was over and the last success had come.
    fn lasted_ns(&self) -> u64 {
        let ending_ns = self.start.map_or(0, |start| self.dialogue.last_success.nanos_since(start));
        self.launching_ns().max(ending_ns)
    }

    /// One turn of the poll loop.
    fn turn(&mut self, net: &mut impl Dialer<ClientConn<P::State>>) {
        let now = net.now();
        let start = *self.start.get_or_insert(now);
        self.window.tick(now.nanos_since(start), &self.dialogue.tally, &mut self.dialogue.latencies);
        self.expire(net, now);
        if self.phase == Phase::Launching {
            match self.config.plan {
                Plan::Open(_) => self.launch_due(net, start, now),
                Plan::Closed(_) => self.launch_replacements(net, start, now),
            }
            if self.launching_is_over(start, now) {
                self.launching_ended = Some(now);
                self.settle_starved(now);
                self.phase = Phase::Finishing;
            }
        }
        if self.phase == Phase::Finishing && self.ran_out(start, now) {
            self.stopped = !self.time_is_up(start, now);
            self.dialogue.last_call = true;
            self.phase = Phase::Draining(now.plus_nanos(self.config.drain_ns));
        }
        if !self.window.is_closed() && self.load_is_over() {
            self.window.close(self.lasted_ns(), &self.dialogue.tally);
        }
        self.wind_up(net, now);
        self.publish(now);
    }

    /// Nothing is offered any more, but for what a few that lag behind have left.
    fn load_is_over(&self) -> bool {
        let tally = &self.dialogue.tally;
        match self.phase {
            Phase::Launching => false,
            Phase::Finishing => tally.open() * LAGGARDS_PART <= tally.started,
            Phase::Draining(_) | Phase::Cutting | Phase::Done => true,
        }
    }

    fn prepare(&self, net: &mut impl Dialer<ClientConn<P::State>>, launches: u64) {
        let tries = TRIES_PER_LAUNCH.saturating_mul(self.config.share.workers);
        dialer::prepare(net, &self.tuples, self.steer.as_ref(), launches, tries);
    }

    fn launch_due(&mut self, net: &mut impl Dialer<ClientConn<P::State>>, start: Instant, now: Instant) {
        // What has come goes first: launching on would fill the rings until frames are lost.
        let waits = net.is_behind();
        if let Plan::Open(plan) = &self.config.plan
            && !waits
        {
            let left = self.config.launches_max - self.launches;
            self.prepare(net, plan.due_by(now.nanos_since(start), u64::from(LAUNCHES_PER_TURN).min(left)));
        }
        for _ in 0..LAUNCHES_PER_TURN {
            let Plan::Open(plan) = &mut self.config.plan else { return };
            let due = start.plus_nanos(plan.due_ns());
            let ended = self.config.duration_ns.is_some_and(|d| plan.due_ns() >= d);
            let too_late = now.nanos_since(due) > self.config.max_lateness_ns;
            if due > now || ended || self.launches >= self.config.launches_max || (waits && !too_late) {
                return;
            }
            let index = plan.index();
            plan.advance();
            self.launches += 1;
            if too_late {
                self.dialogue.tally.miss(MissReason::Late, 1);
            } else if let Err(reason) = self.dial(net, index, due, now) {
                self.dialogue.tally.miss(reason, 1);
            }
        }
    }

    fn launch_replacements(&mut self, net: &mut impl Dialer<ClientConn<P::State>>, start: Instant, now: Instant) {
        let Plan::Closed(plan) = &self.config.plan else { return };
        let allowed = plan.allowed(now.nanos_since(start));
        if self.starved.is_some_and(|(_, again)| now < again) || self.ran_out(start, now) {
            return;
        }
        let left = self.config.launches_max - self.launches;
        let launches = allowed.saturating_sub(self.dialogue.tally.open()).min(left);
        self.prepare(net, launches.min(u64::from(LAUNCHES_PER_TURN)));
        for _ in 0..LAUNCHES_PER_TURN {
            if self.dialogue.tally.open() >= allowed || self.launches >= self.config.launches_max {
                break;
            }
            let index = u64::from(self.config.share.worker) + self.launches * u64::from(self.config.share.workers);
            if self.dial(net, index, now, now).is_err() {
                let since = self.starved.map_or(now, |(since, _)| since);
                self.starved = Some((since, now.plus_nanos(RETRY_NS)));
                return;
            }
            self.launches += 1;
        }
        self.settle_starved(now);
    }

    fn settle_starved(&mut self, now: Instant) {
        if let Some((since, _)) = self.starved.take() {
            self.starved_ns += now.nanos_since(since);
        }
    }

    fn dial(
        &mut self,
        net: &mut impl Dialer<ClientConn<P::State>>,
        index: u64,
        due: Instant,
        now: Instant,
    ) -> Result<(), MissReason> {
        let tries = TRIES_PER_LAUNCH.saturating_mul(self.config.share.workers);
        let left = self.config.requests_per_connection;
        let target = self.tuples.target(index);
        let fast = self.config.fast_open;
        let steer = &self.steer;
        let mut result: Result<ConnId, MissReason> = Err(MissReason::NoTuple);
        self.tuples.next(target, tries, |to| {
            if steer.as_ref().is_some_and(|is_mine| !is_mine(&to)) {
                return false;
            }
            let user = ClientConn { due, mark: now, left, target, ..ClientConn::default() };
            let begun = if fast { net.connect_fast(to, user) } else { net.connect(to, user) };
            result = match begun {
                Ok(id) => Ok(id),
                Err(ConnectError::AddressInUse) => return false,
                Err(ConnectError::TableFull) => Err(MissReason::TableFull),
                Err(ConnectError::NotLocal | ConnectError::NoRoute) => Err(MissReason::NoRoute),
            };
            true
        });
        self.dialogue.tally.started += 1;
        let id = result.inspect_err(|_| self.dialogue.tally.started -= 1)?;
        self.timeouts.watch(id, now);
        if let Some(mut conn) = net.conn(id).filter(|_| fast) {
            self.dialogue.ask_early(&mut conn);
        }
        Ok(())
    }

    fn time_is_up(&self, start: Instant, now: Instant) -> bool {
        self.config.duration_ns.is_some_and(|d| now.nanos_since(start) >= d)
    }

    /// The time asked for is used up, or somebody has stopped the run.
    fn ran_out(&self, start: Instant, now: Instant) -> bool {
        self.signals.launching_is_stopped() || self.time_is_up(start, now)
    }

    fn launching_is_over(&self, start: Instant, now: Instant) -> bool {
        let counted_out = self.launches >= self.config.launches_max;
        match &self.config.plan {
            // What was due before the end may still be launched a little after it.
            Plan::Open(plan) => {
                let planned_out = self.config.duration_ns.is_some_and(|d| plan.due_ns() >= d);
                counted_out || self.signals.launching_is_stopped() || (planned_out && self.ran_out(start, now))
            }
            Plan::Closed(_) => counted_out || self.ran_out(start, now),
        }
    }

    fn wind_up(&mut self, net: &mut impl Dialer<ClientConn<P::State>>, now: Instant) {
        let open = self.dialogue.tally.open();
        match self.phase {
            Phase::Finishing | Phase::Draining(_) | Phase::Cutting if open == 0 => {
                self.phase = Phase::Done;
                self.show();
                self.signals.finish();
            }
            Phase::Draining(until) if now >= until => {
                self.phase = Phase::Cutting;
                self.timeouts.drain(|id| {
                    if let Some(mut conn) = net.conn(id) {
                        conn.abort();
                    }
                });
            }
            _ => {}
        }
    }

    fn expire(&mut self, net: &mut impl Dialer<ClientConn<P::State>>, now: Instant) {
        let timeout_ns = self.timeouts.timeout_ns();
        self.timeouts.expire(now, EXPIRIES_PER_TURN, |id| {
            let Some(mut conn) = net.conn(id) else { return Verdict::Drop };
            let deadline = conn.user().mark.plus_nanos(timeout_ns);
            if deadline > now {
                return Verdict::Later(deadline);
            }
            time_out(&mut conn);
            Verdict::Drop
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
        let Some(start) = self.start else { return Some(Instant::ZERO) };
        let next = match (self.phase, &self.config.plan) {
            (Phase::Launching, Plan::Open(plan)) => Some(start.plus_nanos(plan.due_ns())),
            (Phase::Launching, Plan::Closed(plan)) => {
                let end = self.config.duration_ns.map(|d| start.plus_nanos(d));
                let more = plan.grows_beyond_ns(self.dialogue.tally.open()).map(|ns| start.plus_nanos(ns));
                let again = self.starved.map(|(_, again)| again);
                more.map(|at| again.map_or(at, |again| at.max(again))).into_iter().chain(end).min()
            }
            (Phase::Finishing, _) => self.config.duration_ns.map(|d| start.plus_nanos(d)),
            (Phase::Draining(until), _) => Some(until),
            (Phase::Cutting, _) => Some(Instant::ZERO),
            (Phase::Done, _) => return None,
        };
        next.into_iter().chain(self.timeouts.next_due()).min()
    }
}

impl<P: Protocol> App for Client<P> {
    type Conn = ClientConn<P::State>;

    fn connected(&mut self, conn: &mut Conn<'_, Self::Conn>) {
        self.dialogue.connected(conn);
    }

    fn data(&mut self, conn: &mut Conn<'_, Self::Conn>, bytes: &[u8]) -> usize {
        self.dialogue.data(conn, bytes)
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, Self::Conn>) {
        self.dialogue.peer_closed(conn);
    }

    fn closed(&mut self, user: Self::Conn, why: CloseReason, now: Instant) {
        self.dialogue.closed(&user, why, now);
    }

    fn poll(&mut self, net: &mut Net<'_, Self::Conn>) {
        self.turn(net);
    }

    fn next_wakeup(&self) -> Option<Instant> {
        self.due()
    }
}

impl<P: Protocol> Shown for Client<P> {
    fn show(&self) {
        self.board.publish(&self.dialogue.tally.figures());
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
