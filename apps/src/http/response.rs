//! Responses to GET, as a client reads them: where one ends, its status, and whether the connection goes on.

use super::chunked::{self, Chunked};
use super::fields::{self, Fields};

/// Status line and header section together; a server that says more is not worth listening to.
pub const HEAD_BYTES_MAX: u32 = 64 * 1024;

const PREFIX: &[u8] = b"http/1.";

/// A whole response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Response {
    pub status: u16,
    /// The server lets the connection stay open (RFC 9112 9.3).
    pub keep_alive: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    More,
    Response(Response),
    Malformed,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// In the status line, this many bytes have been read.
    Line(u8),
    Reason,
    LineCr,
    Fields(Fields),
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

/// Reads one response after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseParser {
    phase: Phase,
    status: u16,
    http10: bool,
    keep_alive: bool,
    head_bytes: u32,
}

impl Default for ResponseParser {
    fn default() -> Self {
        ResponseParser { phase: Phase::Line(0), status: 0, http10: false, keep_alive: false, head_bytes: 0 }
    }
}

impl ResponseParser {
    /// Nothing of a response has come yet.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Line(0) && self.head_bytes == 0
    }

    /// Reads until a response is complete or the bytes end; returns how many it took. Interim responses (1xx) are
    /// read over. `body` is shown what belongs to the body, in pieces.
    pub fn feed(&mut self, bytes: &[u8], mut body: impl FnMut(&[u8])) -> (usize, Outcome) {
        let mut used = 0;
        while let Some(rest) = bytes.get(used..).filter(|r| !r.is_empty()) {
            let (n, outcome) = self.step(rest, &mut body);
            used += n;
            match outcome {
                Outcome::More => {}
                done => {
                    *self = ResponseParser::default();
                    return (used, done);
                }
            }
        }
        (used, Outcome::More)
    }

    /// The server has closed its side: completes a response that lasts until then.
    pub fn end_of_stream(&mut self) -> Outcome {
        let outcome = match self.phase {
            Phase::UntilClose => Outcome::Response(Response { status: self.status, keep_alive: false }),
            _ if self.is_idle() => Outcome::More,
            _ => Outcome::Malformed,
        };
        *self = ResponseParser::default();
        outcome
    }

    fn step(&mut self, bytes: &[u8], body: &mut impl FnMut(&[u8])) -> (usize, Outcome) {
        match &mut self.phase {
            Phase::Line(_) | Phase::Reason | Phase::LineCr => (1, self.line_byte(bytes[0])),
            Phase::Fields(f) => {
                let (n, step) = f.feed(bytes);
                self.head_bytes = self.head_bytes.saturating_add(n as u32);
                match step {
                    fields::Step::End => (n, self.head_done()),
                    fields::Step::More if self.head_bytes <= HEAD_BYTES_MAX => (n, Outcome::More),
                    _ => (n, Outcome::Malformed),
                }
            }
            Phase::Length(left) => {
                let n = (*left).min(bytes.len() as u64);
                *left -= n;
                body(&bytes[..n as usize]);
                let done = *left == 0;
                (n as usize, if done { self.complete() } else { Outcome::More })
            }
            Phase::Chunked(c) => match c.feed(bytes, body) {
                (n, chunked::Step::End) => (n, self.complete()),
                (n, chunked::Step::More) => (n, Outcome::More),
                (n, chunked::Step::Bad) => (n, Outcome::Malformed),
            },
            Phase::UntilClose => {
                body(bytes);
                (bytes.len(), Outcome::More)
            }
        }
    }

    /// `HTTP/1.x SSS reason` (RFC 9112 section 4).
    fn line_byte(&mut self, b: u8) -> Outcome {
        self.head_bytes += 1;
        if self.head_bytes > HEAD_BYTES_MAX {
            return Outcome::Malformed;
        }
        let next = match (self.phase, b) {
            (Phase::Line(i @ 0..=6), _) if b.to_ascii_lowercase() == PREFIX[usize::from(i)] => Phase::Line(i + 1),
            (Phase::Line(7), b'0' | b'1') => {
                self.http10 = b == b'0';
                Phase::Line(8)
            }
            (Phase::Line(8), b' ') => Phase::Line(9),
            (Phase::Line(i @ 9..=11), b'0'..=b'9') => {
                self.status = self.status * 10 + u16::from(b - b'0');
                Phase::Line(i + 1)
            }
            (Phase::Line(12), b' ') => Phase::Reason,
            (Phase::Line(12) | Phase::Reason, b'\r') => Phase::LineCr,
            (Phase::Line(12) | Phase::Reason | Phase::LineCr, b'\n') => Phase::Fields(Fields::default()),
            (Phase::Reason, b'\t' | b' '..) => Phase::Reason,
            _ => return Outcome::Malformed,
        };
        self.phase = next;
        Outcome::More
    }

    /// RFC 9112 6.3: how the body is framed.
    fn head_done(&mut self) -> Outcome {
        let Phase::Fields(f) = self.phase else { return Outcome::Malformed };
        self.keep_alive = !f.close && (!self.http10 || f.keep_alive);
        match self.status {
            0..=99 | 600.. => return Outcome::Malformed,
            // 101 would leave HTTP, which nobody asked for.
            101 => return Outcome::Malformed,
            100..=199 => {
                *self = ResponseParser { head_bytes: self.head_bytes, ..ResponseParser::default() };
                return Outcome::More;
            }
            204 | 304 => return self.complete(),
            _ => {}
        }
        self.phase = match (f.chunked, f.coded, f.content_length()) {
            (true, ..) => Phase::Chunked(Chunked::default()),
            (false, false, Some(0)) => return self.complete(),
            (false, false, Some(n)) => Phase::Length(n),
            _ => Phase::UntilClose,
        };
        Outcome::More
    }

    fn complete(&self) -> Outcome {
        Outcome::Response(Response { status: self.status, keep_alive: self.keep_alive })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Outcome {
        let mut p = ResponseParser::default();
        match p.feed(text.as_bytes(), |_| {}).1 {
            Outcome::More => p.end_of_stream(),
            done => done,
        }
    }

    fn ok(status: u16, keep_alive: bool) -> Outcome {
        Outcome::Response(Response { status, keep_alive })
    }

    #[test]
    fn every_framing_of_a_body_is_understood() {
        let table = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", ok(200, true)),
            ("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", ok(200, true)),
            ("HTTP/1.1 200 \r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", ok(200, false)),
            ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", ok(200, false)),
            ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", ok(200, true)),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", ok(200, true)),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n0\r\n\r\n", ok(200, true)),
            ("HTTP/1.1 404 Not Found\r\n\r\nuntil the end", ok(404, false)),
            ("HTTP/1.1 204 No Content\r\n\r\n", ok(204, true)),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", ok(304, true)),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", ok(503, true)),
            ("HTTP/1.1 200 OK\nContent-Length: 0\n\n", ok(200, true)),
        ];
        for (text, want) in table {
            assert_eq!(one(text), want, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_response_or_ends_too_early_is_malformed() {
        let bad = [
            "SSH-2.0-OpenSSH_9.2\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 099 Odd\r\n\r\n",
            "HTTP/1.1 600 Odd\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
            "HTTP/1.1 200 OK\r\nConte",
        ];
        for text in bad {
            assert_eq!(one(text), Outcome::Malformed, "{text:?}");
        }
        let endless = format!("HTTP/1.1 200 {}", "a".repeat(HEAD_BYTES_MAX as usize));
        assert_eq!(one(&endless), Outcome::Malformed);
        assert_eq!(one(""), Outcome::More);
    }
}
