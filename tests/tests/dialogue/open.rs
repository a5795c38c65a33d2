//! Opening without loss: who sends what, and what becomes of segments that do not belong.

use crate::{closed, drops, in_state, over, seconds};
use synfin_engine::base::{DropReason, Event};
use synfin_engine::shard::{CloseReason, ConnectError};
use synfin_engine::tcp::{State, SynCookies};
use synfin_engine::wire::TcpFlags;
use synfin_tests::host::{Host, PEER, Told, plain_config, seg};

#[test]
fn client_opens_with_three_segments() {
    let mut host = Host::client(plain_config());
    let syn = host.expect("S", 300, 0);
    assert_eq!(syn.seg.options.mss, Some(1460));
    assert_eq!(host.state(), State::SynSent);
    host.send(seg("S.", 500, 301).mss(1460));
    host.expect(".", 301, 501);
    assert_eq!(host.state(), State::Established);
    assert_eq!(host.told(), [Told::Connected]);
    host.expect_nothing();
    over(&mut host, 501);
}

#[test]
fn server_opens_with_three_segments() {
    let mut host = Host::server(plain_config());
    host.send(seg("S", 100, 0).mss(1460));
    let syn_ack = host.expect("S.", 300, 101);
    assert_eq!(syn_ack.seg.options.mss, Some(1460));
    assert_eq!(host.state(), State::SynReceived);
    assert!(host.told().is_empty());
    host.send(seg(".", 101, 301));
    assert_eq!(host.state(), State::Established);
    assert_eq!(host.told(), [Told::Accepted]);
    host.expect_nothing();
    over(&mut host, 101);
}

#[test]
fn first_data_byte_has_the_number_of_the_third_segment() {
    let mut host = Host::connected(plain_config());
    host.write(b"hello");
    host.expect_data(301, 501, b"hello");
    over(&mut host, 501);
}

#[test]
fn bytes_written_before_the_handshake_is_over_follow_it() {
    let mut host = Host::client(plain_config());
    host.expect("S", 300, 0);
    host.write(b"early");
    host.expect_nothing();
    host.send(seg("S.", 500, 301).mss(1460));
    // The data carries the ACK that completes the handshake.
    host.expect_data(301, 501, b"early");
    host.expect_nothing();
    over(&mut host, 501);
}

#[test]
fn syn_to_a_closed_port_is_answered_with_reset() {
    let mut host = Host::new(plain_config());
    host.send(seg("S", 100, 0));
    let reset = host.expect("R.", 0, 101);
    assert_eq!(reset.data.len(), 0);
    assert_eq!(drops(&host, DropReason::SynToClosedPort), 1);
    host.assert_clean();
}

#[test]
fn refused_port_is_told_once_and_leaves_nothing() {
    let mut host = Host::client(plain_config());
    host.expect("S", 300, 0);
    host.send(seg("R.", 0, 301));
    assert_eq!(host.told(), [Told::Closed(CloseReason::Refused)]);
    host.expect_nothing();
    host.assert_clean();
}

#[test]
fn segments_for_no_connection_are_answered_with_reset() {
    let mut host = Host::server(plain_config());
    host.send(seg(".", 101, 777));
    host.expect("R", 777, 0);
    host.send(seg("F.", 101, 777).data(*b"abc"));
    host.expect("R", 777, 0);
    host.send(seg("S.", 101, 777));
    host.expect("R", 777, 0);
    // Without ACK nobody says what to answer with: a listener drops it.
    host.send(seg("F", 101, 0));
    host.send(seg("R", 101, 0));
    host.send(seg("R.", 101, 777));
    host.expect_nothing();
    host.assert_clean();
}

