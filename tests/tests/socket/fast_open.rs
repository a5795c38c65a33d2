//! TCP Fast Open and explicit congestion notification, as sockets have them on Linux.

use crate::{PLAIN, close, get, ms, recv, set};
use libc::{IPPROTO_TCP, TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_KEY, TCP_FASTOPEN_NO_COOKIE};
use synfin_engine::socket::{Errno, Fd, Poll, bits, blocking};
use synfin_engine::tcp::Ecn;
use synfin_tests::pair::{ADDR_B, configs};
use synfin_tests::sockets::{Host, Net, PORT};

const SYN_DATA: u8 = 32;
const ECN: u8 = 8;

fn net() -> Net {
    let (mut a, b) = configs();
    a.tcp.fast_open.client = true;
    Net::new((a, b))
}

fn tcp_options(net: &mut Net, host: Host, fd: Fd) -> u8 {
    let mut info = [0; 152];
    net.on(host, |s| s.getsockopt(fd, IPPROTO_TCP, libc::TCP_INFO, &mut info)).expect("TCP_INFO");
    info[5]
}

fn send_fast(net: &mut Net, fd: Fd, bytes: &[u8]) -> Result<usize, Errno> {
    net.on(Host::A, |s| s.send_fast(fd, bytes, PLAIN, (ADDR_B, PORT), false))
}

fn socket(net: &mut Net) -> Fd {
    net.on(Host::A, |s| s.socket(false))
}

/// A listener on B that takes data with SYNs, and whose cookie A has.
fn acquainted() -> (Net, Fd) {
    let mut net = net();
    let listener = net.listener(8);
    set(&mut net, Host::B, listener, IPPROTO_TCP, TCP_FASTOPEN, 4).expect("TCP_FASTOPEN");
    let fd = socket(&mut net);
    assert_eq!(send_fast(&mut net, fd, b"hello"), Err(Errno::INPROGRESS), "no cookie yet");
    net.pass(ms(50));
    let (server, _) = net.on(Host::B, |s| s.accept(listener)).expect("a connection");
    close(&mut net, Host::A, fd);
    close(&mut net, Host::B, server);
    net.pass(ms(50));
    (net, listener)
}

#[test]
fn bytes_sent_with_the_syn_can_be_read_and_answered_before_the_handshake_is_complete() {
    let (mut net, listener) = acquainted();
    let fd = socket(&mut net);
    assert_eq!(send_fast(&mut net, fd, b"hello"), Ok(5));
    assert_eq!(send_fast(&mut net, fd, b"hello"), Err(Errno::ALREADY));
    net.pass(ms(6));
    let (server, _) = net.on(Host::B, |s| s.accept(listener)).expect("a connection");
    assert_eq!(recv(&mut net, Host::B, server, 100), Ok(b"hello".to_vec()));
    assert_eq!(crate::send(&mut net, Host::B, server, b"answer"), Ok(6));
    net.pass(ms(6));
    assert_eq!(recv(&mut net, Host::A, fd, 100), Ok(b"answer".to_vec()));
    assert_eq!(tcp_options(&mut net, Host::A, fd) & SYN_DATA, SYN_DATA);
    assert_eq!(tcp_options(&mut net, Host::B, server) & SYN_DATA, SYN_DATA);
    assert_eq!(send_fast(&mut net, fd, b""), Ok(0), "how the handshake went is asked once");
    assert_eq!(send_fast(&mut net, fd, b"hello"), Err(Errno::ISCONN));
    close(&mut net, Host::A, fd);
    close(&mut net, Host::B, server);
    close(&mut net, Host::B, listener);
    net.pass(ms(200_000));
    net.assert_clean();
}

