//! RST, SYN and wild ACKs in every state (RFC 9293 3.10.7, RFC 5961).

use crate::{closed, drops, events, in_state, live, numbers, over, seconds, times_told_closed};
use synfin_engine::base::{DropReason, Event};
use synfin_engine::shard::CloseReason;
use synfin_engine::tcp::State;
use synfin_tests::host::{Host, plain_config, seg};

#[test]
fn reset_with_exactly_the_next_number_ends_the_connection_in_every_state() {
    for &state in live() {
        for flags in ["R", "R."] {
            let mut host = in_state(state);
            let (ours, theirs) = numbers(state);
            host.send(seg(flags, theirs, ours));
            let why = if state == State::SynReceived { CloseReason::Refused } else { CloseReason::Reset };
            assert_eq!(closed(&host), Some(why), "{state}");
            assert_eq!(times_told_closed(&host), 1);
            assert_eq!(events(&host, Event::ResetsIn), 1);
            host.expect_nothing();
            host.assert_clean();
        }
    }
}

#[test]
fn reset_elsewhere_in_the_window_is_challenged_in_every_state() {
    for &state in live() {
        let mut host = in_state(state);
        let (ours, theirs) = numbers(state);
        for seq in [theirs + 1, theirs + 30_000] {
            host.send(seg("R", seq, 0));
            host.expect(".", ours, theirs);
            host.expect_nothing();
        }
        assert_eq!(drops(&host, DropReason::RstChallenged), 2);
        assert_eq!(events(&host, Event::ChallengeAcks), 2);
        assert_eq!(host.state(), state);
        // The peer that really has no connection answers the challenge with the exact number.
        host.send(seg("R", theirs, 0));
        assert!(closed(&host).is_some());
        host.assert_clean();
    }
}

#[test]
fn reset_outside_the_window_is_dropped_in_every_state() {
    for &state in live() {
        let mut host = in_state(state);
        let (_, theirs) = numbers(state);
        for seq in [theirs - 1, theirs + 1_000_000, theirs.wrapping_add(1 << 31)] {
            host.send(seg("R", seq, 0));
            host.expect_nothing();
        }
        assert_eq!(drops(&host, DropReason::RstOutOfWindow), 3);
        assert_eq!(host.state(), state);
        host.send(seg("R", theirs, 0));
        host.assert_clean();
    }
}

#[test]
fn reset_in_syn_sent_counts_only_with_an_acceptable_ack() {
    let mut host = in_state(State::SynSent);
    for wild in [seg("R", 0, 0), seg("R", 500, 301), seg("R.", 0, 300), seg("R.", 0, 302)] {
        host.send(wild);
        host.expect_nothing();
        assert_eq!(host.state(), State::SynSent);
    }
    host.send(seg("R.", 12_345, 301));
    assert_eq!(closed(&host), Some(CloseReason::Refused));
    assert_eq!(events(&host, Event::ResetsIn), 1);
    host.assert_clean();
}

#[test]
fn reset_of_a_half_open_connection() {
    let mut host = Host::server(plain_config());
    host.send(seg("S", 100, 0));
    host.expect("S.", 300, 101);
    host.send(seg("R", 100, 0));
    host.send(seg("R", 101 + 70_000, 0));
    host.expect_nothing();
    assert_eq!(drops(&host, DropReason::RstOutOfWindow), 2);
    host.send(seg("R", 102, 0));
    host.expect(".", 301, 101);
    assert_eq!(drops(&host, DropReason::RstChallenged), 1);
    assert_eq!(host.state(), State::SynReceived);
    host.send(seg("R.", 101, 301));
    host.expect_nothing();
    // The listener goes on; the application never heard of it.
    assert!(host.told().is_empty());
    host.assert_clean();
}

#[test]
fn reset_in_time_wait_is_ignored() {
    let mut host = in_state(State::TimeWait);
    for seq in [502, 503, 0] {
        host.send(seg("R", seq, 0));
        host.send(seg("R.", seq, 302));
    }
    host.expect_nothing();
    assert_eq!(drops(&host, DropReason::TimeWaitIgnored), 6);
    assert_eq!(host.state(), State::TimeWait);
    host.pass(seconds(61));
    host.assert_clean();
}

