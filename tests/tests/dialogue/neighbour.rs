//! Link addresses of peers.

use crate::syn_of_station;
use std::time::Duration;
use synfin_engine::base::FramePool;
use synfin_engine::tcp::SynCookies;
use synfin_engine::wire::emit::{self, LinkOut};
use synfin_engine::wire::parse::{Packet, VlanTags};
use synfin_tests::host::{Host, OUR_MAC, OURS, PEER, PEER_MAC, plain_config, seg};

/// An address that the kernel has too: the kernel gets the answers to our questions.
#[test]
fn on_a_shared_address_a_silent_neighbour_is_found_again_by_its_segments() {
    let mut config = plain_config();
    config.static_neighbours.clear();
    config.locals[0].exclusive = false;
    let mut host = Host::server(config);
    host.send(seg("S", 100, 0).mss(1460));
    host.expect("S.", 300, 101);
    host.send(seg(".", 101, 301));
    // Silence makes the entry doubtful; its next use asks, nobody answers us, and it is given up.
    host.pass(Duration::from_secs(31));
    host.write(b"anyone?");
    host.expect_data(301, 101, b"anyone?");
    host.pass(Duration::from_secs(40));
    host.out.clear();
    host.pass(Duration::from_secs(60));
    host.expect_nothing();
    host.send(seg(".", 101, 301).data(&b"here"[..]));
    host.pass(Duration::from_secs(1));
    assert_eq!(host.next().seg.ack.0, 105);
    host.send(seg(".", 105, 308));
    host.out.clear();
    host.write(b"yes");
    host.expect_data(308, 105, b"yes");
    host.act(|c| c.abort());
    host.expect("R.", 311, 105);
    host.assert_clean();
}

/// SYNs of so many stations of the link that the neighbour table has room for none of them any more.
fn strangers(host: &mut Host, first: u32) {
    for burst in 0..1700 {
        let frames = (0..64).map(|n| syn_of_station(host, first + burst * 64 + n)).collect();
        host.turn_unchecked(frames);
    }
}

#[test]
fn idle_connection_finds_its_neighbour_again_when_strangers_have_taken_its_place() {
    for bare_ack in [false, true] {
        let mut config = plain_config();
        config.static_neighbours.clear();
        config.locals[0].prefix_len = 0;
        config.tcp.syn_cookies = SynCookies::Off;
        let mut host = Host::accepted(config);
        host.pass(Duration::from_secs(40));
        strangers(&mut host, 1);
        if bare_ack {
            host.send(seg(".", 101, 301).data(*b"hello"));
        } else {
            host.write(b"hello");
        }
        host.pass(Duration::from_millis(100));
        host.out.retain(|s| s.seg.dst_port == 40_000);
        host.expect_nothing();
        let asked = host.other.iter().any(|p| matches!(p, Packet::Arp(a) if a.target == PEER && a.is_request));
        assert!(asked, "{:?}", host.other);
        // Its answer, and the connection goes on.
        let mut pool = FramePool::heap(1, 2048);
        let mut reply = pool.alloc().expect("a free frame");
        let link = LinkOut { src: PEER_MAC, dst: OUR_MAC, vlan: VlanTags::default() };
        assert!(emit::arp_reply(&mut reply, &link, PEER, OURS));
        host.send_raw(reply.bytes());
        pool.free(reply);
        if bare_ack {
            host.send(seg(".", 101, 301).data(*b"hello"));
            host.expect(".", 301, 106);
        } else {
            host.expect_data(301, 101, b"hello");
        }
    }
}
