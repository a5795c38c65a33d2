//! Responses, built once at the start: fixed ones as they go over the wire, large ones as generators.

use crate::http::request::{Method, Request, Target};
use crate::pattern;
use std::io::Write;
use synfin_engine::shard::{Generator, Payload};

/// Pages up to this size are kept ready, head and body in one piece.
const READY_BYTES_MAX: u64 = 1 << 20;

/// What a request is answered with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    Page,
    PageHead,
    Bytes(u32),
    BytesHead(u32),
    NotFound,
    NotFoundHead,
    MethodNotAllowed,
    Malformed,
    HeadTooLarge,
}

impl Answer {
    pub fn to(request: &Request) -> Answer {
        match (request.method, request.target) {
            (Method::Other, _) => Answer::MethodNotAllowed,
            (Method::Get, Target::Page) => Answer::Page,
            (Method::Head, Target::Page) => Answer::PageHead,
            (Method::Get, Target::Bytes(n)) => Answer::Bytes(n),
            (Method::Head, Target::Bytes(n)) => Answer::BytesHead(n),
            (Method::Get, Target::Unknown) => Answer::NotFound,
            (Method::Head, Target::Unknown) => Answer::NotFoundHead,
        }
    }

    pub const fn status(self) -> u16 {
        match self {
            Answer::Page | Answer::PageHead | Answer::Bytes(_) | Answer::BytesHead(_) => 200,
            Answer::NotFound | Answer::NotFoundHead => 404,
            Answer::MethodNotAllowed => 405,
            Answer::Malformed => 400,
            Answer::HeadTooLarge => 431,
        }
    }
}