#[test]
fn old_duplicate_syn_is_undone_by_the_clients_reset() {
    // Server's side: the SYN is old, the client answers the SYN,ACK with RST, and nothing stays behind.
    let mut host = Host::server(plain_config());
    host.send(seg("S", 90, 0));
    host.expect("S.", 300, 91);
    host.send(seg("R", 91, 0));
    host.expect_nothing();
    assert!(host.told().is_empty());
    assert_eq!(crate::events(&host, Event::HalfOpenReset), 1);
    host.assert_clean();
    // The real one is taken afterwards.
    host.send(seg("S", 100, 0));
    host.expect("S.", 300, 101);
    host.send(seg(".", 101, 301));
    assert_eq!(host.told(), [Told::Accepted]);
    over(&mut host, 101);
}

#[test]
fn client_answers_a_syn_ack_that_it_never_asked_for_with_reset() {
    let mut host = Host::new(plain_config());
    host.send(seg("S.", 300, 91));
    host.expect("R", 91, 0);
    host.assert_clean();
}

#[test]
fn syn_ack_with_a_wrong_ack_number_is_reset_and_the_client_goes_on_waiting() {
    let mut host = in_state(State::SynSent);
    for wrong in [300, 302, 91] {
        host.send(seg("S.", 500, wrong));
        host.expect("R", wrong, 0);
        assert_eq!(host.state(), State::SynSent);
    }
    // An ACK without SYN, with the right number, means nothing; with a wrong one it is reset (half-open peer).
    host.send(seg(".", 500, 301));
    host.expect_nothing();
    host.send(seg(".", 500, 77));
    host.expect("R", 77, 0);
    host.send(seg("S.", 500, 301));
    host.expect(".", 301, 501);
    assert_eq!(host.told(), [Told::Connected]);
    over(&mut host, 501);
}

#[test]
fn half_open_connection_of_a_crashed_peer_is_discovered() {
    // The peer still has the old connection and answers our SYN with an ACK out of it (RFC 9293 figure 9).
    let mut host = in_state(State::SynSent);
    host.send(seg(".", 900, 100));
    host.expect("R", 100, 0);
    assert_eq!(host.state(), State::SynSent);
    host.pass(seconds(1) + crate::ms(1));
    host.expect("S", 300, 0);
    host.send(seg("S.", 500, 301));
    host.expect(".", 301, 501);
    over(&mut host, 501);
}

#[test]
fn data_in_a_syn_is_not_acknowledged_and_comes_again() {
    let mut host = Host::server(plain_config());
    host.send(seg("S", 100, 0).data(*b"abc"));
    host.expect("S.", 300, 101);
    host.send(seg(".", 101, 301).data(*b"abc"));
    assert_eq!(host.told(), [Told::Accepted, Told::Data(b"abc".to_vec())]);
    over(&mut host, 104);
}

#[test]
fn data_in_a_syn_ack_is_taken() {
    let mut host = in_state(State::SynSent);
    host.send(seg("S.", 500, 301).data(*b"abc"));
    host.expect(".", 301, 504);
    assert_eq!(host.told(), [Told::Connected, Told::Data(b"abc".to_vec())]);
    over(&mut host, 504);
}

#[test]
fn data_with_the_third_segment_is_taken() {
    let mut host = Host::server(plain_config());
    host.send(seg("S", 100, 0));
    host.expect("S.", 300, 101);
    host.send(seg("P.", 101, 301).data(*b"abc"));
    assert_eq!(host.told(), [Told::Accepted, Told::Data(b"abc".to_vec())]);
    over(&mut host, 104);
}

#[test]
fn fin_that_comes_with_the_syn_counts_only_if_the_syn_is_an_answer() {
    // Who opens with it is not served.
    let mut host = Host::server(plain_config());
    host.send(seg("SF", 100, 0));
    host.expect_nothing();
    assert_eq!(drops(&host, DropReason::TcpFlagsBad), 1);
    host.assert_clean();

    // RFC 9293 3.10.7.4, eighth check: its number cannot be validated yet. The peer will repeat it.
    let mut host = in_state(State::SynSent);
    host.send(seg("SF", 500, 0));
    host.expect("S.", 300, 501);
    host.send(seg("F.", 501, 301));
    host.expect(".", 301, 502);
    assert_eq!(host.state(), State::CloseWait);
    over(&mut host, 502);

    let mut host = in_state(State::SynSent);
    host.send(seg("SF.", 500, 301));
    host.expect(".", 301, 502);
    assert_eq!(host.told(), [Told::Connected, Told::PeerClosed]);
    over(&mut host, 502);
}

