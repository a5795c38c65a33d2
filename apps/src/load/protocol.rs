//! What is said over a connection, from the client's side.

use crate::http::response::{self, ResponseParser};
use crate::load::request::Request;
use crate::load::tally::FailReason;
use crate::pattern;
use std::cell::Cell;
use synfin_engine::shard::{Generator, Payload};

/// What the bytes so far amount to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    More,
    /// A whole response.
    Done {
        status: u16,
        keep_alive: bool,
    },
    Failed(FailReason),
}

/// A protocol of requests and responses, one at a time.
pub trait Protocol {
    /// Kept per connection.
    type State: Default;

    /// The next request on a connection to target number `target`; `random` is different each time.
    fn request(&self, target: u16, state: &mut Self::State, random: u64) -> Payload;

    /// Takes bytes of the response; returns how many belong to it.
    fn response(&self, state: &mut Self::State, bytes: &[u8]) -> (usize, Progress);

    /// The peer has closed its direction.
    fn end(&self, state: &mut Self::State) -> Progress;
}

/// HTTP/1.1.
#[derive(Clone)]
pub struct Http {
    /// By target, and there by path.
    requests: Vec<&'static [Vec<u8>]>,
    /// Number of the next request: it tells which path is requested.
    next: Cell<usize>,
    /// What the body of every successful (2xx) response must be.
    expected: Option<&'static [u8]>,
}

/// A response being read, and how far its body has been as expected.
#[derive(Default)]
pub struct HttpState {
    parser: ResponseParser,
    body_bytes: u64,
    differs: bool,
}

impl Http {
    /// `hosts` are the targets as they go into the Host field.
    pub fn new(request: &Request, hosts: &[String], expected: Option<&'static [u8]>) -> Http {
        // They live until the process ends, as the run does.
        let all = |host: &String| &*request.each(host).collect::<Vec<_>>().leak();
        Http { requests: hosts.iter().map(all).collect(), next: Cell::new(0), expected }
    }

    fn progress(&self, state: &mut HttpState, outcome: response::Outcome, malformed: FailReason) -> Progress {
        let r = match outcome {
            response::Outcome::More => return Progress::More,
            response::Outcome::Malformed => return Progress::Failed(malformed),
            response::Outcome::Response(r) => r,
        };
        let HttpState { body_bytes, differs, .. } = std::mem::take(state);
        let differs = self.expected.is_some_and(|e| differs || body_bytes != e.len() as u64);
        match differs && r.status / 100 == 2 {
            true => Progress::Failed(FailReason::Mismatch),
            false => Progress::Done { status: r.status, keep_alive: r.keep_alive },
        }
    }
}

impl Protocol for Http {
    type State = HttpState;

    fn request(&self, target: u16, _state: &mut HttpState, _random: u64) -> Payload {
        let paths = self.requests.get(usize::from(target)).copied().unwrap_or(&[]);
        let next = self.next.get();
        self.next.set(next.wrapping_add(1));
        Payload::Static(paths.get(next.checked_rem(paths.len()).unwrap_or(0)).map_or(b"", Vec::as_slice))
    }

    fn response(&self, state: &mut HttpState, bytes: &[u8]) -> (usize, Progress) {
        let HttpState { parser, body_bytes, differs } = state;
        let (n, outcome) = parser.feed(bytes, |part| {
            if let Some(expected) = self.expected {
                let rest = usize::try_from(*body_bytes).ok().and_then(|at| expected.get(at..));
                *differs |= !rest.is_some_and(|rest| rest.starts_with(part));
            }
            *body_bytes += part.len() as u64;
        });
        (n, self.progress(state, outcome, FailReason::Malformed))
    }

    fn end(&self, state: &mut HttpState) -> Progress {
        match state.parser.end_of_stream() {
            response::Outcome::More => Progress::Failed(FailReason::ClosedEarly),
            outcome => self.progress(state, outcome, FailReason::ClosedEarly),
        }
    }
}

/// Messages that must come back as they were sent.
pub struct Echo {
    message_bytes: u64,
}

impl Echo {
    pub fn new(message_bytes: u64) -> Echo {
        Echo { message_bytes }
    }
}

#[derive(Default)]
pub struct EchoState {
    seed: u64,
    received: u64,
}

impl Protocol for Echo {
    type State = EchoState;

    fn request(&self, _target: u16, state: &mut EchoState, random: u64) -> Payload {
        *state = EchoState { seed: random, received: 0 };
        Payload::Generated(Generator { len: self.message_bytes, seed: random, fill: pattern::fill })
    }

