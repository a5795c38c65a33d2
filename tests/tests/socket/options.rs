//! Socket options: what they say, what they refuse, and what they change on the wire.

use crate::{close, get, ms, send, set};
use libc::{IPPROTO_TCP, SOL_SOCKET};
use std::time::Duration;
use synfin_engine::shard::TraceEvent;
use synfin_engine::socket::Errno;
use synfin_engine::wire::Addr;
use synfin_tests::pair::ADDR_B;
use synfin_tests::sockets::{Host, Net, PORT};

#[test]
fn options_say_what_was_set_and_refuse_what_linux_refuses() {
    let mut net = Net::default();
    let fd = net.on(Host::A, |s| s.socket(false));
    let cases = [
        (SOL_SOCKET, libc::SO_REUSEADDR, 1, Ok(1)),
        (SOL_SOCKET, libc::SO_KEEPALIVE, 5, Ok(1)),
        (SOL_SOCKET, libc::SO_SNDBUF, 10_000, Ok(20_000)),
        (SOL_SOCKET, libc::SO_RCVBUF, 10_000, Ok(20_000)),
        (SOL_SOCKET, libc::SO_OOBINLINE, 0, Ok(1)),
        (SOL_SOCKET, libc::SO_MAX_PACING_RATE, 1_000_000, Ok(1_000_000)),
        (SOL_SOCKET, libc::SO_MAX_PACING_RATE, -1, Ok(-1)),
        (IPPROTO_TCP, libc::TCP_NODELAY, 1, Ok(1)),
        (IPPROTO_TCP, libc::TCP_CORK, 1, Ok(1)),
        (IPPROTO_TCP, libc::TCP_MAXSEG, 1_000, Ok(1_000)),
        (IPPROTO_TCP, libc::TCP_MAXSEG, 20, Err(Errno::INVAL)),
        (IPPROTO_TCP, libc::TCP_KEEPIDLE, 60, Ok(60)),
        (IPPROTO_TCP, libc::TCP_KEEPIDLE, 0, Err(Errno::INVAL)),
        (IPPROTO_TCP, libc::TCP_KEEPINTVL, 32_768, Err(Errno::INVAL)),
        (IPPROTO_TCP, libc::TCP_KEEPCNT, 128, Err(Errno::INVAL)),
        (IPPROTO_TCP, libc::TCP_SYNCNT, 3, Ok(3)),
        (IPPROTO_TCP, libc::TCP_USER_TIMEOUT, 3_000, Ok(3_000)),
        (IPPROTO_TCP, libc::TCP_USER_TIMEOUT, -1, Err(Errno::INVAL)),
        (IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, 4_000, Ok(4_000)),
        (IPPROTO_TCP, libc::TCP_LINGER2, 5, Ok(5)),
        (libc::IPPROTO_IP, libc::IP_TOS, 0xb8, Ok(0xb8)),
        (libc::IPPROTO_IP, libc::IP_TTL, 17, Ok(17)),
        (libc::IPPROTO_IP, libc::IP_TTL, 0, Err(Errno::INVAL)),
        (IPPROTO_TCP, 9_999, 1, Err(Errno::NOPROTOOPT)),
    ];
    for (level, name, value, expected) in cases {
        let done =
            set(&mut net, Host::A, fd, level, name, value).and_then(|()| get(&mut net, Host::A, fd, level, name));
        assert_eq!(done, expected, "level {level}, option {name}, value {value}");
    }
    let short = net.on(Host::A, |s| s.setsockopt(fd, SOL_SOCKET, libc::SO_KEEPALIVE, &[1]));
    assert_eq!(short, Err(Errno::INVAL), "shorter than an int");
}

