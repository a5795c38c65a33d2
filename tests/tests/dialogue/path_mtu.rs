//! Paths narrower than the link.

use crate::icmp::icmp_error;
use crate::{BYTES, over, seconds};
use synfin_engine::wire::TcpOptions;
use synfin_tests::host::{Host, plain_config, seg};

/// A router cannot pass the segment with number `seq` on without fragmenting it: the next link takes `mtu` bytes.
fn too_big(host: &Host, mtu: u16, seq: u32) -> Vec<u8> {
    icmp_error(host, 3, 4, mtu, seq, 1440)
}

#[test]
fn segment_too_big_for_the_path_is_sent_again_in_smaller_ones() {
    let mut host = Host::accepted(plain_config());
    host.write(&BYTES[..1400]);
    host.expect_data(301, 101, &BYTES[..1400]);
    let message = too_big(&host, 1000, 301);
    host.send_raw(&message);
    host.expect_data(301, 101, &BYTES[..960]);
    host.expect_data(1261, 101, &BYTES[960..1400]);
    host.expect_nothing();
    host.send(seg("R", 101, 0));
}

#[test]
fn burst_too_big_for_the_path_is_sent_again_in_smaller_segments_at_once_with_sack_too() {
    let mut config = plain_config();
    config.tcp.sack = true;
    let mut host = Host::server(config);
    let offer = TcpOptions { mss: Some(1460), sack_permitted: true, ..TcpOptions::default() };
    host.send(seg("S", 100, 0).options(offer));
    host.expect("S.", 300, 101);
    host.send(seg(".", 101, 301));
    host.write(&BYTES[..14_600]);
    assert_eq!(host.out.drain(..).map(|s| s.data.len()).collect::<Vec<_>>(), [1460; 10]);
    let message = too_big(&host, 1000, 301);
    host.send_raw(&message);
    // Router by router the path may turn out narrower still.
    assert!(!host.out.is_empty(), "nothing waits for the time-out");
    host.out.clear();
    let message = too_big(&host, 600, 301);
    host.send_raw(&message);
    let mut next = 301;
    for s in std::mem::take(&mut host.out) {
        assert_eq!((s.seg.seq.0, s.data.len()), (next, 560.min(14_901 - next as usize)));
        next += s.data.len() as u32;
    }
    assert_eq!(next, 14_901);
    host.send(seg(".", 101, 14_901));
    host.pass(seconds(10));
    host.expect_nothing();
    over(&mut host, 101);
}

#[test]
fn too_big_on_a_link_with_less_than_the_least_path_mtu_changes_nothing() {
    let mut config = plain_config();
    config.mtu = 500;
    let mut host = Host::accepted(config);
    host.write(&BYTES[..400]);
    host.expect_data(301, 101, &BYTES[..400]);
    let message = too_big(&host, 300, 301);
    host.send_raw(&message);
    host.expect_nothing();
    host.send(seg(".", 101, 701));
    host.expect_nothing();
}

#[test]
fn narrow_path_that_shows_before_the_handshake_is_over_is_remembered() {
    let mut host = Host::client(plain_config());
    host.expect("S", 300, 0);
    let message = too_big(&host, 1000, 300);
    host.send_raw(&message);
    host.out.clear();
    host.send(seg("S.", 500, 301).mss(1460));
    host.out.clear();
    host.write(&BYTES[..1400]);
    host.expect_data(301, 501, &BYTES[..960]);
}
