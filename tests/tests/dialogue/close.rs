//! Every order of closing, without loss.

use crate::{BYTES, closed, drops, ends_after, events, in_state, over, seconds, times_told_closed};
use synfin_engine::base::{DropReason, Event};
use synfin_engine::shard::{CloseReason, SendError, ShardConfig};
use synfin_engine::tcp::State;
use synfin_tests::host::{Host, Told, plain_config, seg};

/// The connection has ended in order; the side that closed first keeps a record for 2MSL.
#[track_caller]
fn graceful(host: &mut Host, time_wait: bool) {
    assert_eq!(closed(host), Some(CloseReason::Graceful));
    assert_eq!(times_told_closed(host), 1);
    host.expect_nothing();
    if time_wait {
        assert_eq!(host.shard.live(), (0, 0, 1));
        host.pass(seconds(61));
        host.expect_nothing();
    }
    host.assert_clean();
}

#[test]
fn active_close_takes_four_segments() {
    let mut host = Host::connected(plain_config());
    host.act(|c| c.close());
    host.expect("F.", 301, 501);
    assert_eq!(host.state(), State::FinWait1);
    host.send(seg(".", 501, 302));
    assert_eq!(host.state(), State::FinWait2);
    host.expect_nothing();
    host.send(seg("F.", 501, 302));
    host.expect(".", 302, 502);
    assert_eq!(host.state(), State::TimeWait);
    graceful(&mut host, true);
}

#[test]
fn active_close_takes_three_segments_when_the_peer_closes_with_its_ack() {
    let mut host = Host::connected(plain_config());
    host.act(|c| c.shutdown());
    host.expect("F.", 301, 501);
    host.send(seg("F.", 501, 302));
    host.expect(".", 302, 502);
    assert_eq!(host.told(), [Told::Connected, Told::PeerClosed, Told::Closed(CloseReason::Graceful)]);
    graceful(&mut host, true);
}

#[test]
fn passive_close_is_gone_the_moment_the_last_ack_comes() {
    let mut host = Host::accepted(plain_config());
    host.send(seg("F.", 101, 301));
    host.expect(".", 301, 102);
    assert_eq!(host.state(), State::CloseWait);
    assert_eq!(host.told(), [Told::Accepted, Told::PeerClosed]);
    host.act(|c| c.close());
    host.expect("F.", 301, 102);
    assert_eq!(host.state(), State::LastAck);
    host.send(seg(".", 102, 302));
    graceful(&mut host, false);
}

#[test]
fn answer_to_the_fin_carries_our_fin_when_the_application_closes_at_once() {
    let mut host = Host::accepted(plain_config());
    host.shard.app_mut().react = Some(|told, conn| {
        if *told == Told::PeerClosed {
            conn.close();
        }
    });
    host.send(seg("F.", 101, 301));
    host.expect("F.", 301, 102);
    assert_eq!(host.state(), State::LastAck);
    host.send(seg(".", 102, 302));
    graceful(&mut host, false);
}

#[test]
fn request_answer_and_fin_may_travel_together() {
    let mut host = Host::accepted(plain_config());
    host.shard.app_mut().react = Some(|told, conn| {
        if matches!(told, Told::Data(_)) {
            conn.send_copy(b"answer").expect("open");
            conn.close();
        }
    });
    host.send(seg("F.", 101, 301).data(*b"question"));
    let answer = host.expect("F.", 301, 110);
    assert_eq!(answer.data, b"answer");
    host.send(seg(".", 110, 308));
    graceful(&mut host, false);
}

#[test]
fn fin_with_data_hands_on_the_data_first() {
    let mut host = Host::accepted(plain_config());
    host.send(seg("FP.", 101, 301).data(*b"last"));
    host.expect(".", 301, 106);
    assert_eq!(host.told(), [Told::Accepted, Told::Data(b"last".to_vec()), Told::PeerClosed]);
    host.act(|c| c.close());
    host.expect("F.", 301, 106);
    host.send(seg(".", 106, 302));
    graceful(&mut host, false);
}

#[test]
fn half_closed_connection_goes_on_receiving() {
    let mut host = Host::connected(plain_config());
    host.act(|c| c.shutdown());
    host.expect("F.", 301, 501);
    // Data before the FIN is acknowledged, and after.
    host.send(seg(".", 501, 301).data(*b"one"));
    host.send(seg(".", 504, 302).data(*b"two"));
    assert_eq!(host.state(), State::FinWait2);
    assert_eq!(host.shard.app().bytes(), b"onetwo");
    host.pass(seconds(1));
    host.expect(".", 302, 507);
    host.send(seg("F.", 507, 302).data(*b"three"));
    host.expect(".", 302, 513);
    assert_eq!(host.shard.app().bytes(), b"onetwothree");
    graceful(&mut host, true);
}

