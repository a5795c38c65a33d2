//! Explicit congestion notification (RFC 3168).

use crate::{BYTES, events, ms, over, seconds, sends_after};
use std::time::Duration;
use synfin_engine::base::Event;
use synfin_engine::io::sim::Impairment;
use synfin_engine::shard::ShardConfig;
use synfin_engine::tcp::congestion::Algorithm;
use synfin_engine::tcp::{Ecn, SynCookies};
use synfin_engine::wire::{TcpFlags, TcpOptions};
use synfin_tests::bulk::{Receiver, Sender, Transfer};
use synfin_tests::host::{Host, Sent, plain_config, seg};
use synfin_tests::pair::{ADDR_A, ADDR_B, Pair, configs};

const ECT_0: u8 = 2;
const CE: u8 = 3;

fn config(ecn: Ecn) -> ShardConfig {
    let mut config = plain_config();
    config.tcp.ecn = ecn;
    config.tcp.congestion = Algorithm::NewReno;
    config
}

/// Opened by the host, agreed on. The peer's next number is 501, ours 301.
fn connected() -> Host {
    let mut host = Host::client(config(Ecn::Request));
    host.expect("SEW", 300, 0);
    host.send(seg("SE.", 500, 301).mss(1000));
    host.expect(".", 301, 501);
    assert_eq!(events(&host, Event::EcnAgreed), 1);
    host
}

/// Accepted by the host, agreed on. The peer's next number is 101, ours 301.
fn accepted(ecn: Ecn) -> Host {
    let mut host = Host::server(config(ecn));
    host.send(seg("SEW", 100, 0).mss(1000));
    host.expect("SE.", 300, 101);
    host.send(seg(".", 101, 301));
    host.expect_nothing();
    assert_eq!(events(&host, Event::EcnAgreed), 1);
    host
}

fn is_capable(sent: &Sent) -> bool {
    sent.seg.ecn == ECT_0
}

#[test]
fn data_of_a_connection_that_agreed_are_marked_as_capable_and_its_acks_are_not() {
    for mut host in [accepted(Ecn::Accept), accepted(Ecn::Request)] {
        host.write(b"hello");
        assert!(is_capable(&host.expect_data(301, 101, b"hello")));
        host.send_burst(&[seg(".", 101, 306).data(vec![1; 1000]), seg(".", 1101, 306).data(vec![1; 1000])]);
        assert_eq!(host.expect(".", 306, 2101).seg.ecn, 0);
        over(&mut host, 2101);
    }
    let mut host = connected();
    host.write(b"hello");
    assert!(is_capable(&host.expect_data(301, 501, b"hello")));
    over(&mut host, 501);
}

#[test]
fn nothing_is_marked_where_one_side_does_not_agree() {
    let mut off = Host::server(config(Ecn::Off));
    off.send(seg("SEW", 100, 0).mss(1000));
    off.expect("S.", 300, 101);
    off.send(seg(".", 101, 301));
    let mut accepting = Host::client(config(Ecn::Accept));
    accepting.expect("S", 300, 0);
    accepting.send(seg("SE.", 100, 301).mss(1000));
    accepting.expect(".", 301, 101);
    let mut refused = Host::client(config(Ecn::Request));
    refused.expect("SEW", 300, 0);
    refused.send(seg("S.", 100, 301).mss(1000));
    refused.expect(".", 301, 101);
    // A peer that mirrors reserved bits has agreed to nothing.
    let mut mirrored = Host::client(config(Ecn::Request));
    mirrored.expect("SEW", 300, 0);
    mirrored.send(seg("SEW.", 100, 301).mss(1000));
    mirrored.expect(".", 301, 101);
    for mut host in [off, accepting, refused, mirrored] {
        assert_eq!(events(&host, Event::EcnAgreed), 0);
        host.write(b"hello");
        assert_eq!(host.expect_data(301, 101, b"hello").seg.ecn, 0);
        host.send(seg("P.", 101, 306).data(b"x").ecn(CE));
        host.pass(ms(50));
        host.expect(".", 306, 102);
        over(&mut host, 102);
    }
}

#[test]
fn mark_is_echoed_at_once_and_with_every_ack_until_the_peer_has_reduced_its_window() {
    let mut host = accepted(Ecn::Accept);
    host.send(seg("P.", 101, 301).data(b"one").ecn(CE));
    host.expect("E.", 301, 104);
    assert_eq!(events(&host, Event::CongestionMarksIn), 1);
    host.send_burst(&[seg(".", 104, 301).data(vec![1; 1000]).ecn(ECT_0), seg(".", 1104, 301).data(vec![1; 1000])]);
    host.expect("E.", 301, 2104);
    host.write(b"data");
    assert_eq!(host.expect("E.", 301, 2104).data, b"data");
    host.send(seg("WP.", 2104, 305).data(b"less").ecn(ECT_0));
    host.pass(ms(50));
    host.expect(".", 305, 2108);
    // The segment that says so may have a mark of its own.
    host.send(seg("WP.", 2108, 305).data(b"more").ecn(CE));
    host.expect("E.", 305, 2112);
    over(&mut host, 2112);
}

