//! TCP Fast Open (RFC 7413) as a client, and both ends over a link.

use crate::fast_open::{cookie, granted, with};
use crate::{BYTES, closed, events, ms, over, seconds, sends_after};
use std::time::Duration;
use synfin_engine::base::{Event, Instant};
use synfin_engine::io::sim::Impairment;
use synfin_engine::shard::{App, CloseReason, Conn, Connect, Net, Payload, ShardConfig};
use synfin_engine::wire::{FastOpenCookie, TcpOptions};
use synfin_tests::host::{Host, Told, plain_config, seg};
use synfin_tests::pair::{ADDR_A, ADDR_B, Pair, configs};

fn client_config() -> ShardConfig {
    let mut config = plain_config();
    config.tcp.fast_open.client = true;
    config
}

/// A client that has `cookie` of the peer, whose MSS is 1000; the connection that brought it is over.
fn client(config: ShardConfig) -> Host {
    let mut host = Host::new(config);
    (host.remote, host.local) = ((host.remote.0, 80), (host.local.0, 39_999));
    connect(&mut host, b"");
    assert_eq!(granted(&host.expect("S", 300, 0)), Some(FastOpenCookie::request(false)));
    host.send(with(seg("S.", 500, 301).mss(1000), cookie(b"COOKIE")));
    host.expect(".", 301, 501);
    over(&mut host, 501);
    host.shard.app_mut().told.clear();
    host.local.1 = 40_000;
    host
}

/// Connects with `data` ready to be sent.
fn connect(host: &mut Host, data: &'static [u8]) {
    let to =
        Connect { local: host.local.0, local_port: host.local.1, remote: host.remote.0, remote_port: host.remote.1 };
    host.shard.with_net(host.now, |app, net| {
        let id = net.connect_fast(to, ()).expect("a free 4-tuple");
        app.conn = Some(id);
        net.conn(id).expect("a connection").send(Payload::Static(data)).expect("room");
    });
    host.turn(Vec::new());
}

#[test]
fn client_asks_for_a_cookie_and_sends_data_with_its_next_syn() {
    let mut host = client(client_config());
    connect(&mut host, b"hello");
    let syn = host.expect("S", 300, 0);
    assert_eq!((granted(&syn), syn.data.as_slice()), (Some(cookie(b"COOKIE")), b"hello".as_slice()));
    host.send(seg("S.", 500, 306).mss(1000));
    host.expect(".", 306, 501);
    assert_eq!(host.told(), [Told::Connected]);
    host.act(|c| assert!(c.info().unwrap().syn_data && c.queued_bytes() == 0));
    assert_eq!((events(&host, Event::FastOpensSent), events(&host, Event::FastOpensAcked)), (1, 1));
    over(&mut host, 501);
}

#[test]
fn client_that_has_forgotten_its_servers_asks_for_a_cookie_anew() {
    let mut host = client(client_config());
    host.shard.forget_fast_open_servers();
    connect(&mut host, b"hello");
    let syn = host.expect("S", 300, 0);
    assert_eq!((granted(&syn), syn.data.len()), (Some(FastOpenCookie::request(false)), 0));
    host.send(with(seg("S.", 500, 301).mss(1000), cookie(b"NEWONE")));
    host.expect_data(301, 501, b"hello");
    over(&mut host, 501);
}

#[test]
fn syn_carries_what_fits_and_the_rest_follows() {
    let mut host = client(client_config());
    connect(&mut host, &BYTES[..2500]);
    // The server's MSS, less what options can take.
    assert_eq!(host.expect("S", 300, 0).data, &BYTES[..960]);
    host.send(seg("S.", 500, 1261).mss(1000));
    host.expect_data(1261, 501, &BYTES[960..1960]);
    host.expect_data(2261, 501, &BYTES[1960..2500]);
    over(&mut host, 501);
}

#[test]
fn data_that_the_server_did_not_take_go_out_again_at_once() {
    for taken in [0, 2] {
        let mut host = client(client_config());
        connect(&mut host, b"hello");
        host.expect("S", 300, 0);
        host.send(seg("S.", 500, 301 + taken).mss(1000));
        host.expect_data(301 + taken, 501, &b"hello"[taken as usize..]);
        host.act(|c| assert!(!c.info().unwrap().syn_data));
        assert_eq!(events(&host, Event::FastOpensAcked), 0);
        host.pass_until_output(seconds(3));
        host.expect_data(301 + taken, 501, &b"hello"[taken as usize..]);
        host.send(seg(".", 501, 306));
        host.act(|c| assert_eq!(c.queued_bytes(), 0));
        over(&mut host, 501);
    }
}

