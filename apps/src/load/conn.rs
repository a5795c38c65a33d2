//! The life of one connection, from the client's side: handshake, requests and responses in turn, close.

use super::latency::{Latencies, Measure};
use super::protocol::{Progress, Protocol};
use super::tally::{FailReason, Tally};
use crate::cli::load::CloseMode;
use crate::pipe::Pipe;
use synfin_engine::base::{Instant, Rng};
use synfin_engine::shard::CloseReason;

/// What the connection is waiting for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Stage {
    #[default]
    Handshake,
    FirstByte,
    Response,
    /// Nothing more is to be said.
    Close,
    /// Reset by us: the engine did not take the request.
    GivenUp,
}

/// Kept by the engine for each connection.
#[derive(Default)]
pub struct ClientConn<S> {
    /// When the connection should have been begun.
    pub due: Instant,
    /// When the present stage began: launch, request, or end of the last response.
    pub mark: Instant,
    /// Requests still to be made.
    pub left: u32,
    pub target: u16,
    pub stage: Stage,
    /// It has got a response already.
    pub answered: bool,
    /// The first thing that went wrong; decides how the connection is counted.
    pub failed: Option<FailReason>,
    pub state: S,
}

/// What all connections of a worker share.
pub struct Dialogue<P> {
    pub protocol: P,
    pub close: CloseMode,
    pub rng: Rng,
    pub tally: Tally,
    pub latencies: Latencies,
    /// Time is up: each connection closes after the response that it waits for.
    pub last_call: bool,
    /// When a response, or a connection that was completed, last came to its end.
    pub last_success: Instant,
}

impl<P: Protocol> Dialogue<P> {
    pub fn new(protocol: P, close: CloseMode, seed: u64, latencies: Latencies) -> Dialogue<P> {
        let (tally, rng) = (Tally::default(), Rng::new(seed));
        Dialogue { protocol, close, rng, tally, latencies, last_call: false, last_success: Instant::ZERO }
    }

    pub fn connected(&mut self, conn: &mut impl Pipe<User = ClientConn<P::State>>) {
        self.tally.established += 1;
        let now = conn.now();
        self.latencies.record(Measure::Handshake, now.nanos_since(conn.user().due));
        if conn.user().stage == Stage::Handshake {
            self.send_request(conn);
        }
    }

    /// The handshake has not begun: the first request may go with the SYN. A half-close has to wait.
    pub fn ask_early(&mut self, conn: &mut impl Pipe<User = ClientConn<P::State>>) {
        if self.close != CloseMode::HalfClose {
            self.send_request(conn);
        }
    }

    fn send_request(&mut self, conn: &mut impl Pipe<User = ClientConn<P::State>>) {
        let (now, random) = (conn.now(), self.rng.next_u64());
        let user = conn.user();
        user.mark = now;
        user.stage = Stage::FirstByte;
        user.left = if self.last_call { 0 } else { user.left.saturating_sub(1) };
        let last = user.left == 0;
        let payload = self.protocol.request(user.target, &mut user.state, random);
        let bytes = payload.len();
        if conn.send(payload).is_err() {
            conn.user().stage = Stage::GivenUp;
            return conn.abort();
        }
        self.tally.requests += 1;
        self.tally.bytes_out += bytes;
        if last && self.close == CloseMode::HalfClose {
            conn.shutdown();
        }
    }

    /// Takes everything, always: what is not understood has failed the connection.
    pub fn data(&mut self, conn: &mut impl Pipe<User = ClientConn<P::State>>, bytes: &[u8]) -> usize {
        self.tally.bytes_in += bytes.len() as u64;
        let mut rest = bytes;
        while !rest.is_empty() && matches!(conn.user().stage, Stage::FirstByte | Stage::Response) {
            let now = conn.now();
            let user = conn.user();
            if user.stage == Stage::FirstByte {
                user.stage = Stage::Response;
                self.latencies.record(Measure::FirstByte, now.nanos_since(user.mark));
            }
            let (n, progress) = self.protocol.response(&mut user.state, rest);
            rest = rest.get(n..).unwrap_or(&[]);
            match progress {
                Progress::More => {}
                Progress::Done { status, keep_alive } => self.response_done(conn, status, keep_alive),
                Progress::Failed(reason) => fail(conn, reason),
            }
        }
        bytes.len()
    }

