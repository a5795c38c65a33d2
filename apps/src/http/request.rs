//! Requests, as a server reads them.
//!
//! Knows GET and HEAD, `/`, `/index.html` and `/bytes/N`; every other method or target is read just as carefully and
//! reported as such, so that the connection can go on. Request bodies are skipped.

use super::chunked::{self, Chunked};
use super::fields::{self, Fields};
use super::is_token_byte;
use super::matcher::Matcher;

/// Start line and header section together; more is answered with 431.
pub const HEAD_BYTES_MAX: u16 = 8 * 1024;

/// The most that `/bytes/N` serves: 1 GiB.
pub const GENERATED_BYTES_MAX: u32 = 1 << 30;

const METHODS: [&[u8]; 2] = [b"GET", b"HEAD"];
const PATHS: [&[u8]; 3] = [b"/", b"/index.html", b"/bytes/"];
const PATH_BYTES: usize = 2;
const SCHEMES: [&[u8]; 2] = [b"http://", b"https://"];
const VERSION: [&[u8]; 2] = [b"HTTP/1.1", b"HTTP/1.0"];

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Method {
    Get,
    Head,
    #[default]
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Target {
    /// `/` or `/index.html`, with or without a query.
    Page,
    /// `/bytes/N`.
    Bytes(u32),
    #[default]
    Unknown,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Request {
    pub method: Method,
    pub target: Target,
    /// The client lets the connection stay open (RFC 9112 9.3).
    pub keep_alive: bool,
}

/// What the bytes so far amount to. After a bad request nothing that follows can be understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    More,
    /// A whole request, its body included.
    Request(Request),
    /// 400.
    Malformed,
    /// 431.
    HeadTooLarge,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Phase {
    /// Before the method, where empty lines are skipped (RFC 9112 2.2).
    #[default]
    Start,
    Method,
    /// First byte of the target.
    TargetStart,
    Scheme,
    Authority,
    Path,
    /// The digits of `/bytes/N`.
    Number,
    /// A query, or a target that nothing is known about.
    TargetRest,
    Version,
    LineCr,
    Fields,
    Length,
    Chunked,
}

/// Reads one request after the other. 40 bytes of state.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct RequestParser {
    /// Bytes of the body still to come, of either coding.
    body: Body,
    request: Request,
    head_bytes: u16,
    word: Matcher,
    phase: Phase,
    http10: bool,
}

/// The header section and the body never need their state at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Head(Fields),
    Length(u64),
    Chunked(Chunked),
}

impl Default for Body {
    fn default() -> Self {
        Body::Head(Fields::default())
    }
}

