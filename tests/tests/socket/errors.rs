//! Error numbers, state by state, as Linux gives them.

use crate::{PLAIN, close, get, ms, recv, send, set};
use synfin_engine::socket::{Errno, Fd, How, Sockets};
use synfin_engine::wire::Addr;
use synfin_tests::pair::{ADDR_A, ADDR_B};
use synfin_tests::sockets::{Host, Net, PORT};

type Call = fn(&mut Sockets<'_>, Fd) -> Result<usize, Errno>;

const ACCEPT: Call = |s, fd| s.accept(fd).map(|_| 0);
const LISTEN: Call = |s, fd| s.listen(fd, 1).map(|()| 0);
const BIND: Call = |s, fd| s.bind(fd, ADDR_A, 7).map(|()| 0);
const CONNECT: Call = |s, fd| s.connect(fd, ADDR_B, PORT).map(|()| 0);
const CONNECT_V6: Call = |s, fd| s.connect(fd, Addr([0x20; 16]), PORT).map(|()| 0);
const SEND: Call = |s, fd| s.send(fd, b"x", PLAIN);
const RECV: Call = |s, fd| s.recv(fd, &mut [0; 8], PLAIN);
const SHUTDOWN: Call = |s, fd| s.shutdown(fd, How::Both).map(|()| 0);
const PEER_NAME: Call = |s, fd| s.peer_name(fd).map(|_| 0);
const EPOLL_WAIT: Call = |s, fd| s.epoll_wait(fd, 1).map(|e| e.len());

/// A call and what it gives.
type Expectation = (&'static str, Call, Result<usize, Errno>);

/// A socket of host A in some state.
type Make = fn(&mut Net) -> Fd;

const FRESH: Make = |net| net.on(Host::A, |s| s.socket(false));
const OPENING: Make = |net| {
    let fd = FRESH(net);
    assert_eq!(net.on(Host::A, |s| s.connect(fd, ADDR_B, PORT)), Err(Errno::INPROGRESS));
    fd
};
const LISTENING: Make = |net| {
    let fd = FRESH(net);
    net.on(Host::A, |s| s.bind(fd, ADDR_A, PORT).and_then(|()| s.listen(fd, 1))).expect("a listener");
    fd
};
const CONNECTED: Make = |net| net.connected().1;
const HALF_CLOSED: Make = |net| {
    let fd = CONNECTED(net);
    net.on(Host::A, |s| s.shutdown(fd, How::Write)).expect("shutdown");
    fd
};
const PEER_CLOSED: Make = |net| {
    let (_, fd, server) = net.connected();
    close(net, Host::B, server);
    net.pass(ms(50));
    fd
};
const REFUSED: Make = |net| {
    let fd = OPENING(net);
    net.pass(ms(50));
    fd
};
const RESET: Make = |net| {
    let (_, fd, server) = net.connected();
    let linger = [1_i32.to_ne_bytes(), 0_i32.to_ne_bytes()].concat();
    net.on(Host::B, |s| s.setsockopt(server, libc::SOL_SOCKET, libc::SO_LINGER, &linger)).expect("SO_LINGER");
    close(net, Host::B, server);
    net.pass(ms(50));
    fd
};
const EPOLL: Make = |net| net.on(Host::A, |s| s.epoll_create());
const NONE: Make = |_| 99;

#[test]
fn each_call_gives_the_error_number_that_linux_gives_in_that_state() {
    let cases: &[(&str, Make, &[Expectation])] = &[
        ("no descriptor", NONE, &[("send", SEND, Err(Errno::BADF)), ("accept", ACCEPT, Err(Errno::BADF))]),
        ("epoll instance", EPOLL, &[("send", SEND, Err(Errno::NOTSOCK)), ("listen", LISTEN, Err(Errno::NOTSOCK))]),
        (
            "fresh",
            FRESH,
            &[
                ("accept", ACCEPT, Err(Errno::INVAL)),
                ("send", SEND, Err(Errno::PIPE)),
                ("recv", RECV, Err(Errno::NOTCONN)),
                ("shutdown", SHUTDOWN, Err(Errno::NOTCONN)),
                ("getpeername", PEER_NAME, Err(Errno::NOTCONN)),
                ("connect to IPv6", CONNECT_V6, Err(Errno::AFNOSUPPORT)),
                ("epoll_wait", EPOLL_WAIT, Err(Errno::INVAL)),
            ],
        ),
        (
            "opening",
            OPENING,
            &[
                ("connect", CONNECT, Err(Errno::ALREADY)),
                ("send", SEND, Err(Errno::AGAIN)),
                ("recv", RECV, Err(Errno::AGAIN)),
                ("bind", BIND, Err(Errno::INVAL)),
                ("listen", LISTEN, Err(Errno::INVAL)),
            ],
        ),
        (
            "listening",
            LISTENING,
            &[
                ("accept", ACCEPT, Err(Errno::AGAIN)),
                ("connect", CONNECT, Err(Errno::ISCONN)),
                ("send", SEND, Err(Errno::PIPE)),
                ("recv", RECV, Err(Errno::NOTCONN)),
                ("bind", BIND, Err(Errno::INVAL)),
                ("listen again", LISTEN, Ok(0)),
            ],
        ),
        (
            "connected",
            CONNECTED,
            &[
                ("connect", CONNECT, Err(Errno::ISCONN)),
                ("accept", ACCEPT, Err(Errno::INVAL)),
                ("recv", RECV, Err(Errno::AGAIN)),
                ("send", SEND, Ok(1)),
                ("getpeername", PEER_NAME, Ok(0)),
            ],
        ),
        ("half closed", HALF_CLOSED, &[("send", SEND, Err(Errno::PIPE)), ("recv", RECV, Err(Errno::AGAIN))]),
        ("peer closed", PEER_CLOSED, &[("recv", RECV, Ok(0)), ("recv again", RECV, Ok(0)), ("send", SEND, Ok(1))]),
        (
            "refused",
            REFUSED,
            &[("connect", CONNECT, Err(Errno::CONNREFUSED)), ("connect again", CONNECT, Err(Errno::INPROGRESS))],
        ),
        ("refused, written to", REFUSED, &[("send", SEND, Err(Errno::CONNREFUSED)), ("send", SEND, Err(Errno::PIPE))]),
        ("reset, read", RESET, &[("recv", RECV, Err(Errno::CONNRESET)), ("recv again", RECV, Ok(0))]),
        ("reset, written to", RESET, &[("send", SEND, Err(Errno::CONNRESET)), ("send", SEND, Err(Errno::PIPE))]),
    ];
    for (state, make, calls) in cases {
        let mut net = Net::default();
        let fd = make(&mut net);
        for (name, call, expected) in *calls {
            assert_eq!(net.on(Host::A, |s| call(s, fd)), *expected, "{name} on a socket that is {state}");
        }
    }
}

#[test]
fn an_error_is_told_once() {
    let mut net = Net::default();
    let fd = RESET(&mut net);
    assert_eq!(get(&mut net, Host::A, fd, libc::SOL_SOCKET, libc::SO_ERROR), Ok(libc::ECONNRESET));
    assert_eq!(get(&mut net, Host::A, fd, libc::SOL_SOCKET, libc::SO_ERROR), Ok(0));
}

#[test]
fn addresses_that_are_taken_or_foreign_cannot_be_bound() {
    let mut net = Net::default();
    let first = LISTENING(&mut net);
    let cases = [
        (Addr::v4([0; 4]), PORT, Err(Errno::ADDRINUSE)),
        (ADDR_A, PORT, Err(Errno::ADDRINUSE)),
        (ADDR_B, 9, Err(Errno::ADDRNOTAVAIL)),
        (Addr([0x20; 16]), 9, Err(Errno::AFNOSUPPORT)),
        (ADDR_A, 0, Ok(())),
    ];
    for (addr, port, expected) in cases {
        let fd = FRESH(&mut net);
        assert_eq!(net.on(Host::A, |s| s.bind(fd, addr, port)), expected, "{addr} port {port}");
    }
    close(&mut net, Host::A, first);
    let fd = FRESH(&mut net);
    assert_eq!(net.on(Host::A, |s| s.bind(fd, ADDR_A, PORT)), Ok(()));
}

#[test]
fn a_peer_that_never_answers_is_timed_out() {
    let mut net = Net::default();
    let fd = FRESH(&mut net);
    crate::set(&mut net, Host::A, fd, libc::IPPROTO_TCP, libc::TCP_SYNCNT, 2).expect("TCP_SYNCNT");
    // Nobody on the link answers for this address, but its station is known from ARP: the gateway's silence.
    assert_eq!(net.on(Host::A, |s| s.connect(fd, Addr::v4([198, 18, 0, 77]), PORT)), Err(Errno::INPROGRESS));
    net.pass(std::time::Duration::from_secs(20));
    assert_eq!(get(&mut net, Host::A, fd, libc::SOL_SOCKET, libc::SO_ERROR), Ok(libc::EHOSTUNREACH));
}

#[test]
fn a_listener_that_is_closed_resets_those_nobody_accepted() {
    let mut net = Net::default();
    let listener = net.listener(8);
    let fd = OPENING(&mut net);
    net.pass(ms(50));
    close(&mut net, Host::B, listener);
    net.pass(ms(50));
    assert_eq!(recv(&mut net, Host::A, fd, 8), Err(Errno::CONNRESET));
    let late = OPENING(&mut net);
    net.pass(ms(50));
    assert_eq!(send(&mut net, Host::A, late, b"x"), Err(Errno::CONNREFUSED));
    net.assert_clean();
}

#[test]
fn half_closed_connection_that_is_given_up_does_not_look_like_the_end_of_the_stream() {
    let mut net = Net::default();
    let fd = HALF_CLOSED(&mut net);
    // It may last as long as it likes.
    net.pass(ms(200_000));
    assert_eq!(net.on(Host::A, |s| RECV(s, fd)), Err(Errno::AGAIN));
    for (level, name, value) in [
        (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, 10),
        (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, 1),
        (libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1),
    ] {
        set(&mut net, Host::A, fd, level, name, value).expect("an option");
    }
    net.cut();
    net.pass(ms(30_000));
    assert_eq!(net.on(Host::A, |s| RECV(s, fd)), Err(Errno::TIMEDOUT));
    assert_eq!(net.on(Host::A, |s| RECV(s, fd)), Ok(0), "an error is told once");
}
