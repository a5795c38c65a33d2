//! More to do than there is room for: nothing is forgotten, and what strangers send takes no room from what we do.

use crate::closed;
use synfin_engine::shard::{Generator, Payload, SendError};
use synfin_tests::host::{Host, PEER_PORT, plain_config, seg};

#[test]
fn every_aborted_connection_gets_its_reset_however_small_the_burst() {
    let mut host = Host::server(plain_config());
    let mut ids = Vec::new();
    for n in 0..10 {
        host.remote.1 = PEER_PORT + n;
        host.send(seg("S", 100, 0).mss(1460));
        host.expect("S.", 300, 101);
        host.send(seg(".", 101, 301));
        ids.push(host.shard.app().conn.unwrap());
    }
    host.limit_burst(4);
    host.shard.with_net(host.now, |_, net| ids.iter().for_each(|id| net.conn(*id).unwrap().abort()));
    for _ in 0..3 {
        host.turn(Vec::new());
    }
    let reset: Vec<u16> = host.out.drain(..).filter(|s| s.seg.flags.rst()).map(|s| s.seg.dst_port).collect();
    assert_eq!(reset, (PEER_PORT..PEER_PORT + 10).collect::<Vec<_>>());
    assert!(closed(&host).is_some());
    host.assert_clean();
}

#[test]
fn duplicate_ack_that_finds_no_room_goes_out_with_the_next_burst() {
    let mut host = Host::accepted(plain_config());
    host.limit_burst(1);
    host.send_burst(&[seg(".", 201, 301).data(*b"later"), seg(".", 301, 301).data(*b"even later")]);
    host.expect(".", 301, 101);
    host.expect_nothing();
    host.turn(Vec::new());
    host.expect(".", 301, 101);
    host.expect_nothing();
}

#[test]
fn send_queue_never_holds_more_than_sequence_numbers_can_tell_apart() {
    fn zeros(_: u64, _: u64, out: &mut [u8]) {
        out.fill(0);
    }
    let mut config = plain_config();
    config.limits.send_queue_bytes = u32::MAX;
    let mut host = Host::accepted(config);
    host.act(|c| {
        let half = Payload::Generated(Generator { len: 1 << 30, seed: 0, fill: zeros });
        c.send(half.clone()).unwrap();
        let rest: Result<Vec<()>, _> = (0..2).map(|_| c.send(half.clone())).collect();
        assert_eq!(rest, Err(SendError::Full));
    });
    assert!(!host.out.is_empty());
}
