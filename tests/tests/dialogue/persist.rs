//! The peer's window closes: probes, and what ends them.

use crate::{BYTES, closed, ends_after, events, ms, over, seconds, sends_after};
use synfin_engine::base::Event;
use synfin_engine::shard::{CloseReason, ShardConfig};
use synfin_engine::tcp::State;
use synfin_tests::host::{Host, plain_config, seg};

/// A connection whose peer has closed its window; 2000 bytes wait. RTO is 300 ms, segments have 1000 bytes.
fn shut(config: ShardConfig) -> Host {
    let mut host = Host::client(config);
    host.expect("S", 300, 0);
    host.pass(ms(100));
    host.send(seg("S.", 500, 301).mss(1000));
    host.expect(".", 301, 501);
    host.send(seg(".", 501, 301).window(0));
    host.write(&BYTES[..2000]);
    host.expect_nothing();
    host
}

#[test]
fn closed_window_is_probed_with_one_byte_at_doubling_intervals() {
    let mut host = shut(plain_config());
    for wait in [300, 600, 1200, 2400] {
        sends_after(&mut host, ms(wait));
        host.expect_data(301, 501, &BYTES[..1]);
        host.expect_nothing();
        host.send(seg(".", 501, 301).window(0));
        host.expect_nothing();
    }
    assert_eq!(events(&host, Event::ZeroWindowProbes), 4);
    over(&mut host, 501);
}

#[test]
fn refused_probe_that_is_sent_again_measures_nothing() {
    let mut host = shut(plain_config());
    sends_after(&mut host, ms(300));
    host.expect_data(301, 501, &BYTES[..1]);
    // The peer takes its time to make room.
    host.pass(ms(200));
    host.send(seg(".", 501, 301));
    host.expect_data(301, 501, &BYTES[..1000]);
    host.expect_data(1301, 501, &BYTES[1000..2000]);
    host.pass(ms(100));
    host.send(seg(".", 501, 1301));
    host.act(|c| {
        let srtt_ns = c.srtt_ns().expect("the handshake was measured");
        assert!(srtt_ns < 101_000_000, "{srtt_ns}");
    });
    over(&mut host, 501);
}

#[test]
fn answered_probes_keep_the_connection_for_ever() {
    let mut config = plain_config();
    config.tcp.data_retries = 3;
    let mut host = shut(config);
    for _ in 0..50 {
        host.pass_until_output(seconds(100));
        host.expect_data(301, 501, &BYTES[..1]);
        host.send(seg(".", 501, 301).window(0));
    }
    assert_eq!(closed(&host), None);
    host.send(seg(".", 501, 301));
    host.expect_data(301, 501, &BYTES[..1000]);
    host.expect_data(1301, 501, &BYTES[1000..2000]);
    over(&mut host, 501);
}

#[test]
fn answered_probes_do_not_keep_a_connection_that_the_application_has_closed() {
    let mut config = plain_config();
    config.tcp.data_retries = 3;
    let mut host = shut(config);
    host.act(|c| c.close());
    for _ in 0..3 {
        host.pass_until_output(seconds(100));
        host.expect_data(301, 501, &BYTES[..1]);
        host.send(seg(".", 501, 301).window(0));
    }
    host.pass_until_output(seconds(100));
    host.expect("R.", 302, 501);
    assert_eq!(closed(&host), Some(CloseReason::TimedOut));
    host.assert_clean();
}

#[test]
fn probes_that_are_never_answered_end_the_connection() {
    let mut config = plain_config();
    config.tcp.data_retries = 3;
    let mut host = shut(config);
    for wait in [300, 600, 1200] {
        sends_after(&mut host, ms(wait));
        host.expect_data(301, 501, &BYTES[..1]);
    }
    ends_after(&mut host, ms(2400), CloseReason::TimedOut);
    host.assert_clean();
}

