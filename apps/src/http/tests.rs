//! Properties of both parsers: cuts do not matter, and nothing makes them panic.

use super::{request, response};
use proptest::prelude::*;

const PIECES: [&str; 24] = [
    "GET / HTTP/1.1\r\n",
    "HEAD /bytes/12 HTTP/1.0\r\n",
    "POST /x?y HTTP/1.1\r\n",
    "Content-Length: 5\r\n",
    "content-length: 0\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close, x\r\n",
    "Connection: keep-alive\r\n",
    "\r\n",
    "\n",
    "hello",
    "3\r\nabc\r\n",
    "0\r\n\r\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.0 404 No\r\n",
    "HTTP/1.1 100 Go on\r\n\r\n",
    "X: y\r\n",
    " ",
    ":",
    "\r",
    "\t",
    "\0",
    "GET http://a/bytes/3",
    "\u{e9}",
];

fn streams() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::sample::select(&PIECES[..]).prop_map(|s| s.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|p| p.concat())
}

/// Feeds `bytes` cut at `cuts`, stopping at the first error, as the users of the parsers do.
fn results<O: PartialEq + Copy>(
    bytes: &[u8],
    cuts: &[usize],
    more: O,
    is_bad: impl Fn(O) -> bool,
    mut feed: impl FnMut(&[u8]) -> (usize, O),
) -> Vec<O> {
    let mut cuts: Vec<usize> = cuts.iter().map(|c| c % (bytes.len() + 1)).chain([0, bytes.len()]).collect();
    cuts.sort_unstable();
    let mut out = Vec::new();
    for w in cuts.windows(2) {
        let mut piece = &bytes[w[0]..w[1]];
        while !piece.is_empty() {
            let (n, outcome) = feed(piece);
            assert!(n <= piece.len());
            piece = &piece[n..];
            if outcome == more {
                assert!(piece.is_empty(), "more was asked for while bytes were left");
                continue;
            }
            out.push(outcome);
            if is_bad(outcome) {
                return out;
            }
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_cut_anywhere_read_the_same(bytes in streams(), cuts in prop::collection::vec(any::<usize>(), 0..12)) {
        use request::Outcome;
        let bad = |o| matches!(o, Outcome::Malformed | Outcome::HeadTooLarge);
        let read = |cuts: &[usize]| {
            let mut p = request::RequestParser::default();
            results(&bytes, cuts, Outcome::More, bad, |b| p.feed(b))
        };
        let every: Vec<usize> = (0..bytes.len()).collect();
        prop_assert_eq!(read(&[]), read(&cuts));
        prop_assert_eq!(read(&[]), read(&every));
    }

    #[test]
    fn responses_cut_anywhere_read_the_same(bytes in streams(), cuts in prop::collection::vec(any::<usize>(), 0..12)) {
        use response::Outcome;
        let read = |cuts: &[usize]| {
            let mut p = response::ResponseParser::default();
            let mut body = Vec::new();
            let feed = |b: &[u8]| p.feed(b, |part| body.extend_from_slice(part));
            let mut out = results(&bytes, cuts, Outcome::More, |o| o == Outcome::Malformed, feed);
            out.push(p.end_of_stream());
            (out, body)
        };
        let every: Vec<usize> = (0..bytes.len()).collect();
        prop_assert_eq!(read(&[]), read(&cuts));
        prop_assert_eq!(read(&[]), read(&every));
    }
}