#[test]
fn data_in_the_syn_ack_are_delivered() {
    let mut host = client(client_config());
    connect(&mut host, b"hello");
    host.expect("S", 300, 0);
    host.send(seg("S.", 500, 306).mss(1000).data(b"answer"));
    host.expect(".", 306, 507);
    assert_eq!(host.told(), [Told::Connected, Told::Data(b"answer".to_vec())]);
    over(&mut host, 507);
}

#[test]
fn syn_ack_beyond_the_data_is_refused() {
    let mut host = client(client_config());
    connect(&mut host, b"hello");
    host.expect("S", 300, 0);
    host.send(seg("S.", 500, 307).mss(1000));
    host.expect("R", 307, 0);
    host.send(seg("R.", 0, 301));
    assert_eq!(closed(&host), Some(CloseReason::Refused));
    host.assert_clean();
}

#[test]
fn syn_is_repeated_without_data_and_option() {
    let mut host = client(client_config());
    connect(&mut host, b"hello");
    host.expect("S", 300, 0);
    sends_after(&mut host, seconds(1));
    let again = host.expect("S", 300, 0);
    assert!(again.data.is_empty() && granted(&again).is_none());
    host.send(seg("S.", 500, 301).mss(1000));
    host.expect_data(301, 501, b"hello");
    over(&mut host, 501);
}

#[test]
fn path_that_loses_such_syns_gets_none_for_a_while() {
    let mut host = client(client_config());
    let lose = |host: &mut Host, port| {
        host.local.1 = port;
        connect(host, b"hello");
        let first = host.expect("S", 300, 0);
        if !first.data.is_empty() {
            sends_after(host, seconds(1));
            host.expect("S", 300, 0);
        }
        host.send(seg("S.", 500, 301).mss(1000));
        host.expect_data(301, 501, b"hello");
        host.send(seg("R", 501, 0));
        host.shard.app_mut().told.clear();
        (first.data.len(), granted(&first).is_some())
    };
    assert_eq!(lose(&mut host, 1), (5, true));
    assert_eq!(lose(&mut host, 2), (5, true));
    assert_eq!(lose(&mut host, 3), (0, false));
    host.pass(seconds(120));
    assert_eq!(lose(&mut host, 4), (5, true));
    host.assert_clean();
}

#[test]
fn ordinary_connections_of_a_client_carry_no_option() {
    let mut host = client(client_config());
    host.connect().unwrap();
    host.write(b"hello");
    let syn = host.expect("S", 300, 0);
    assert!(syn.data.is_empty() && granted(&syn).is_none());
    host.send(seg("R.", 0, 301));
    // Nor do any where it is off.
    let mut host = Host::new(plain_config());
    connect(&mut host, b"hello");
    let syn = host.expect("S", 300, 0);
    assert!(syn.data.is_empty() && granted(&syn).is_none());
    host.send(seg("R.", 0, 301));
    host.assert_clean();
}

#[test]
fn client_that_needs_no_cookie_sends_data_without() {
    let mut config = client_config();
    config.tcp.fast_open.client_without_cookie = true;
    let mut host = Host::new(config);
    connect(&mut host, b"hello");
    let syn = host.expect("S", 300, 0);
    assert_eq!((granted(&syn), syn.data.as_slice()), (None, b"hello".as_slice()));
    // A cookie that nobody asked for is not kept.
    host.send(with(seg("S.", 500, 306).mss(1000), cookie(b"COOKIE")));
    host.expect(".", 306, 501);
    over(&mut host, 501);
}

#[test]
fn cookies_of_impossible_length_are_ignored() {
    let mut host = client(client_config());
    connect(&mut host, b"hello");
    host.expect("S", 300, 0);
    assert!([1, 2, 3, 5, 7, 15, 17, 18].iter().all(|&n| FastOpenCookie::new(&[0; 18][..n], false).is_none()));
    assert!([0, 4, 6, 8, 16].iter().all(|&n| FastOpenCookie::new(&[0; 18][..n], false).is_some()));
    host.send(seg("S.", 500, 306).options(TcpOptions { mss: Some(1000), ..TcpOptions::NONE }));
    host.expect(".", 306, 501);
    over(&mut host, 501);
}