impl RequestParser {
    /// Nothing of a request has come yet: the place where a connection may end without complaint.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Start
    }

    /// Reads until a request is complete or the bytes end; returns how many it took.
    pub fn feed(&mut self, bytes: &[u8]) -> (usize, Outcome) {
        let mut used = 0;
        loop {
            let (n, outcome) = self.step(&bytes[used.min(bytes.len())..]);
            used += n;
            match outcome {
                Some(Outcome::More) => return (used, Outcome::More),
                Some(done) => {
                    *self = RequestParser::default();
                    return (used, done);
                }
                None => {}
            }
        }
    }

    /// Advances within one phase; `None`: go on with what is left.
    fn step(&mut self, bytes: &[u8]) -> (usize, Option<Outcome>) {
        match &mut self.body {
            Body::Head(f) if self.phase == Phase::Fields => {
                let room = usize::from(HEAD_BYTES_MAX - self.head_bytes);
                let (n, step) = f.feed(&bytes[..bytes.len().min(room)]);
                self.head_bytes += n as u16;
                match step {
                    fields::Step::Bad => (n, Some(Outcome::Malformed)),
                    fields::Step::End => (n, self.head_done()),
                    fields::Step::More if self.head_bytes >= HEAD_BYTES_MAX => (n, Some(Outcome::HeadTooLarge)),
                    fields::Step::More => (n, Some(Outcome::More)),
                }
            }
            Body::Head(_) => self.start_line(bytes),
            Body::Length(left) => {
                let n = (*left).min(bytes.len() as u64);
                *left -= n;
                let done = *left == 0;
                (n as usize, Some(if done { Outcome::Request(self.request) } else { Outcome::More }))
            }
            Body::Chunked(c) => match c.feed(bytes, |_| {}) {
                (n, chunked::Step::End) => (n, Some(Outcome::Request(self.request))),
                (n, chunked::Step::More) => (n, Some(Outcome::More)),
                (n, chunked::Step::Bad) => (n, Some(Outcome::Malformed)),
            },
        }
    }

    fn start_line(&mut self, bytes: &[u8]) -> (usize, Option<Outcome>) {
        for (i, &b) in bytes.iter().enumerate() {
            if self.head_bytes >= HEAD_BYTES_MAX {
                return (i, Some(Outcome::HeadTooLarge));
            }
            self.head_bytes += 1;
            if !self.start_line_byte(b) {
                return (i + 1, Some(Outcome::Malformed));
            }
            if self.phase == Phase::Fields {
                return (i + 1, None);
            }
        }
        (bytes.len(), Some(Outcome::More))
    }

    /// False: malformed.
    fn start_line_byte(&mut self, b: u8) -> bool {
        match self.phase {
            Phase::Start if matches!(b, b'\r' | b'\n') => {}
            Phase::Start => {
                self.phase = Phase::Method;
                self.word = Matcher::over(&METHODS);
                return self.start_line_byte(b);
            }
            Phase::Method if b == b' ' => {
                self.request.method = match self.word.matched(&METHODS) {
                    Some(0) => Method::Get,
                    Some(_) => Method::Head,
                    None => Method::Other,
                };
                self.phase = Phase::TargetStart;
            }
            Phase::Method => {
                self.word.push(&METHODS, b);
                return is_token_byte(b);
            }
            Phase::LineCr => {
                self.phase = Phase::Fields;
                return b == b'\n';
            }
            Phase::Version => return self.version_byte(b),
            _ => return self.target_byte(b),
        }
        true
    }

    /// RFC 9112 3.2: origin form, absolute form, and (for methods that are not served) any other.
    fn target_byte(&mut self, b: u8) -> bool {
        if b <= b' ' || b == 0x7f {
            return b == b' ' && self.target_done();
        }
        match (self.phase, b) {
            (Phase::TargetStart, b'/') => self.start_path(b),
            (Phase::TargetStart, _) => {
                self.word = Matcher::over(&SCHEMES);
                self.word.push(&SCHEMES, b.to_ascii_lowercase());
                self.phase = Phase::Scheme;
            }
            (Phase::Scheme, _) => {
                self.word.push(&SCHEMES, b.to_ascii_lowercase());
                if self.word.matched(&SCHEMES).is_some() {
                    self.phase = Phase::Authority;
                } else if self.word.is_dead() {
                    self.phase = Phase::TargetRest;
                }
            }
            (Phase::Authority, b'/') => self.start_path(b),
            (Phase::Path | Phase::Number, b'?') => {
                self.settle_target();
                self.phase = Phase::TargetRest;
            }
            (Phase::Path, _) => {
                self.word.push(&PATHS, b);
                if self.word.matched(&PATHS) == Some(PATH_BYTES) {
                    self.phase = Phase::Number;
                }
            }
            (Phase::Number, _) => self.number_byte(b),
            _ => {}
        }
        true
    }

    fn start_path(&mut self, b: u8) {
        self.word = Matcher::over(&PATHS);
        self.word.push(&PATHS, b);
        self.phase = Phase::Path;
    }

    fn number_byte(&mut self, b: u8) {
        let before = if let Target::Bytes(n) = self.request.target { n } else { 0 };
        let n = u64::from(before) * 10 + u64::from(b.wrapping_sub(b'0'));
        if b.is_ascii_digit() && n <= u64::from(GENERATED_BYTES_MAX) {
            self.request.target = Target::Bytes(n as u32);
        } else {
            self.request.target = Target::Unknown;
            self.phase = Phase::TargetRest;
        }
    }

    fn settle_target(&mut self) {
        if self.phase == Phase::Path && matches!(self.word.matched(&PATHS), Some(0 | 1)) {
            self.request.target = Target::Page;
        }
    }

    fn target_done(&mut self) -> bool {
        if self.phase == Phase::TargetStart {
            return false;
        }
        // `http://host` without a path means `/` (RFC 9112 3.2.2 by way of RFC 9110 4.2.3).
        if self.phase == Phase::Authority {
            self.request.target = Target::Page;
        }
        self.settle_target();
        self.word = Matcher::over(&VERSION);
        self.phase = Phase::Version;
        true
    }

    fn version_byte(&mut self, b: u8) -> bool {
        if b != b'\r' && b != b'\n' {
            self.word.push(&VERSION, b);
            return !self.word.is_dead();
        }
        let Some(version) = self.word.matched(&VERSION) else { return false };
        self.http10 = version == 1;
        self.phase = if b == b'\r' { Phase::LineCr } else { Phase::Fields };
        true
    }

    /// RFC 9112 6.3 and 9.3: how the body is framed and whether the connection lasts.
    fn head_done(&mut self) -> Option<Outcome> {
        let Body::Head(f) = self.body else { return Some(Outcome::Malformed) };
        self.request.keep_alive = !f.close && (!self.http10 || f.keep_alive);
        let length = f.content_length().unwrap_or(0);
        // A coding other than chunked cannot be framed, and both fields together are an attack (6.1).
        if f.coded && (!f.chunked || self.http10 || f.content_length().is_some()) {
            return Some(Outcome::Malformed);
        }
        if f.chunked {
            self.phase = Phase::Chunked;
            self.body = Body::Chunked(Chunked::default());
            return None;
        }
        if length == 0 {
            return Some(Outcome::Request(self.request));
        }
        self.phase = Phase::Length;
        self.body = Body::Length(length);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Outcome {
        RequestParser::default().feed(text.as_bytes()).1
    }

    fn ok(method: Method, target: Target, keep_alive: bool) -> Outcome {
        Outcome::Request(Request { method, target, keep_alive })
    }

    #[test]
    fn method_target_and_persistence_are_understood() {
        use Method::*;
        let table = [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", ok(Get, Target::Page, true)),
            ("\r\n\r\nGET /?q HTTP/1.1\r\n\r\n", ok(Get, Target::Page, true)),
            ("HEAD /index.html?x=1 HTTP/1.1\r\nConnection: close\r\n\r\n", ok(Head, Target::Page, false)),
            ("GET / HTTP/1.0\r\n\r\n", ok(Get, Target::Page, false)),
            ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", ok(Get, Target::Page, true)),
            ("GET /bytes/0 HTTP/1.1\n\n", ok(Get, Target::Bytes(0), true)),
            ("GET /bytes/1073741824 HTTP/1.1\r\n\r\n", ok(Get, Target::Bytes(1 << 30), true)),
            ("GET /bytes/7?a HTTP/1.1\r\n\r\n", ok(Get, Target::Bytes(7), true)),
            ("GET /bytes/1073741825 HTTP/1.1\r\n\r\n", ok(Get, Target::Unknown, true)),
            ("GET /bytes/ HTTP/1.1\r\n\r\n", ok(Get, Target::Unknown, true)),
            ("GET /bytes/1x HTTP/1.1\r\n\r\n", ok(Get, Target::Unknown, true)),
            ("GET /nothing HTTP/1.1\r\n\r\n", ok(Get, Target::Unknown, true)),
            ("GET http://h:80/bytes/5 HTTP/1.1\r\n\r\n", ok(Get, Target::Bytes(5), true)),
            ("GET HTTP://h HTTP/1.1\r\n\r\n", ok(Get, Target::Page, true)),
            ("GET h HTTP/1.1\r\n\r\n", ok(Get, Target::Unknown, true)),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", ok(Other, Target::Page, true)),
            ("GETT / HTTP/1.1\r\n\r\n", ok(Other, Target::Page, true)),
            ("get / HTTP/1.1\r\n\r\n", ok(Other, Target::Page, true)),
            ("OPTIONS * HTTP/1.1\r\n\r\n", ok(Other, Target::Unknown, true)),
            (
                "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                ok(Other, Target::Page, true),
            ),
        ];
        for (text, want) in table {
            assert_eq!(one(text), want, "{text:?}");
        }
    }

    #[test]
    fn malformed_requests_are_told_from_unfinished_ones() {
        let bad = [
            "GET /\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "GET / HTTP/1.1 \r\n\r\n",
            "G{T / HTTP/1.1\r\n\r\n",
            " GET / HTTP/1.1\r\n\r\n",
            "GET /\x01 HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\rx",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
            "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
            "\x16\x03\x01\x02\x00",
        ];
        for text in bad {
            assert_eq!(one(text), Outcome::Malformed, "{text:?}");
        }
        for text in ["", "GET", "GET / HTTP/1.1\r\nHost: a\r\n", "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab"] {
            assert_eq!(one(text), Outcome::More, "{text:?}");
        }
    }

    #[test]
    fn a_head_of_8_kib_is_read_and_one_byte_more_is_too_large() {
        let frame = "GET / HTTP/1.1\r\nX: \r\n\r\n".len();
        let text = |n: usize| format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(n - frame));
        assert_eq!(one(&text(usize::from(HEAD_BYTES_MAX))), ok(Method::Get, Target::Page, true));
        assert_eq!(one(&text(usize::from(HEAD_BYTES_MAX) + 1)), Outcome::HeadTooLarge);
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(9000));
        assert_eq!(one(&long), Outcome::HeadTooLarge);
    }

    #[test]
    fn pipelined_requests_come_out_one_by_one() {
        let text =
            b"GET /bytes/1 HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nxxGET /bytes/3 HTTP/1.1\r\n\r\n";
        let (mut p, mut at, mut got) = (RequestParser::default(), 0, Vec::new());
        while at < text.len() {
            let (n, outcome) = p.feed(&text[at..]);
            at += n;
            got.push(outcome);
        }
        let want = [
            ok(Method::Get, Target::Bytes(1), true),
            ok(Method::Other, Target::Page, true),
            ok(Method::Get, Target::Bytes(3), true),
        ];
        assert_eq!(got, want);
        assert!(p.is_idle());
    }

    #[test]
    fn an_idle_connection_keeps_little() {
        assert!(std::mem::size_of::<RequestParser>() <= 64, "{}", std::mem::size_of::<RequestParser>());
    }
}
