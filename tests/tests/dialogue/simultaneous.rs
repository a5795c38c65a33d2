//! Both sides open, or close, at once.

use crate::{closed, in_state, over, seconds, sends_after};
use std::time::Duration;
use synfin_engine::base::Instant;
use synfin_engine::io::sim::Impairment;
use synfin_engine::shard::{App, CloseReason, Conn, Connect, Net, Payload};
use synfin_engine::tcp::State;
use synfin_engine::wire::{Addr, TcpOptions};
use synfin_tests::host::{Host, Told, plain_config, seg};
use synfin_tests::pair::{ADDR_A, ADDR_B, Pair, configs};

#[test]
fn simultaneous_open_makes_one_connection() {
    let mut host = in_state(State::SynSent);
    host.send(seg("S", 500, 0).mss(1460));
    host.expect("S.", 300, 501);
    assert_eq!(host.state(), State::SynReceived);
    assert!(host.told().is_empty());
    host.send(seg("S.", 500, 301).mss(1460));
    assert_eq!(host.state(), State::Established);
    assert_eq!(host.told(), [Told::Connected]);
    host.expect(".", 301, 501);
    host.expect_nothing();
    assert_eq!(host.shard.live(), (1, 0, 0));
    over(&mut host, 501);
}

#[test]
fn simultaneous_open_is_completed_by_a_bare_ack_as_well() {
    let mut host = in_state(State::SynReceived);
    host.send(seg(".", 501, 301));
    assert_eq!(host.told(), [Told::Connected]);
    host.write(b"hello");
    host.expect_data(301, 501, b"hello");
    over(&mut host, 501);
}

#[test]
fn lost_syn_ack_of_a_simultaneous_open_is_sent_again() {
    let mut host = in_state(State::SynReceived);
    sends_after(&mut host, seconds(1));
    host.expect("S.", 300, 501);
    host.send(seg("S.", 500, 301));
    host.expect(".", 301, 501);
    assert_eq!(host.told(), [Told::Connected]);
    over(&mut host, 501);
}

#[test]
fn simultaneous_open_gives_up_after_its_retries() {
    let mut host = in_state(State::SynReceived);
    host.pass(seconds(1000));
    assert_eq!(host.told(), [Told::Closed(CloseReason::TimedOut)]);
    host.assert_clean();
}

#[test]
fn wrong_ack_in_a_simultaneous_open_is_reset() {
    let mut host = in_state(State::SynReceived);
    host.send(seg(".", 501, 302));
    host.expect("R", 302, 0);
    assert_eq!(host.state(), State::SynReceived);
    host.send(seg(".", 501, 301));
    assert_eq!(host.state(), State::Established);
    over(&mut host, 501);
}

#[test]
fn window_of_the_syn_ack_that_ends_a_simultaneous_open_is_not_scaled() {
    // RFC 7323 2.2: the window of a segment with SYN is never scaled.
    let scaled = TcpOptions { mss: Some(1000), window_scale: Some(10), ..TcpOptions::default() };
    let mut host = in_state(State::SynSent);
    host.write(&crate::BYTES[..10_000]);
    host.send(seg("S", 500, 0).window(2000).options(scaled));
    host.expect("S.", 300, 501);
    host.send(seg("S.", 500, 301).window(2000).options(scaled));
    host.expect_data(301, 501, &crate::BYTES[..1000]);
    host.expect_data(1301, 501, &crate::BYTES[1000..2000]);
    host.expect_nothing();
    over(&mut host, 501);
}

#[test]
fn closing_during_a_simultaneous_open_sends_the_fin_after_it() {
    let mut host = in_state(State::SynReceived);
    host.act(|c| c.shutdown());
    host.expect_nothing();
    host.send(seg("S.", 500, 301));
    host.expect("F.", 301, 501);
    assert_eq!(host.state(), State::FinWait1);
    host.send(seg("F.", 501, 302));
    host.expect(".", 302, 502);
    assert_eq!(closed(&host), Some(CloseReason::Graceful));
    host.pass(seconds(61));
    host.assert_clean();
}

/// Opens one connection, sends `hello`, closes once that has come from the other side.
struct Both {
    to: Connect,
    started: bool,
    received: Vec<u8>,
    opened: u32,
    ended: Vec<CloseReason>,
}

