//! SO_TIMESTAMPING at the edges of a connection: its beginning, its end, and the one after it.

use crate::{PLAIN, ms, send, set};
use synfin_engine::socket::{Errno, Fd, How, Moment};
use synfin_tests::pair::{ADDR_B, configs};
use synfin_tests::sockets::{Host, Net, PORT};

const TIMES: u32 = libc::SOF_TIMESTAMPING_SOFTWARE
    | libc::SOF_TIMESTAMPING_TX_SCHED
    | libc::SOF_TIMESTAMPING_TX_SOFTWARE
    | libc::SOF_TIMESTAMPING_TX_ACK;
const NUMBERED: u32 = TIMES | libc::SOF_TIMESTAMPING_OPT_ID;
const ALL: [Moment; 3] = [Moment::Scheduled, Moment::Sent, Moment::Acknowledged];

fn ask(net: &mut Net, fd: Fd, bits: u32) -> Result<(), Errno> {
    set(net, Host::A, fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPING, bits as i32)
}

/// What the program on A has not been told yet.
fn told(net: &mut Net, fd: Fd) -> Vec<(Moment, u32)> {
    std::iter::from_fn(|| net.on(Host::A, |s| s.take_stamp(fd)).ok()).map(|s| (s.moment, s.key)).collect()
}

fn connect(net: &mut Net, fd: Fd) -> Result<(), Errno> {
    net.on(Host::A, |s| s.connect(fd, ADDR_B, PORT))
}

#[test]
fn bytes_are_numbered_from_the_first_of_the_connection_they_belong_to() {
    let mut net = Net::default();
    let (listener, client, _server) = net.connected();
    ask(&mut net, client, NUMBERED).expect("an option");
    // On its way when the connection is given up.
    assert_eq!(send(&mut net, Host::A, client, b"hello"), Ok(5));
    net.on(Host::A, |s| s.disconnect(client)).expect("a connection");
    told(&mut net, client);
    assert_eq!(connect(&mut net, client), Err(Errno::INPROGRESS));
    net.pass(ms(50));
    assert_eq!(connect(&mut net, client), Ok(()));
    net.on(Host::B, |s| s.accept(listener)).expect("a connection");
    assert_eq!(told(&mut net, client), [], "of the old connection nothing more is heard");
    assert_eq!(send(&mut net, Host::A, client, b"you"), Ok(3));
    net.pass(ms(500));
    assert_eq!(told(&mut net, client), ALL.map(|moment| (moment, 2)));
}

#[test]
fn last_bytes_are_told_of_although_their_acknowledgement_ends_the_connection() {
    let mut net = Net::default();
    let (_, client, server) = net.connected();
    ask(&mut net, client, NUMBERED).expect("an option");
    net.on(Host::B, |s| s.shutdown(server, How::Write)).expect("a connection");
    net.pass(ms(50));
    net.on(Host::A, |s| {
        assert_eq!(s.send(client, b"bye", PLAIN), Ok(3));
        s.shutdown(client, How::Write).expect("a connection");
    });
    net.pass(ms(500));
    assert_eq!(told(&mut net, client), ALL.map(|moment| (moment, 2)));
}

#[test]
fn bytes_are_not_numbered_where_there_is_no_connection() {
    let mut net = Net::default();
    let fd = net.on(Host::A, |s| s.socket(false));
    assert_eq!(ask(&mut net, fd, NUMBERED), Err(Errno::INVAL));
    assert_eq!(ask(&mut net, fd, TIMES), Ok(()));
    net.listener(8);
    assert_eq!(connect(&mut net, fd), Err(Errno::INPROGRESS));
    assert_eq!(ask(&mut net, fd, NUMBERED), Ok(()), "it has begun");
    net.pass(ms(50));
    assert_eq!(connect(&mut net, fd), Ok(()));
    assert_eq!(send(&mut net, Host::A, fd, b"hello"), Ok(5));
    net.pass(ms(500));
    assert_eq!(told(&mut net, fd), ALL.map(|moment| (moment, 4)));
}

#[test]
fn bytes_that_go_with_the_syn_have_their_times() {
    let (mut a, b) = configs();
    (a.tcp.fast_open.client, a.tcp.fast_open.client_without_cookie) = (true, true);
    let mut net = Net::new((a, b));
    let listener = net.listener(8);
    // Whether it takes the bytes with the SYN or only afterwards.
    for queue in [None, Some(4)] {
        if let Some(queue) = queue {
            set(&mut net, Host::B, listener, libc::IPPROTO_TCP, libc::TCP_FASTOPEN, queue).expect("TCP_FASTOPEN");
        }
        let fd = net.on(Host::A, |s| s.socket(false));
        ask(&mut net, fd, TIMES).expect("an option");
        assert_eq!(net.on(Host::A, |s| s.send_fast(fd, b"hello", PLAIN, (ADDR_B, PORT), false)), Ok(5));
        net.pass(ms(500));
        assert_eq!(told(&mut net, fd), ALL.map(|moment| (moment, 0)));
    }
}
