//! TCP Fast Open (RFC 7413) as a server.

use crate::{BYTES, closed, events, over, seconds, sends_after};
use synfin_engine::base::Event;
use synfin_engine::shard::{CloseReason, Payload, ShardConfig};
use synfin_engine::tcp::{Ecn, FastOpen, FastOpenKeys, State, SynCookies};
use synfin_engine::wire::FastOpenCookie;
use synfin_tests::host::{Host, Seg, Sent, Told, plain_config, seg};

const KEYS: FastOpenKeys = FastOpenKeys { primary: [1; 16], backup: None };

fn server_config() -> ShardConfig {
    let mut config = plain_config();
    config.tcp.fast_open = FastOpen { server_pending_max: 2, keys: Some(KEYS), ..FastOpen::default() };
    config
}

pub fn cookie(bytes: &[u8]) -> FastOpenCookie {
    FastOpenCookie::new(bytes, false).expect("a length that cookies have")
}

pub fn with(mut s: Seg, option: FastOpenCookie) -> Seg {
    s.options.fast_open = Some(option);
    s
}

pub fn granted(sent: &Sent) -> Option<FastOpenCookie> {
    sent.seg.options.fast_open
}

/// A SYN from the peer's `port` with option and data.
fn fast_syn(host: &mut Host, port: u16, option: FastOpenCookie, data: &[u8]) {
    host.remote.1 = port;
    host.send(with(seg("S", 100, 0).mss(1000).data(data), option));
}

/// A server, and the cookie that it has given to the peer.
fn server(config: ShardConfig) -> (Host, FastOpenCookie) {
    let mut host = Host::server(config);
    fast_syn(&mut host, 39_999, FastOpenCookie::request(false), b"");
    let cookie = granted(&host.expect("S.", 300, 101)).expect("a cookie");
    host.send(seg("R", 101, 0));
    host.assert_clean();
    (host, cookie)
}

#[test]
fn server_gives_a_cookie_and_later_takes_data_with_the_syn_that_brings_it() {
    let (mut host, cookie) = server(server_config());
    fast_syn(&mut host, 40_000, cookie, b"hello");
    assert_eq!(host.told(), [Told::Accepted, Told::Data(b"hello".to_vec())]);
    let answer = host.expect("S.", 300, 106);
    assert_eq!(granted(&answer), None);
    assert_eq!(host.state(), State::SynReceived);
    host.act(|c| assert!(c.info().unwrap().syn_data));
    host.send(seg(".", 106, 301));
    assert_eq!(host.state(), State::Established);
    assert_eq!(host.told().len(), 2, "told once");
    assert_eq!((events(&host, Event::FastOpensAccepted), events(&host, Event::Established)), (1, 1));
    over(&mut host, 106);
}

#[test]
fn server_answers_behind_its_syn_ack_before_the_handshake_is_complete() {
    let (mut host, cookie) = server(server_config());
    host.shard.app_mut().react = Some(|told, conn| {
        if matches!(told, Told::Data(_)) {
            conn.send(Payload::Static(&BYTES[..1500])).unwrap();
            conn.shutdown();
        }
    });
    fast_syn(&mut host, 40_000, cookie, b"hello");
    host.expect("S.", 300, 106);
    host.expect_data(301, 106, &BYTES[..1000]);
    host.expect_data(1301, 106, &BYTES[1000..1500]);
    host.expect_nothing();
    // The ACK of all of it brings the FIN.
    host.send(seg(".", 106, 1801));
    host.expect("F.", 1801, 106);
    host.send(seg("F.", 106, 1802));
    host.expect(".", 1802, 107);
    assert_eq!(closed(&host), Some(CloseReason::Graceful));
    host.pass(seconds(61));
    host.assert_clean();
}

#[test]
fn lost_syn_ack_is_sent_again_alone_and_the_data_behind_it_after_the_handshake() {
    let (mut host, cookie) = server(server_config());
    fast_syn(&mut host, 40_000, cookie, b"hello");
    host.expect("S.", 300, 106);
    host.write(b"answer");
    host.expect_data(301, 106, b"answer");
    sends_after(&mut host, seconds(1));
    host.expect("S.", 300, 106);
    host.expect_nothing();
    host.send(seg(".", 106, 301));
    host.expect_data(301, 106, b"answer");
    host.send(seg(".", 106, 307));
    host.expect_nothing();
    over(&mut host, 106);
}

