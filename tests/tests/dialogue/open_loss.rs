//! Opening when segments are lost: each loss heals, and the tries are bounded.

use crate::{closed, ends_after, events, in_state, over, seconds, sends_after, times_told_closed};
use synfin_engine::base::Event;
use synfin_engine::shard::CloseReason;
use synfin_engine::tcp::State;
use synfin_tests::host::{Host, Told, plain_config, seg};

#[test]
fn lost_syn_is_sent_again_with_doubling_intervals_and_then_times_out_once() {
    let mut config = plain_config();
    config.tcp.syn_retries = 4;
    let mut host = Host::client(config);
    host.expect("S", 300, 0);
    for wait in [1, 2, 4, 8] {
        sends_after(&mut host, seconds(wait));
        let again = host.expect("S", 300, 0);
        assert_eq!(again.seg.options.mss, Some(1460));
        host.expect_nothing();
    }
    ends_after(&mut host, seconds(16), CloseReason::TimedOut);
    host.expect_nothing();
    host.assert_clean();
    assert_eq!(host.told(), [Told::Closed(CloseReason::TimedOut)]);
}

#[test]
fn back_off_is_bounded() {
    let mut config = plain_config();
    config.tcp.rto_max = seconds(3);
    config.tcp.syn_retries = 4;
    let mut host = Host::client(config);
    host.expect("S", 300, 0);
    for wait in [1, 2, 3, 3] {
        sends_after(&mut host, seconds(wait));
        host.expect("S", 300, 0);
    }
    ends_after(&mut host, seconds(3), CloseReason::TimedOut);
    host.assert_clean();
}

#[test]
fn repeated_syn_can_still_be_answered() {
    let mut host = in_state(State::SynSent);
    sends_after(&mut host, seconds(1));
    host.expect("S", 300, 0);
    host.send(seg("S.", 500, 301));
    host.expect(".", 301, 501);
    assert_eq!(host.told(), [Told::Connected]);
    // No timer runs any more.
    host.pass(seconds(200));
    host.expect_nothing();
    over(&mut host, 501);
}

#[test]
fn lost_syn_ack_is_sent_again_with_doubling_intervals_and_the_record_expires() {
    let mut config = plain_config();
    config.tcp.syn_retries = 3;
    let mut host = Host::server(config);
    host.send(seg("S", 100, 0).mss(1460));
    host.expect("S.", 300, 101);
    for wait in [1, 2, 4] {
        sends_after(&mut host, seconds(wait));
        host.expect("S.", 300, 101);
    }
    host.pass(seconds(8) - crate::ms(1));
    assert_eq!(host.state(), State::SynReceived);
    host.pass(crate::ms(3));
    host.expect_nothing();
    assert!(host.told().is_empty());
    assert_eq!(events(&host, Event::HalfOpenExpired), 1);
    host.assert_clean();
}

#[test]
fn repeated_syn_brings_the_syn_ack_again() {
    let mut host = Host::server(plain_config());
    host.send(seg("S", 100, 0).mss(1460));
    host.expect("S.", 300, 101);
    host.send(seg("S", 100, 0).mss(1460));
    host.expect("S.", 300, 101);
    host.send(seg(".", 101, 301));
    assert_eq!(host.told(), [Told::Accepted]);
    over(&mut host, 101);
}

#[test]
fn peer_that_only_repeats_its_syn_does_not_keep_the_record_for_ever() {
    for syn_retries in [0, 2] {
        let mut config = plain_config();
        config.tcp.syn_retries = syn_retries;
        let mut host = Host::server(config);
        host.send(seg("S", 100, 0));
        // 1 + 2 + 4 seconds at most, whatever the peer repeats meanwhile.
        for _ in 0..12 {
            host.pass(crate::ms(500));
            if host.shard.live().1 > 0 {
                host.send(seg("S", 100, 0));
            }
        }
        host.pass(seconds(2));
        assert_eq!(host.shard.live(), (0, 0, 0));
        host.assert_clean();
    }
}

#[test]
fn lost_final_ack_is_brought_again_by_the_servers_syn_ack() {
    // The client's side: established, and the SYN,ACK comes again.
    let mut host = Host::connected(plain_config());
    host.send(seg("S.", 500, 301).mss(1460));
    host.expect(".", 301, 501);
    assert_eq!(host.state(), State::Established);
    assert_eq!(host.told(), [Told::Connected]);
    over(&mut host, 501);
    // The server's side: it sends the SYN,ACK again, and the ACK completes it.
    let mut host = Host::server(plain_config());
    host.send(seg("S", 100, 0));
    host.expect("S.", 300, 101);
    sends_after(&mut host, seconds(1));
    host.expect("S.", 300, 101);
    host.send(seg(".", 101, 301));
    assert_eq!(host.told(), [Told::Accepted]);
    host.pass(seconds(100));
    host.expect_nothing();
    over(&mut host, 101);
}

