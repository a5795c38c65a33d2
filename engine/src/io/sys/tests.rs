//! Questions to the kernel about devices made for the purpose, in namespaces of their own. Without privileges these
//! tests print why they are skipped.

use super::ethtool::{self, Feature};
use super::*;
use crate::io::test_net::{enter_new_namespace, in_new_namespace, ip, veth_pair};
use crate::wire::Addr;
use std::sync::mpsc;
use std::time::Duration;

const OURS: Addr = Addr::v4([198, 18, 0, 1]);
const PEER: Addr = Addr::v4([198, 18, 0, 2]);

fn v6(last: u8) -> Addr {
    let mut a = [0; 16];
    a[..4].copy_from_slice(&[0x20, 0x01, 0x00, 0x02]);
    a[15] = last;
    Addr(a)
}

#[test]
fn a_veth_is_described_with_queues_driver_and_addresses() {
    in_new_namespace(|| {
        veth_pair(3);
        ip("addr add 198.18.0.1/24 dev va");
        ip("addr add 2001:2::1/64 dev va nodad");
        ip("link set dev va address 02:00:00:00:00:07 mtu 1400");
        let va = interface("va").unwrap();
        assert_eq!((va.rx_queues, va.tx_queues, va.queues_in_use(), va.mtu), (3, 3, 3, 1400));
        assert_eq!(interface("lo").unwrap().queues_in_use(), 1);
        assert_eq!(va.mac.to_string(), "02:00:00:00:00:07");
        assert_eq!((va.kind.as_deref(), va.driver.as_deref()), (Some("veth"), Some("veth")));
        assert!(va.up && va.running && !va.loopback);
        assert!(va.addresses.contains(&(OURS, 24)) && va.addresses.contains(&(v6(1), 64)), "{va:?}");
        ip("link set dev vb down");
        assert!(!interface("va").unwrap().running);
        assert!(!ethtool::link_up("va").unwrap());
        assert_eq!(ethtool::channels("va").unwrap().rx_queues(), 3);
    });
}

#[test]
fn routes_name_interface_gateway_and_source() {
    in_new_namespace(|| {
        veth_pair(1);
        ip("addr add 198.18.0.1/24 dev va");
        ip("addr add 2001:2::1/64 dev va nodad");
        ip("route add default via 198.18.0.254 dev va");
        ip("route add default via 2001:2::fe dev va");
        let ifindex = interface("va").unwrap().ifindex;
        let direct = route_get(PEER, None, None).unwrap();
        assert_eq!(direct, Route { ifindex, gateway: None, source: Some(OURS), local: false });
        let far = route_get(Addr::v4([198, 19, 9, 9]), Some(OURS), Some(ifindex)).unwrap();
        assert_eq!(far.gateway, Some(Addr::v4([198, 18, 0, 254])));
        let far6 = route_get(Addr::from("2001:2:0:1::1".parse::<std::net::Ipv6Addr>().unwrap()), None, None).unwrap();
        assert_eq!((far6.gateway, far6.source), (Some(v6(0xfe)), Some(v6(1))));
        // An address that only the engine has.
        let engine = Addr::v4([198, 18, 0, 77]);
        assert_eq!(route_get(PEER, Some(engine), Some(ifindex)).unwrap().ifindex, ifindex);
        assert!(route_get(OURS, None, None).unwrap().local);
        assert_eq!(default_gateways(ifindex).unwrap(), vec![Addr::v4([198, 18, 0, 254]), v6(0xfe)]);
    });
}

#[test]
fn a_target_without_a_route_is_an_error_with_the_target() {
    in_new_namespace(|| {
        let e = route_get(PEER, None, None).unwrap_err();
        assert!(e.what.contains("198.18.0.2") && e.hint.contains("ip route get"), "{e}");
    });
}

#[test]
fn a_neighbour_on_the_link_is_resolved_and_one_that_is_not_there_is_an_error() {
    in_new_namespace(|| {
        veth_pair(1);
        let (to_peer, from_main) = mpsc::channel::<()>();
        let (to_main, from_peer) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                enter_new_namespace().unwrap();
                // SAFETY: no pointers are involved.
                to_main.send(unsafe { libc::gettid() }).unwrap();
                from_main.recv().unwrap();
                ip("addr add 198.18.0.2/24 dev vb");
                ip("addr add 2001:2::2/64 dev vb nodad");
                ip("link set dev vb address 02:00:00:00:00:02 up");
                to_main.send(0).unwrap();
                // The namespace, and the peer in it, live until the other side is done.
                let _ = from_main.recv();
            });
            let peer_thread = from_peer.recv().unwrap();
            ip(&format!("link set dev vb netns {peer_thread}"));
            ip("addr add 198.18.0.1/24 dev va");
            ip("addr add 2001:2::1/64 dev va nodad");
            to_peer.send(()).unwrap();
            from_peer.recv().unwrap();
            let va = interface("va").unwrap().ifindex;
            assert_eq!(neighbour(va, PEER).unwrap(), None);
            for addr in [PEER, v6(2)] {
                let mac = resolve_neighbour(va, addr, Duration::from_secs(5)).unwrap();
                assert_eq!(mac.to_string(), "02:00:00:00:00:02");
                assert_eq!(neighbour(va, addr).unwrap(), Some(Neighbour::Known(mac)));
            }
            let absent = Addr::v4([198, 18, 0, 3]);
            let e = resolve_neighbour(va, absent, Duration::from_millis(50)).unwrap_err();
            assert!(e.what.contains("198.18.0.3 does not answer ARP on va"), "{e}");
            assert_eq!(neighbour(va, absent).unwrap(), Some(Neighbour::Pending));
            drop(to_peer);
        });
    });
}

#[test]
fn offloads_are_switched_and_set_back() {
    in_new_namespace(|| {
        veth_pair(1);
        let is_on = |f| ethtool::feature("va", f).unwrap();
        assert!(is_on(Feature::TxChecksum) && is_on(Feature::Tso));
        let undo = ethtool::set_features("va", &[(Feature::Tso, false), (Feature::TxChecksum, false)]).unwrap();
        assert_eq!(undo.changed(), 2);
        assert!(!is_on(Feature::TxChecksum) && !is_on(Feature::Tso));
        drop(undo);
        assert!(is_on(Feature::TxChecksum) && is_on(Feature::Tso));
        ethtool::set_features("va", &[(Feature::Gro, !is_on(Feature::Gro))]).unwrap().keep();
        let gro = is_on(Feature::Gro);
        let undo = ethtool::set_features("va", &[(Feature::Gro, gro)]).unwrap();
        assert_eq!(undo.changed(), 0);
    });
}

#[test]
fn solicited_node_groups_are_joined_as_long_as_the_membership() {
    in_new_namespace(|| {
        veth_pair(1);
        let va = interface("va").unwrap().ifindex;
        let groups = || ip("maddr show dev va");
        let membership = multicast::join_solicited_nodes(va, &[(v6(0x77), 2), (OURS, 1)]).unwrap().unwrap();
        assert_eq!((membership.groups, membership.all), (2, false));
        assert!(groups().contains("33:33:ff:00:00:77") && groups().contains("33:33:ff:00:00:78"), "{}", groups());
        drop(membership);
        assert!(!groups().contains("33:33:ff:00:00:77"));
        let many = multicast::join_solicited_nodes(va, &[(v6(0), 1000)]).unwrap().unwrap();
        assert!(many.all);
        assert!(ip("-details link show va").contains("allmulti 1"));
        drop(many);
        assert!(multicast::join_solicited_nodes(va, &[(OURS, 1)]).unwrap().is_none());
    });
}