#[test]
fn lost_answer_is_sent_again_when_only_the_syn_ack_was_acknowledged() {
    let (mut host, cookie) = server(server_config());
    fast_syn(&mut host, 40_000, cookie, b"hello");
    host.expect("S.", 300, 106);
    host.write(b"answer");
    host.expect_data(301, 106, b"answer");
    host.send(seg(".", 106, 301));
    host.expect_nothing();
    host.pass_until_output(seconds(3));
    host.expect_data(301, 106, b"answer");
    over(&mut host, 106);
}

#[test]
fn repeated_syn_has_its_syn_ack_repeated_and_delivers_nothing_twice() {
    let (mut host, cookie) = server(server_config());
    fast_syn(&mut host, 40_000, cookie, b"hello");
    host.expect("S.", 300, 106);
    fast_syn(&mut host, 40_000, cookie, b"hello");
    host.expect("S.", 300, 106);
    // As the client repeats it after a time-out.
    host.send(seg("S", 100, 0).mss(1000));
    host.expect("S.", 300, 106);
    assert_eq!(host.shard.app().bytes(), b"hello");
    host.send(seg(".", 106, 301));
    host.write(b"x");
    host.expect_data(301, 106, b"x");
    over(&mut host, 106);
}

#[test]
fn wrong_cookie_makes_an_ordinary_handshake_and_brings_the_right_one() {
    let (mut host, right) = server(server_config());
    fast_syn(&mut host, 40_000, cookie(&[9; 8]), b"hello");
    assert_eq!(granted(&host.expect("S.", 300, 101)), Some(right));
    assert!(host.told().is_empty());
    assert_eq!(events(&host, Event::FastOpenCookiesBad), 1);
    host.send(seg("P.", 101, 301).data(b"hello"));
    assert_eq!(host.told(), [Told::Accepted, Told::Data(b"hello".to_vec())]);
    over(&mut host, 106);
}

#[test]
fn cookie_of_the_key_before_is_good_and_replaced() {
    let (_, old) = server(server_config());
    let mut config = server_config();
    config.tcp.fast_open.keys = Some(FastOpenKeys { primary: [2; 16], backup: Some([1; 16]) });
    let (mut host, new) = server(config);
    assert_ne!(old, new);
    fast_syn(&mut host, 40_000, old, b"hello");
    assert_eq!(granted(&host.expect("S.", 300, 106)), Some(new));
    assert_eq!(host.shard.app().bytes(), b"hello");
    over(&mut host, 106);
}

#[test]
fn key_changes_by_itself_and_cookies_outlive_one_change() {
    let mut config = server_config();
    config.tcp.fast_open.keys = None;
    let (mut host, cookie) = server(config);
    host.pass(seconds(8_800));
    fast_syn(&mut host, 40_000, cookie, b"hello");
    let renewed = granted(&host.expect("S.", 300, 106)).expect("a new cookie");
    over(&mut host, 106);
    host.pass(seconds(8_800));
    fast_syn(&mut host, 40_001, cookie, b"hello");
    host.expect("S.", 300, 101);
    host.send(seg("R", 101, 0));
    fast_syn(&mut host, 40_002, renewed, b"hello");
    host.expect("S.", 300, 106);
    host.send(seg("R", 106, 0));
    host.assert_clean();
}

#[test]
fn older_option_number_is_answered_in_kind() {
    let mut host = Host::server(server_config());
    fast_syn(&mut host, 40_000, FastOpenCookie::request(true), b"");
    let cookie = granted(&host.expect("S.", 300, 101)).unwrap();
    assert!(cookie.experimental);
    host.send(seg("R", 101, 0));
    fast_syn(&mut host, 40_001, cookie, b"hello");
    host.expect("S.", 300, 106);
    host.send(seg("R", 106, 0));
    host.assert_clean();
}

