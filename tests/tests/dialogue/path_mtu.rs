//! Paths narrower than the link.

use crate::BYTES;
use crate::icmp::icmp_error;
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
