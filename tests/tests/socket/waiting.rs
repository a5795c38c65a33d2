//! Calls that wait.

use crate::{PLAIN, close, ms, recv, send, set};
use std::time::Duration;
use synfin_engine::base::Instant;
use synfin_engine::socket::blocking::{self, World};
use synfin_engine::socket::{Errno, Fd, Flags, Moment, Poll, Sockets, bits};
use synfin_engine::wire::Addr;
use synfin_tests::pair::ADDR_B;
use synfin_tests::sockets::{Host, Net, PORT, Program};

/// The other side's program sends something.
fn later(net: &mut Net, client: Fd, bytes: &[u8]) {
    send(net, Host::A, client, bytes).expect("room");
}

/// How long `call` took, and what it gave.
fn timed<R>(net: &mut Net, call: impl FnOnce(&mut Net) -> R) -> (Duration, R) {
    let start = net.now;
    let result = call(net);
    (Duration::from_nanos(net.now.nanos_since(start)), result)
}

#[test]
fn connect_and_accept_wait_for_the_handshake() {
    let mut net = Net::default();
    let listener = net.listener(1);
    let client = net.on(Host::A, |s| s.socket(false));
    let (took, done) = timed(&mut net, |n| blocking::connect(&mut n.program(Host::A), client, ADDR_B, PORT));
    assert_eq!(done, Ok(()));
    assert!(took >= ms(10) && took < ms(15), "one round trip, not {took:?}");
    let (took, accepted) = timed(&mut net, |n| blocking::accept(&mut n.program(Host::B), listener));
    assert!(accepted.is_ok() && took < ms(10));
}

#[test]
fn connect_gives_the_reason_when_it_fails() {
    let mut net = Net::default();
    let client = net.on(Host::A, |s| s.socket(false));
    let mut program = net.program(Host::A);
    assert_eq!(blocking::connect(&mut program, client, ADDR_B, PORT), Err(Errno::CONNREFUSED));
    let nowhere = Addr::v4([203, 0, 113, 1]);
    assert_eq!(blocking::connect(&mut program, client, nowhere, PORT), Err(Errno::NETUNREACH));
}

#[test]
fn reading_waits_for_bytes_and_writing_for_room() {
    let mut net = Net::default();
    let (_, client, server) = net.connected();
    net.after(ms(300), move |n| later(n, client, b"at last"));
    let mut buffer = [0; 99];
    let (took, got) = timed(&mut net, |n| blocking::recv(&mut n.program(Host::B), server, &mut buffer, PLAIN));
    assert_eq!(got, Ok(7));
    assert!(took >= ms(305) && took < ms(320), "{took:?}");

    let bytes = vec![7; 700_000];
    for step in 1..200 {
        net.after(ms(10 * step), move |n| drop(recv(n, Host::B, server, 20_000)));
    }
    let (took, sent) = timed(&mut net, |n| blocking::send(&mut n.program(Host::A), client, &bytes, PLAIN));
    assert_eq!(sent, Ok(bytes.len()));
    assert!(took >= ms(50), "more than both buffers hold took {took:?}");
}

#[test]
fn a_call_that_must_not_wait_does_not() {
    let mut net = Net::default();
    let (listener, client, server) = net.connected();
    net.on(Host::B, |s| s.set_nonblocking(listener, true)).expect("O_NONBLOCK");
    let mut program = net.program(Host::B);
    assert_eq!(blocking::accept(&mut program, listener), Err(Errno::AGAIN));
    let flags = Flags { dont_wait: true, ..PLAIN };
    assert_eq!(blocking::recv(&mut program, server, &mut [0; 9], flags), Err(Errno::AGAIN));
    let sent = blocking::send(&mut net.program(Host::A), client, &vec![7; 1 << 20], flags);
    assert_eq!(sent, Ok(256 * 1024), "as much as there is room for");
}

#[test]
fn receive_timeouts_end_a_wait() {
    let mut net = Net::default();
    let (_, _, server) = net.connected();
    let half_a_second = [0_i64.to_ne_bytes(), 500_000_i64.to_ne_bytes()].concat();
    net.on(Host::B, |s| s.setsockopt(server, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &half_a_second)).expect("option");
    let mut buffer = [0; 9];
    let (took, got) = timed(&mut net, |n| blocking::recv(&mut n.program(Host::B), server, &mut buffer, PLAIN));
    assert_eq!(got, Err(Errno::AGAIN));
    assert!(took >= ms(500) && took < ms(510), "{took:?}");
}

#[test]
fn waiting_for_all_bytes_ends_with_the_stream() {
    let mut net = Net::default();
    let (_, client, server) = net.connected();
    net.after(ms(100), move |n| later(n, client, b"first "));
    net.after(ms(200), move |n| later(n, client, b"second"));
    net.after(ms(300), move |n| close(n, Host::A, client));
    let mut buffer = [0; 99];
    let flags = Flags { wait_all: true, ..PLAIN };
    assert_eq!(blocking::recv(&mut net.program(Host::B), server, &mut buffer, flags), Ok(12));
    assert_eq!(&buffer[..12], b"first second");
}