#[test]
fn reset_for_no_connection_is_not_answered() {
    let mut host = Host::server(plain_config());
    host.send(seg("R", 1, 0));
    host.send(seg("R.", 1, 5));
    host.send(seg("SR", 1, 5));
    host.expect_nothing();
    assert_eq!(drops(&host, DropReason::RstNoConnection), 3);
    host.assert_clean();
}

#[test]
fn syn_in_every_state_that_knows_the_peer_is_challenged() {
    // RFC 5961 section 4: whatever its number.
    for &state in live() {
        let (ours, theirs) = numbers(state);
        for seq in [theirs, theirs - 1, theirs + 100, theirs + 1_000_000, 7] {
            let mut host = in_state(state);
            host.send(seg("S", seq, 0).mss(1460));
            host.expect(".", ours, theirs);
            host.expect_nothing();
            assert_eq!(host.state(), state);
            assert_eq!(drops(&host, DropReason::SynChallenged), 1);
            host.send(seg("R", theirs, 0));
            host.assert_clean();
        }
    }
}

#[test]
fn another_syn_on_a_half_open_connection_is_challenged() {
    let mut host = Host::server(plain_config());
    host.send(seg("S", 100, 0));
    host.expect("S.", 300, 101);
    host.send(seg("S", 9000, 0));
    host.expect(".", 301, 101);
    assert_eq!(drops(&host, DropReason::SynChallenged), 1);
    // The peer that has begun anew resets the old attempt and repeats its SYN.
    host.send(seg("R", 101, 0));
    host.send(seg("S", 9000, 0));
    host.expect("S.", 300, 9001);
    host.send(seg("R", 9001, 0));
    host.assert_clean();
}

#[test]
fn rebooted_peer_gets_a_new_connection_after_the_challenge() {
    let mut host = Host::accepted(plain_config());
    host.send(seg("S", 9000, 0));
    host.expect(".", 301, 101);
    host.send(seg("R", 101, 0));
    assert_eq!(closed(&host), Some(CloseReason::Reset));
    host.send(seg("S", 9000, 0));
    host.expect("S.", 300, 9001);
    host.send(seg(".", 9001, 301));
    assert_eq!(host.state(), State::Established);
    host.send(seg("R", 9001, 0));
    host.assert_clean();
}

#[test]
fn ack_of_what_was_never_sent_is_challenged_in_every_state() {
    for state in
        [State::Established, State::FinWait1, State::FinWait2, State::CloseWait, State::Closing, State::LastAck]
    {
        let mut host = in_state(state);
        let (ours, theirs) = numbers(state);
        host.send(seg(".", theirs, ours + 1).data(*b"wild"));
        host.expect(".", ours, theirs);
        host.expect_nothing();
        assert_eq!(drops(&host, DropReason::AckUnacceptable), 1);
        assert_eq!(host.state(), state);
        assert_eq!(host.shard.app().bytes(), b"");
        host.send(seg("R", theirs, 0));
        host.assert_clean();
    }
}

#[test]
fn ack_from_far_too_long_ago_is_challenged_and_a_merely_old_one_is_not() {
    let mut host = Host::accepted(plain_config());
    host.send(seg(".", 101, 301u32.wrapping_sub(65_536)).data(*b"wild"));
    host.expect(".", 301, 101);
    assert_eq!(drops(&host, DropReason::AckUnacceptable), 1);
    assert_eq!(host.shard.app().bytes(), b"");
    // Within the largest window we were ever given: the bytes count, the ACK says nothing new.
    host.send(seg(".", 101, 301u32.wrapping_sub(65_535)).data(*b"fine"));
    assert_eq!(host.shard.app().bytes(), b"fine");
    over(&mut host, 105);
}

#[test]
fn challenge_acks_are_limited_and_come_back() {
    let mut config = plain_config();
    config.tcp.challenge_acks_per_s = 5;
    let mut host = Host::accepted(config);
    for _ in 0..20 {
        host.send(seg("R", 102, 0));
    }
    let sent = host.out.len() as u64;
    assert!((3..=5).contains(&sent), "{sent} answers");
    assert_eq!(events(&host, Event::ChallengeAcks), sent);
    assert_eq!(drops(&host, DropReason::ChallengeLimited), 20 - sent);
    host.out.clear();
    host.pass(seconds(2));
    host.send(seg("S", 102, 0));
    host.expect(".", 301, 101);
    over(&mut host, 101);
}