/// A response that keeps the connection open, and one that announces its end.
#[derive(Clone, Copy)]
struct Pair([&'static [u8]; 2]);

impl Pair {
    /// Lives until the process ends, as the server does.
    fn new(head: impl Fn(bool) -> Vec<u8>) -> Pair {
        Pair([false, true].map(|close| &*Box::leak(head(close).into_boxed_slice())))
    }

    fn text(status: &'static str, extra: &'static str, body: &'static str, with_body: bool) -> Pair {
        Pair::new(|close| {
            let mut out = head(status, extra, body.len() as u64, close);
            out.extend_from_slice(if with_body { body.as_bytes() } else { b"" });
            out
        })
    }

    fn payload(&self, close: bool) -> Payload {
        Payload::Static(self.0[usize::from(close)])
    }
}

/// All responses of a server.
#[derive(Clone, Copy)]
pub struct Answers {
    page_bytes: u32,
    page: Option<Pair>,
    not_found: Pair,
    not_found_head: Pair,
    method_not_allowed: Pair,
    malformed: Pair,
    head_too_large: Pair,
}

impl Answers {
    /// For a page of this size at `/`; at most 1 GiB.
    pub fn new(page_bytes: u32) -> Answers {
        let page = (u64::from(page_bytes) <= READY_BYTES_MAX).then(|| {
            Pair::new(|close| {
                let mut out = head("200 OK", "", u64::from(page_bytes), close);
                let at = out.len();
                out.resize(at + page_bytes as usize, 0);
                pattern::fill(0, 0, &mut out[at..]);
                out
            })
        });
        const NOT_FOUND: &str = "There is /, /index.html and /bytes/N here.\n";
        Answers {
            page_bytes,
            page,
            not_found: Pair::text("404 Not Found", "", NOT_FOUND, true),
            not_found_head: Pair::text("404 Not Found", "", NOT_FOUND, false),
            method_not_allowed: Pair::text(
                "405 Method Not Allowed",
                "Allow: GET, HEAD\r\n",
                "GET or HEAD only.\n",
                true,
            ),
            malformed: Pair::text("400 Bad Request", "", "This is no HTTP/1.1 request.\n", true),
            head_too_large: Pair::text("431 Request Header Fields Too Large", "", "At most 8 KiB of header.\n", true),
        }
    }

    pub fn payload(&self, answer: Answer, close: bool) -> Payload {
        match answer {
            Answer::Page => self.page.map_or_else(|| generated(self.page_bytes, close, true), |p| p.payload(close)),
            Answer::PageHead => generated(self.page_bytes, close, false),
            Answer::Bytes(n) => generated(n, close, true),
            Answer::BytesHead(n) => generated(n, close, false),
            Answer::NotFound => self.not_found.payload(close),
            Answer::NotFoundHead => self.not_found_head.payload(close),
            Answer::MethodNotAllowed => self.method_not_allowed.payload(close),
            Answer::Malformed => self.malformed.payload(close),
            Answer::HeadTooLarge => self.head_too_large.payload(close),
        }
    }
}

/// RFC 9110 without a Date field: a response built beforehand could only lie.
fn head(status: &str, extra: &str, body_bytes: u64, close: bool) -> Vec<u8> {
    let connection = if close { "close" } else { "keep-alive" };
    format!(
        "HTTP/1.1 {status}\r\nServer: synfin\r\nContent-Type: text/plain\r\n{extra}\
         Content-Length: {body_bytes}\r\nConnection: {connection}\r\n\r\n"
    )
    .into_bytes()
}

const CLOSE_BIT: u64 = 1 << 32;

/// Room for the head of a generated response.
const HEAD_ROOM: usize = 160;

fn generated_head(n: u64, close: bool, out: &mut [u8; HEAD_ROOM]) -> usize {
    let connection = if close { "close" } else { "keep-alive" };
    let mut rest = &mut out[..];
    // The longest head is 118 bytes, so it always fits; a test holds that.
    let _ = write!(
        rest,
        "HTTP/1.1 200 OK\r\nServer: synfin\r\nContent-Type: text/plain\r\n\
         Content-Length: {n}\r\nConnection: {connection}\r\n\r\n"
    );
    HEAD_ROOM - rest.len()
}

/// Head and body in one payload, both computed when they are sent: nothing has to be kept for them.
fn generated(n: u32, close: bool, with_body: bool) -> Payload {
    let head_len = generated_head(u64::from(n), close, &mut [0; HEAD_ROOM]) as u64;
    let seed = u64::from(n) | if close { CLOSE_BIT } else { 0 };
    let len = head_len + if with_body { u64::from(n) } else { 0 };
    Payload::Generated(Generator { len, seed, fill })
}

fn fill(seed: u64, offset: u64, out: &mut [u8]) {
    let mut head = [0; HEAD_ROOM];
    let head_len = generated_head(seed & (CLOSE_BIT - 1), seed & CLOSE_BIT != 0, &mut head);
    let from_head = head.get(offset as usize..head_len).unwrap_or(&[]);
    let n = from_head.len().min(out.len());
    let (first, body) = out.split_at_mut(n);
    first.copy_from_slice(&from_head[..n]);
    pattern::fill(0, (offset + n as u64).saturating_sub(head_len as u64), body);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(payload: &Payload, step: usize) -> Vec<u8> {
        match payload {
            Payload::Static(b) => b.to_vec(),
            Payload::Shared(b) => b.to_vec(),
            Payload::Generated(g) => {
                let mut out = vec![0; g.len as usize];
                out.chunks_mut(step).zip(0u64..).for_each(|(c, i)| (g.fill)(g.seed, i * step as u64, c));
                out
            }
        }
    }

    #[test]
    fn a_generated_page_is_the_same_as_a_ready_one_however_it_is_cut() {
        let answers = Answers::new(5000);
        for close in [false, true] {
            let ready = bytes(&answers.payload(Answer::Page, close), 1);
            for step in [1, 7, 113, 1447, 9000] {
                assert_eq!(bytes(&answers.payload(Answer::Bytes(5000), close), step), ready);
            }
            let head = bytes(&answers.payload(Answer::PageHead, close), 11);
            assert_eq!(head, ready[..ready.len() - 5000]);
            assert!(head.ends_with(b"\r\n\r\n"));
        }
    }

    #[test]
    fn the_longest_generated_head_fits() {
        let mut out = [0; HEAD_ROOM];
        let n = generated_head(u64::from(u32::MAX), false, &mut out);
        assert!(n < HEAD_ROOM && out[..n].ends_with(b"\r\n\r\n"));
    }

    #[test]
    fn every_answer_says_its_status_and_length_and_whether_it_is_the_last() {
        let answers = Answers::new(3);
        use Answer::*;
        for answer in [Page, Bytes(4), NotFound, MethodNotAllowed, Malformed, HeadTooLarge] {
            for close in [false, true] {
                let text = bytes(&answers.payload(answer, close), 64);
                let mut parser = crate::http::response::ResponseParser::default();
                let (n, outcome) = parser.feed(&text, |_| {});
                let want = crate::http::response::Response { status: answer.status(), keep_alive: !close };
                assert_eq!(outcome, crate::http::response::Outcome::Response(want));
                assert_eq!(n, text.len());
            }
        }
    }
}
