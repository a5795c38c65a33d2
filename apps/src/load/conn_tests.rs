use super::*;
use crate::load::protocol::{Echo, Http, HttpState};
use crate::load::request::Request;
use crate::pipe::fake::FakePipe;

type HttpPipe = FakePipe<ClientConn<HttpState>>;

fn dialogue(close: CloseMode) -> Dialogue<Http> {
    Dialogue::new(Http::new(&Request::get("/"), &["a:80".into()], None), close, 1, Latencies::default())
}

fn begun(d: &mut Dialogue<Http>, requests: u32) -> HttpPipe {
    let mut c = HttpPipe::new();
    c.now = Instant::from_nanos(1_000);
    c.user = ClientConn { due: Instant::from_nanos(400), mark: c.now, left: requests, ..ClientConn::default() };
    d.tally.started += 1;
    c.advance(100);
    d.connected(&mut c);
    c
}

fn end(d: &mut Dialogue<Http>, c: &HttpPipe, why: CloseReason) {
    d.closed(&c.user, why, c.now);
    assert_eq!(d.tally.open(), 0);
}

fn failed(d: &Dialogue<Http>) -> Vec<FailReason> {
    FailReason::ALL.iter().copied().filter(|r| d.tally.failed[*r as usize] > 0).collect()
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const OK_CLOSE: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";

#[test]
fn one_request_and_a_close_by_the_client_is_measured_stage_by_stage() {
    let mut d = dialogue(CloseMode::Fin);
    let mut c = begun(&mut d, 1);
    assert!(c.take_sent().starts_with(b"GET / HTTP/1.1\r\n"));
    c.advance(10);
    assert_eq!(d.data(&mut c, &OK[..5]), 5);
    c.advance(20);
    d.data(&mut c, &OK[5..]);
    assert_eq!(c.calls, ["close"]);
    c.advance(40);
    d.peer_closed(&mut c);
    end(&mut d, &c, CloseReason::Graceful);
    assert_eq!((d.tally.completed, d.tally.requests, d.tally.responses[2]), (1, 1, 1));
    let got = Measure::ALL.map(|m| d.latencies.of(m).max());
    assert_eq!(got, [700, 10, 30, 730, 40, 770]);
    assert_eq!(d.tally.bytes_in, OK.len() as u64);
}

#[test]
fn requests_follow_one_another_and_each_is_timed_by_itself() {
    let mut d = dialogue(CloseMode::Fin);
    let mut c = begun(&mut d, 3);
    for _ in 0..3 {
        assert!(c.calls.is_empty());
        c.advance(5);
        d.data(&mut c, OK);
    }
    assert_eq!((d.tally.requests, d.tally.responses_total(), c.calls.len()), (3, 3, 1));
    assert_eq!(d.latencies.of(Measure::Request).len(), 3);
    assert_eq!(d.latencies.of(Measure::Request).max(), 5);
}

#[test]
fn a_response_is_measured_from_when_its_connection_was_due_and_once_for_each() {
    let mut d = dialogue(CloseMode::Fin);
    // Begun 600 ns late, established 100 ns later.
    let mut c = begun(&mut d, 3);
    (0..3).for_each(|_| {
        c.advance(5);
        d.data(&mut c, OK);
    });
    let responses = d.latencies.of(Measure::Response);
    assert_eq!((responses.len(), responses.max()), (1, 600 + 100 + 5));
}

#[test]
fn when_time_is_up_a_connection_closes_after_the_response_that_it_waits_for() {
    for (close, call) in [(CloseMode::Fin, "close"), (CloseMode::Rst, "abort"), (CloseMode::HalfClose, "close")] {
        let mut d = dialogue(close);
        let mut c = begun(&mut d, 1000);
        d.data(&mut c, OK);
        d.last_call = true;
        d.data(&mut c, &OK[..9]);
        assert!(c.calls.is_empty(), "{close:?}: a response has begun");
        d.data(&mut c, &OK[9..]);
        assert_eq!(c.calls, [call], "{close:?}");
        end(&mut d, &c, if close == CloseMode::Rst { CloseReason::Aborted } else { CloseReason::Graceful });
        assert_eq!((d.tally.completed, d.tally.requests, d.tally.cut_short), (1, 2, 0), "{close:?}");
    }
    // One that is still being opened has a single request to make.
    let mut d = dialogue(CloseMode::HalfClose);
    d.last_call = true;
    let c = begun(&mut d, 1000);
    assert_eq!((d.tally.requests, c.calls), (1, vec!["shutdown"]));
}

#[test]
fn a_server_that_announces_its_close_closes_first() {
    let mut d = dialogue(CloseMode::Fin);
    let mut c = begun(&mut d, 5);
    d.data(&mut c, OK_CLOSE);
    assert!(c.calls.is_empty());
    d.peer_closed(&mut c);
    assert_eq!(c.calls, ["close"]);
    end(&mut d, &c, CloseReason::Graceful);
    assert_eq!((d.tally.completed, d.tally.cut_short), (1, 4));
}

#[test]
fn a_body_that_lasts_until_the_close_is_complete_with_it() {
    let mut d = dialogue(CloseMode::Fin);
    let mut c = begun(&mut d, 1);
    d.data(&mut c, b"HTTP/1.1 200 OK\r\n\r\nbody");
    d.peer_closed(&mut c);
    end(&mut d, &c, CloseReason::Graceful);
    assert_eq!((d.tally.completed, d.tally.responses[2]), (1, 1));
}

#[test]
fn close_modes_do_what_they_say() {
    for abrupt in [CloseMode::Rst, CloseMode::Abandon] {
        let mut d = dialogue(abrupt);
        let mut c = begun(&mut d, 1);
        d.data(&mut c, OK);
        assert_eq!(c.calls, ["abort"], "{abrupt:?}");
        end(&mut d, &c, CloseReason::Aborted);
        assert_eq!((d.tally.completed, d.tally.unfinished), (1, 0), "{abrupt:?}");
    }

    let mut d = dialogue(CloseMode::HalfClose);
    let mut c = begun(&mut d, 2);
    assert!(c.calls.is_empty());
    d.data(&mut c, OK);
    assert_eq!(c.calls, ["shutdown"]);
    d.data(&mut c, OK);
    assert_eq!(c.calls, ["shutdown"]);
    d.peer_closed(&mut c);
    end(&mut d, &c, CloseReason::Graceful);
    assert_eq!(d.tally.completed, 1);
}

#[test]
fn every_way_to_fail_has_its_reason() {
    let mut d = dialogue(CloseMode::Fin);
    let mut c = begun(&mut d, 2);
    d.data(&mut c, b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
    d.data(&mut c, OK);
    end(&mut d, &c, CloseReason::Graceful);
    assert_eq!((failed(&d), d.tally.responses[5]), (vec![FailReason::BadStatus], 1));

    let cases: [(&[u8], CloseReason, FailReason); 3] = [
        (b"SSH-2.0-x\r\n", CloseReason::Aborted, FailReason::Malformed),
        (b"HTTP/1.1 2", CloseReason::Reset, FailReason::Reset),
        (b"", CloseReason::TimedOut, FailReason::RetriesUsedUp),
    ];
    for (bytes, why, want) in cases {
        let mut d = dialogue(CloseMode::Fin);
        let mut c = begun(&mut d, 1);
        d.data(&mut c, bytes);
        end(&mut d, &c, why);
        assert_eq!(failed(&d), [want]);
    }
    for bytes in [&b""[..], b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"] {
        let mut d = dialogue(CloseMode::Fin);
        let mut c = begun(&mut d, 1);
        d.data(&mut c, bytes);
        d.peer_closed(&mut c);
        assert_eq!(c.calls, ["close"]);
        end(&mut d, &c, CloseReason::Graceful);
        assert_eq!(failed(&d), [FailReason::ClosedEarly]);
    }
}

#[test]
fn a_timeout_is_named_after_what_was_waited_for() {
    let mut d = dialogue(CloseMode::Fin);
    let mut waiting = HttpPipe::new();
    time_out(&mut waiting);
    let mut asked = begun(&mut d, 1);
    time_out(&mut asked);
    let mut answered = begun(&mut d, 1);
    d.data(&mut answered, OK);
    time_out(&mut answered);
    let got = [waiting, asked, answered].map(|c| (c.user.failed, c.calls.last().copied()));
    use FailReason::*;
    assert_eq!(got, [ConnectTimeout, ResponseTimeout, CloseTimeout].map(|r| (Some(r), Some("abort"))));
}

#[test]
fn attempts_that_never_connect_and_connections_cut_at_the_end_are_counted_apart() {
    let mut d = dialogue(CloseMode::Fin);
    for why in [CloseReason::Refused, CloseReason::Unreachable] {
        d.tally.started += 1;
        d.closed(&ClientConn::default(), why, Instant::ZERO);
    }
    let c = begun(&mut d, 1);
    end(&mut d, &c, CloseReason::Aborted);
    assert_eq!(failed(&d), [FailReason::Refused, FailReason::Unreachable]);
    assert_eq!((d.tally.unfinished, d.tally.completed), (1, 0));
}

#[test]
fn a_request_that_the_engine_does_not_take_is_no_fault_of_the_targets() {
    for close in [CloseMode::Fin, CloseMode::Rst] {
        let mut d = dialogue(close);
        let mut c = HttpPipe::new();
        c.calls.push("shutdown");
        d.tally.started += 1;
        d.connected(&mut c);
        assert_eq!(c.calls.last(), Some(&"abort"));
        end(&mut d, &c, CloseReason::Aborted);
        assert_eq!((d.tally.given_up, d.tally.failed_total(), d.tally.completed), (1, 0, 0));
    }
}

#[test]
fn an_altered_echo_is_noticed() {
    let mut d = Dialogue::new(Echo::new(100), CloseMode::Fin, 1, Latencies::default());
    let mut c = FakePipe::<ClientConn<_>>::new();
    c.user.left = 2;
    d.connected(&mut c);
    let sent = c.take_sent();
    d.data(&mut c, &sent);
    let mut sent = c.take_sent();
    sent[50] ^= 4;
    d.data(&mut c, &sent);
    assert_eq!((c.user.failed, c.calls.last()), (Some(FailReason::Mismatch), Some(&"abort")));
}
