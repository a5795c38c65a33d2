use super::*;
use crate::http::response;
use crate::pipe::fake::FakePipe;

fn server(keep_alive: bool) -> HttpServer {
    HttpServer::new(Answers::new(10), keep_alive, Tally::default())
}

/// Status and persistence of each response in a byte stream.
fn statuses(bytes: &[u8]) -> Vec<(u16, bool)> {
    let (mut parser, mut at, mut out) = (response::ResponseParser::default(), 0, Vec::new());
    while at < bytes.len() {
        let (n, outcome) = parser.feed(&bytes[at..], |_| {});
        at += n;
        match outcome {
            response::Outcome::Response(r) => out.push((r.status, r.keep_alive)),
            response::Outcome::More => {}
            response::Outcome::Malformed => panic!("not a response"),
        }
    }
    out
}

fn run(keep_alive: bool, text: &str) -> (Vec<(u16, bool)>, Vec<&'static str>) {
    let (mut s, mut c) = (server(keep_alive), FakePipe::new());
    assert_eq!(s.take(&mut c, text.as_bytes()), text.len());
    (statuses(&c.sent), c.calls)
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn pipelined_requests_are_answered_in_order_and_the_connection_stays_open() {
    let text = format!("{GET}GET /nowhere HTTP/1.1\r\n\r\nPUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc{GET}");
    let (got, calls) = run(true, &text);
    assert_eq!(got, [(200, true), (404, true), (405, true), (200, true)]);
    assert!(calls.is_empty());
}

#[test]
fn the_last_response_is_sent_and_closed_in_the_same_turn_and_the_rest_forgotten() {
    let close = "GET / HTTP/1.1\r\nConnection: close\r\n\r\n";
    assert_eq!(run(true, &format!("{close}{GET}")), (vec![(200, false)], vec!["shutdown"]));
    assert_eq!(run(true, "GET / HTTP/1.0\r\n\r\n"), (vec![(200, false)], vec!["shutdown"]));
    assert_eq!(run(false, GET), (vec![(200, false)], vec!["shutdown"]));
}

#[test]
fn bad_requests_are_answered_and_end_the_connection() {
    assert_eq!(run(true, "nonsense\r\n\r\n"), (vec![(400, false)], vec!["shutdown"]));
    let big = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(9000));
    assert_eq!(run(true, &big), (vec![(431, false)], vec!["shutdown"]));
}

#[test]
fn requests_cut_at_every_byte_give_the_same_responses() {
    let text = format!("{GET}POST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi{GET}");
    let (mut s, mut c) = (server(true), FakePipe::new());
    for b in text.as_bytes() {
        assert_eq!(s.take(&mut c, &[*b]), 1);
    }
    assert_eq!(statuses(&c.sent), [(200, true), (405, true), (200, true)]);
}

#[test]
fn a_client_that_does_not_read_is_held_back_and_then_served_in_full() {
    let (mut s, mut c) = (server(true), FakePipe::new());
    c.room = 300;
    let text = GET.repeat(10);
    let (mut at, mut sent) = (s.take(&mut c, text.as_bytes()), Vec::new());
    assert!(at < text.len(), "everything was read although there was no room");
    assert_eq!(s.take(&mut c, &text.as_bytes()[at..]), 0);
    let mut rounds = 0;
    while at < text.len() {
        assert!(std::mem::take(&mut c.wants_writable));
        sent.extend(c.take_sent());
        s.room(&mut c);
        assert_eq!(c.calls.pop(), Some("resume_receive"));
        at += s.take(&mut c, &text.as_bytes()[at..]);
        rounds += 1;
        assert!(rounds < 20);
    }
    sent.extend(c.take_sent());
    s.room(&mut c);
    sent.extend(c.take_sent());
    assert_eq!(statuses(&sent).len(), 10);
}

#[test]
fn a_half_closed_client_gets_its_response_before_the_fin_even_when_there_was_no_room() {
    let (mut s, mut c) = (server(true), FakePipe::new());
    s.take(&mut c, GET.as_bytes());
    s.end(&mut c);
    assert_eq!((statuses(&c.sent), &c.calls[..]), (vec![(200, true)], &["shutdown"][..]));

    let (mut s, mut c) = (server(true), FakePipe::new());
    c.room = 1;
    assert_eq!(s.take(&mut c, GET.repeat(2).as_bytes()), 2 * GET.len());
    s.end(&mut c);
    assert!(c.calls.is_empty());
    c.take_sent();
    s.room(&mut c);
    assert_eq!((statuses(&c.sent), &c.calls[..]), (vec![(200, true)], &["shutdown"][..]));
}

#[test]
fn requests_and_responses_are_counted() {
    let (mut s, mut c) = (server(true), FakePipe::new());
    s.take(&mut c, format!("{GET}{GET}GET /x HTTP/1.1\r\n\r\nbad\r\n").as_bytes());
    assert_eq!((s.tally.requests, s.tally.responses[2], s.tally.responses[4]), (3, 2, 2));
}

#[test]
fn a_connection_has_state_of_its_own_only_in_the_middle_of_a_request() {
    assert_eq!(size_of::<HttpConn>(), 4);
    let (mut s, mut c) = (server(true), FakePipe::new());
    for (text, kept) in [(GET, 0), (&GET[..9], 1), (&GET[9..], 0), ("GE", 1)] {
        s.take(&mut c, text.as_bytes());
        assert_eq!(s.exchanges.len(), kept, "after {text:?}");
    }
    App::closed(&mut s, c.user, CloseReason::Reset, c.now);
    assert!(s.exchanges.is_empty());
}
