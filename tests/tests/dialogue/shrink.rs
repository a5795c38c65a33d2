//! A peer that takes back a part of the window it has offered (RFC 9293 3.8.6).

use crate::{BYTES, closed, ms, over, seconds};
use synfin_engine::shard::ShardConfig;
use synfin_engine::wire::TcpOptions;
use synfin_tests::host::{Host, plain_config, seg};

/// Ten segments of 1000 bytes are under way, ten more wait; the peer has acknowledged two and left `window` of what it had
/// offered. RTO is 300 ms.
fn shrunk(config: ShardConfig, window: u16) -> Host {
    let sack = config.tcp.sack;
    let mut host = Host::client(config);
    host.expect("S", 300, 0);
    host.pass(ms(100));
    host.send(seg("S.", 500, 301).options(TcpOptions {
        mss: Some(1000),
        sack_permitted: sack,
        ..TcpOptions::default()
    }));
    host.expect(".", 301, 501);
    host.write(&BYTES[..20_000]);
    assert_eq!(host.out.len(), 10);
    host.out.clear();
    host.send(seg(".", 501, 2301).window(window));
    host
}

/// With and without SACK.
fn configs() -> [ShardConfig; 2] {
    let mut with_sack = plain_config();
    with_sack.tcp.sack = true;
    [plain_config(), with_sack]
}

#[test]
fn window_taken_back_below_what_is_under_way_lets_nothing_new_out() {
    for config in configs() {
        let mut host = shrunk(config, 3000);
        host.expect_nothing();
        host.send(seg(".", 501, 4301).window(1000));
        host.expect_nothing();
        host.send(seg(".", 501, 5301).window(5000));
        host.expect_nothing();
        // The window is as it was: new data follow where they stopped.
        host.send(seg(".", 501, 10_301));
        host.expect_data(10_301, 501, &BYTES[10_000..11_000]);
        over(&mut host, 501);
    }
}

#[test]
fn what_is_under_way_is_sent_again_though_the_window_was_taken_back() {
    for config in configs() {
        for window in [3000, 1000, 999, 500, 1] {
            let mut host = shrunk(config.clone(), window);
            host.expect_nothing();
            host.pass_until_output(seconds(2));
            let again = host.next();
            assert!(again.seg.seq.0 >= 2301 && again.seg.seq.0 < 10_301, "{} is not new", again.seg.seq.0);
            host.out.clear();
            // What is left of the window was reached: the peer takes that much and closes it.
            let taken = 2301 + u32::from(window.min(1000));
            host.pass(seconds(1));
            assert!(host.out.iter().chain([&again]).any(|s| s.seg.seq.0 == 2301 && !s.data.is_empty()));
            host.out.clear();
            host.send(seg(".", 501, taken).window(0));
            // From there on it is probed, and all arrives once the window is open again.
            host.pass(seconds(5));
            host.out.clear();
            host.send(seg(".", 501, taken).window(20_000));
            host.pass(seconds(1));
            assert!(host.out.iter().any(|s| s.seg.seq.0 <= taken && s.seg.seq.0 + s.data.len() as u32 > taken));
            over(&mut host, 501);
        }
    }
}

#[test]
fn window_taken_back_for_long_does_not_end_the_connection() {
    for mut config in configs() {
        config.tcp.data_retries = 4;
        let mut host = shrunk(config, 1000);
        host.pass_until_output(seconds(2));
        host.send(seg(".", 501, 3301).window(0));
        for _ in 0..20 {
            host.out.clear();
            host.pass_until_output(seconds(100));
            // Nothing beyond the edge is acknowledged, but the peer answers.
            host.send(seg(".", 501, 3301).window(0));
        }
        assert_eq!(closed(&host), None);
        host.out.clear();
        host.send(seg(".", 501, 3301).window(10_000));
        assert!(host.out.iter().any(|s| s.seg.seq.0 == 3301 && s.data.len() == 1000));
        over(&mut host, 501);
    }
}