#[test]
fn data_completes_the_handshake_when_the_final_ack_is_lost() {
    let mut host = Host::server(plain_config());
    host.send(seg("S", 100, 0));
    host.expect("S.", 300, 101);
    host.send(seg("P.", 101, 301).data(*b"request"));
    assert_eq!(host.told(), [Told::Accepted, Told::Data(b"request".to_vec())]);
    host.pass(seconds(1));
    host.expect(".", 301, 108);
    over(&mut host, 108);
}

#[test]
fn fin_completes_the_handshake_when_the_final_ack_is_lost() {
    let mut host = Host::server(plain_config());
    host.send(seg("S", 100, 0));
    host.expect("S.", 300, 101);
    host.send(seg("F.", 101, 301));
    assert_eq!(host.told(), [Told::Accepted, Told::PeerClosed]);
    host.expect(".", 301, 102);
    host.act(|c| c.close());
    host.expect("F.", 301, 102);
    host.send(seg(".", 102, 302));
    assert_eq!(closed(&host), Some(CloseReason::Graceful));
    host.assert_clean();
}

#[test]
fn later_data_completes_the_handshake_and_waits_for_what_was_lost() {
    let mut host = Host::server(plain_config());
    host.send(seg("S", 100, 0));
    host.expect("S.", 300, 101);
    host.send(seg(".", 104, 301).data(*b"def"));
    host.expect(".", 301, 101);
    assert_eq!(host.told(), [Told::Accepted]);
    host.send(seg(".", 101, 301).data(*b"abc"));
    assert_eq!(host.shard.app().bytes(), b"abcdef");
    over(&mut host, 107);
}

#[test]
fn wrong_ack_for_a_syn_ack_is_reset_and_the_handshake_goes_on() {
    let mut host = Host::server(plain_config());
    host.send(seg("S", 100, 0));
    host.expect("S.", 300, 101);
    for wrong in [300, 302, 5] {
        host.send(seg(".", 101, wrong));
        host.expect("R", wrong, 0);
    }
    host.send(seg(".", 101, 301));
    assert_eq!(host.told(), [Told::Accepted]);
    over(&mut host, 101);
}

#[test]
fn lost_syn_means_an_initial_window_of_one_segment() {
    let mut host = in_state(State::SynSent);
    sends_after(&mut host, seconds(1));
    host.expect("S", 300, 0);
    host.write(&crate::BYTES[..10_000]);
    host.send(seg("S.", 500, 301).mss(1000));
    host.expect_data(301, 501, &crate::BYTES[..1000]);
    host.expect_nothing();
    over(&mut host, 501);
}

#[test]
fn lost_syn_ack_means_an_initial_window_of_one_segment() {
    let mut host = Host::server(plain_config());
    host.send(seg("S", 100, 0).mss(1000));
    host.expect("S.", 300, 101);
    sends_after(&mut host, seconds(1));
    host.expect("S.", 300, 101);
    host.send(seg(".", 101, 301));
    host.write(&crate::BYTES[..10_000]);
    host.expect_data(301, 101, &crate::BYTES[..1000]);
    host.expect_nothing();
    over(&mut host, 101);
}

#[test]
fn first_time_out_of_data_is_three_seconds_after_a_lost_syn() {
    // RFC 6298 5.7: nothing is known of the round-trip time, except that it may be longer than a second.
    let mut host = in_state(State::SynSent);
    sends_after(&mut host, seconds(1));
    host.expect("S", 300, 0);
    host.send(seg("S.", 500, 301).mss(1000));
    host.expect(".", 301, 501);
    host.write(b"data");
    host.expect_data(301, 501, b"data");
    sends_after(&mut host, seconds(3));
    host.expect_data(301, 501, b"data");
    over(&mut host, 501);
}

#[test]
fn established_after_a_time_out_is_told_once_and_never_closed_by_it() {
    let mut host = in_state(State::SynSent);
    host.pass(seconds(8));
    assert_eq!(host.out.len(), 3);
    host.out.clear();
    host.send(seg("S.", 500, 301));
    host.expect(".", 301, 501);
    host.pass(seconds(1000));
    assert_eq!(host.told(), [Told::Connected]);
    assert_eq!(times_told_closed(&host), 0);
    over(&mut host, 501);
}