#[test]
fn congestion_controls_are_known_by_name() {
    let mut net = Net::default();
    let fd = net.on(Host::A, |s| s.socket(false));
    let mut name = [9; 16];
    assert_eq!(net.on(Host::A, |s| s.getsockopt(fd, IPPROTO_TCP, libc::TCP_CONGESTION, &mut name)), Ok(16));
    assert_eq!(&name, b"cubic\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(net.on(Host::A, |s| s.setsockopt(fd, IPPROTO_TCP, libc::TCP_CONGESTION, b"reno")), Ok(()));
    assert_eq!(net.on(Host::A, |s| s.getsockopt(fd, IPPROTO_TCP, libc::TCP_CONGESTION, &mut name)), Ok(16));
    assert_eq!(&name, b"reno\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(net.on(Host::A, |s| s.setsockopt(fd, IPPROTO_TCP, libc::TCP_CONGESTION, b"vegas")), Err(Errno::NOENT));
}

fn syns(net: &Net) -> Vec<&TraceEvent> {
    net.trace.iter().filter(|e| e.outgoing && e.flags.syn()).collect()
}

#[test]
fn a_segment_size_and_a_receive_buffer_asked_for_are_announced() {
    let mut net = Net::default();
    net.listener(1);
    let fd = net.on(Host::A, |s| s.socket(false));
    set(&mut net, Host::A, fd, IPPROTO_TCP, libc::TCP_MAXSEG, 1_000).expect("TCP_MAXSEG");
    set(&mut net, Host::A, fd, SOL_SOCKET, libc::SO_RCVBUF, 30_000).expect("SO_RCVBUF");
    net.on(Host::A, |s| s.connect(fd, ADDR_B, PORT)).expect_err("in progress");
    net.pass(ms(50));
    let syn = syns(&net)[0];
    assert_eq!((syn.options.mss, syn.window, syn.options.window_scale), (Some(1_000), 30_000, Some(0)));
    send(&mut net, Host::A, fd, &[7; 3_000]).expect("room");
    net.pass(ms(100));
    let largest = net.trace.iter().filter(|e| e.outgoing).map(|e| e.payload_len).max();
    assert_eq!(largest, Some(1_000 - 12), "what we announce bounds what we send, timestamps taken off");
}

#[test]
fn syns_are_repeated_as_often_as_asked() {
    let mut configs = synfin_tests::pair::configs();
    let silent = Addr::v4([198, 18, 0, 77]);
    configs.0.static_neighbours.push((silent, synfin_tests::pair::MAC_B));
    let mut net = Net::new(configs);
    let fd = net.on(Host::A, |s| s.socket(false));
    set(&mut net, Host::A, fd, IPPROTO_TCP, libc::TCP_SYNCNT, 2).expect("TCP_SYNCNT");
    net.on(Host::A, |s| s.connect(fd, silent, PORT)).expect_err("in progress");
    net.pass(Duration::from_secs(60));
    assert_eq!(syns(&net).len(), 3);
    assert_eq!(get(&mut net, Host::A, fd, SOL_SOCKET, libc::SO_ERROR), Ok(libc::ETIMEDOUT));
}

/// A connection whose peer has vanished: what A did then, and after how long it gave up.
fn abandoned(prepare: impl FnOnce(&mut Net, i32)) -> (usize, Duration) {
    let mut net = Net::default();
    let (_, client, _) = net.connected();
    prepare(&mut net, client);
    net.cut();
    let (start, before) = (net.now, net.trace.len());
    while get(&mut net, Host::A, client, SOL_SOCKET, libc::SO_ERROR) == Ok(0) {
        net.pass(ms(100));
        assert!(net.now.nanos_since(start) < 3_600_000_000_000, "never given up");
    }
    let sent = net.trace[before..].iter().filter(|e| e.outgoing && !e.flags.rst()).count();
    (sent, Duration::from_nanos(net.now.nanos_since(start)))
}

#[test]
fn keepalive_is_off_until_asked_for_and_then_waits_two_hours() {
    let mut net = Net::default();
    let (_, client, _) = net.connected();
    assert_eq!(get(&mut net, Host::A, client, SOL_SOCKET, libc::SO_KEEPALIVE), Ok(0));
    let outgoing = |net: &Net| net.trace.iter().filter(|e| e.outgoing).count();
    let before = outgoing(&net);
    net.pass(Duration::from_secs(10_000));
    assert_eq!(outgoing(&net), before);
    set(&mut net, Host::A, client, SOL_SOCKET, libc::SO_KEEPALIVE, 1).expect("SO_KEEPALIVE");
    net.pass(Duration::from_secs(7_199));
    assert_eq!(outgoing(&net), before);
    net.pass(Duration::from_secs(2));
    assert_eq!(outgoing(&net), before + 1, "one probe");
    set(&mut net, Host::A, client, SOL_SOCKET, libc::SO_KEEPALIVE, 0).expect("SO_KEEPALIVE");
    net.pass(Duration::from_secs(10_000));
    assert_eq!(outgoing(&net), before + 1);
}

#[test]
fn keepalive_times_are_the_sockets_own() {
    let (probes, took) = abandoned(|net, fd| {
        for (name, value) in [(libc::TCP_KEEPIDLE, 10), (libc::TCP_KEEPINTVL, 2), (libc::TCP_KEEPCNT, 3)] {
            set(net, Host::A, fd, IPPROTO_TCP, name, value).expect("a time");
        }
        set(net, Host::A, fd, SOL_SOCKET, libc::SO_KEEPALIVE, 1).expect("SO_KEEPALIVE");
    });
    assert_eq!(probes, 3);
    assert!(took >= Duration::from_secs(16) && took < ms(16_300), "10 s and three times 2 s, not {took:?}");
}

#[test]
fn the_user_timeout_bounds_how_long_bytes_may_stay_unacknowledged() {
    let (_, took) = abandoned(|net, fd| {
        set(net, Host::A, fd, IPPROTO_TCP, libc::TCP_USER_TIMEOUT, 5_000).expect("TCP_USER_TIMEOUT");
        net.cut();
        send(net, Host::A, fd, b"is anybody there?").expect("room");
    });
    // Time-outs are what is counted: the tail loss probe before the first of them comes on top.
    assert!(took >= ms(4_900) && took < ms(5_500), "{took:?}");
}

#[test]
fn accepted_sockets_inherit_the_listeners_options() {
    let mut net = Net::default();
    let listener = net.listener(1);
    set(&mut net, Host::B, listener, SOL_SOCKET, libc::SO_RCVBUF, 40_000).expect("SO_RCVBUF");
    set(&mut net, Host::B, listener, IPPROTO_TCP, libc::TCP_NODELAY, 1).expect("TCP_NODELAY");
    let client = net.on(Host::A, |s| s.socket(false));
    net.on(Host::A, |s| s.connect(client, ADDR_B, PORT)).expect_err("in progress");
    net.pass(ms(50));
    let (server, _) = net.on(Host::B, |s| s.accept(listener)).expect("a connection");
    assert_eq!(get(&mut net, Host::B, server, SOL_SOCKET, libc::SO_RCVBUF), Ok(80_000));
    assert_eq!(get(&mut net, Host::B, server, IPPROTO_TCP, libc::TCP_NODELAY), Ok(1));
    let offered = net.trace.iter().find(|e| !e.outgoing && e.flags.syn()).expect("SYN,ACK");
    assert_eq!(offered.window, 40_000, "the SYN,ACK offers the listener's buffer");
    close(&mut net, Host::A, client);
}

#[test]
fn tcp_info_tells_state_and_windows() {
    let mut net = Net::default();
    let (listener, client, _) = net.connected();
    let mut info = [0; 280];
    assert_eq!(net.on(Host::A, |s| s.getsockopt(client, IPPROTO_TCP, libc::TCP_INFO, &mut info)), Ok(280));
    let word = |at: usize| u32::from_ne_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]);
    assert_eq!((info[0], word(16), word(80)), (1, 1_448, 10), "ESTABLISHED, segment size, initial window");
    assert!((9_900..10_500).contains(&word(68)), "round trip of {} µs", word(68));
    net.on(Host::B, |s| s.getsockopt(listener, IPPROTO_TCP, libc::TCP_INFO, &mut info)).expect("TCP_INFO");
    assert_eq!(info[0], 10, "LISTEN");
}
