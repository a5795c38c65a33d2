//! Bytes, windows and the end of a stream.

use crate::{PLAIN, close, ms, recv, send, set};
use std::time::Duration;
use synfin_engine::shard::TraceEvent;
use synfin_engine::socket::{Errno, Fd, Flags, How, blocking};
use synfin_engine::wire::TcpFlags;
use synfin_tests::pair::{ADDR_B, configs};
use synfin_tests::sockets::{Host, Net, PORT};

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

/// Payload sizes that host A sent, in order.
fn sizes(net: &Net) -> Vec<u16> {
    let outgoing = |e: &&TraceEvent| e.outgoing && e.payload_len > 0;
    net.trace.iter().filter(outgoing).map(|e| e.payload_len).collect()
}

#[test]
fn bytes_arrive_in_order_and_in_pieces_of_any_size() {
    let mut net = Net::default();
    let (listener, client, server) = net.connected();
    let bytes = pattern(1_000_000);
    let (mut sent, mut got, mut size) = (0, Vec::new(), 1);
    while got.len() < bytes.len() {
        match send(&mut net, Host::A, client, &bytes[sent..]) {
            Ok(n) => sent += n,
            Err(e) => assert!(e == Errno::AGAIN || sent == bytes.len(), "{e:?}"),
        }
        net.pass(ms(5));
        size = size * 7 % 9_973;
        if let Ok(piece) = recv(&mut net, Host::B, server, size) {
            assert!(!piece.is_empty());
            got.extend(piece);
        }
    }
    assert!(got == bytes);
    for (host, fd) in [(Host::A, client), (Host::B, server), (Host::B, listener)] {
        close(&mut net, host, fd);
    }
    net.pass(Duration::from_secs(100));
    net.assert_clean();
}

#[test]
fn a_program_that_does_not_read_closes_the_window_and_opens_it_by_reading() {
    let mut net = Net::default();
    let (_, client, server) = net.connected();
    let bytes = pattern(600_000);
    let mut sent = 0;
    for _ in 0..200 {
        sent += send(&mut net, Host::A, client, &bytes[sent..]).unwrap_or(0);
        net.pass(ms(10));
    }
    let waiting = net.on(Host::B, |s| s.unread(server)).expect("SIOCINQ");
    // The window is told in units of 128 bytes, rounded up.
    assert!((262_144..263_168).contains(&waiting), "the receive buffer is full: {waiting}");
    assert!(sent < bytes.len(), "the send buffer took all");
    let mut got = Vec::new();
    while got.len() < bytes.len() {
        got.extend(recv(&mut net, Host::B, server, 100_000).unwrap_or_default());
        sent += send(&mut net, Host::A, client, &bytes[sent..]).unwrap_or(0);
        net.pass(ms(300));
    }
    assert!(got == bytes);
}

#[test]
fn peeking_leaves_the_bytes_where_they_are() {
    let mut net = Net::default();
    let (_, client, server) = net.connected();
    send(&mut net, Host::A, client, b"twice").expect("room");
    net.pass(ms(50));
    let mut buffer = [0; 8];
    for flags in [Flags { peek: true, ..PLAIN }, Flags { peek: true, ..PLAIN }, PLAIN] {
        assert_eq!(net.on(Host::B, |s| s.recv(server, &mut buffer, flags)), Ok(5));
        assert_eq!(&buffer[..5], b"twice");
    }
    assert_eq!(recv(&mut net, Host::B, server, 8), Err(Errno::AGAIN));
}

#[test]
fn what_came_before_the_end_is_read_before_the_end() {
    let mut net = Net::default();
    let (_, client, server) = net.connected();
    send(&mut net, Host::A, client, b"last words").expect("room");
    close(&mut net, Host::A, client);
    net.pass(ms(50));
    assert_eq!(recv(&mut net, Host::B, server, 4).as_deref(), Ok(&b"last"[..]));
    assert_eq!(recv(&mut net, Host::B, server, 99).as_deref(), Ok(&b" words"[..]));
    assert_eq!(recv(&mut net, Host::B, server, 99).as_deref(), Ok(&b""[..]));
    assert_eq!(send(&mut net, Host::B, server, b"too late"), Ok(8), "the RST has not come yet");
    net.pass(ms(50));
    assert_eq!(send(&mut net, Host::B, server, b"!"), Err(Errno::CONNRESET));
    assert_eq!(send(&mut net, Host::B, server, b"!"), Err(Errno::PIPE));
}

