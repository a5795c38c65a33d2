//! Closing when segments are lost.

use crate::{closed, ends_after, events, in_state, ms, over, seconds, sends_after};
use synfin_engine::base::Event;
use synfin_engine::shard::CloseReason;
use synfin_engine::tcp::State;
use synfin_tests::host::{Host, plain_config, seg};

#[test]
fn lost_first_fin_is_sent_again() {
    let mut host = Host::connected(plain_config());
    host.act(|c| c.close());
    host.expect("F.", 301, 501);
    for wait in [200, 400, 800] {
        sends_after(&mut host, ms(wait));
        host.expect("F.", 301, 501);
    }
    host.send(seg("F.", 501, 302));
    host.expect(".", 302, 502);
    host.pass(seconds(61));
    host.expect_nothing();
    host.assert_clean();
}

#[test]
fn lost_ack_of_the_first_fin_is_made_good_by_the_fin_that_follows() {
    let mut host = in_state(State::FinWait1);
    host.send(seg("F.", 501, 302));
    host.expect(".", 302, 502);
    assert_eq!(host.state(), State::TimeWait);
    assert_eq!(closed(&host), Some(CloseReason::Graceful));
    host.pass(seconds(61));
    host.assert_clean();
}

#[test]
fn repeated_first_fin_is_acknowledged_again() {
    let mut host = in_state(State::CloseWait);
    host.send(seg("F.", 501, 301));
    host.expect(".", 301, 502);
    assert_eq!(host.state(), State::CloseWait);
    over(&mut host, 502);
}

#[test]
fn lost_second_fin_is_sent_again() {
    let mut host = in_state(State::LastAck);
    for wait in [200, 400] {
        sends_after(&mut host, ms(wait));
        host.expect("F.", 301, 502);
    }
    // The peer's FIN comes once more, too: acknowledged again.
    host.send(seg("F.", 501, 301));
    host.expect(".", 302, 502);
    host.send(seg(".", 502, 302));
    assert_eq!(closed(&host), Some(CloseReason::Graceful));
    host.assert_clean();
}

#[test]
fn lost_last_ack_is_sent_again_from_time_wait_and_2msl_begins_anew() {
    let mut host = in_state(State::TimeWait);
    host.pass(seconds(45));
    host.send(seg("F.", 501, 302));
    host.expect(".", 302, 502);
    assert_eq!(events(&host, Event::TimeWaitReacked), 1);
    // 2MSL from now, not from the beginning.
    host.pass(seconds(60) - ms(1));
    assert_eq!(host.state(), State::TimeWait);
    host.pass(ms(3));
    assert_eq!(host.state(), State::Closed);
    host.expect_nothing();
    assert_eq!(closed(&host), Some(CloseReason::Graceful));
    host.assert_clean();
}

#[test]
fn lost_acks_of_a_simultaneous_close_are_made_good() {
    let mut host = in_state(State::Closing);
    // Ours: sent again until it is acknowledged. The peer's: acknowledged again.
    sends_after(&mut host, ms(200));
    host.expect("F.", 301, 502);
    host.send(seg("F.", 501, 301));
    host.expect(".", 302, 502);
    host.send(seg(".", 502, 302));
    assert_eq!(host.state(), State::TimeWait);
    host.pass(seconds(61));
    host.assert_clean();
}

#[test]
fn fin_that_is_never_acknowledged_ends_in_a_time_out() {
    for (state, ack) in [(State::FinWait1, 501), (State::LastAck, 502), (State::Closing, 502)] {
        let mut host = in_state(state);
        host.pass(seconds(1200));
        assert_eq!(closed(&host), Some(CloseReason::TimedOut), "{state}");
        // The peer may be deaf only in one direction: the last word is RST.
        let last = host.out.pop_back().expect("a reset");
        assert!(last.seg.flags.rst() && (last.seg.seq.0, last.seg.ack.0) == (302, ack));
        // data_retries: 15.
        assert_eq!(host.out.len(), 15);
        assert!(host.out.iter().all(|s| s.seg.flags.fin() && (s.seg.seq.0, s.seg.ack.0) == (301, ack)));
        host.assert_clean();
    }
}

#[test]
fn limit_of_fin_retransmissions_is_kept() {
    let mut config = plain_config();
    config.tcp.data_retries = 3;
    let mut host = Host::connected(config);
    host.act(|c| c.close());
    host.expect("F.", 301, 501);
    for wait in [200, 400, 800] {
        sends_after(&mut host, ms(wait));
        host.expect("F.", 301, 501);
    }
    ends_after(&mut host, ms(1600), CloseReason::TimedOut);
    host.assert_clean();
}

#[test]
fn data_and_fin_lost_together_come_again_together() {
    let mut host = Host::connected(plain_config());
    host.act(|c| {
        c.send_copy(b"last words").expect("open");
        c.close();
    });
    host.expect("F.", 301, 501);
    sends_after(&mut host, ms(200));
    let again = host.expect("F.", 301, 501);
    assert_eq!(again.data, b"last words");
    // Only the data arrives (the peer's window ended there): the FIN alone comes again.
    host.send(seg(".", 501, 311));
    sends_after(&mut host, ms(400));
    host.expect("F.", 311, 501);
    over(&mut host, 501);
}

#[test]
fn fin_retransmitted_with_fresh_data_in_front_that_was_lost() {
    // The data before the peer's FIN is lost, the FIN comes twice, then everything in one segment.
    let mut host = Host::accepted(plain_config());
    host.send(seg("F.", 104, 301));
    host.expect(".", 301, 101);
    host.send(seg("F.", 104, 301));
    host.expect(".", 301, 101);
    host.send(seg("F.", 101, 301).data(*b"abc"));
    host.expect(".", 301, 105);
    assert_eq!(host.shard.app().bytes(), b"abc");
    assert_eq!(host.state(), State::CloseWait);
    over(&mut host, 105);
}