#[test]
fn an_error_behind_what_a_call_has_done_is_left_to_the_next_one() {
    let mut net = Net::default();
    let (_, client, server) = net.connected();
    net.after(ms(100), move |n| later(n, client, b"last words"));
    net.after(ms(200), move |n| n.on(Host::A, |s| s.disconnect(client)).expect("a connection"));
    let flags = Flags { wait_all: true, ..PLAIN };
    let mut buffer = [0; 99];
    let mut read = |net: &mut Net| blocking::recv(&mut net.program(Host::B), server, &mut buffer, flags);
    assert_eq!(read(&mut net), Ok(10));
    assert_eq!(read(&mut net), Err(Errno::CONNRESET));
    assert_eq!(read(&mut net), Ok(0), "an error is told once");

    let mut net = Net::default();
    let (_, client, server) = net.connected();
    net.after(ms(100), move |n| n.on(Host::B, |s| s.disconnect(server)).expect("a connection"));
    let write = |net: &mut Net| blocking::send(&mut net.program(Host::A), client, &vec![7; 1 << 20], PLAIN);
    let sent = write(&mut net).expect("some of it was queued");
    assert!(sent > 0 && sent < 1 << 20, "{sent}");
    assert_eq!(write(&mut net), Err(Errno::CONNRESET));
    assert_eq!(write(&mut net), Err(Errno::PIPE), "an error is told once");
}

/// A program of which another thread closes a descriptor behind so many steps of a call.
struct Closing<'a> {
    program: Program<'a>,
    fd: Fd,
    steps: u32,
}

impl World for Closing<'_> {
    fn act<R>(&mut self, call: impl FnOnce(&mut Sockets<'_>) -> R) -> R {
        let result = self.program.act(call);
        self.steps = self.steps.wrapping_sub(1);
        if self.steps == 0 {
            self.program.act(|s| s.close(self.fd)).expect("an open descriptor");
        }
        result
    }

    fn wait(&mut self, until: Option<Instant>) -> Result<(), Errno> {
        self.program.wait(until)
    }
}

#[test]
fn bytes_that_were_sent_are_told_of_though_the_socket_is_closed_meanwhile() {
    for steps in 1..=6 {
        let mut net = Net::default();
        let (_, client, server) = net.connected();
        set(&mut net, Host::A, client, libc::SOL_SOCKET, libc::SO_ZEROCOPY, 1).expect("an option");
        let mut world = Closing { program: net.program(Host::A), fd: client, steps };
        let sent = blocking::send(&mut world, client, b"abc", Flags { zero_copy: true, ..PLAIN });
        net.pass(ms(50));
        let came = recv(&mut net, Host::B, server, 99).expect("bytes, or the end of the stream");
        let expected = if came.is_empty() { Err(Errno::BADF) } else { Ok(3) };
        assert_eq!(sent, expected, "closed behind {steps} steps, and {came:?} came");
    }
}

#[test]
fn polling_waits_until_something_happens_or_the_time_is_over() {
    let mut net = Net::default();
    let (_, client, server) = net.connected();
    let mut one = [Poll { fd: server, events: bits::IN, revents: 0 }];
    let (took, n) = timed(&mut net, |n| blocking::poll(&mut n.program(Host::B), &mut one, Some(ms(70))));
    assert!(n == Ok(0) && took >= ms(70) && took < ms(75), "{n:?} after {took:?}");
    net.after(ms(100), move |n| later(n, client, b"x"));
    let (took, n) = timed(&mut net, |n| blocking::poll(&mut n.program(Host::B), &mut one, None));
    assert!(n == Ok(1) && took >= ms(105) && took < ms(120), "{n:?} after {took:?}");
    assert_eq!(one[0].revents, bits::IN);
}

#[test]
fn lingering_waits_until_all_is_acknowledged_or_the_time_is_over() {
    for (reads, shortest, longest) in [(true, ms(10), ms(900)), (false, ms(2_000), ms(2_010))] {
        let mut net = Net::default();
        let (_, client, server) = net.connected();
        let linger = [1_i32.to_ne_bytes(), 2_i32.to_ne_bytes()].concat();
        net.on(Host::A, |s| s.setsockopt(client, libc::SOL_SOCKET, libc::SO_LINGER, &linger)).expect("SO_LINGER");
        let mut program = net.program(Host::A);
        let flags = Flags { dont_wait: true, ..PLAIN };
        blocking::send(&mut program, client, &vec![7; 250_000], flags).expect("room");
        program.act(|_| {});
        net.pass(ms(500));
        blocking::send(&mut net.program(Host::A), client, &vec![7; 250_000], flags).expect("room");
        for step in 1..50 {
            net.after(ms(10 * step), move |n| {
                if reads {
                    drop(recv(n, Host::B, server, 100_000));
                }
            });
        }
        let (took, closed) = timed(&mut net, |n| blocking::close(&mut n.program(Host::A), client));
        assert_eq!(closed, Ok(()));
        assert!(took >= shortest && took < longest, "{took:?}, the peer reads: {reads}");
    }
}