/// A connection whose client has sent "last words" and, when the server has done something with them, a reset: the server.
fn reset_behind_last_words(meanwhile: impl FnOnce(&mut Net, Fd)) -> (Net, Fd) {
    let mut net = Net::default();
    let (_, client, server) = net.connected();
    send(&mut net, Host::A, client, b"last words").expect("room");
    net.pass(ms(50));
    meanwhile(&mut net, server);
    net.on(Host::A, |s| s.disconnect(client)).expect("a connection");
    net.pass(ms(50));
    (net, server)
}

#[test]
fn what_came_before_a_reset_is_read_before_the_error() {
    let (mut net, server) = reset_behind_last_words(|_, _| ());
    assert_eq!(recv(&mut net, Host::B, server, 4).as_deref(), Ok(&b"last"[..]));
    assert_eq!(recv(&mut net, Host::B, server, 99).as_deref(), Ok(&b" words"[..]));
    assert_eq!(recv(&mut net, Host::B, server, 99), Err(Errno::CONNRESET));
    assert_eq!(recv(&mut net, Host::B, server, 99).as_deref(), Ok(&b""[..]));
}

#[test]
fn reading_nothing_takes_neither_bytes_nor_the_error_behind_them() {
    let (mut net, server) = reset_behind_last_words(|_, _| ());
    assert_eq!(recv(&mut net, Host::B, server, 0).as_deref(), Ok(&b""[..]));
    assert_eq!(recv(&mut net, Host::B, server, 99).as_deref(), Ok(&b"last words"[..]));
    assert_eq!(recv(&mut net, Host::B, server, 99), Err(Errno::CONNRESET));
}

#[test]
fn a_reset_leaves_nothing_to_a_socket_that_reads_no_more() {
    let (mut net, server) =
        reset_behind_last_words(|net, server| net.on(Host::B, |s| s.shutdown(server, How::Read)).expect("shutdown"));
    assert_eq!(recv(&mut net, Host::B, server, 99), Err(Errno::CONNRESET));
}

#[test]
fn what_is_left_by_connections_that_were_reset_is_bounded_for_all_together() {
    let (a, mut b) = configs();
    b.limits.held_frames = 16;
    let bound = 16 * usize::from(b.mtu);
    let mut net = Net::new((a, b));
    let listener = net.listener(8);
    // A connection that brings 10,000 bytes and is reset: the socket that it leaves.
    let leave = |net: &mut Net| {
        let client = net.on(Host::A, |s| s.socket(false));
        blocking::connect(&mut net.program(Host::A), client, ADDR_B, PORT).expect("a connection");
        send(net, Host::A, client, &[7; 10_000]).expect("room");
        net.pass(ms(50));
        let (server, _) = net.on(Host::B, |s| s.accept(listener)).expect("a connection");
        net.on(Host::A, |s| s.disconnect(client)).expect("a connection");
        net.pass(ms(50));
        server
    };
    let read = |net: &mut Net, fd: Fd| {
        let mut done = 0;
        loop {
            match recv(net, Host::B, fd, 3_000) {
                Ok(bytes) if !bytes.is_empty() => done += bytes.len(),
                end => {
                    assert_eq!(end, Err(Errno::CONNRESET));
                    return done;
                }
            }
        }
    };
    let sockets = [(); 4].map(|()| leave(&mut net));
    assert_eq!(read(&mut net, sockets[1]), 10_000);
    assert_eq!(read(&mut net, sockets[2]), bound - 20_000);
    assert_eq!(read(&mut net, sockets[3]), 0);
    close(&mut net, Host::B, sockets[0]);
    // Those that were read or closed have made room.
    let sockets = [(); 2].map(|()| leave(&mut net));
    assert_eq!(sockets.map(|fd| read(&mut net, fd)), [10_000; 2]);
}

#[test]
fn after_shutting_down_one_direction_the_other_goes_on() {
    let mut net = Net::default();
    let (listener, client, server) = net.connected();
    net.on(Host::A, |s| s.shutdown(client, How::Write)).expect("shutdown");
    net.pass(ms(50));
    assert_eq!(recv(&mut net, Host::B, server, 9).as_deref(), Ok(&b""[..]));
    send(&mut net, Host::B, server, b"reply").expect("room");
    net.pass(ms(50));
    assert_eq!(recv(&mut net, Host::A, client, 9).as_deref(), Ok(&b"reply"[..]));
    for (host, fd) in [(Host::B, server), (Host::A, client), (Host::B, listener)] {
        close(&mut net, host, fd);
    }
    net.pass(Duration::from_secs(100));
    net.assert_clean();
}

