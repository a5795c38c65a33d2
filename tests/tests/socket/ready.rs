//! `poll` and epoll.

use crate::{close, ms, recv, send, set};
use synfin_engine::socket::{Control, EpollEvent, Errno, Fd, How, Poll, bits};
use synfin_tests::sockets::{Host, Net};

const ALL: u32 = bits::IN | bits::OUT | bits::RDHUP;
const EDGE: u32 = libc::EPOLLET as u32;
const ONE_SHOT: u32 = libc::EPOLLONESHOT as u32;

fn poll(net: &mut Net, host: Host, fd: Fd) -> u32 {
    let mut one = [Poll { fd, events: ALL, revents: 0 }];
    net.on(host, |s| s.poll(&mut one));
    one[0].revents
}

/// What epoll instance `epoll` on host B reports: the events of one socket, or 0.
fn report(net: &mut Net, epoll: Fd) -> u32 {
    let events = net.on(Host::B, |s| s.epoll_wait(epoll, 8)).expect("an epoll instance");
    assert!(events.len() <= 1 && events.iter().all(|e| e.data == 42));
    events.first().map_or(0, |e| e.events)
}

fn watch(net: &mut Net, fd: Fd, events: u32) -> Fd {
    net.on(Host::B, |s| {
        let epoll = s.epoll_create();
        s.epoll_ctl(epoll, fd, Control::Add(EpollEvent { events, data: 42 })).expect("epoll_ctl");
        epoll
    })
}

#[test]
fn poll_says_what_a_socket_is_ready_for() {
    let mut net = Net::default();
    let fresh = net.on(Host::A, |s| s.socket(false));
    assert_eq!(poll(&mut net, Host::A, fresh), bits::OUT | bits::HUP);
    assert_eq!(poll(&mut net, Host::A, 99), bits::NVAL);
    let (listener, client, server) = net.connected();
    assert_eq!(poll(&mut net, Host::B, listener), 0, "nothing to accept");
    assert_eq!(poll(&mut net, Host::B, server), bits::OUT);
    send(&mut net, Host::A, client, b"x").expect("room");
    net.pass(ms(50));
    assert_eq!(poll(&mut net, Host::B, server), bits::OUT | bits::IN);
    recv(&mut net, Host::B, server, 9).expect("a byte");
    net.on(Host::A, |s| s.shutdown(client, How::Write)).expect("shutdown");
    net.pass(ms(50));
    assert_eq!(poll(&mut net, Host::B, server), bits::OUT | bits::IN | bits::RDHUP);
    close(&mut net, Host::B, server);
    net.pass(ms(50));
    assert_eq!(poll(&mut net, Host::A, client), bits::OUT | bits::IN | bits::RDHUP | bits::HUP);
}

#[test]
fn a_full_send_buffer_is_writable_again_when_a_third_of_it_is_free() {
    let mut net = Net::default();
    let (_, client, server) = net.connected();
    let filled: usize = std::iter::from_fn(|| {
        let n = send(&mut net, Host::A, client, &[7; 10_000]).ok();
        net.pass(ms(100));
        n
    })
    .sum();
    assert!(filled > 256 * 1024);
    assert_eq!(poll(&mut net, Host::A, client), 0);
    let mut read = 0;
    while poll(&mut net, Host::A, client) == 0 {
        read += recv(&mut net, Host::B, server, 10_000).map_or(0, |b| b.len());
        net.pass(ms(500));
    }
    assert!(read > 256 * 1024 / 4, "writable after {read} bytes");
    assert_eq!(poll(&mut net, Host::A, client), bits::OUT);
}

#[test]
fn a_level_is_reported_as_long_as_it_lasts_and_an_edge_once() {
    let mut net = Net::default();
    let (_, client, server) = net.connected();
    let (level, edge) = (watch(&mut net, server, bits::IN), watch(&mut net, server, bits::IN | EDGE));
    assert_eq!((report(&mut net, level), report(&mut net, edge)), (0, 0));
    for _ in 0..2 {
        send(&mut net, Host::A, client, b"more").expect("room");
        net.pass(ms(100));
        assert_eq!((report(&mut net, level), report(&mut net, edge)), (bits::IN, bits::IN));
        assert_eq!((report(&mut net, level), report(&mut net, edge)), (bits::IN, 0), "nothing new");
    }
    recv(&mut net, Host::B, server, 99).expect("eight bytes");
    assert_eq!((report(&mut net, level), report(&mut net, edge)), (0, 0));
    close(&mut net, Host::A, client);
    net.pass(ms(50));
    assert_eq!((report(&mut net, level), report(&mut net, edge)), (bits::IN, bits::IN));
}

#[test]
fn a_one_shot_interest_is_silent_until_it_is_armed_again() {
    let mut net = Net::default();
    let (_, client, server) = net.connected();
    let epoll = watch(&mut net, server, bits::IN | ONE_SHOT);
    send(&mut net, Host::A, client, b"x").expect("room");
    net.pass(ms(50));
    assert_eq!((report(&mut net, epoll), report(&mut net, epoll)), (bits::IN, 0));
    let again = EpollEvent { events: bits::IN | ONE_SHOT, data: 42 };
    net.on(Host::B, |s| s.epoll_ctl(epoll, server, Control::Modify(again))).expect("armed");
    assert_eq!((report(&mut net, epoll), report(&mut net, epoll)), (bits::IN, 0));
}

#[test]
fn epoll_control_refuses_what_makes_no_sense() {
    let mut net = Net::default();
    let (_, _, server) = net.connected();
    let epoll = watch(&mut net, server, bits::IN);
    let event = EpollEvent { events: bits::IN, data: 0 };
    let cases = [
        (server, Control::Add(event), Err(Errno::EXIST)),
        (server, Control::Delete, Ok(())),
        (server, Control::Delete, Err(Errno::NOENT)),
        (server, Control::Modify(event), Err(Errno::NOENT)),
        (99, Control::Add(event), Err(Errno::BADF)),
        (epoll, Control::Add(event), Err(Errno::INVAL)),
    ];
    for (fd, control, expected) in cases {
        assert_eq!(net.on(Host::B, |s| s.epoll_ctl(epoll, fd, control)), expected, "{control:?} of {fd}");
    }
}

#[test]
fn a_listener_is_readable_when_there_is_something_to_accept() {
    let mut net = Net::default();
    let listener = net.listener(8);
    let epoll = watch(&mut net, listener, bits::IN | EDGE);
    assert_eq!(report(&mut net, epoll), 0);
    let client = net.on(Host::A, |s| s.socket(false));
    net.on(Host::A, |s| s.connect(client, synfin_tests::pair::ADDR_B, 80)).expect_err("in progress");
    net.pass(ms(50));
    assert_eq!(report(&mut net, epoll), bits::IN);
    net.on(Host::B, |s| s.accept(listener)).expect("a connection");
    assert_eq!(report(&mut net, epoll), 0);
}

#[test]
fn unsent_bytes_beyond_the_low_water_mark_make_a_socket_unwritable() {
    let mut net = Net::default();
    let (_, client, _) = net.connected();
    set(&mut net, Host::A, client, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, 4_000).expect("TCP_NOTSENT_LOWAT");
    send(&mut net, Host::A, client, &[7; 30_000]).expect("room");
    assert_eq!(poll(&mut net, Host::A, client), 0, "half of it waits for the window");
    assert_eq!(send(&mut net, Host::A, client, b"x"), Err(Errno::AGAIN));
    net.pass(ms(100));
    assert_eq!(poll(&mut net, Host::A, client), bits::OUT);
}