#[test]
fn answer_to_our_syn_may_bring_the_whole_stream_and_its_end() {
    let mut host = in_state(State::SynSent);
    host.send(seg("SF.", 500, 301).data(*b"abc"));
    host.expect(".", 301, 505);
    assert_eq!(host.told(), [Told::Connected, Told::Data(b"abc".to_vec()), Told::PeerClosed]);
    assert_eq!(host.state(), State::CloseWait);
    over(&mut host, 505);
}

#[test]
fn full_backlog_drops_the_syn_and_takes_it_once_there_is_room() {
    let mut config = plain_config();
    config.tcp.syn_cookies = SynCookies::Off;
    config.limits.half_open = 1;
    let mut host = Host::server(config);
    host.send(seg("S", 100, 0));
    host.expect("S.", 300, 101);
    host.remote.1 = 40_001;
    host.send(seg("S", 200, 0));
    host.expect_nothing();
    assert_eq!(drops(&host, DropReason::BacklogFull), 1);
    host.remote.1 = 40_000;
    host.send(seg("R", 101, 0));
    host.remote.1 = 40_001;
    host.send(seg("S", 200, 0));
    host.expect("S.", 300, 201);
    host.send(seg("R", 201, 0));
    host.assert_clean();
}

#[test]
fn full_connection_table_leaves_the_handshake_half_open_until_there_is_room() {
    let mut config = plain_config();
    config.limits.connections = 1;
    let mut host = Host::server(config);
    for (port, seq) in [(40_001, 200), (40_000, 100)] {
        host.remote.1 = port;
        host.send(seg("S", seq, 0));
        host.expect("S.", 300, seq + 1);
    }
    host.send(seg(".", 101, 301));
    host.remote.1 = 40_001;
    host.send(seg(".", 201, 301));
    assert_eq!(drops(&host, DropReason::TableFull), 1);
    assert_eq!(host.told(), [Told::Accepted]);
    host.remote.1 = 40_000;
    host.send(seg("R", 101, 0));
    host.remote.1 = 40_001;
    host.send(seg(".", 201, 301));
    assert_eq!(host.told().last(), Some(&Told::Accepted));
    over(&mut host, 201);
}

#[test]
fn second_connection_with_the_same_four_tuple_cannot_begin() {
    let mut host = in_state(State::SynSent);
    assert_eq!(host.connect(), Err(ConnectError::AddressInUse));
    host.send(seg("R.", 0, 301));
    host.assert_clean();
    host.local.0 = PEER;
    assert_eq!(host.connect(), Err(ConnectError::NotLocal));
    host.assert_clean();
}

#[test]
fn closing_before_the_handshake_is_over_ends_the_attempt_without_a_segment() {
    for close in [true, false] {
        let mut host = in_state(State::SynSent);
        host.act(|c| if close { c.close() } else { c.abort() });
        assert_eq!(host.told(), [Told::Closed(CloseReason::Aborted)]);
        host.expect_nothing();
        host.assert_clean();
        // What still comes is refused.
        host.send(seg("S.", 500, 301));
        host.expect("R", 301, 0);
        assert_eq!(closed(&host), Some(CloseReason::Aborted));
        host.assert_clean();
    }
}

#[test]
fn ecn_and_urgent_bits_in_a_syn_do_no_harm() {
    let mut host = Host::server(plain_config());
    let mut syn = seg("SU", 100, 0);
    syn.flags = syn.flags | TcpFlags::ECE | TcpFlags::CWR;
    host.send(syn);
    let answer = host.expect("S.", 300, 101);
    assert!(!answer.seg.flags.has(TcpFlags::ECE));
    host.send(seg("R", 101, 0));
    host.assert_clean();
}
