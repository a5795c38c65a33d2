//! Settings that change, or differ for a port, while connections open.

use crate::recovery::{sack, sack_config, sent, under_way};
use crate::{events, ms, over, seconds};
use synfin_engine::base::Event;
use synfin_engine::shard::ShardConfig;
use synfin_engine::tcp::TcpConfig;
use synfin_engine::wire::TcpOptions;
use synfin_tests::host::{Host, OUR_PORT, plain_config, seg};

/// From now on connections to the port get `config`.
fn retune(host: &mut Host, config: &TcpConfig) {
    host.shard.with_net(host.now, |_, net| net.listen(OUR_PORT, Some(config)));
}

fn scaled_syn() -> TcpOptions {
    TcpOptions { mss: Some(1460), window_scale: Some(4), ..TcpOptions::default() }
}

fn with_buffer(config: ShardConfig, bytes: u32) -> ShardConfig {
    ShardConfig { tcp: config.tcp.with_fixed_receive_buffer(bytes), ..config }
}

#[test]
fn window_scale_is_the_announced_one_although_the_buffer_became_larger_meanwhile() {
    let config = with_buffer(plain_config(), 256 << 10);
    let larger = config.tcp.with_fixed_receive_buffer(16 << 20);
    let mut host = Host::server(config);
    host.send(seg("S", 100, 0).options(scaled_syn()));
    assert_eq!(host.expect("S.", 300, 101).seg.options.window_scale, Some(3));
    retune(&mut host, &larger);
    host.send(seg(".", 101, 301));
    host.act(|c| assert_eq!(c.info().map(|i| i.receive_scale), Some(3)));
    // What the peer reads out of the field is what is meant.
    host.write(b"x");
    let window = u32::from(host.expect(".", 301, 101).seg.window) << 3;
    host.act(|c| assert_eq!(c.info().map(|i| i.receive_window), Some(window)));
}

#[test]
fn repeated_syn_ack_says_the_same_although_settings_have_changed() {
    let mut config = with_buffer(plain_config(), 256 << 10);
    config.tcp.sack = true;
    let mut other = config.tcp.with_fixed_receive_buffer(16 << 20);
    other.sack = false;
    let mut host = Host::server(config);
    let options = TcpOptions { sack_permitted: true, ..scaled_syn() };
    host.send(seg("S", 100, 0).options(options));
    let first = host.expect("S.", 300, 101).seg.options;
    retune(&mut host, &other);
    host.pass(ms(1100));
    assert_eq!(host.expect("S.", 300, 101).seg.options, first);
}

#[test]
fn ports_have_their_own_number_of_syn_ack_retransmissions() {
    for (shard, port) in [(3, 1), (1, 3), (0, 9)] {
        let mut config = plain_config();
        config.tcp.syn_retries = shard;
        let own = TcpConfig { syn_retries: port, ..config.tcp };
        let mut host = Host::server(config);
        retune(&mut host, &own);
        host.send(seg("S", 100, 0).mss(1460));
        host.pass(seconds(600));
        assert_eq!(host.out.len(), usize::from(port) + 1, "{port} retransmissions");
        assert_eq!(events(&host, Event::HalfOpenExpired), 1);
        host.assert_clean();
    }
}

#[test]
fn syn_acks_are_sent_again_fifteen_times_at_most() {
    let mut config = plain_config();
    config.tcp.syn_retries = 200;
    let mut host = Host::server(config);
    host.send(seg("S", 100, 0).mss(1460));
    host.pass(seconds(3600));
    assert_eq!(host.out.len(), 16);
    host.assert_clean();
}

#[test]
fn reordering_timer_may_be_coarse() {
    let mut config = sack_config();
    config.tcp.reorder_margin = ms(5);
    let mut host = under_way(config, 10_000);
    host.pass(ms(100));
    host.send(sack(0, &[(1, 2)]));
    host.pass(ms(29));
    assert_eq!(sent(&mut host), []);
    host.pass(ms(2));
    assert_eq!(sent(&mut host), [0]);
    over(&mut host, 501);
}