#[test]
fn after_the_peers_fin_sending_goes_on() {
    let mut host = Host::accepted(plain_config());
    host.send(seg("F.", 101, 301));
    host.expect(".", 301, 102);
    host.write(&BYTES[..3000]);
    assert_eq!(host.out.iter().map(|s| s.data.len()).sum::<usize>(), 3000);
    host.out.clear();
    host.send(seg(".", 102, 3301));
    host.write(b"end");
    host.expect_data(3301, 102, b"end");
    host.act(|c| c.close());
    host.expect("F.", 3304, 102);
    host.send(seg(".", 102, 3305));
    graceful(&mut host, false);
}

#[test]
fn fin_follows_everything_that_was_queued() {
    let mut host = Host::connected(plain_config());
    host.act(|c| {
        c.send_copy(&BYTES[..2000]).expect("open");
        c.close();
    });
    host.expect_data(301, 501, &BYTES[..1460]);
    let last = host.expect("F.", 1761, 501);
    assert_eq!(last.data, &BYTES[1460..2000]);
    // The data alone is acknowledged, then the FIN.
    host.send(seg(".", 501, 2301));
    assert_eq!(host.state(), State::FinWait1);
    host.send(seg(".", 501, 2302));
    assert_eq!(host.state(), State::FinWait2);
    host.send(seg("F.", 501, 2302));
    host.expect(".", 2302, 502);
    graceful(&mut host, true);
}

#[test]
fn fin_waits_for_the_window_and_the_connection_stays_open_until_it_is_sent() {
    let mut host = Host::connected(plain_config());
    host.write(&BYTES[..20_000]);
    assert_eq!(host.out.len(), 10);
    host.out.clear();
    host.act(|c| {
        c.shutdown();
        assert_eq!(c.state(), State::Established);
    });
    host.send(seg(".", 501, 301 + 14_600));
    assert_eq!(host.out.back().map(|s| s.seg.flags.fin()), Some(true));
    assert_eq!(host.state(), State::FinWait1);
    over(&mut host, 501);
}

#[test]
fn closing_twice_changes_nothing() {
    let mut host = Host::connected(plain_config());
    host.act(|c| {
        c.shutdown();
        c.shutdown();
        c.close();
    });
    host.expect("F.", 301, 501);
    host.act(|c| c.close());
    host.expect_nothing();
    host.send(seg("F.", 501, 302));
    host.expect(".", 302, 502);
    graceful(&mut host, true);
}

#[test]
fn data_after_close_is_answered_with_reset() {
    for state in [State::FinWait1, State::FinWait2] {
        let mut host = in_state(state);
        host.act(|c| c.close());
        host.expect_nothing();
        host.send(seg(".", 501, 302).data(*b"late"));
        host.expect("R", 302, 0);
        assert_eq!(closed(&host), Some(CloseReason::Aborted));
        assert_eq!(drops(&host, DropReason::DataAfterClose), 1);
        host.assert_clean();
    }
}

#[test]
fn close_with_unread_data_resets_the_connection() {
    // RFC 9293 3.10.4, RFC 2525 2.17: the peer must not believe that its bytes were read.
    let mut host = Host::accepted(plain_config());
    host.shard.app_mut().appetite = 0;
    host.send(seg(".", 101, 301).data(*b"unread"));
    host.act(|c| c.close());
    host.expect("R.", 301, 107);
    assert_eq!(closed(&host), Some(CloseReason::Aborted));
    host.assert_clean();
}

#[test]
fn closing_while_leaving_bytes_resets_the_connection() {
    let mut host = Host::accepted(plain_config());
    host.shard.app_mut().appetite = 3;
    host.shard.app_mut().react = Some(|told, conn| {
        if matches!(told, Told::Data(_)) {
            conn.close();
        }
    });
    host.send(seg(".", 101, 301).data(*b"unread"));
    host.expect("R.", 301, 107);
    assert_eq!(closed(&host), Some(CloseReason::Aborted));
    host.assert_clean();
}

#[test]
fn closing_at_the_first_of_several_kept_segments_resets_the_connection() {
    let mut host = Host::accepted(plain_config());
    host.shard.app_mut().react = Some(|told, conn| {
        if matches!(told, Told::Data(_)) {
            conn.close();
        }
    });
    host.send(seg(".", 104, 301).data(*b"def"));
    host.send(seg(".", 107, 301).data(*b"ghi"));
    host.out.clear();
    host.send(seg(".", 101, 301).data(*b"abc"));
    assert_eq!(host.shard.app().bytes(), b"abc");
    host.expect("R.", 301, 110);
    assert_eq!(closed(&host), Some(CloseReason::Aborted));
    host.assert_clean();
}

#[test]
fn closing_when_told_of_resumed_bytes_resets_when_some_are_left() {
    let mut host = Host::accepted(plain_config());
    host.shard.app_mut().appetite = 0;
    host.send(seg(".", 101, 301).data(*b"abc"));
    host.send(seg(".", 104, 301).data(*b"def"));
    host.expect(".", 301, 107);
    host.shard.app_mut().react = Some(|told, conn| {
        if matches!(told, Told::Data(_)) {
            conn.close();
        }
    });
    host.shard.app_mut().appetite = 4;
    host.act(|c| c.resume_receive());
    assert_eq!(host.shard.app().bytes(), b"abc");
    host.expect("R.", 301, 107);
    host.assert_clean();
}