#[test]
fn server_without_fast_open_gives_no_cookies_and_takes_no_data() {
    let (_, cookie) = server(server_config());
    let mut host = Host::server(plain_config());
    for option in [FastOpenCookie::request(false), cookie] {
        fast_syn(&mut host, 40_000, option, b"hello");
        assert_eq!(granted(&host.expect("S.", 300, 101)), None);
        host.send(seg("R", 101, 0));
    }
    host.assert_clean();
}

#[test]
fn server_that_needs_no_cookie_takes_data_from_anybody() {
    let mut config = server_config();
    config.tcp.fast_open.server_without_cookie = true;
    let mut host = Host::server(config);
    host.send(seg("S", 100, 0).mss(1000).data(b"hello"));
    host.expect("S.", 300, 106);
    host.send(seg("R", 106, 0));
    // Without data there is nothing to be gained.
    host.send(seg("S", 100, 0).mss(1000));
    host.expect("S.", 300, 101);
    assert_eq!(host.shard.live(), (0, 1, 0));
    host.send(seg("R", 101, 0));
    host.assert_clean();
}

#[test]
fn too_many_pending_ones_are_answered_as_ever_and_resets_make_no_room_for_a_minute() {
    let (mut host, cookie) = server(server_config());
    let begin = |host: &mut Host, port| {
        fast_syn(host, port, cookie, b"hi");
        host.next().seg.ack.0 == 103
    };
    assert!(begin(&mut host, 1) && begin(&mut host, 2));
    assert!(!begin(&mut host, 3), "two may be pending");
    assert_eq!(events(&host, Event::FastOpensDeclined), 1);
    host.send(seg("R", 101, 0));
    host.remote.1 = 1;
    host.send(seg(".", 103, 301));
    assert!(begin(&mut host, 4), "the first is open");
    for port in [2, 4] {
        host.remote.1 = port;
        host.send(seg("R", 103, 0));
    }
    assert!(!begin(&mut host, 5));
    host.send(seg("R", 101, 0));
    host.pass(seconds(61));
    assert!(begin(&mut host, 6));
    host.send(seg("R", 103, 0));
    host.remote.1 = 1;
    host.send(seg("R", 103, 0));
    host.assert_clean();
}

#[test]
fn pending_connection_ends_by_reset_by_time_out_and_by_its_application() {
    for how in 0..3 {
        let (mut host, cookie) = server(server_config());
        fast_syn(&mut host, 40_000, cookie, b"hello");
        host.expect("S.", 300, 106);
        let why = match how {
            0 => {
                host.send(seg("R", 106, 0));
                CloseReason::Reset
            }
            1 => {
                host.pass(seconds(1_000));
                CloseReason::TimedOut
            }
            _ => {
                host.act(|c| c.abort());
                host.expect("R.", 301, 106);
                CloseReason::Aborted
            }
        };
        assert_eq!(closed(&host), Some(why));
        host.assert_clean();
    }
}

#[test]
fn under_pressure_syn_cookies_come_first() {
    let (_, cookie) = server(server_config());
    let mut config = server_config();
    config.tcp.syn_cookies = SynCookies::Always;
    let mut host = Host::server(config);
    fast_syn(&mut host, 40_000, cookie, b"hello");
    assert_eq!(host.next().seg.ack.0, 101);
    host.assert_clean();
}

#[test]
fn unread_data_of_a_syn_wait_and_closing_over_them_resets() {
    let (mut host, cookie) = server(server_config());
    host.shard.app_mut().appetite = 0;
    fast_syn(&mut host, 40_000, cookie, b"hello");
    host.expect("S.", 300, 106);
    host.act(|c| {
        assert_eq!(c.unread(), 5);
        c.close();
    });
    host.expect("R.", 301, 106);
    host.assert_clean();
}

#[test]
fn ecn_is_agreed_on_as_well() {
    let mut config = server_config();
    config.tcp.ecn = Ecn::Accept;
    let (mut host, cookie) = server(config);
    host.send(with(seg("SEW", 100, 0).mss(1000).data(b"hello"), cookie));
    host.remote.1 = 40_001;
    host.send(with(seg("SEW", 100, 0).mss(1000).data(b"hello"), cookie));
    host.expect("SE.", 300, 106);
    host.expect("SE.", 300, 106);
    host.abort_all();
    host.assert_clean();
}
