//! More to do than there is room for: nothing is forgotten, and what strangers send takes no room from what we do.

use crate::{closed, drops, ms, seconds};
use synfin_engine::base::{DropReason, Frame};
use synfin_engine::shard::{Connect, Generator, Payload, SendError};
use synfin_engine::tcp::SynCookies;
use synfin_engine::wire::emit::{self, ChecksumMode, LinkOut, SegmentOut};
use synfin_engine::wire::parse::VlanTags;
use synfin_engine::wire::{Addr, Seq, TcpFlags, TcpOptions};
use synfin_tests::host::{Host, OUR_MAC, OUR_PORT, OURS, PEER_MAC, PEER_PORT, Told, plain_config, seg};

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
fn connection_that_found_all_buffers_taken_is_told_when_there_are_some_again() {
    let mut config = plain_config();
    config.limits.copy_buffers = 1;
    let mut host = Host::server(config);
    let ids = [0, 1].map(|n| {
        host.remote.1 = PEER_PORT + n;
        host.send(seg("S", 100, 0).mss(1460));
        host.expect("S.", 300, 101);
        host.send(seg(".", 101, 301));
        host.shard.app().conn.unwrap()
    });
    let copies = ids.map(|id| host.shard.with_net(host.now, |_, net| net.conn(id).unwrap().send_copy(b"bytes")));
    assert_eq!(copies, [Ok(5), Ok(0)]);
    host.turn(Vec::new());
    host.expect_data(301, 101, b"bytes");
    host.turn(Vec::new());
    assert!(!host.told().contains(&Told::Writable));
    host.remote.1 = PEER_PORT;
    host.send(seg(".", 101, 306));
    assert_eq!(host.told().last(), Some(&Told::Writable));
    assert_eq!(host.shard.app().conn, Some(ids[1]));
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

/// A SYN from station `n` of the subnet.
fn syn(host: &mut Host, n: u32) -> Frame {
    let mut frame = host.pool.alloc().unwrap();
    let link = LinkOut { src: PEER_MAC, dst: OUR_MAC, vlan: VlanTags::default() };
    let segment = SegmentOut {
        src: Addr::v4([10, 0, 0, 0]).plus(n),
        dst: OURS,
        src_port: PEER_PORT,
        dst_port: OUR_PORT,
        seq: Seq(100),
        ack: Seq(0),
        flags: TcpFlags::SYN,
        window: 1000,
        options: &TcpOptions::default(),
        payload_len: 0,
        checksum: ChecksumMode::Full,
    };
    assert!(emit::tcp(&mut frame, &link, &segment, |_| {}));
    frame
}

#[test]
fn syns_of_strangers_leave_room_for_neighbours_that_we_ask_for() {
    let mut config = plain_config();
    config.locals[0].prefix_len = 0;
    config.tcp.syn_cookies = SynCookies::Off;
    let mut host = Host::server(config);
    for burst in 0..2200 {
        let frames = (0..64).map(|n| syn(&mut host, 1 + burst * 64 + n)).collect();
        host.turn_unchecked(frames);
    }
    let remote = Addr::v4([192, 0, 2, 1]);
    let to = Connect { local: OURS, local_port: 5000, remote, remote_port: 80 };
    assert!(host.shard.with_net(host.now, |_, net| net.connect(to, ())).is_ok());
    assert!(drops(&host, DropReason::TableFull) > 0);
}

#[test]
fn flood_of_repeated_fins_takes_no_room_from_other_time_wait_records() {
    let mut host = Host::server(plain_config());
    for n in 0..2 {
        host.remote.1 = PEER_PORT + n;
        host.send(seg("S", 100, 0).mss(1460));
        host.expect("S.", 300, 101);
        host.send(seg(".", 101, 301));
        host.act(|c| c.close());
        host.expect("F.", 301, 101);
        host.send(seg("F.", 101, 302));
        host.expect(".", 302, 102);
    }
    for _ in 0..1000 {
        host.send(seg("F.", 101, 302));
        host.expect(".", 302, 102);
    }
    assert_eq!(host.shard.live(), (0, 0, 2));
    host.pass(seconds(50));
    host.send(seg("F.", 101, 302));
    host.expect(".", 302, 102);
    host.pass(seconds(60) - ms(1));
    assert_eq!(host.shard.live(), (0, 0, 1), "2MSL began anew with the last FIN");
    host.pass(ms(2));
    host.assert_clean();
}