#[test]
fn one_connection_cannot_spend_the_challenge_acks_of_all() {
    let mut host = Host::server(plain_config());
    for n in 0..20 {
        host.remote.1 = 40_000 + n;
        host.send(seg("S", 100, 0));
        host.send(seg(".", 101, 301));
    }
    host.out.clear();
    for _ in 0..500 {
        host.send(seg("R", 102, 0));
    }
    assert!(host.out.len() <= 10, "{} answers", host.out.len());
    host.out.clear();
    host.remote.1 = 40_000;
    host.send(seg("R", 102, 0));
    host.expect(".", 301, 101);
}

#[test]
fn answers_to_outdated_timestamps_and_far_away_bytes_are_limited() {
    let mut host = Host::server(crate::stamped_config());
    host.send(seg("S", 100, 0).ts(1000, 0));
    host.expect("S.", 300, 101);
    for _ in 0..20 {
        host.send(seg(".", 101, 301).ts(999, 0));
    }
    assert!((1..=10).contains(&host.out.len()), "{} answers from half-open", host.out.len());
    host.out.clear();
    host.pass(seconds(2));
    host.out.clear();
    host.send(seg(".", 101, 301).ts(1000, 0));
    for _ in 0..20 {
        host.send(seg(".", 101, 301).data(*b"old").ts(999, 0));
    }
    assert!((1..=10).contains(&host.out.len()), "{} answers to old timestamps", host.out.len());
    host.pass(seconds(2));
    host.out.clear();
    for _ in 0..20 {
        host.send(seg(".", 1_000_000, 301).data(*b"far").ts(1001, 0));
    }
    assert!((1..=10).contains(&host.out.len()), "{} answers to far bytes", host.out.len());
    assert_eq!(host.told(), [synfin_tests::host::Told::Accepted]);
}

#[test]
fn bytes_that_the_peer_repeats_are_always_answered() {
    let mut host = Host::accepted(plain_config());
    host.send(seg(".", 101, 301).data(*b"abc"));
    host.out.clear();
    for _ in 0..100 {
        host.send(seg(".", 101, 301).data(*b"abc"));
        host.expect(".", 301, 104);
    }
    over(&mut host, 104);
}

#[test]
fn new_syn_right_behind_the_reset_of_the_old_connection_is_taken() {
    let mut host = Host::accepted(plain_config());
    host.send_burst(&[seg("R", 101, 0), seg("S", 9000, 0)]);
    assert_eq!(closed(&host), Some(CloseReason::Reset));
    host.expect("S.", 300, 9001);
    host.expect_nothing();
    host.send(seg("R", 9001, 0));
    host.assert_clean();
}

#[test]
fn new_syn_right_behind_the_last_fin_of_the_old_connection_is_taken() {
    let mut host = Host::accepted(plain_config());
    host.act(|c| c.close());
    host.expect("F.", 301, 101);
    host.send_burst(&[seg("F.", 101, 302), seg("S", 9000, 0)]);
    host.expect(".", 302, 102);
    assert_eq!(host.next().seg.ack.0, 9001);
    host.send(seg("R", 9001, 0));
    host.pass(seconds(61));
    host.assert_clean();
}

#[test]
fn data_in_a_reset_is_not_handed_on() {
    let mut host = Host::accepted(plain_config());
    host.send(seg("R.", 101, 301).data(*b"why"));
    assert_eq!(host.shard.app().bytes(), b"");
    assert_eq!(closed(&host), Some(CloseReason::Reset));
    host.assert_clean();
}

#[test]
fn reset_after_a_time_out_has_the_number_that_the_peer_expects_if_it_has_everything() {
    let mut host = Host::accepted(plain_config());
    host.write(&crate::BYTES[..2920]);
    host.expect(".", 301, 101);
    host.expect(".", 1761, 101);
    host.pass_until_output(seconds(3));
    host.expect(".", 301, 101);
    host.act(|c| c.abort());
    host.expect("R.", 3221, 101);
}