#[test]
fn calls_with_msg_zerocopy_are_told_of_in_the_error_queue_by_their_numbers() {
    let mut net = Net::default();
    let (_, client, server) = net.connected();
    let poll = |net: &mut Net| {
        let mut one = [Poll { fd: client, events: bits::IN, revents: 0 }];
        net.on(Host::A, |s| s.poll(&mut one));
        one[0].revents
    };
    let zero_copy = Flags { zero_copy: true, ..PLAIN };
    let call = |net: &mut Net, bytes: &[u8]| blocking::send(&mut net.program(Host::A), client, bytes, zero_copy);
    // Without SO_ZEROCOPY it is a call like any other.
    assert_eq!(call(&mut net, b"ab"), Ok(2));
    assert_eq!(poll(&mut net), 0);
    set(&mut net, Host::A, client, libc::SOL_SOCKET, libc::SO_ZEROCOPY, 1).expect("an option");
    assert_eq!(net.on(Host::A, |s| s.take_copied(client)), Err(Errno::AGAIN));
    // One that has to wait for room is one call all the same.
    let drain = move |net: &mut Net| drop(recv(net, Host::B, server, 1 << 20));
    (1..20).for_each(|n| net.after(ms(50 * n), drain));
    assert_eq!(call(&mut net, &vec![7; 1_000_000]), Ok(1_000_000));
    assert_eq!(call(&mut net, b""), Ok(0));
    assert_eq!(call(&mut net, b"c"), Ok(1));
    assert_eq!(poll(&mut net), bits::ERR);
    assert_eq!(net.on(Host::A, |s| s.take_copied(client)), Ok((0, 1)));
    assert_eq!(poll(&mut net), 0);
    assert_eq!(call(&mut net, b"d"), Ok(1));
    assert_eq!(net.on(Host::A, |s| s.take_copied(client)), Ok((2, 2)));
    close(&mut net, Host::A, client);
    assert_eq!(net.on(Host::A, |s| s.take_copied(client)), Err(Errno::BADF));
}

#[test]
fn times_of_calls_are_told_when_they_are_sent_and_when_they_are_acknowledged() {
    let mut net = Net::default();
    let (_, client, _server) = net.connected();
    let all = libc::SOF_TIMESTAMPING_TX_SCHED | libc::SOF_TIMESTAMPING_TX_SOFTWARE | libc::SOF_TIMESTAMPING_TX_ACK;
    let bits_set = (all | libc::SOF_TIMESTAMPING_SOFTWARE | libc::SOF_TIMESTAMPING_OPT_ID) as i32;
    let call = |net: &mut Net, bytes: &[u8]| blocking::send(&mut net.program(Host::A), client, bytes, PLAIN);
    let next = |net: &mut Net| net.on(Host::A, |s| s.take_stamp(client)).map(|s| (s.moment, s.key, s.at));
    // Nobody has asked for the time of this one.
    assert_eq!(call(&mut net, b"before"), Ok(6));
    set(&mut net, Host::A, client, libc::SOL_SOCKET, libc::SO_TIMESTAMPING, bits_set).expect("an option");
    assert_eq!(call(&mut net, b"hello"), Ok(5));
    assert_eq!(call(&mut net, b"you"), Ok(3));
    net.pass(ms(500));
    let mut told = Vec::new();
    while let Ok(stamp) = next(&mut net) {
        told.push(stamp);
    }
    let kinds: Vec<(Moment, u32)> = told.iter().map(|&(moment, key, _)| (moment, key)).collect();
    let of_call = |moment| kinds.iter().filter(|k| k.0 == moment).map(|k| k.1).collect::<Vec<u32>>();
    for moment in [Moment::Scheduled, Moment::Sent, Moment::Acknowledged] {
        assert_eq!(of_call(moment), [4, 7], "{moment:?}");
    }
    let at = |wanted| told.iter().find(|&&(moment, key, _)| (moment, key) == wanted).map(|t| t.2).expect("told");
    assert!(at((Moment::Sent, 4)) < at((Moment::Acknowledged, 4)));
    assert_eq!(next(&mut net), Err(Errno::AGAIN));
    // Without a wish to be told nothing is.
    set(&mut net, Host::A, client, libc::SOL_SOCKET, libc::SO_TIMESTAMPING, 0).expect("an option");
    assert_eq!(call(&mut net, b"after"), Ok(5));
    net.pass(ms(500));
    assert_eq!(next(&mut net), Err(Errno::AGAIN));
}
