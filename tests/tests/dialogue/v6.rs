//! The main dialogues over IPv6.

use crate::{BYTES, closed, over, seconds, sends_after};
use synfin_engine::shard::{CloseReason, LocalNet, ShardConfig};
use synfin_engine::tcp::State;
use synfin_engine::wire::Addr;
use synfin_tests::host::{Host, OUR_PORT, PEER_MAC, PEER_PORT, Told, plain_config, seg};

const fn address(last: u8) -> Addr {
    Addr([0x20, 0x01, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last])
}

fn config() -> ShardConfig {
    let mut config = plain_config();
    config.locals.push(LocalNet { first: address(1), count: 1, prefix_len: 64, exclusive: true });
    config.static_neighbours.push((address(2), PEER_MAC));
    config
}

fn server() -> Host {
    let mut host = Host::server(config());
    (host.remote.0, host.local.0) = (address(2), address(1));
    host
}

fn client() -> Host {
    let mut host = Host::new(config());
    (host.remote, host.local) = ((address(2), OUR_PORT), (address(1), PEER_PORT));
    host.connect().expect("a free 4-tuple");
    host.turn(Vec::new());
    host
}

fn accepted() -> Host {
    let mut host = server();
    host.send(seg("S", 100, 0).mss(1440));
    assert_eq!(host.expect("S.", 300, 101).seg.options.mss, Some(1440));
    host.send(seg(".", 101, 301));
    assert_eq!(host.told(), [Told::Accepted]);
    host
}

#[test]
fn both_roles_open_with_three_segments() {
    let mut host = accepted();
    over(&mut host, 101);
    let mut host = client();
    assert_eq!(host.expect("S", 300, 0).seg.options.mss, Some(1440));
    host.send(seg("S.", 500, 301).mss(1440));
    host.expect(".", 301, 501);
    assert_eq!(host.told(), [Told::Connected]);
    over(&mut host, 501);
}

#[test]
fn missing_mss_means_1220_bytes() {
    let mut host = server();
    host.send(seg("S", 100, 0));
    host.expect("S.", 300, 101);
    host.send(seg(".", 101, 301));
    host.write(&BYTES[..2000]);
    host.expect_data(301, 101, &BYTES[..1220]);
    over(&mut host, 101);
}

#[test]
fn lost_syn_and_lost_syn_ack_are_sent_again() {
    let mut host = client();
    host.expect("S", 300, 0);
    for wait in [1, 2, 4] {
        sends_after(&mut host, seconds(wait));
        host.expect("S", 300, 0);
    }
    host.send(seg("R.", 0, 301));
    assert_eq!(closed(&host), Some(CloseReason::Refused));
    host.assert_clean();
    let mut host = server();
    host.send(seg("S", 100, 0));
    host.expect("S.", 300, 101);
    sends_after(&mut host, seconds(1));
    host.expect("S.", 300, 101);
    host.send(seg("R", 101, 0));
    host.assert_clean();
}

#[test]
fn closed_port_answers_with_reset() {
    let mut host = server();
    host.local.1 = 81;
    host.send(seg("S", 100, 0));
    host.expect("R.", 0, 101);
    host.assert_clean();
}

#[test]
fn data_goes_both_ways_out_of_order_too() {
    let mut host = accepted();
    host.send(seg(".", 104, 301).data(*b"def"));
    host.expect(".", 301, 101);
    host.send(seg(".", 101, 301).data(*b"abc"));
    host.expect(".", 301, 107);
    assert_eq!(host.shard.app().bytes(), b"abcdef");
    host.write(&BYTES[..3000]);
    host.expect_data(301, 107, &BYTES[..1440]);
    host.expect_data(1741, 107, &BYTES[1440..2880]);
    host.expect_data(3181, 107, &BYTES[2880..3000]);
    over(&mut host, 107);
}

#[test]
fn active_and_passive_close() {
    let mut host = accepted();
    host.act(|c| c.close());
    host.expect("F.", 301, 101);
    host.send(seg(".", 101, 302));
    host.send(seg("F.", 101, 302));
    host.expect(".", 302, 102);
    assert_eq!(host.state(), State::TimeWait);
    // The last ACK is lost.
    host.send(seg("F.", 101, 302));
    host.expect(".", 302, 102);
    host.pass(seconds(61));
    host.assert_clean();

    let mut host = accepted();
    host.send(seg("F.", 101, 301));
    host.expect(".", 301, 102);
    host.act(|c| c.close());
    host.expect("F.", 301, 102);
    host.send(seg(".", 102, 302));
    assert_eq!(closed(&host), Some(CloseReason::Graceful));
    host.assert_clean();
}

#[test]
fn same_ports_over_both_families_are_two_connections() {
    let mut host = accepted();
    (host.remote.0, host.local.0) = (synfin_tests::host::PEER, synfin_tests::host::OURS);
    host.send(seg("S", 700, 0));
    host.expect("S.", 300, 701);
    host.send(seg(".", 701, 301));
    assert_eq!(host.shard.live(), (2, 0, 0));
    host.send(seg("R", 701, 0));
    (host.remote.0, host.local.0) = (address(2), address(1));
    over(&mut host, 101);
}
