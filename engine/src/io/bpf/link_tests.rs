//! The program on real (virtual) devices. Without privileges these tests print why they are skipped.

use super::*;
use crate::io::bpf::FilterAddr;
use crate::io::sys::Capabilities;
use crate::io::sys::interface;
use crate::io::test_net::{in_new_namespace, ip, keep_only_capabilities, veth_pair};
use crate::wire::Addr;

fn spec() -> FilterSpec {
    FilterSpec { addresses: vec![FilterAddr::exclusive(Addr::v4([198, 18, 0, 1]), 1)] }
}

fn va() -> u32 {
    interface("va").unwrap().ifindex
}

#[test]
fn the_program_is_on_the_device_as_long_as_its_link() {
    in_new_namespace(|| {
        veth_pair(2);
        for mode in [XdpMode::Native, XdpMode::Skb] {
            let link = XdpLink::attach(va(), mode, &spec(), 2).unwrap();
            assert_eq!(link.mode(), mode);
            let ids = interface("va").unwrap().xdp_program_ids;
            assert_eq!(syscalls::program_name(ids[0]).as_deref(), Some(syscalls::PROGRAM_NAME));
            assert!(ip("-details link show va").contains(if mode == XdpMode::Skb { "xdpgeneric" } else { "xdp" }));
            drop(link);
            assert!(interface("va").unwrap().xdp_program_ids.is_empty());
        }
    });
}

#[test]
fn auto_takes_native_mode_where_the_device_has_it() {
    in_new_namespace(|| {
        veth_pair(1);
        let link = XdpLink::attach_auto(va(), &spec(), 1).unwrap();
        assert_eq!((link.mode(), link.note()), (XdpMode::Native, "native XDP"));
    });
}

#[test]
fn auto_falls_back_to_skb_mode_and_says_why() {
    in_new_namespace(|| {
        ip("link add va numrxqueues 1 numtxqueues 1 type veth peer name vb numrxqueues 2 numtxqueues 2");
        ip("link set dev va up");
        ip("link set dev vb up");
        let link = XdpLink::attach_auto(va(), &spec(), 1).unwrap();
        assert_eq!(link.mode(), XdpMode::Skb);
        assert!(link.note().contains("lacks queues") && link.note().contains("native"), "{}", link.note());
    });
}

#[test]
fn a_device_held_by_another_program_names_it() {
    in_new_namespace(|| {
        veth_pair(1);
        let first = XdpLink::attach(va(), XdpMode::Native, &spec(), 1).unwrap();
        let id = interface("va").unwrap().xdp_program_ids[0];
        let same = XdpLink::attach(va(), XdpMode::Native, &spec(), 1).unwrap_err();
        let other = XdpLink::attach(va(), XdpMode::Skb, &spec(), 1).unwrap_err();
        let auto = XdpLink::attach_auto(va(), &spec(), 1).unwrap_err();
        for e in [same, other, auto] {
            assert!(e.what.contains("va"), "{e}");
            assert!(e.hint.contains(&format!("id {id} 'synfin_filter'")), "{e}");
        }
        drop(first);
        assert!(XdpLink::attach(va(), XdpMode::Native, &spec(), 1).is_ok());
    });
}

#[test]
fn an_mtu_that_the_driver_does_not_take_is_named() {
    in_new_namespace(|| {
        veth_pair(1);
        ip("link set dev va mtu 9000");
        let e = explain(va(), XdpMode::Native, &Error::from_raw_os_error(libc::ERANGE));
        assert!(e.what.contains("va") && e.hint.contains("MTU 9000"), "{e}");
    });
}

#[test]
fn native_mode_on_veth_takes_any_mtu() {
    in_new_namespace(|| {
        veth_pair(1);
        for mtu in [MTU_MAX, MTU_MAX + 1, 3506, 3507, 9000, 65_535] {
            ip(&format!("link set dev va mtu {mtu}"));
            ip(&format!("link set dev vb mtu {mtu}"));
            let link = XdpLink::attach(va(), XdpMode::Native, &spec(), 1);
            assert!(link.is_ok(), "MTU {mtu}: {link:?}");
        }
    });
}

#[test]
fn a_veth_peer_with_more_queues_is_explained() {
    in_new_namespace(|| {
        ip("link add va numrxqueues 1 numtxqueues 1 type veth peer name vb numrxqueues 4 numtxqueues 4");
        ip("link set dev va up");
        ip("link set dev vb up");
        let e = XdpLink::attach(va(), XdpMode::Native, &spec(), 1).unwrap_err();
        assert!(e.hint.contains("numrxqueues"), "{e}");
    });
}

#[test]
fn an_interface_that_has_gone_is_an_error() {
    in_new_namespace(|| {
        let e = XdpLink::attach(4711, XdpMode::Native, &spec(), 1).unwrap_err();
        assert!(e.what.contains("4711"), "{e}");
    });
}

#[test]
fn a_queue_beyond_the_map_is_refused() {
    in_new_namespace(|| {
        veth_pair(1);
        let link = XdpLink::attach(va(), XdpMode::Native, &spec(), 2).unwrap();
        // SAFETY: no pointers are involved.
        let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        assert!(link.set_socket(1, fd).is_ok());
        let e = link.set_socket(2, fd).unwrap_err();
        assert!(e.what.contains("queue 2") && e.hint.contains("queue"), "{e}");
        assert!(link.set_socket(0, -1).is_err());
        // SAFETY: the descriptor is ours and closed once.
        unsafe { libc::close(fd) };
    });
}

#[test]
fn three_capabilities_are_enough_and_each_of_them_is_asked_for() {
    const NET_ADMIN: u64 = 1 << 12;
    const NET_RAW: u64 = 1 << 13;
    const BPF: u64 = 1 << 39;
    // Every kind of address and every branch of the program.
    let all = [Addr::v4([198, 18, 0, 1]), Addr([0x20; 16])];
    let addresses = all
        .into_iter()
        .flat_map(|a| [FilterAddr::exclusive(a, 1), FilterAddr::shared(a.plus(9), 1, &[(80, 89), (443, 443)])]);
    let spec = FilterSpec { addresses: addresses.collect() };
    for kept in [NET_ADMIN | NET_RAW | BPF, NET_RAW | BPF, NET_ADMIN | NET_RAW] {
        in_new_namespace(|| {
            veth_pair(1);
            let device = va();
            keep_only_capabilities(kept);
            let result = XdpLink::attach(device, XdpMode::Native, &spec, 1);
            if kept == NET_ADMIN | NET_RAW | BPF {
                Capabilities::current().require().unwrap();
                assert!(result.is_ok(), "{result:?}");
            } else {
                assert!(Capabilities::current().require().is_err());
                let e = result.unwrap_err();
                assert!(e.hint.contains("setcap"), "{e}");
            }
        });
    }
}
