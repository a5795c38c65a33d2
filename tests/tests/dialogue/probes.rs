//! When tail loss probes go out (RFC 8985 section 7), and how little must be under way for the window to grow.

use crate::{BYTES, events, ms, over, sends_after};
use synfin_engine::base::Event;
use synfin_engine::shard::{Payload, ShardConfig};
use synfin_engine::wire::segment::SackBlock;
use synfin_engine::wire::{Seq, TcpOptions};
use synfin_tests::host::{Host, plain_config, seg};

fn sack_config() -> ShardConfig {
    let mut config = plain_config();
    config.tcp.sack = true;
    config
}

/// A connection with a round trip of 100 ms.
fn connected() -> Host {
    let mut host = Host::client(sack_config());
    host.expect("S", 300, 0);
    host.pass(ms(100));
    let options = TcpOptions { mss: Some(1000), sack_permitted: true, ..TcpOptions::default() };
    host.send(seg("S.", 500, 301).options(options));
    host.expect(".", 301, 501);
    host
}

fn say(host: &mut Host, bytes: usize) {
    host.act(|c| c.send(Payload::Static(&BYTES[..bytes])).expect("room"));
}

#[test]
fn lone_segment_is_probed_for_before_the_time_out_backs_off() {
    let mut host = connected();
    say(&mut host, 100);
    host.expect_data(301, 501, &BYTES[..100]);
    for wait in [300, 300, 600] {
        sends_after(&mut host, ms(wait));
        host.expect_data(301, 501, &BYTES[..100]);
    }
    assert_eq!((events(&host, Event::LossProbes), events(&host, Event::RtoExpiries)), (1, 2));
    over(&mut host, 501);
}

#[test]
fn block_that_covers_no_segment_does_not_put_the_probe_off() {
    let mut host = connected();
    say(&mut host, 4_000);
    host.out.clear();
    host.pass(ms(100));
    let mut options = TcpOptions { sack_len: 1, ..TcpOptions::default() };
    options.sack[0] = SackBlock { start: Seq(4_300), end: Seq(4_301) };
    host.send(seg(".", 501, 301).options(options));
    host.expect_nothing();
    sends_after(&mut host, ms(100));
    host.expect_data(3_301, 501, &BYTES[3_000..4_000]);
    assert_eq!(events(&host, Event::LossProbes), 1);
    over(&mut host, 501);
}

fn window(host: &mut Host) -> u32 {
    host.shard.with_net(host.now, |app, net| net.conn(app.conn.expect("one")).expect("live").info().expect("live").cwnd)
}

#[test]
fn slow_start_goes_on_while_more_than_half_of_the_window_is_used() {
    for (segments, grown) in [(5, 10_000), (6, 12_000)] {
        let mut host = connected();
        say(&mut host, segments * 1_000);
        host.out.clear();
        host.pass(ms(100));
        host.send(seg(".", 501, 301 + 2_000));
        host.send(seg(".", 501, 301 + 4_000));
        assert_eq!(window(&mut host), grown, "{segments} segments under way");
        over(&mut host, 501);
    }
}

/// One segment that is probed for, and the ACK of it.
fn probed_once() -> Host {
    let mut host = connected();
    say(&mut host, 100);
    host.out.clear();
    sends_after(&mut host, ms(300));
    host.expect_data(301, 501, &BYTES[..100]);
    assert_eq!((events(&host, Event::LossProbes), window(&mut host)), (1, 10_000));
    host.pass(ms(100));
    host.send(seg(".", 501, 401));
    host.expect_nothing();
    host
}

/// Another segment, acknowledged after a round trip.
fn exchange(host: &mut Host, at: u32) {
    say(host, 100);
    host.out.clear();
    host.pass(ms(100));
    host.send(seg(".", 501, at + 100));
}

#[test]
fn probe_that_repaired_the_loss_of_a_lone_segment_reduces_the_window() {
    let mut host = probed_once();
    // Until then a report could still come that both had arrived.
    assert_eq!(window(&mut host), 10_000);
    exchange(&mut host, 401);
    assert_eq!(window(&mut host), 2_000);
    over(&mut host, 501);
}

#[test]
fn probe_of_a_lone_segment_that_was_not_needed_changes_nothing() {
    let mut with_report = TcpOptions { sack_len: 1, ..TcpOptions::default() };
    with_report.sack[0] = SackBlock { start: Seq(301), end: Seq(401) };
    for options in [with_report, TcpOptions::default()] {
        let mut host = probed_once();
        host.send(seg(".", 501, 401).options(options));
        exchange(&mut host, 401);
        assert_eq!(window(&mut host), 10_000);
        over(&mut host, 501);
    }
}

#[test]
fn no_other_probe_goes_out_before_a_round_trip_was_measured() {
    for measures in [false, true] {
        let mut host = probed_once();
        host.pass(ms(5_000));
        if measures {
            exchange(&mut host, 401);
        }
        say(&mut host, 100);
        host.out.clear();
        host.pass_until_output(ms(2_000));
        let (probes, time_outs) = (events(&host, Event::LossProbes), events(&host, Event::RtoExpiries));
        assert_eq!((probes, time_outs), if measures { (2, 0) } else { (1, 1) });
        over(&mut host, 501);
    }
}