impl Both {
    fn new(local: Addr, remote: Addr) -> Both {
        let to = Connect { local, local_port: 7000, remote, remote_port: 7000 };
        Both { to, started: false, received: Vec::new(), opened: 0, ended: Vec::new() }
    }
}

impl App for Both {
    type Conn = ();

    fn poll(&mut self, net: &mut Net<'_, ()>) {
        if !self.started {
            self.started = true;
            net.connect(self.to, ()).expect("a free 4-tuple");
        }
    }

    fn connected(&mut self, conn: &mut Conn<'_, ()>) {
        self.opened += 1;
        conn.send(Payload::Static(b"hello")).expect("room to send");
    }

    fn data(&mut self, conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        self.received.extend_from_slice(bytes);
        conn.shutdown();
        bytes.len()
    }

    fn closed(&mut self, (): (), why: CloseReason, _: Instant) {
        self.ended.push(why);
    }
}

#[test]
fn two_hosts_that_open_and_close_at_once_have_one_connection() {
    let (mut a, mut b) = configs();
    (a.trace, b.trace) = (true, true);
    let delay = Impairment { delay: Duration::from_millis(5), ..Impairment::default() };
    let apps = (Both::new(ADDR_A, ADDR_B), Both::new(ADDR_B, ADDR_A));
    let mut pair = Pair::new((a, b), apps, 3, [delay, delay]);
    assert!(pair.run(seconds(200)));
    for app in [pair.a.shard.app(), pair.b.shard.app()] {
        assert_eq!((app.opened, app.received.as_slice()), (1, b"hello".as_slice()));
        assert_eq!(app.ended, [CloseReason::Graceful]);
    }
    // Each went through SYN-RECEIVED, CLOSING and TIME-WAIT.
    for trace in [&pair.a.trace, &pair.b.trace] {
        for state in [State::SynReceived, State::Closing, State::TimeWait] {
            assert!(trace.iter().any(|e| e.after == state), "{state} was never entered");
        }
    }
    pair.a.assert_clean();
    pair.b.assert_clean();
}

#[test]
fn simultaneous_close_goes_through_closing_to_time_wait() {
    let mut host = Host::connected(plain_config());
    host.act(|c| c.close());
    host.expect("F.", 301, 501);
    host.send(seg("F.", 501, 301));
    host.expect(".", 302, 502);
    assert_eq!(host.state(), State::Closing);
    host.send(seg(".", 502, 302));
    assert_eq!(host.state(), State::TimeWait);
    assert_eq!(closed(&host), Some(CloseReason::Graceful));
    host.expect_nothing();
    host.pass(seconds(61));
    host.assert_clean();
}

#[test]
fn bytes_of_a_crossing_syn_wait_for_the_handshake() {
    for (flags, with_data) in [(".", false), ("S.", true), ("F.", true)] {
        let mut host = in_state(State::SynSent);
        host.send(seg("S", 500, 0).mss(1460).data(*b"abc"));
        host.expect("S.", 300, 501);
        assert_eq!(host.told(), []);
        // What establishes the connection may bring them once more, and others behind them.
        let (seq, data) = match (flags, with_data) {
            ("S.", _) => (500, "abc"),
            (_, true) => (501, "abcde"),
            _ => (504, ""),
        };
        host.send(seg(flags, seq, 301).data(data));
        let taken = if flags == "F." { "abcde" } else { "abc" };
        assert_eq!(host.shard.app().bytes(), taken.as_bytes(), "{flags}");
        host.out.clear();
        host.pass(seconds(1));
        host.out.clear();
        over(&mut host, 501 + taken.len() as u32 + u32::from(flags == "F."));
    }
}

#[test]
fn bytes_of_a_crossing_syn_for_an_application_that_has_closed_are_refused() {
    let mut host = in_state(State::SynSent);
    host.send(seg("S", 500, 0).mss(1460).data(*b"abc"));
    host.expect("S.", 300, 501);
    host.act(|c| c.close());
    host.send(seg(".", 504, 301));
    assert!(host.out.iter().any(|sent| sent.seg.flags.rst()));
    assert_eq!(closed(&host), Some(CloseReason::Aborted));
    host.assert_clean();
}