#[test]
fn abort_sends_a_reset_and_drops_what_was_queued() {
    for state in
        [State::Established, State::FinWait1, State::FinWait2, State::CloseWait, State::Closing, State::LastAck]
    {
        let mut host = in_state(state);
        if state == State::Established {
            host.write(b"queued");
            host.out.clear();
            host.send(seg(".", 501, 307));
        }
        host.act(|c| c.abort());
        let sent = host.next();
        assert_eq!(format!("{:?}", sent.seg.flags), "[R.]", "{state}");
        assert_eq!(closed(&host), Some(CloseReason::Aborted));
        host.expect_nothing();
        host.assert_clean();
    }
}

#[test]
fn what_is_abandoned_ends_with_an_ack_and_is_silent_from_then_on() {
    let mut host = Host::connected(ShardConfig { abandons: true, ..plain_config() });
    host.send(seg(".", 501, 301).data(*b"response"));
    host.act(|c| c.abort());
    host.expect(".", 301, 509);
    assert_eq!(closed(&host), Some(CloseReason::Aborted));
    for late in [seg(".", 509, 301).data(*b"more"), seg("F.", 509, 301), seg("S", 5000, 0)] {
        host.send(late);
        host.expect_nothing();
    }
    assert_eq!(events(&host, Event::ResetsOut), 0);
    assert_eq!((drops(&host, DropReason::NoConnection), drops(&host, DropReason::SynToClosedPort)), (2, 1));
    host.assert_clean();
}

#[test]
fn abort_during_a_simultaneous_open_sends_a_reset() {
    let mut host = in_state(State::SynReceived);
    host.act(|c| c.abort());
    host.expect("R.", 301, 501);
    assert_eq!(closed(&host), Some(CloseReason::Aborted));
    host.assert_clean();
}

#[test]
fn aborted_connection_hears_nothing_more() {
    let mut host = Host::accepted(plain_config());
    host.shard.app_mut().react = Some(|told, conn| {
        if *told == Told::Data(b"a".to_vec()) {
            conn.abort();
        }
    });
    host.send_burst(&[seg(".", 101, 301).data(*b"a"), seg(".", 102, 301).data(*b"b"), seg("F.", 103, 301)]);
    assert_eq!(host.told(), [Told::Accepted, Told::Data(b"a".to_vec()), Told::Closed(CloseReason::Aborted)]);
    assert!(host.next().seg.flags.rst());
    host.expect_nothing();
    host.assert_clean();
}

#[test]
fn orphan_in_fin_wait_2_is_bounded_even_if_the_peer_goes_on_talking() {
    let mut host = Host::connected(plain_config());
    host.act(|c| c.close());
    host.expect("F.", 301, 501);
    host.send(seg(".", 501, 302));
    host.pass(seconds(30));
    host.send(seg(".", 501, 302));
    ends_after(&mut host, seconds(30), CloseReason::Orphaned);
    host.assert_clean();
    // A FIN that comes after all is refused.
    host.send(seg("F.", 501, 302));
    host.expect("R", 302, 0);
    assert_eq!(crate::events(&host, Event::ClosedOrphan), 1);
}

#[test]
fn half_closed_connection_lives_as_long_as_the_application_likes() {
    let mut host = in_state(State::FinWait2);
    host.pass(seconds(100_000));
    host.send(seg(".", 501, 302).data(*b"late"));
    assert_eq!(host.shard.app().bytes(), b"late");
    host.out.clear();
    // From the close on it is an orphan like any other.
    host.act(|c| c.close());
    ends_after(&mut host, seconds(60), CloseReason::Orphaned);
    host.assert_clean();
}

#[test]
fn half_closed_connection_with_a_limit_lives_as_long_as_there_is_traffic() {
    let mut config = plain_config();
    config.tcp.half_closed = Some(seconds(60));
    let mut host = Host::connected(config);
    host.act(|c| c.shutdown());
    host.expect("F.", 301, 501);
    host.send(seg(".", 501, 302));
    for i in 0..5u32 {
        host.pass(seconds(40));
        host.send(seg(".", 501 + i, 302).data(*b"x"));
    }
    assert_eq!(closed(&host), None);
    ends_after(&mut host, seconds(60), CloseReason::Orphaned);
    host.assert_clean();
}

#[test]
fn nothing_can_be_sent_after_close() {
    let mut host = in_state(State::CloseWait);
    host.act(|c| {
        c.close();
        assert_eq!(c.send_copy(b"x"), Err(SendError::Closed));
    });
    host.expect("F.", 301, 502);
    host.send(seg(".", 502, 302));
    graceful(&mut host, false);
}
