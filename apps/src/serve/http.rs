//! HTTP/1.1 server: keep-alive, pipelining, requests cut anywhere.
//!
//! A connection has state of its own only in the middle of a request, or while an answer finds no room; while that waits,
//! nothing more is read, so a client that sends without reading is held back by its own window. The last answer and the
//! FIN leave together.

use super::Tally;
use super::answers::{Answer, Answers};
use crate::http::request::{Outcome, RequestParser};
use crate::pipe::Pipe;
use crate::pool::Pool;
use synfin_engine::base::Instant;
use synfin_engine::shard::conn::{Conn, Net};
use synfin_engine::shard::{App, CloseReason, SendError};

/// Kept per connection: between requests nothing but this.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct HttpConn(u32);

impl HttpConn {
    /// Between two requests.
    const IDLE: HttpConn = HttpConn(0);
    /// Our direction is closed: what still comes is forgotten.
    const DONE: HttpConn = HttpConn(u32::MAX);
    // Any other value is the number of an [`Exchange`].
}

/// A request that has begun, or an answer that could not be sent yet.
#[derive(Default)]
struct Exchange {
    parser: RequestParser,
    /// An answer that found the send queue full, and whether it is the last.
    waiting: Option<(Answer, bool)>,
    done: bool,
    /// The client has closed its direction.
    peer_closed: bool,
}

pub struct HttpServer {
    answers: Answers,
    keep_alive: bool,
    pub tally: Tally,
    exchanges: Pool<Exchange>,
}

impl HttpServer {
    pub fn new(answers: Answers, keep_alive: bool, tally: Tally) -> HttpServer {
        HttpServer { answers, keep_alive, tally, exchanges: Pool::default() }
    }

    /// The connection's exchange, out of the pool; `None` when our direction is closed.
    fn take_up(&mut self, conn: HttpConn) -> Option<Exchange> {
        match conn {
            HttpConn::IDLE => Some(Exchange::default()),
            HttpConn::DONE => None,
            HttpConn(number) => Some(self.exchanges.remove(number)),
        }
    }

    /// Puts it back, if it holds anything.
    fn put_back(&mut self, x: Exchange) -> HttpConn {
        if x.done {
            HttpConn::DONE
        } else if x.waiting.is_none() && x.parser.is_idle() {
            HttpConn::IDLE
        } else {
            HttpConn(self.exchanges.insert(x))
        }
    }

    fn take(&mut self, conn: &mut impl Pipe<User = HttpConn>, bytes: &[u8]) -> usize {
        let Some(mut x) = self.take_up(*conn.user()) else { return bytes.len() };
        let mut used = 0;
        while used < bytes.len() && x.waiting.is_none() {
            if x.done {
                used = bytes.len();
                break;
            }
            let (n, outcome) = x.parser.feed(&bytes[used..]);
            used += n;
            match outcome {
                Outcome::More => {}
                Outcome::Request(r) => {
                    self.tally.requests += 1;
                    self.answer(conn, &mut x, Answer::to(&r), !(r.keep_alive && self.keep_alive));
                }
                Outcome::Malformed => self.answer(conn, &mut x, Answer::Malformed, true),
                Outcome::HeadTooLarge => self.answer(conn, &mut x, Answer::HeadTooLarge, true),
            }
        }
        *conn.user() = self.put_back(x);
        used
    }

    fn answer(&mut self, conn: &mut impl Pipe<User = HttpConn>, x: &mut Exchange, answer: Answer, last: bool) {
        match conn.send(self.answers.payload(answer, last)) {
            Ok(()) => {
                self.tally.response(answer.status());
                if last {
                    finish(conn, x);
                }
            }
            Err(SendError::Full) => x.waiting = Some((answer, last)),
            Err(SendError::Closed) => x.done = true,
            Err(SendError::TooLarge) => {
                x.done = true;
                conn.abort();
            }
        }
    }

    fn room(&mut self, conn: &mut impl Pipe<User = HttpConn>) {
        let Some(mut x) = self.take_up(*conn.user()) else { return };
        if let Some((answer, last)) = x.waiting.take() {
            self.answer(conn, &mut x, answer, last);
            if x.waiting.is_none() && !x.done {
                if x.peer_closed { finish(conn, &mut x) } else { conn.resume_receive() }
            }
        }
        *conn.user() = self.put_back(x);
    }

    fn end(&mut self, conn: &mut impl Pipe<User = HttpConn>) {
        let Some(mut x) = self.take_up(*conn.user()) else { return };
        x.peer_closed = true;
        if x.waiting.is_none() {
            finish(conn, &mut x);
        }
        *conn.user() = self.put_back(x);
    }
}

/// Only our direction: a full close would answer bytes still under way with RST, which could overtake the response.
fn finish(conn: &mut impl Pipe<User = HttpConn>, x: &mut Exchange) {
    x.done = true;
    conn.shutdown();
}

impl App for HttpServer {
    type Conn = HttpConn;

    fn accepted(&mut self, _conn: &mut Conn<'_, HttpConn>) {
        self.tally.accepted();
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

    fn closed(&mut self, user: HttpConn, why: CloseReason, _now: Instant) {
        self.take_up(user);
        self.tally.closed(why);
    }

    fn poll(&mut self, net: &mut Net<'_, HttpConn>) {
        self.tally.publish(net.now());
    }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