#[test]
fn connect_is_put_off_until_there_is_something_to_send() {
    let (mut net, listener) = acquainted();
    let fd = socket(&mut net);
    set(&mut net, Host::A, fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1).expect("TCP_FASTOPEN_CONNECT");
    assert_eq!(net.on(Host::A, |s| s.connect(fd, ADDR_B, PORT)), Ok(()));
    net.pass(ms(50));
    assert_eq!(net.on(Host::B, |s| s.accept(listener)), Err(Errno::AGAIN), "no SYN went out");
    let mut poll = [Poll { fd, events: bits::IN | bits::OUT, revents: 0 }];
    assert_eq!(net.on(Host::A, |s| s.poll(&mut poll)), 1);
    assert_eq!(poll[0].revents, bits::OUT);
    assert_eq!(recv(&mut net, Host::A, fd, 1), Err(Errno::AGAIN));
    assert_eq!(crate::send(&mut net, Host::A, fd, b"hello"), Ok(5));
    net.pass(ms(6));
    let (server, _) = net.on(Host::B, |s| s.accept(listener)).expect("a connection");
    assert_eq!(recv(&mut net, Host::B, server, 100), Ok(b"hello".to_vec()));
}

#[test]
fn without_a_cookie_connect_asks_for_one() {
    let mut net = net();
    net.listener(8);
    let fd = socket(&mut net);
    set(&mut net, Host::A, fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1).expect("TCP_FASTOPEN_CONNECT");
    assert_eq!(net.on(Host::A, |s| s.connect(fd, ADDR_B, PORT)), Err(Errno::INPROGRESS));
    net.pass(ms(50));
    assert_eq!(crate::send(&mut net, Host::A, fd, b"hello"), Ok(5));
}

#[test]
fn calls_that_wait_send_all_and_tell_why_they_could_not() {
    let (mut net, listener) = acquainted();
    let fd = socket(&mut net);
    let bytes = vec![7; 5_000];
    let sent = blocking::send_fast(&mut net.program(Host::A), fd, &bytes, PLAIN, (ADDR_B, PORT));
    assert_eq!(sent, Ok(5_000));
    net.pass(ms(50));
    let (server, _) = net.on(Host::B, |s| s.accept(listener)).expect("a connection");
    assert_eq!(recv(&mut net, Host::B, server, 10_000), Ok(bytes.clone()));
    // Nobody listens any more.
    close(&mut net, Host::B, listener);
    let refused = socket(&mut net);
    let sent = blocking::send_fast(&mut net.program(Host::A), refused, &bytes, PLAIN, (ADDR_B, PORT));
    assert_eq!(sent, Err(Errno::CONNREFUSED));
    let deferred = socket(&mut net);
    set(&mut net, Host::A, deferred, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1).expect("TCP_FASTOPEN_CONNECT");
    let mut program = net.program(Host::A);
    assert_eq!(blocking::connect(&mut program, deferred, ADDR_B, PORT), Ok(()));
    assert_eq!(blocking::send(&mut program, deferred, &bytes, PLAIN), Err(Errno::CONNREFUSED));
}

#[test]
fn bytes_of_a_connection_that_failed_do_not_go_to_the_next() {
    let (mut net, listener) = acquainted();
    close(&mut net, Host::B, listener);
    let fd = socket(&mut net);
    let sent = blocking::send_fast(&mut net.program(Host::A), fd, &[7; 5_000], PLAIN, (ADDR_B, PORT));
    assert_eq!(sent, Err(Errno::CONNREFUSED));
    let listener = net.listener(8);
    assert_eq!(blocking::connect(&mut net.program(Host::A), fd, ADDR_B, PORT), Ok(()));
    net.pass(ms(50));
    let (server, _) = net.on(Host::B, |s| s.accept(listener)).expect("a connection");
    assert_eq!(recv(&mut net, Host::B, server, 10_000), Err(Errno::AGAIN), "nothing was said on this one");
    assert_eq!(crate::send(&mut net, Host::A, fd, b"new"), Ok(3));
    net.pass(ms(50));
    assert_eq!(recv(&mut net, Host::B, server, 10_000), Ok(b"new".to_vec()));
}

