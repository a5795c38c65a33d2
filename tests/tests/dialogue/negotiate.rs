//! What is agreed on in the handshake: only what both sides offered is used.

use crate::{BYTES, over, stamped_config};
use synfin_engine::shard::ShardConfig;
use synfin_engine::wire::TcpOptions;
use synfin_tests::host::{Host, Sent, plain_config, seg};

fn config(timestamps: bool, sack: bool) -> ShardConfig {
    let mut config = plain_config();
    (config.tcp.timestamps, config.tcp.sack) = (timestamps, sack);
    config
}

/// The peer's options in each combination.
fn combinations() -> impl Iterator<Item = TcpOptions> {
    (0..16u8).map(|bits| TcpOptions {
        mss: (bits & 1 != 0).then_some(1000),
        window_scale: (bits & 2 != 0).then_some(4),
        sack_permitted: bits & 4 != 0,
        timestamp: (bits & 8 != 0).then_some((7000, 0)),
        ..TcpOptions::default()
    })
}

/// Options of an ordinary segment from the peer, given what it offered and what we did.
fn ordinary(stamped: bool, ts_val: u32) -> TcpOptions {
    TcpOptions { timestamp: stamped.then_some((ts_val, 1)), ..TcpOptions::default() }
}

/// After the handshake: sizes, timestamps, SACK and scaling are exactly what was agreed on.
fn check_use(host: &mut Host, peer: &TcpOptions, ours: (bool, bool), next: u32) {
    let stamped = ours.0 && peer.timestamp.is_some();
    let mss = usize::from(peer.mss.unwrap_or(536)) - if stamped { 12 } else { 0 };
    host.write(&BYTES[..3000]);
    let first: Sent = host.expect(".", 301, next);
    assert_eq!(first.data, &BYTES[..mss], "segment size");
    assert_eq!(first.seg.options.timestamp.is_some(), stamped, "timestamps");
    let scale = if peer.window_scale.is_some() { 3 } else { 0 };
    assert_eq!(u32::from(first.seg.window) << scale, if scale == 3 { 262_144 } else { 65_535 }, "window scaling");
    host.out.clear();
    // A gap: is it told about?
    host.send(seg(".", next + 10, 301).data(*b"gap").options(ordinary(stamped, 7001)));
    let told = host.next();
    let sack = ours.1 && peer.sack_permitted;
    assert_eq!(told.seg.options.sack_blocks().len(), usize::from(sack), "SACK");
    over(host, next);
}

#[test]
fn server_uses_exactly_what_both_offered() {
    for ours in [(false, false), (true, false), (false, true), (true, true)] {
        for peer in combinations() {
            let mut host = Host::server(config(ours.0, ours.1));
            host.send(seg("S", 100, 0).options(peer));
            let answer = host.expect("S.", 300, 101).seg.options;
            assert_eq!(answer.mss, Some(1460));
            assert_eq!(answer.window_scale, peer.window_scale.map(|_| 3));
            assert_eq!(answer.sack_permitted, ours.1 && peer.sack_permitted);
            let stamped = ours.0 && peer.timestamp.is_some();
            assert_eq!(answer.timestamp.map(|(_, echo)| echo), stamped.then_some(7000));
            host.send(seg(".", 101, 301).options(ordinary(stamped, 7000)));
            host.expect_nothing();
            check_use(&mut host, &peer, ours, 101);
        }
    }
}

#[test]
fn client_offers_what_is_configured_and_uses_exactly_what_both_offered() {
    for ours in [(false, false), (true, false), (false, true), (true, true)] {
        for peer in combinations() {
            let mut host = Host::client(config(ours.0, ours.1));
            let offer = host.expect("S", 300, 0).seg.options;
            assert_eq!((offer.mss, offer.window_scale), (Some(1460), Some(3)));
            assert_eq!((offer.timestamp.is_some(), offer.sack_permitted), ours);
            host.send(seg("S.", 500, 301).options(peer));
            let third = host.expect(".", 301, 501);
            assert_eq!(third.seg.options.timestamp.is_some(), ours.0 && peer.timestamp.is_some());
            check_use(&mut host, &peer, ours, 501);
        }
    }
}

#[test]
fn window_of_a_syn_is_never_scaled() {
    let mut host = Host::server(plain_config());
    host.send(seg("S", 100, 0).options(TcpOptions { window_scale: Some(4), ..TcpOptions::default() }));
    let answer = host.expect("S.", 300, 101);
    assert_eq!(answer.seg.window, 65_535);
    host.send(seg("R", 101, 0));
    host.assert_clean();
    let mut host = Host::client(plain_config());
    assert_eq!(host.expect("S", 300, 0).seg.window, 65_535);
    // The window in the SYN,ACK is taken as it is, whatever the shift count.
    host.write(&BYTES[..10_000]);
    let scaled = TcpOptions { mss: Some(1000), window_scale: Some(10), ..TcpOptions::default() };
    host.send(seg("S.", 500, 301).window(2000).options(scaled));
    host.expect_data(301, 501, &BYTES[..1000]);
    host.expect_data(1301, 501, &BYTES[1000..2000]);
    host.expect_nothing();
    over(&mut host, 501);
}

#[test]
fn shift_count_above_14_counts_as_14() {
    let mut host = Host::server(plain_config());
    let options = TcpOptions { mss: Some(1000), window_scale: Some(200), ..TcpOptions::default() };
    host.send(seg("S", 100, 0).options(options));
    host.expect("S.", 300, 101);
    // 1 << 14 bytes: room for ten segments, not for an unbounded number.
    host.send(seg(".", 101, 301).window(1));
    host.write(&BYTES[..30_000]);
    assert_eq!(host.out.len(), 10);
    host.send(seg(".", 101, 10_301).window(1));
    let sent: usize = host.out.iter().map(|s| s.data.len()).sum();
    assert!(sent > 16_384 && sent <= 10_000 + 16_384, "{sent} bytes sent into a window of 16384");
    over(&mut host, 101);
}

#[test]
fn missing_mss_means_536_bytes() {
    let mut host = Host::server(plain_config());
    host.send(seg("S", 100, 0));
    host.expect("S.", 300, 101);
    host.send(seg(".", 101, 301));
    host.write(&BYTES[..1000]);
    host.expect_data(301, 101, &BYTES[..536]);
    over(&mut host, 101);
}

#[test]
fn mss_is_bounded_by_the_own_link_and_from_below() {
    for (offered, used) in [(9000, 1460), (1460, 1460), (0, 48), (10, 48)] {
        let mut host = Host::server(plain_config());
        host.send(seg("S", 100, 0).mss(offered));
        host.expect("S.", 300, 101);
        host.send(seg(".", 101, 301));
        host.write(&BYTES[..3000]);
        host.expect_data(301, 101, &BYTES[..used]);
        over(&mut host, 101);
    }
}

#[test]
fn small_link_mtu_is_announced_and_kept_to() {
    let mut config = stamped_config();
    config.mtu = 576;
    let mut host = Host::server(config);
    host.send(seg("S", 100, 0).mss(1460).ts(1, 0));
    assert_eq!(host.expect("S.", 300, 101).seg.options.mss, Some(536));
    host.send(seg(".", 101, 301).ts(1, 0));
    host.write(&BYTES[..1000]);
    host.expect_data(301, 101, &BYTES[..524]);
    over(&mut host, 101);
}
