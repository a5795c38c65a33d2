//! Recovery state of connections that have nothing under way: kept for a while, and then given back.

use crate::{BYTES, events, ms, seconds};
use synfin_engine::base::Event;
use synfin_engine::shard::{Payload, ShardConfig};
use synfin_engine::tcp::congestion::Algorithm;
use synfin_engine::wire::Seq;
use synfin_engine::wire::TcpOptions;
use synfin_engine::wire::segment::SackBlock;
use synfin_tests::host::{Host, PEER_PORT, Seg, Told, plain_config, seg};

/// One connection at a time can have recovery state.
fn config() -> ShardConfig {
    let mut config = plain_config();
    config.tcp.sack = true;
    config.tcp.congestion = Algorithm::Cubic;
    config.limits.recovery_blocks = 1;
    config
}

/// The peer's port `port` opens a connection, on which ten segments of 1000 bytes go out.
fn ten_segments_to(host: &mut Host, port: u16) {
    host.remote.1 = port;
    let options = TcpOptions { mss: Some(1000), sack_permitted: true, ..TcpOptions::default() };
    host.send(seg("S", 100, 0).options(options));
    host.expect("S.", 300, 101);
    host.pass(ms(10));
    host.send(seg(".", 101, 301));
    host.act(|c| c.send(Payload::Static(&BYTES[..10_000])).expect("room"));
    assert_eq!(host.out.len(), 10);
    host.out.clear();
}

/// An ACK of `n` segments, those from `start` to `end` having come as well.
fn sack(n: u32, start: u32, end: u32) -> Seg {
    let mut options = TcpOptions { sack_len: 1, ..TcpOptions::default() };
    options.sack[0] = SackBlock { start: Seq(301 + start * 1000), end: Seq(301 + end * 1000) };
    seg(".", 101, 301 + n * 1000).options(options)
}

/// The first of ten segments was lost and repaired; nothing is under way any more.
fn after_a_loss() -> Host {
    let mut host = Host::server(config());
    ten_segments_to(&mut host, PEER_PORT);
    host.pass(ms(10));
    host.send(sack(0, 1, 10));
    host.expect(".", 301, 101);
    assert_eq!(events(&host, Event::FastRetransmits), 1);
    host.pass(ms(10));
    host.send(seg(".", 101, 10_301));
    host.expect_nothing();
    host
}

fn window(host: &mut Host) -> u32 {
    let mut cwnd = 0;
    host.act(|c| cwnd = c.info().map_or(0, |i| i.cwnd));
    cwnd
}

#[test]
fn what_a_loss_left_behind_is_forgotten_after_a_time_out_of_rest() {
    let mut host = after_a_loss();
    host.pass(seconds(2));
    host.expect_nothing();
    ten_segments_to(&mut host, PEER_PORT + 1);
    assert_eq!(events(&host, Event::RecoveryExhausted), 0);
}

#[test]
fn reduction_is_still_taken_back_by_a_report_that_comes_after_the_last_acknowledgement() {
    let mut host = after_a_loss();
    assert!(window(&mut host) < 10_000);
    host.pass(ms(10));
    host.send(sack(10, 0, 1));
    assert_eq!(events(&host, Event::SpuriousRecoveries), 1);
    assert!(window(&mut host) >= 10_000);
}

/// An answer of one segment breaks the silence, and leaves at once with the ACK of the question. The window after that, 40
/// segments having widened it before.
fn window_after_a_short_answer(restarts_after_idle: bool) -> u32 {
    let mut config = config();
    config.tcp.restarts_after_idle = restarts_after_idle;
    config.tcp.congestion = Algorithm::NewReno;
    let mut host = Host::server(config);
    ten_segments_to(&mut host, PEER_PORT);
    for sent in [10u32, 20, 30] {
        host.pass(ms(10));
        host.send(seg(".", 101, 301 + sent * 1000));
        host.act(|c| c.send(Payload::Static(&BYTES[..10_000])).expect("room"));
    }
    host.pass(ms(10));
    host.send(seg(".", 101, 40_301));
    assert!(window(&mut host) >= 20_000, "{}", window(&mut host));
    host.out.clear();
    host.pass(seconds(2));
    host.shard.app_mut().react = Some(|told, c| {
        if matches!(told, Told::Data(_)) {
            c.send(Payload::Static(b"answer")).expect("room");
        }
    });
    host.send(seg(".", 101, 40_301).data(*b"question"));
    host.expect_data(40_301, 109, b"answer");
    window(&mut host)
}

#[test]
fn window_shrinks_after_an_idle_time_although_a_short_answer_comes_first() {
    assert_eq!(window_after_a_short_answer(true), 10_000);
}

#[test]
fn window_stays_through_an_idle_time_where_that_is_asked_for() {
    assert!(window_after_a_short_answer(false) >= 20_000);
}

#[test]
fn pause_after_a_tail_that_was_sent_twice_is_no_round_trip() {
    let mut host = Host::server(config());
    ten_segments_to(&mut host, PEER_PORT);
    host.act(|c| c.send(Payload::Static(&BYTES[..1_000])).expect("room"));
    host.pass(ms(10));
    host.send(seg(".", 101, 9_301));
    host.expect(".", 10_301, 101);
    host.send(seg(".", 101, 10_301));
    // The eleventh is lost, and sent again.
    host.expect_nothing();
    host.pass_until_output(seconds(1));
    host.expect(".", 10_301, 101);
    host.pass(ms(10));
    host.send(seg(".", 101, 11_301));
    host.pass(seconds(30));
    host.act(|c| c.send(Payload::Static(&BYTES[..5_000])).expect("room"));
    host.out.clear();
    host.pass(ms(10));
    host.send(seg(".", 101, 12_301));
    host.act(|c| {
        let srtt_ns = c.srtt_ns().expect("a measurement");
        assert!(srtt_ns < 11_000_000, "{srtt_ns}");
    });
}

#[test]
fn segments_from_the_peer_do_not_prolong_the_rest() {
    let mut host = after_a_loss();
    for n in 0..40 {
        host.pass(ms(50));
        host.send(seg(".", 101 + n, 10_301).data([0]));
    }
    host.out.clear();
    ten_segments_to(&mut host, PEER_PORT + 1);
    assert_eq!(events(&host, Event::RecoveryExhausted), 0);
}

#[test]
fn connection_that_sends_again_after_a_rest_repairs_losses_as_before() {
    let mut host = after_a_loss();
    host.pass(seconds(2));
    host.act(|c| c.send(Payload::Static(&BYTES[..5_000])).expect("room"));
    assert_eq!(host.out.len(), 5);
    host.out.clear();
    host.pass(ms(10));
    host.send(sack(10, 11, 15));
    host.expect(".", 10_301, 101);
    assert_eq!(events(&host, Event::FastRetransmits), 2);
    assert_eq!(events(&host, Event::RtoExpiries), 0);
}