#[test]
fn opened_window_is_used_at_once() {
    let mut host = shut(plain_config());
    host.pass(ms(301));
    host.expect_data(301, 501, &BYTES[..1]);
    host.send(seg(".", 501, 301).window(5000));
    host.expect_data(301, 501, &BYTES[..1000]);
    host.expect_data(1301, 501, &BYTES[1000..2000]);
    host.send(seg(".", 501, 2301));
    host.pass(seconds(100));
    host.expect_nothing();
    over(&mut host, 501);
}

#[test]
fn probe_byte_that_was_taken_is_not_sent_again() {
    let mut host = shut(plain_config());
    host.pass(ms(301));
    host.expect_data(301, 501, &BYTES[..1]);
    host.send(seg(".", 501, 302).window(5000));
    host.expect_data(302, 501, &BYTES[1..1001]);
    host.expect_data(1302, 501, &BYTES[1001..2000]);
    over(&mut host, 501);
}

#[test]
fn window_opened_a_little_does_not_end_the_probing() {
    // The window that is worth using may come with an update that is lost: the timer has to go on.
    let mut host = shut(plain_config());
    host.pass(ms(301));
    host.expect_data(301, 501, &BYTES[..1]);
    host.send(seg(".", 501, 301).window(100));
    host.expect_nothing();
    let took = host.pass_until_output(seconds(60));
    assert!(took < seconds(60), "the connection sleeps for ever");
    host.expect_data(301, 501, &BYTES[..100]);
    host.send(seg(".", 501, 401).window(5000));
    host.expect_data(401, 501, &BYTES[100..1100]);
    over(&mut host, 501);
}

#[test]
fn window_too_small_from_the_start_is_used_when_the_timer_says_so() {
    // RFC 9293 3.8.6.2.1: neither a full segment nor half of the largest window, so wait, but not for ever.
    let mut host = shut(plain_config());
    host.send(seg(".", 501, 301).window(100));
    host.expect_nothing();
    host.pass_until_output(seconds(10));
    host.expect_data(301, 501, &BYTES[..100]);
    over(&mut host, 501);
}

#[test]
fn window_closed_over_data_under_way_is_probed_after_the_time_out() {
    let mut host = shut(plain_config());
    host.send(seg(".", 501, 301).window(2000));
    assert_eq!(host.out.len(), 2);
    host.out.clear();
    host.send(seg(".", 501, 301).window(0));
    host.pass_until_output(seconds(10));
    host.expect_data(301, 501, &BYTES[..1]);
    host.send(seg(".", 501, 301).window(2000));
    host.expect_data(301, 501, &BYTES[..1000]);
    host.expect_data(1301, 501, &BYTES[1000..2000]);
    host.send(seg(".", 501, 2301));
    over(&mut host, 501);
}

#[test]
fn old_segment_does_not_change_the_window() {
    let mut host = shut(plain_config());
    host.send(seg(".", 501, 301).window(0).data(*b"abc"));
    // Sent before the window was closed, overtaken on the way.
    host.send(seg(".", 501, 301).window(9000).data(*b"ab"));
    assert!(host.out.iter().all(|s| s.data.is_empty()));
    over(&mut host, 504);
}

#[test]
fn fin_alone_probes_a_closed_window() {
    let mut host = Host::connected(plain_config());
    host.send(seg(".", 501, 301).window(0));
    host.act(|c| c.shutdown());
    host.expect_nothing();
    host.pass_until_output(seconds(10));
    host.expect("F.", 301, 501);
    assert_eq!(host.state(), State::FinWait1);
    host.send(seg(".", 501, 302).window(0));
    assert_eq!(host.state(), State::FinWait2);
    over(&mut host, 501);
}

#[test]
fn fin_follows_once_the_window_has_let_the_data_through() {
    let mut host = shut(plain_config());
    host.act(|c| c.shutdown());
    host.expect_nothing();
    host.send(seg(".", 501, 301).window(2000));
    host.expect_data(301, 501, &BYTES[..1000]);
    host.expect_data(1301, 501, &BYTES[1000..2000]);
    host.expect_nothing();
    host.send(seg(".", 501, 2301).window(2000));
    host.expect("F.", 2301, 501);
    over(&mut host, 501);
}