#[test]
fn closing_with_unread_bytes_resets_the_connection() {
    let mut net = Net::default();
    let (_, client, server) = net.connected();
    send(&mut net, Host::A, client, b"nobody reads this").expect("room");
    net.pass(ms(50));
    close(&mut net, Host::B, server);
    net.pass(ms(50));
    assert_eq!(recv(&mut net, Host::A, client, 9), Err(Errno::CONNRESET));
}

#[test]
fn nagle_holds_small_segments_back_and_nodelay_lets_them_go() {
    for (nodelay, expected) in [(0, vec![10, 20]), (1, vec![10, 10, 10])] {
        let mut net = Net::default();
        let (_, client, _) = net.connected();
        set(&mut net, Host::A, client, libc::IPPROTO_TCP, libc::TCP_NODELAY, nodelay).expect("TCP_NODELAY");
        for _ in 0..3 {
            send(&mut net, Host::A, client, &[7; 10]).expect("room");
        }
        net.pass(ms(200));
        assert_eq!(sizes(&net), expected, "TCP_NODELAY {nodelay}");
    }
}

#[test]
fn a_corked_socket_sends_whole_segments_until_uncorked_or_for_200_ms() {
    let mut net = Net::default();
    let (_, client, _) = net.connected();
    set(&mut net, Host::A, client, libc::IPPROTO_TCP, libc::TCP_CORK, 1).expect("TCP_CORK");
    send(&mut net, Host::A, client, &[7; 1_000]).expect("room");
    send(&mut net, Host::A, client, &[7; 1_000]).expect("room");
    net.pass(ms(50));
    assert_eq!(sizes(&net), [1_448]);
    set(&mut net, Host::A, client, libc::IPPROTO_TCP, libc::TCP_CORK, 0).expect("TCP_CORK");
    net.pass(ms(50));
    assert_eq!(sizes(&net), [1_448, 552]);
    net.on(Host::A, |s| s.send(client, &[7; 100], Flags { more: true, ..PLAIN })).expect("room");
    net.pass(ms(190));
    assert_eq!(sizes(&net).len(), 2, "MSG_MORE waits");
    net.pass(ms(20));
    assert_eq!(sizes(&net), [1_448, 552, 100]);
    net.pass(ms(100));
    net.on(Host::A, |s| s.send(client, &[7; 30], Flags { more: true, ..PLAIN })).expect("room");
    send(&mut net, Host::A, client, &[7; 40]).expect("room");
    assert_eq!(sizes(&net), [1_448, 552, 100, 70]);
    let pushed = |e: &&TraceEvent| e.outgoing && e.payload_len > 0 && e.flags.0 & TcpFlags::PSH.0 != 0;
    assert_eq!(net.trace.iter().filter(pushed).count(), 3, "a whole segment of a corked socket does not push");
}

#[test]
fn more_to_come_holds_back_only_until_the_next_ack() {
    let mut net = Net::default();
    let (_, client, _) = net.connected();
    send(&mut net, Host::A, client, &[7; 100]).expect("room");
    net.on(Host::A, |s| s.send(client, &[7; 50], Flags { more: true, ..PLAIN })).expect("room");
    assert_eq!(sizes(&net), [100]);
    net.pass(ms(100));
    assert_eq!(sizes(&net), [100, 50], "before the 200 ms are over");
    let pushed = |e: &&TraceEvent| e.outgoing && e.payload_len > 0 && e.flags.0 & TcpFlags::PSH.0 != 0;
    assert_eq!(net.trace.iter().filter(pushed).count(), 1, "what is to be followed by more needs no PSH");
}

#[test]
fn urgent_bytes_stay_in_line() {
    let mut net = Net::default();
    let (_, client, server) = net.connected();
    let urgent = Flags { urgent: true, ..PLAIN };
    assert_eq!(net.on(Host::A, |s| s.send(client, b"now", urgent)), Ok(3));
    net.pass(ms(50));
    assert_eq!(net.on(Host::B, |s| s.recv(server, &mut [0; 8], urgent)), Err(Errno::INVAL));
    assert_eq!(recv(&mut net, Host::B, server, 8), Ok(b"now".to_vec()));
}