    fn response(&self, state: &mut EchoState, bytes: &[u8]) -> (usize, Progress) {
        let n = bytes.len().min((self.message_bytes - state.received) as usize);
        if !pattern::matches(state.seed, state.received, &bytes[..n]) {
            return (n, Progress::Failed(FailReason::Mismatch));
        }
        state.received += n as u64;
        let done = state.received == self.message_bytes;
        (n, if done { Progress::Done { status: 200, keep_alive: true } } else { Progress::More })
    }

    fn end(&self, _state: &mut EchoState) -> Progress {
        Progress::Failed(FailReason::ClosedEarly)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_is_checked_byte_by_byte_over_any_cut() {
        let echo = Echo::new(1000);
        let mut state = EchoState::default();
        let Payload::Generated(g) = echo.request(0, &mut state, 99) else { panic!("not generated") };
        let mut bytes = vec![0; g.len as usize];
        (g.fill)(g.seed, 0, &mut bytes);
        assert_eq!(echo.response(&mut state, &bytes[..600]), (600, Progress::More));
        let rest = [&bytes[600..], b"next"].concat();
        assert_eq!(echo.response(&mut state, &rest), (400, Progress::Done { status: 200, keep_alive: true }));

        echo.request(0, &mut state, 99);
        bytes[700] ^= 1;
        assert_eq!(echo.response(&mut state, &bytes).1, Progress::Failed(FailReason::Mismatch));
    }

    #[test]
    fn http_requests_name_their_target_and_an_early_end_is_told_from_a_complete_one() {
        let http = Http::new(&Request::get("/x"), &["a:1".into(), "b:2".into()], None);
        let mut state = HttpState::default();
        let Payload::Static(text) = http.request(1, &mut state, 0) else { panic!("not static") };
        assert!(text.starts_with(b"GET /x HTTP/1.1\r\nHost: b:2\r\n"));
        assert_eq!(http.end(&mut state), Progress::Failed(FailReason::ClosedEarly));
        http.response(&mut state, b"HTTP/1.1 200 OK\r\n\r\nabc");
        assert_eq!(http.end(&mut state), Progress::Done { status: 200, keep_alive: false });
        http.response(&mut state, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
        assert_eq!(http.end(&mut state), Progress::Failed(FailReason::ClosedEarly));
    }

    #[test]
    fn paths_are_requested_in_turn_whatever_the_target() {
        let request = Request { paths: ["/a", "/b", "/c"].map(String::from).to_vec(), ..Request::get("/") };
        let http = Http::new(&request, &["x:1".into(), "y:2".into()], None);
        let asked: Vec<String> = (0..7u16)
            .map(|n| {
                let Payload::Static(text) = http.request(n % 2, &mut HttpState::default(), 0) else {
                    panic!("not static")
                };
                let text = String::from_utf8_lossy(text);
                let host = text.lines().find_map(|line| line.strip_prefix("Host: ")).expect("a host");
                format!("{host}{}", text.split(' ').nth(1).expect("a path"))
            })
            .collect();
        assert_eq!(asked, ["x:1/a", "y:2/b", "x:1/c", "y:2/a", "x:1/b", "y:2/c", "x:1/a"]);
    }

    #[test]
    fn a_body_is_compared_with_the_expected_one_in_every_framing() {
        let http = Http::new(&Request::get("/"), &["a:1".into()], Some(b"abcdef"));
        let good = Progress::Done { status: 200, keep_alive: true };
        let bad = Progress::Failed(FailReason::Mismatch);
        let table = [
            ("200 OK\r\nContent-Length: 6\r\n\r\nabcdef", good),
            ("200 OK\r\nContent-Length: 6\r\n\r\nabcdeX", bad),
            ("200 OK\r\nContent-Length: 5\r\n\r\nabcde", bad),
            ("200 OK\r\nContent-Length: 7\r\n\r\nabcdefg", bad),
            ("200 OK\r\nContent-Length: 0\r\n\r\n", bad),
            ("200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n4\r\ncdef\r\n0\r\n\r\n", good),
            ("200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n4\r\ndcef\r\n0\r\n\r\n", bad),
            ("404 No\r\nContent-Length: 2\r\n\r\nno", Progress::Done { status: 404, keep_alive: true }),
        ];
        for (text, want) in table {
            let text = format!("HTTP/1.1 {text}");
            let mut state = HttpState::default();
            // Twice over the same connection, and cut into single bytes.
            assert_eq!(http.response(&mut state, text.as_bytes()), (text.len(), want), "{text}");
            let cut = text.bytes().map(|b| http.response(&mut state, &[b]).1).last();
            assert_eq!(cut, Some(want), "{text}");
        }
        let mut state = HttpState::default();
        http.response(&mut state, b"HTTP/1.1 200 OK\r\n\r\nabcdef");
        assert_eq!(http.end(&mut state), Progress::Done { status: 200, keep_alive: false });
    }
}
