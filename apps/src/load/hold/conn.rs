//! The life of one held connection: handshake, then idle, now and then a request and its response, at last the close.

use crate::cli::load::CloseMode;
use crate::load::latency::{Latencies, Measure};
use crate::load::protocol::{Progress, Protocol};
use crate::load::tally::{FailReason, Tally};
use crate::pipe::Pipe;
use crate::pool::Pool;
use synfin_engine::base::{Instant, Rng};
use synfin_engine::shard::CloseReason;

/// What the connection is waiting for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Stage {
    #[default]
    Handshake,
    Idle,
    FirstByte,
    Response,
    /// Closed by us, all being well.
    Close,
    /// Over, or as good as over.
    End,
}

impl Stage {
    /// Established, and to stay so.
    pub fn is_held(self) -> bool {
        matches!(self, Stage::Idle | Stage::FirstByte | Stage::Response)
    }

    fn is_request(self) -> bool {
        matches!(self, Stage::FirstByte | Stage::Response)
    }

    /// The peer has to answer in time.
    pub fn is_urgent(self) -> bool {
        matches!(self, Stage::Handshake | Stage::Close) || self.is_request()
    }
}

/// Kept by the engine for each connection, ten million times: what only a request needs is in a pool.
#[derive(Default)]
pub struct HeldConn {
    /// When the present stage should have begun.
    pub mark: Instant,
    /// Number of the request's state in the pool; 0 without a request.
    exchange: u32,
    pub target: u16,
    pub stage: Stage,
    /// The first thing that went wrong; decides how the connection is counted.
    failed: Option<FailReason>,
}

const _: () = assert!(size_of::<HeldConn>() == 16);

/// A request under way.
#[derive(Default)]
struct Exchange<S> {
    /// When it was sent; it was due at the connection's mark.
    sent: Instant,
    state: S,
}

/// What all connections of a worker share.
pub struct Dialogue<P: Protocol> {
    pub protocol: P,
    pub close: CloseMode,
    pub rng: Rng,
    pub tally: Tally,
    pub latencies: Latencies,
    /// Connections that are held now, and the most there were at a time.
    pub held: u64,
    pub held_peak: u64,
    /// Handshakes under way, and closes.
    pub opening: u64,
    pub closing: u64,
    /// Held connections that failed.
    pub broken: u64,
    /// When a handshake was last completed, and when a connection last came to an orderly end.
    pub last_established: Instant,
    pub last_end: Instant,
    exchanges: Pool<Exchange<P::State>>,
}

impl<P: Protocol> Dialogue<P> {
    pub fn new(protocol: P, close: CloseMode, seed: u64, latencies: Latencies) -> Dialogue<P> {
        Dialogue {
            protocol,
            close,
            rng: Rng::new(seed),
            tally: Tally::default(),
            latencies,
            held: 0,
            held_peak: 0,
            opening: 0,
            closing: 0,
            broken: 0,
            last_established: Instant::ZERO,
            last_end: Instant::ZERO,
            exchanges: Pool::default(),
        }
    }

    /// A launch, due at `due`, was made; returns what the engine keeps.
    pub fn begin(&mut self, due: Instant, target: u16) -> HeldConn {
        self.tally.started += 1;
        self.opening += 1;
        HeldConn { mark: due, target, ..HeldConn::default() }
    }

    /// The launch was none: the engine refused it.
    pub fn take_back(&mut self) {
        self.tally.started -= 1;
        self.opening -= 1;
    }

    /// Requests under way.
    pub fn requests_open(&self) -> usize {
        self.exchanges.len()
    }

    /// The one place where a stage changes, with the counts that depend on it.
    fn enter(&mut self, user: &mut HeldConn, stage: Stage) {
        let old = std::mem::replace(&mut user.stage, stage);
        let change = |count: &mut u64, is_in: fn(Stage) -> bool| {
            *count = *count + u64::from(is_in(stage)) - u64::from(is_in(old));
        };
        change(&mut self.opening, |s| s == Stage::Handshake);
        change(&mut self.held, Stage::is_held);
        change(&mut self.closing, |s| s == Stage::Close);
        self.held_peak = self.held_peak.max(self.held);
        if old.is_request() && !stage.is_request() {
            self.exchanges.remove(std::mem::take(&mut user.exchange));
        }
    }

    pub fn connected(&mut self, conn: &mut impl Pipe<User = HeldConn>) {
        let now = conn.now();
        self.tally.established += 1;
        self.last_established = now;
        self.latencies.record(Measure::Handshake, now.nanos_since(conn.user().mark));
        self.enter(conn.user(), Stage::Idle);
    }

