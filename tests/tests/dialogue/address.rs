//! Addresses: from whom segments are taken, to whom, and which of ours is used (RFC 9293 3.9.1.1, 3.9.2.3).

use crate::{drops, over};
use synfin_engine::base::DropReason;
use synfin_engine::shard::{ConnectError, LocalNet, ShardConfig};
use synfin_engine::tcp::{State, SynCookies};
use synfin_engine::wire::Addr;
use synfin_tests::altered::{IP, altered};
use synfin_tests::host::{Host, OUR_MAC, OUR_PORT, OURS, PEER, plain_config, seg};

/// Nobody's, everybody's, or our own, on a host of 198.18.0.0/24.
const NO_PEERS: [[u8; 4]; 9] = [
    [0, 0, 0, 0],
    [0, 1, 2, 3],
    [127, 0, 0, 1],
    [224, 0, 0, 1],
    [239, 255, 255, 250],
    [240, 0, 0, 1],
    [255, 255, 255, 255],
    [198, 18, 0, 255],
    [198, 18, 0, 1],
];

/// Anything off the link has a way out, so that it is not for want of one that an address is refused.
fn routed_config() -> ShardConfig {
    let mut config = plain_config();
    config.gateway_v4 = Some(PEER);
    config
}

#[test]
fn syn_from_an_address_that_is_no_hosts_is_ignored() {
    for syn_cookies in [SynCookies::Off, SynCookies::Always] {
        let mut config = routed_config();
        config.tcp.syn_cookies = syn_cookies;
        let mut host = Host::server(config);
        for (n, src) in NO_PEERS.into_iter().enumerate() {
            for s in [seg("S", 100, 0), seg(".", 100, 5).data(*b"x")] {
                let frame = altered(&mut host, &s, |b| b[IP + 12..IP + 16].copy_from_slice(&src));
                host.send_raw(&frame);
            }
            host.expect_nothing();
            let refused = drops(&host, DropReason::IpSourceBad) + drops(&host, DropReason::PeerImpossible);
            assert_eq!(refused, 2 * (n as u64 + 1), "{src:?}");
        }
        host.assert_clean();
        // An ordinary stranger beyond the gateway is served.
        host.remote.0 = Addr::v4([203, 0, 113, 7]);
        host.send(seg("S", 100, 0));
        assert_eq!(host.next().seg.ack.0, 101);
        host.send(seg("R", 101, 0));
        host.assert_clean();
    }
}

#[test]
fn syn_to_a_broadcast_or_multicast_address_is_discarded_silently() {
    const GROUP: [u8; 6] = [1, 0, 0x5e, 0, 0, 1];
    let mut host = Host::server(routed_config());
    let ours = OURS.v4_bytes();
    for dst in [[255, 255, 255, 255], [198, 18, 0, 255], [224, 0, 0, 1], [239, 1, 2, 3], ours] {
        for station in [OUR_MAC.0, [0xff; 6], GROUP] {
            if (dst, station) == (ours, OUR_MAC.0) {
                continue;
            }
            for s in [seg("S", 100, 0), seg(".", 100, 5), seg("F", 100, 0)] {
                let frame = altered(&mut host, &s, |b| {
                    b[..6].copy_from_slice(&station);
                    b[IP + 16..IP + 20].copy_from_slice(&dst);
                });
                host.send_raw(&frame);
                host.expect_nothing();
            }
        }
    }
    assert_eq!(drops(&host, DropReason::IpNotForUs) + drops(&host, DropReason::NotOurMac), 14 * 3);
    host.assert_clean();
}

#[test]
fn nobody_can_connect_to_an_address_that_is_no_hosts() {
    let mut host = Host::new(routed_config());
    (host.remote.1, host.local.1) = (80, 40_000);
    for dst in NO_PEERS {
        host.remote.0 = Addr::v4(dst);
        assert_eq!(host.connect(), Err(ConnectError::NoRoute), "{dst:?}");
    }
    host.turn(Vec::new());
    host.expect_nothing();
    host.assert_clean();
    // Those beside them are hosts.
    for dst in [[198, 18, 0, 254], [198, 18, 1, 255], [126, 0, 0, 1], [223, 255, 255, 254]] {
        host.remote.0 = Addr::v4(dst);
        assert!(host.connect().is_ok(), "{dst:?}");
        host.act(|c| c.abort());
    }
    host.assert_clean();
}

/// A host with 198.18.0.10 to 198.18.0.12 beside its usual address.
fn several() -> ShardConfig {
    let mut config = plain_config();
    let first = Addr::v4([198, 18, 0, 10]);
    config.locals.push(LocalNet { first, count: 3, prefix_len: 24, exclusive: true });
    config
}

#[test]
fn answers_come_from_the_address_that_was_asked() {
    for last in [1, 10, 11, 12] {
        let mut host = Host::server(several());
        host.local.0 = Addr::v4([198, 18, 0, last]);
        host.send(seg("S", 100, 0));
        host.send(seg(".", 101, 301).data(*b"abc"));
        host.write(b"xyz");
        host.send(seg("R", 105, 0));
        host.act(|c| c.shutdown());
        host.pass(crate::seconds(2));
        host.act(|c| c.abort());
        assert!(host.out.len() >= 6, "SYN,ACK, data, challenge, FIN, both again, RST");
        assert!(host.out.iter().all(|s| s.seg.src == host.local.0), "from 198.18.0.{last} alone");
        host.assert_clean();
    }
}

#[test]
fn second_of_our_addresses_can_be_connected_from() {
    let mut host = Host::new(several());
    (host.remote, host.local) = ((PEER, 80), (Addr::v4([198, 18, 0, 11]), 40_000));
    host.connect().expect("an address of ours");
    host.turn(Vec::new());
    assert_eq!(host.expect("S", 300, 0).seg.src, host.local.0);
    host.send(seg("S.", 500, 301));
    assert_eq!(host.expect(".", 301, 501).seg.src, host.local.0);
    over(&mut host, 501);
}

/// Another peer opens a connection to the same port of the host, and resets it. The connection that was there before is
/// again the one that the host acts on.
fn call_from_elsewhere(host: &mut Host) {
    let before = (host.remote, host.shard.app().conn);
    host.remote.1 = 999;
    host.send(seg("S", 7000, 0));
    host.expect("S.", 300, 7001);
    host.send(seg(".", 7001, 301));
    host.send(seg("R", 7001, 0));
    (host.remote, host.shard.app_mut().conn) = before;
}

#[test]
fn listening_again_or_while_connecting_from_the_port_disturbs_nobody() {
    // We are connecting from the port.
    let mut host = Host::client(plain_config());
    host.expect("S", 300, 0);
    host.shard.listen(host.local.1);
    call_from_elsewhere(&mut host);
    host.send(seg("S.", 500, 301));
    host.expect(".", 301, 501);
    assert_eq!(host.state(), State::Established);
    host.send(seg("R", 501, 0));
    host.assert_clean();
    // Somebody is being accepted, then was.
    let mut host = Host::server(plain_config());
    host.send(seg("S", 100, 0));
    host.expect("S.", 300, 101);
    host.shard.listen(OUR_PORT);
    host.send(seg(".", 101, 301));
    host.shard.listen(OUR_PORT);
    call_from_elsewhere(&mut host);
    host.send(seg(".", 101, 301).data(*b"abc"));
    assert_eq!(host.shard.app().bytes(), b"abc");
    host.send(seg("R", 104, 0));
    host.assert_clean();
}
