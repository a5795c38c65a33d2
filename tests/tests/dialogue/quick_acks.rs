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
        host.send(seg(".", 101 + i * 1000, 301).data(&BYTES[..1000]));
        host.expect(".", 301, 1101 + i * 1000);
    }
    host.send(seg(".", 3101, 301).data(&BYTES[..1000]));
    host.expect_nothing();
    sends_after(&mut host, ms(40));
    host.expect(".", 301, 4101);
    over(&mut host, 4101);
}

#[test]
fn small_segment_ends_the_quick_acks() {
    let mut host = Host::accepted(quick_config());
    host.send(seg("P.", 101, 301).data(*b"small"));
    host.expect_nothing();
    sends_after(&mut host, ms(40));
    host.expect(".", 301, 106);
    host.send(seg(".", 106, 301).data(&BYTES[..1000]));
    host.expect_nothing();
    sends_after(&mut host, ms(40));
    host.expect(".", 301, 1106);
    over(&mut host, 1106);
}

#[test]
fn small_segments_are_acknowledged_at_once_too_if_so_configured() {
    let mut config = quick_config();
    config.tcp.quick_ack_bytes_min = 0;
    let mut host = Host::accepted(config);
    host.send(seg("P.", 101, 301).data(*b"small"));
    host.expect(".", 301, 106);
    over(&mut host, 106);
}

#[test]
fn ack_of_a_fin_behind_data_may_be_delayed_but_not_that_of_a_fin_alone() {
    let mut config = quick_config();
    config.tcp.delays_fin_acks = true;
    let mut host = Host::accepted(config.clone());
    host.send(seg("P.", 101, 301).data(&BYTES[..1000]));
    host.expect(".", 301, 1101);
    host.send(seg("F.", 1101, 301));
    host.expect_nothing();
    sends_after(&mut host, ms(40));
    host.expect(".", 301, 1102);
    over(&mut host, 1102);

    let mut host = Host::accepted(config);
    host.send(seg("F.", 101, 301));
    host.expect(".", 301, 102);
    over(&mut host, 102);
}

#[test]
fn second_segment_is_acknowledged_at_once_however_small() {
    let mut host = Host::accepted(plain_config());
    host.send(seg(".", 101, 301).data(*b"a"));
    host.expect_nothing();
    host.send(seg(".", 102, 301).data(*b"b"));
    host.expect(".", 301, 103);
    over(&mut host, 103);
}

#[test]
fn answer_ends_the_quick_acks() {
    let mut host = Host::accepted(quick_config());
    host.send(seg("P.", 101, 301).data(&BYTES[..1000]));
    host.expect(".", 301, 1101);
    host.write(b"answer");
    host.expect_data(301, 1101, b"answer");
    host.send(seg("P.", 1101, 307).data(&BYTES[..1000]));
    host.expect_nothing();
    sends_after(&mut host, ms(40));
    host.expect(".", 307, 2101);
    over(&mut host, 2101);
}

#[test]
fn question_does_not_end_the_quick_acks() {
    let mut host = Host::connected(quick_config());
    host.write(b"question");
    host.expect_data(301, 501, b"question");
    host.send(seg("P.", 501, 309).data(&BYTES[..1000]));
    host.expect(".", 309, 1501);
    over(&mut host, 1501);
}
