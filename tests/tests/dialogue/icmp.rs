//! What routers say about segments of ours.

use crate::BYTES;
use synfin_engine::wire::checksum::checksum;
use synfin_tests::host::{Host, OUR_MAC, OURS, PEER, PEER_MAC, plain_config, seg};

/// A router's frame: ICMP type 3 code 4, next-hop MTU `mtu`, about the segment of the connection with number `seq`.
fn fragmentation_needed(host: &Host, mtu: u16, seq: u32) -> Vec<u8> {
    let mut quote = ipv4(6, OURS.v4_bytes(), PEER.v4_bytes(), 8);
    quote.extend_from_slice(&host.local.1.to_be_bytes());
    quote.extend_from_slice(&host.remote.1.to_be_bytes());
    quote.extend_from_slice(&seq.to_be_bytes());
    let mut message = vec![3, 4, 0, 0, 0, 0];
    message.extend_from_slice(&mtu.to_be_bytes());
    message.extend_from_slice(&quote);
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut frame = [OUR_MAC.0, PEER_MAC.0].concat();
    frame.extend_from_slice(&[8, 0]);
    frame.extend(ipv4(1, PEER.v4_bytes(), OURS.v4_bytes(), message.len()));
    frame.extend(message);
    frame
}

fn ipv4(protocol: u8, src: [u8; 4], dst: [u8; 4], body_len: usize) -> Vec<u8> {
    let mut header = vec![0x45, 0, 0, (20 + body_len) as u8, 0, 0, 0x40, 0, 64, protocol, 0, 0];
    header.extend_from_slice(&src);
    header.extend_from_slice(&dst);
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}

#[test]
fn segment_too_big_for_the_path_is_sent_again_in_smaller_ones() {
    let mut host = Host::accepted(plain_config());
    host.write(&BYTES[..1400]);
    host.expect_data(301, 101, &BYTES[..1400]);
    let message = fragmentation_needed(&host, 1000, 301);
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
    let message = fragmentation_needed(&host, 300, 301);
    host.send_raw(&message);
    host.expect_nothing();
    host.send(seg(".", 101, 701));
    host.expect_nothing();
}

#[test]
fn narrow_path_that_shows_before_the_handshake_is_over_is_remembered() {
    let mut host = Host::client(plain_config());
    host.expect("S", 300, 0);
    let message = fragmentation_needed(&host, 1000, 300);
    host.send_raw(&message);
    host.out.clear();
    host.send(seg("S.", 500, 301).mss(1460));
    host.out.clear();
    host.write(&BYTES[..1400]);
    host.expect_data(301, 501, &BYTES[..960]);
}