    fn response_done(&mut self, conn: &mut impl Pipe<User = ClientConn<P::State>>, status: u16, keep_alive: bool) {
        let now = conn.now();
        let user = conn.user();
        self.tally.response(status);
        self.last_success = now;
        self.latencies.record(Measure::Request, now.nanos_since(user.mark));
        if !std::mem::replace(&mut user.answered, true) {
            self.latencies.record(Measure::Response, now.nanos_since(user.due));
        }
        user.mark = now;
        if status >= 400 {
            user.failed.get_or_insert(FailReason::BadStatus);
        }
        if user.left > 0 && keep_alive && !self.last_call {
            return self.send_request(conn);
        }
        // A half-close goes with the last request, which this was not meant to be.
        let cut_by_us = std::mem::take(&mut user.left);
        self.tally.cut_short += if keep_alive { 0 } else { u64::from(cut_by_us) };
        user.stage = Stage::Close;
        match self.close {
            CloseMode::Rst | CloseMode::Abandon => conn.abort(),
            // A server that has announced its FIN closes first, and keeps the TIME-WAIT.
            CloseMode::Fin if keep_alive => conn.close(),
            CloseMode::HalfClose if keep_alive && cut_by_us > 0 => conn.close(),
            CloseMode::Fin | CloseMode::HalfClose => {}
        }
    }

    pub fn peer_closed(&mut self, conn: &mut impl Pipe<User = ClientConn<P::State>>) {
        let user = conn.user();
        if user.stage != Stage::Close {
            match self.protocol.end(&mut user.state) {
                Progress::Done { status, .. } => self.response_done(conn, status, false),
                Progress::Failed(reason) => {
                    user.failed.get_or_insert(reason);
                }
                Progress::More => {
                    user.failed.get_or_insert(FailReason::ClosedEarly);
                }
            }
        }
        conn.user().stage = Stage::Close;
        if !self.close.is_abrupt() || conn.user().failed.is_some() {
            conn.close();
        }
    }

    pub fn closed(&mut self, user: &ClientConn<P::State>, why: CloseReason, now: Instant) {
        if let Some(reason) = user.failed.or(FailReason::of(why)) {
            return self.tally.fail(reason);
        }
        match why {
            CloseReason::Graceful if user.stage == Stage::Close => {
                self.latencies.record(Measure::Close, now.nanos_since(user.mark));
            }
            // The end that was asked for.
            CloseReason::Aborted if user.stage == Stage::Close && self.close.is_abrupt() => {}
            CloseReason::Aborted if user.stage == Stage::GivenUp => return self.tally.given_up += 1,
            CloseReason::Aborted => return self.tally.unfinished += 1,
            _ => return self.tally.fail(FailReason::ClosedEarly),
        }
        self.tally.completed += 1;
        self.last_success = now;
        self.latencies.record(Measure::Connection, now.nanos_since(user.due));
    }
}

fn fail<S>(conn: &mut impl Pipe<User = ClientConn<S>>, reason: FailReason) {
    let user = conn.user();
    user.failed.get_or_insert(reason);
    user.stage = Stage::Close;
    conn.abort();
}

/// The stage has taken too long.
pub fn time_out<S>(conn: &mut impl Pipe<User = ClientConn<S>>) {
    let reason = match conn.user().stage {
        Stage::Handshake => FailReason::ConnectTimeout,
        Stage::FirstByte | Stage::Response => FailReason::ResponseTimeout,
        Stage::Close => FailReason::CloseTimeout,
        // On its way out.
        Stage::GivenUp => return,
    };
    fail(conn, reason);
}

#[cfg(test)]
#[path = "conn_tests.rs"]
mod tests;