#[test]
fn mark_on_a_segment_that_has_no_effect_is_ignored() {
    let mut host = accepted(Ecn::Accept);
    host.send(seg("P.", 101, 301).data(b"one"));
    host.pass(ms(50));
    host.expect(".", 301, 104);
    host.send(seg("P.", 101, 301).data(b"one").ecn(CE));
    host.expect(".", 301, 104);
    host.send(seg(".", 104, 301).ecn(CE));
    host.expect_nothing();
    assert_eq!(events(&host, Event::CongestionMarksIn), 0);
    over(&mut host, 104);
}

#[test]
fn window_is_reduced_once_for_all_echoes_of_a_window_and_the_next_new_segment_says_so() {
    let mut host = connected();
    host.write(&BYTES[..40_000]);
    for i in 0..10 {
        let sent = host.expect(".", 301 + i * 1000, 501);
        assert!(is_capable(&sent) && !sent.seg.flags.has(TcpFlags::CWR));
    }
    // Ten are under way; half of them is the new window.
    for i in 1..=5 {
        host.send(seg("E.", 501, 301 + i * 1000));
        host.expect_nothing();
    }
    assert_eq!(events(&host, Event::CongestionEchoes), 1);
    host.send(seg("E.", 501, 6301));
    assert!(is_capable(&host.expect("W.", 10_301, 501)));
    host.send(seg("E.", 501, 10_301));
    for i in 11..15 {
        host.expect(".", 301 + i * 1000, 501);
    }
    // An echo beyond what was under way is news.
    host.send(seg("E.", 501, 11_301));
    assert_eq!(events(&host, Event::CongestionEchoes), 2);
    host.out.clear();
    over(&mut host, 501);
}

#[test]
fn peer_hears_of_a_reduction_also_when_the_next_new_segment_comes_much_later() {
    for acks in [&[1301, 5301][..], &[5301]] {
        let mut host = connected();
        host.write(&BYTES[..5000]);
        host.out.clear();
        for &ack in acks {
            host.send(seg("E.", 501, ack));
        }
        assert_eq!(events(&host, Event::CongestionEchoes), 1);
        host.pass(seconds(30));
        host.write(&BYTES[..2000]);
        host.expect("W.", 5301, 501);
        host.expect(".", 6301, 501);
        // What the peer says until it hears that is old news.
        host.send(seg("E.", 501, 5301));
        assert_eq!(events(&host, Event::CongestionEchoes), 1);
        over(&mut host, 501);
    }
}

#[test]
fn reduction_that_nobody_has_to_hear_of_is_forgotten_after_ten_minutes() {
    for acks in [&[1301, 5301][..], &[5301]] {
        let mut config = config(Ecn::Accept);
        // One connection at a time can have recovery state.
        config.limits.recovery_blocks = 1;
        let mut host = Host::server(config);
        let open = |host: &mut Host| {
            host.remote.1 += 1;
            host.send(seg("SEW", 100, 0).mss(1000));
            host.send(seg(".", 101, 301));
            host.write(&BYTES[..5000]);
            host.out.clear();
        };
        open(&mut host);
        for &ack in acks {
            host.send(seg("E.", 101, ack));
        }
        assert_eq!(events(&host, Event::CongestionEchoes), 1);
        host.pass(seconds(601));
        open(&mut host);
        assert_eq!(events(&host, Event::RecoveryExhausted), 0);
    }
}

#[test]
fn retransmissions_and_window_probes_are_not_marked_as_capable() {
    let mut host = connected();
    host.write(b"hello");
    assert!(is_capable(&host.expect_data(301, 501, b"hello")));
    sends_after(&mut host, ms(200));
    let again = host.expect_data(301, 501, b"hello");
    assert_eq!(again.seg.ecn, 0);
    // After a time-out, too, new data say that the window is smaller.
    host.send(seg(".", 501, 306));
    host.write(b"world");
    assert!(is_capable(&host.expect("W.", 306, 501)));
    host.send(seg(".", 501, 311).window(0));
    host.write(b"!");
    host.expect_nothing();
    host.pass_until_output(seconds(10));
    let probe = host.expect_data(311, 501, b"!");
    assert_eq!(probe.seg.ecn, 0);
    over(&mut host, 501);
}

#[test]
fn third_syn_goes_without_the_bits_and_then_nothing_is_agreed_on() {
    let mut host = Host::client(config(Ecn::Request));
    host.expect("SEW", 300, 0);
    sends_after(&mut host, seconds(1));
    host.expect("SEW", 300, 0);
    sends_after(&mut host, seconds(2));
    host.expect("S", 300, 0);
    host.send(seg("SE.", 500, 301).mss(1000));
    host.expect(".", 301, 501);
    assert_eq!(events(&host, Event::EcnAgreed), 0);
    over(&mut host, 501);
}