#[test]
fn call_that_waited_too_long_says_what_went_with_the_syn_and_no_more_is_sent() {
    let (mut net, listener) = acquainted();
    let fd = socket(&mut net);
    let three_ms = [0_i64.to_ne_bytes(), 3_000_i64.to_ne_bytes()].concat();
    net.on(Host::A, |s| s.setsockopt(fd, libc::SOL_SOCKET, libc::SO_SNDTIMEO, &three_ms)).expect("SO_SNDTIMEO");
    let sent = blocking::send_fast(&mut net.program(Host::A), fd, &[7; 5_000], PLAIN, (ADDR_B, PORT));
    let sent = sent.expect("what went with the SYN");
    assert!((1..1_460).contains(&sent), "{sent}");
    net.pass(ms(50));
    let (server, _) = net.on(Host::B, |s| s.accept(listener)).expect("a connection");
    assert_eq!(recv(&mut net, Host::B, server, 10_000).map(|bytes| bytes.len()), Ok(sent));
}

#[test]
fn connection_that_is_there_already_takes_all_that_a_waiting_call_was_given() {
    let (mut net, listener) = acquainted();
    let fd = socket(&mut net);
    assert_eq!(net.on(Host::A, |s| s.connect(fd, ADDR_B, PORT)), Err(Errno::INPROGRESS));
    net.pass(ms(50));
    let bytes: Vec<u8> = (0..5_000).map(|i| (i % 251) as u8).collect();
    let mut program = net.program(Host::A);
    assert_eq!(blocking::send_fast(&mut program, fd, &bytes, PLAIN, (ADDR_B, PORT)), Ok(5_000));
    assert_eq!(blocking::send_fast(&mut program, fd, &bytes, PLAIN, (ADDR_B, PORT)), Err(Errno::ISCONN));
    net.pass(ms(50));
    let (server, _) = net.on(Host::B, |s| s.accept(listener)).expect("a connection");
    assert_eq!(recv(&mut net, Host::B, server, 10_000), Ok(bytes));
}

#[test]
fn switches_say_what_was_set_and_refuse_what_linux_refuses() {
    let mut net = net();
    let fd = socket(&mut net);
    for name in [TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_NO_COOKIE] {
        assert_eq!(get(&mut net, Host::A, fd, IPPROTO_TCP, name), Ok(0));
        set(&mut net, Host::A, fd, IPPROTO_TCP, name, 1).expect("a switch");
        assert_eq!(get(&mut net, Host::A, fd, IPPROTO_TCP, name), Ok(1));
        assert_eq!(set(&mut net, Host::A, fd, IPPROTO_TCP, name, 2), Err(Errno::INVAL));
    }
    let mut key = |bytes: &[u8]| net.on(Host::A, |s| s.setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_KEY, bytes));
    for len in [0, 3, 15, 17, 31, 33] {
        assert_eq!(key(&vec![1; len]), Err(Errno::INVAL), "{len} bytes");
    }
    for len in [16, 32] {
        assert_eq!(key(&vec![1; len]), Ok(()));
    }
    let mut out = [0; 64];
    assert_eq!(net.on(Host::A, |s| s.getsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_KEY, &mut out)), Ok(32));
    assert_eq!(out[..32], [1; 32]);
    // Where clients may not, nothing of it works.
    let off = net.on(Host::B, |s| s.socket(false));
    assert_eq!(net.on(Host::B, |s| s.send_fast(off, b"x", PLAIN, (ADDR_B, PORT), false)), Err(Errno::OPNOTSUPP));
    assert_eq!(set(&mut net, Host::B, off, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1), Err(Errno::OPNOTSUPP));
}

#[test]
fn congestion_notification_is_the_stacks_and_tcp_info_tells_of_it() {
    for (ours, theirs, agreed) in [
        (Ecn::Off, Ecn::Request, 0),
        (Ecn::Accept, Ecn::Accept, 0),
        (Ecn::Request, Ecn::Off, 0),
        (Ecn::Request, Ecn::Accept, ECN),
    ] {
        let (mut a, mut b) = configs();
        (a.tcp.ecn, b.tcp.ecn) = (ours, theirs);
        let mut net = Net::new((a, b));
        let (_, client, server) = net.connected();
        assert_eq!(tcp_options(&mut net, Host::A, client) & ECN, agreed);
        assert_eq!(tcp_options(&mut net, Host::B, server) & ECN, agreed);
    }
}
