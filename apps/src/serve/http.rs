//! HTTP/1.1 server: keep-alive, pipelining, requests cut anywhere.
//!
//! A connection keeps a parser and at most one answer that found no room; while that waits, nothing more is read, so
//! a client that sends without reading is held back by its own window. The last answer and the FIN leave together.

use super::Tally;
use super::answers::{Answer, Answers};
use crate::http::request::{Outcome, RequestParser};
use crate::pipe::Pipe;
use synfin_engine::base::Instant;
use synfin_engine::shard::conn::{Conn, Net};
use synfin_engine::shard::{App, CloseReason, SendError};

/// State per connection.
#[derive(Default)]
pub struct HttpConn {
    parser: RequestParser,
    /// An answer that found the send queue full, and whether it is the last.
    waiting: Option<(Answer, bool)>,
    /// Our direction is closed: what still comes is forgotten.
    done: bool,
    /// The client has closed its direction.
    peer_closed: bool,
}

pub struct HttpServer {
    answers: Answers,
    keep_alive: bool,
    pub tally: Tally,
}

impl HttpServer {
    pub fn new(answers: Answers, keep_alive: bool, tally: Tally) -> HttpServer {
        HttpServer { answers, keep_alive, tally }
    }

    fn take(&mut self, conn: &mut impl Pipe<User = HttpConn>, bytes: &[u8]) -> usize {
        let mut used = 0;
        while used < bytes.len() {
            if conn.user().done {
                return bytes.len();
            }
            if conn.user().waiting.is_some() {
                break;
            }
            let (n, outcome) = conn.user().parser.feed(&bytes[used..]);
            used += n;
            match outcome {
                Outcome::More => {}
                Outcome::Request(r) => {
                    self.tally.requests += 1;
                    self.answer(conn, Answer::to(&r), !(r.keep_alive && self.keep_alive));
                }
                Outcome::Malformed => self.answer(conn, Answer::Malformed, true),
                Outcome::HeadTooLarge => self.answer(conn, Answer::HeadTooLarge, true),
            }
        }
        used
    }

    fn answer(&mut self, conn: &mut impl Pipe<User = HttpConn>, answer: Answer, last: bool) {
        match conn.send(self.answers.payload(answer, last)) {
            Ok(()) => {
                self.tally.response(answer.status());
                if last {
                    finish(conn);
                }
            }
            Err(SendError::Full) => conn.user().waiting = Some((answer, last)),
            Err(SendError::Closed) => conn.user().done = true,
        }
    }

    fn room(&mut self, conn: &mut impl Pipe<User = HttpConn>) {
        let Some((answer, last)) = conn.user().waiting.take() else { return };
        self.answer(conn, answer, last);
        let user = conn.user();
        if user.waiting.is_some() || user.done {
            return;
        }
        if user.peer_closed { finish(conn) } else { conn.resume_receive() }
    }

    fn end(&mut self, conn: &mut impl Pipe<User = HttpConn>) {
        let user = conn.user();
        user.peer_closed = true;
        if user.waiting.is_none() && !user.done {
            finish(conn);
        }
    }
}

/// Only our direction: a full close would answer bytes still under way with RST, which could overtake the response.
fn finish(conn: &mut impl Pipe<User = HttpConn>) {
    conn.user().done = true;
    conn.shutdown();
}

impl App for HttpServer {
    type Conn = HttpConn;

    fn accepted(&mut self, _conn: &mut Conn<'_, HttpConn>) {
        self.tally.accepted += 1;
    }

    fn data(&mut self, conn: &mut Conn<'_, HttpConn>, bytes: &[u8]) -> usize {
        self.take(conn, bytes)
    }

    fn writable(&mut self, conn: &mut Conn<'_, HttpConn>) {
        self.room(conn);
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, HttpConn>) {
        self.end(conn);
    }

    fn closed(&mut self, _user: HttpConn, why: CloseReason, _now: Instant) {
        self.tally.closed(why);
    }

    fn poll(&mut self, net: &mut Net<'_, HttpConn>) {
        self.tally.publish(net.now());
    }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