    /// Sends a request that was due at `due`. The connection is idle.
    pub fn request(&mut self, conn: &mut impl Pipe<User = HeldConn>, due: Instant) {
        let random = self.rng.next_u64();
        let mut state = P::State::default();
        let payload = self.protocol.request(conn.user().target, &mut state, random);
        let bytes = payload.len();
        if conn.send(payload).is_err() {
            return self.give_up(conn);
        }
        self.tally.requests += 1;
        self.tally.bytes_out += bytes;
        let sent = conn.now();
        let user = conn.user();
        user.mark = due;
        user.exchange = self.exchanges.insert(Exchange { sent, state });
        self.enter(user, Stage::FirstByte);
    }

    /// Takes everything, always: what nobody asked for is of no interest, and what is not understood has failed the
    /// connection.
    pub fn data(&mut self, conn: &mut impl Pipe<User = HeldConn>, bytes: &[u8]) -> usize {
        self.tally.bytes_in += bytes.len() as u64;
        let mut rest = bytes;
        while !rest.is_empty() && conn.user().stage.is_request() {
            let now = conn.now();
            let user = conn.user();
            let begins = user.stage == Stage::FirstByte;
            if begins {
                self.enter(user, Stage::Response);
            }
            let Some(exchange) = self.exchanges.get_mut(user.exchange) else { break };
            let since_sent = now.nanos_since(exchange.sent);
            if begins {
                self.latencies.record(Measure::FirstByte, since_sent);
            }
            let (n, progress) = self.protocol.response(&mut exchange.state, rest);
            rest = rest.get(n..).unwrap_or(&[]);
            match progress {
                Progress::More => {}
                Progress::Done { status, .. } => {
                    self.latencies.record(Measure::Request, since_sent);
                    self.latencies.record(Measure::Response, now.nanos_since(user.mark));
                    self.response_done(user, status);
                }
                Progress::Failed(reason) => self.fail(conn, reason),
            }
        }
        bytes.len()
    }

    fn response_done(&mut self, user: &mut HeldConn, status: u16) {
        self.tally.response(status);
        if status >= 400 {
            user.failed.get_or_insert(FailReason::BadStatus);
        }
        self.enter(user, Stage::Idle);
    }

    /// The end of the hold: closes an established connection, and cuts one that is still being opened. False: it is on
    /// its way out already.
    pub fn finish(&mut self, conn: &mut impl Pipe<User = HeldConn>, due: Instant) -> bool {
        let user = conn.user();
        match user.stage {
            Stage::Close | Stage::End => return false,
            Stage::Handshake => {
                conn.abort();
                return true;
            }
            Stage::Idle | Stage::FirstByte | Stage::Response => {}
        }
        user.mark = due;
        self.enter(user, Stage::Close);
        match self.close {
            CloseMode::Fin => conn.close(),
            CloseMode::Rst | CloseMode::Abandon => conn.abort(),
            CloseMode::HalfClose => conn.shutdown(),
        }
        true
    }

    pub fn peer_closed(&mut self, conn: &mut impl Pipe<User = HeldConn>) {
        if conn.user().stage.is_held() {
            // Complete or not, the response was the last: the connection was to stay.
            self.break_off(conn.user(), FailReason::ClosedEarly);
        }
        conn.close();
    }

    pub fn closed(&mut self, mut user: HeldConn, why: CloseReason, now: Instant) {
        let stage = user.stage;
        match user.failed.or(FailReason::of(why)) {
            Some(reason) => {
                self.broken += u64::from(stage.is_held());
                self.tally.fail(reason);
            }
            None if why == CloseReason::Aborted && stage == Stage::End => self.tally.given_up += 1,
            None if stage != Stage::Close || (why == CloseReason::Aborted && !self.close.is_abrupt()) => {
                self.tally.unfinished += 1;
            }
            None => {
                self.tally.completed += 1;
                self.last_end = now;
                self.latencies.record(Measure::Close, now.nanos_since(user.mark));
            }
        }
        self.enter(&mut user, Stage::End);
    }

    /// The stage has taken too long.
    pub fn time_out(&mut self, conn: &mut impl Pipe<User = HeldConn>) {
        let reason = match conn.user().stage {
            Stage::Handshake => FailReason::ConnectTimeout,
            Stage::FirstByte | Stage::Response => FailReason::ResponseTimeout,
            Stage::Idle | Stage::Close | Stage::End => FailReason::CloseTimeout,
        };
        self.fail(conn, reason);
    }

    fn fail(&mut self, conn: &mut impl Pipe<User = HeldConn>, reason: FailReason) {
        self.break_off(conn.user(), reason);
        conn.abort();
    }

    fn break_off(&mut self, user: &mut HeldConn, reason: FailReason) {
        self.broken += u64::from(user.stage.is_held());
        user.failed.get_or_insert(reason);
        self.enter(user, Stage::End);
    }

    /// The engine did not take the request.
    fn give_up(&mut self, conn: &mut impl Pipe<User = HeldConn>) {
        self.enter(conn.user(), Stage::End);
        conn.abort();
    }
}