#[test]
fn syn_ack_that_is_sent_again_still_agrees() {
    let mut host = Host::server(config(Ecn::Accept));
    host.send(seg("SEW", 100, 0).mss(1000));
    host.expect("SE.", 300, 101);
    sends_after(&mut host, seconds(1));
    host.expect("SE.", 300, 101);
    host.send(seg("R", 101, 0));
    host.assert_clean();
}

#[test]
fn scaling_is_agreed_on_beside_it_or_not() {
    for scale in [None, Some(0), Some(7), Some(14)] {
        let mut host = Host::server(config(Ecn::Accept));
        let mut syn = seg("SEW", 100, 0).mss(1000);
        syn.options.window_scale = scale;
        host.send(syn);
        assert_eq!(host.expect("SE.", 300, 101).seg.options.window_scale.is_some(), scale.is_some());
        host.send(seg(".", 101, 301).window(1));
        host.act(|c| assert_eq!(c.info().unwrap().send_window, 1 << scale.unwrap_or(0)));
        over(&mut host, 101);
    }
}

#[test]
fn syn_cookies_agree_to_nothing() {
    let mut config = config(Ecn::Accept);
    config.tcp.syn_cookies = SynCookies::Always;
    let mut host = Host::server(config);
    host.send(seg("SEW", 100, 0).mss(1000));
    let answer = host.next().seg;
    assert_eq!(answer.flags, TcpFlags::SYN | TcpFlags::ACK);
    host.assert_clean();
}

#[test]
fn simultaneous_open_agrees_to_nothing() {
    let mut host = Host::client(config(Ecn::Request));
    host.expect("SEW", 300, 0);
    host.send(seg("SEW", 500, 0).mss(1000));
    host.expect("S.", 300, 501);
    host.send(seg(".", 501, 301));
    host.write(b"hello");
    assert_eq!(host.expect_data(301, 501, b"hello").seg.ecn, 0);
    over(&mut host, 501);
}

#[test]
fn marks_of_a_busy_path_slow_a_transfer_down_without_any_loss() {
    for algorithm in [Algorithm::NewReno, Algorithm::Cubic] {
        let time = |mark| {
            let (mut a, mut b) = configs();
            (a.tcp.ecn, b.tcp.ecn) = (Ecn::Request, Ecn::Accept);
            let path = Impairment { mark, delay: Duration::from_millis(10), ..Impairment::default() };
            let plan = Transfer { bytes: 20_000_000, starts_after: Duration::ZERO, algorithm };
            let apps = (Sender::new(ADDR_A, ADDR_B, vec![plan]), Receiver::default());
            let mut pair = Pair::with_frames((a, b), apps, 3, [path, path], 4_096);
            pair.b.shard.listen(80);
            let begin = pair.now;
            assert!(pair.run(seconds(1_000)));
            let flow = pair.b.shard.app().flows[0];
            assert_eq!((flow.bytes, flow.wrong), (20_000_000, 0));
            let (a, b) = (pair.a.shard.counters(), pair.b.shard.counters());
            assert_eq!((a.count(Event::Retransmits), a.count(Event::EcnAgreed)), (0, 1));
            assert_eq!(b.count(Event::CongestionMarksIn) > 0, mark > 0.0);
            assert_eq!(a.count(Event::CongestionEchoes) > 0, mark > 0.0);
            pair.a.assert_clean();
            pair.b.assert_clean();
            flow.last.unwrap().nanos_since(begin)
        };
        let (free, busy) = (time(0.0), time(0.01));
        assert!(busy > 2 * free, "{algorithm:?}: {busy} ns with marks, {free} without");
    }
}

#[test]
fn peer_hears_of_the_reduction_for_a_loss_that_a_probe_repaired() {
    let mut config = config(Ecn::Request);
    config.tcp.sack = true;
    let mut host = Host::client(config);
    host.expect("SEW", 300, 0);
    host.pass(ms(100));
    let options = TcpOptions { mss: Some(1000), sack_permitted: true, ..TcpOptions::default() };
    host.send(seg("SE.", 500, 301).options(options));
    host.expect(".", 301, 501);
    host.write(&BYTES[..4_000]);
    host.out.clear();
    host.pass_until_output(Duration::from_secs(2));
    assert_eq!(events(&host, Event::LossProbes), 1);
    host.out.clear();
    host.send(seg(".", 501, 4_301));
    host.write(&BYTES[4_000..5_000]);
    host.expect(".", 4_301, 501);
    host.send(seg(".", 501, 5_301));
    host.write(&BYTES[5_000..6_000]);
    host.expect("W.", 5_301, 501);
    over(&mut host, 501);
}
