//! A young connection: its first segments are acknowledged without delay, until the application answers.

use crate::{BYTES, ms, over, sends_after};
use synfin_engine::shard::ShardConfig;
use synfin_tests::host::{Host, plain_config, seg};

fn quick_config() -> ShardConfig {
    let mut config = plain_config();
    config.tcp.quick_acks = 3;
    config
}

#[test]
fn first_segments_are_acknowledged_at_once() {
    let mut host = Host::accepted(quick_config());
    for i in 0..3 {
        host.send(seg(".", 101 + i * 100, 301).data(&BYTES[..100]));
        host.expect(".", 301, 201 + i * 100);
    }
    host.send(seg(".", 401, 301).data(&BYTES[..100]));
    host.expect_nothing();
    sends_after(&mut host, ms(40));
    host.expect(".", 301, 501);
    over(&mut host, 501);
}

#[test]
fn answer_ends_the_quick_acks() {
    let mut host = Host::accepted(quick_config());
    host.send(seg("P.", 101, 301).data(*b"one"));
    host.expect(".", 301, 104);
    host.write(b"answer");
    host.expect_data(301, 104, b"answer");
    host.send(seg("P.", 104, 307).data(*b"two"));
    host.expect_nothing();
    sends_after(&mut host, ms(40));
    host.expect(".", 307, 107);
    over(&mut host, 107);
}

#[test]
fn question_does_not_end_the_quick_acks() {
    let mut host = Host::connected(quick_config());
    host.write(b"question");
    host.expect_data(301, 501, b"question");
    host.send(seg("P.", 501, 309).data(*b"answer"));
    host.expect(".", 309, 507);
    over(&mut host, 507);
}