#[test]
fn simultaneous_open_with_data_on_both_sides_makes_one_connection() {
    let mut host = client(client_config());
    connect(&mut host, b"hello");
    host.expect("S", 300, 0);
    host.send(with(seg("S", 500, 0).mss(1000).data(b"there"), cookie(b"HISOWN")));
    // Its data wait for the handshake, and nobody is told of them.
    let answer = host.expect("S.", 300, 501);
    assert!(answer.data.is_empty());
    assert_eq!(host.told(), []);
    host.send(seg("S.", 500, 306).mss(1000));
    host.expect(".", 306, 506);
    assert_eq!(host.told(), [Told::Connected, Told::Data(b"there".to_vec())]);
    over(&mut host, 506);
}

/// Opens connections one after another, each with a question, and counts the answers.
struct Asker {
    question: &'static [u8],
    left: u16,
    open: bool,
    answers: u32,
    ended: Vec<CloseReason>,
}

impl App for Asker {
    type Conn = ();

    fn poll(&mut self, net: &mut Net<'_, ()>) {
        if self.open || self.left == 0 {
            return;
        }
        self.left -= 1;
        self.open = true;
        let local_port = 2_000 + self.left;
        let to = Connect { local: ADDR_A, local_port, remote: ADDR_B, remote_port: 80 };
        let id = net.connect_fast(to, ()).expect("a free 4-tuple");
        net.conn(id).unwrap().send(Payload::Static(self.question)).unwrap();
    }

    fn data(&mut self, conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        assert_eq!(bytes, b"answer");
        self.answers += 1;
        conn.close();
        bytes.len()
    }

    fn closed(&mut self, (): (), why: CloseReason, _: Instant) {
        self.open = false;
        self.ended.push(why);
    }
}

const QUESTION: usize = 3_000;

/// Answers each question, knowing how long it is.
struct Answerer {
    question: usize,
    wrong: bool,
}

impl App for Answerer {
    type Conn = usize;

    fn data(&mut self, conn: &mut Conn<'_, usize>, bytes: &[u8]) -> usize {
        self.wrong |= bytes != &BYTES[*conn.user..*conn.user + bytes.len()];
        *conn.user += bytes.len();
        if *conn.user == self.question {
            conn.send(Payload::Static(b"answer")).expect("room");
        }
        bytes.len()
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, usize>) {
        conn.close();
    }
}

#[test]
fn questions_and_answers_arrive_once_whatever_the_link_does() {
    for (seed, loss, fast_at_least) in [(1, 0.0, 199), (2, 0.02, 100), (3, 0.2, 1)] {
        let (mut a, mut b) = configs();
        a.tcp.fast_open.client = true;
        b.tcp.fast_open.server_pending_max = 100;
        (a.tcp.time_wait, b.tcp.time_wait) = (ms(1), ms(1));
        let harm = Impairment {
            loss,
            duplicate: loss,
            reorder: loss,
            delay: Duration::from_millis(5),
            ..Impairment::default()
        };
        // Some of it fits the SYN.
        let asker = Asker { question: &BYTES[..QUESTION], left: 200, open: false, answers: 0, ended: Vec::new() };
        let mut pair = Pair::new((a, b), (asker, Answerer { question: QUESTION, wrong: false }), seed, [harm, harm]);
        pair.b.shard.listen(80);
        assert!(pair.run(seconds(1_000_000)));
        let (asker, answerer) = (pair.a.shard.app(), pair.b.shard.app());
        assert_eq!((asker.answers, asker.ended.len(), answerer.wrong), (200, 200, false), "loss {loss}");
        assert!(asker.ended.iter().all(|why| *why == CloseReason::Graceful));
        let accepted = pair.b.shard.counters().count(Event::FastOpensAccepted);
        assert!(accepted >= fast_at_least, "loss {loss}: {accepted}");
        pair.a.assert_clean();
        pair.b.assert_clean();
    }
}

#[test]
fn data_in_a_syn_save_a_round_trip() {
    let rtts = |fast| {
        let (mut a, mut b) = configs();
        a.tcp.fast_open.client = fast;
        b.tcp.fast_open.server_pending_max = 100;
        let path = Impairment { delay: ms(50), ..Impairment::default() };
        let asker = Asker { question: &BYTES[..1_000], left: 2, open: false, answers: 0, ended: Vec::new() };
        let mut pair = Pair::new((a, b), (asker, Answerer { question: 1_000, wrong: false }), 1, [path, path]);
        pair.b.shard.listen(80);
        let begin = pair.now;
        while pair.a.shard.app().answers < 2 {
            pair.run(ms(1));
        }
        pair.now.nanos_since(begin) / 100_000_000
    };
    // The first connection asks for the cookie: two round trips and one of closing, as without; the second one less.
    assert_eq!(rtts(false), rtts(true) + 1);
}
