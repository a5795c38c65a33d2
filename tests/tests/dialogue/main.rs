//! The connection's life as dialogues: one real shard opposite a scripted peer, in virtual time. Unless a test says
//! otherwise the host has ISN 300, the peer 100 (when it opens) or 500 (when it accepts); no timestamps, no SACK.

mod address;
mod autotune;
mod close;
mod close_loss;
mod cookies;
mod ecn;
mod failure;
mod fast_open;
mod fast_open_client;
mod flags;
mod frto;
mod header;
mod icmp;
mod icmp_reports;
mod ip_fields;
mod keepalive;
mod loss;
mod negotiate;
mod neighbour;
mod open;
mod open_loss;
mod order;
mod path_mtu;
mod persist;
mod pressure;
mod probes;
mod quick_acks;
mod receive;
mod recovery;
mod reduction;
mod replies;
mod reset;
mod rest;
mod rfc9293;
mod sack;
mod send;
mod settings;
mod shrink;
mod simultaneous;
mod states;
mod states_more;
mod timestamps;
mod timewait;
mod urgent;
mod v6;
mod window;

use std::time::Duration;
use synfin_engine::base::{DropReason, Event, Frame};
use synfin_engine::shard::{CloseReason, ShardConfig};
use synfin_engine::tcp::State;
use synfin_engine::wire::emit::{self, ChecksumMode, IpFields, LinkOut, OptionsOut, SegmentOut};
use synfin_engine::wire::parse::VlanTags;
use synfin_engine::wire::{Addr, Seq, TcpFlags, TcpOptions};
use synfin_tests::host::{Host, OUR_MAC, OUR_PORT, OURS, PEER_MAC, PEER_PORT, Told, plain_config, seg};

/// Bytes to send: no two stretches of it are alike at small distances.
pub static BYTES: [u8; 70_000] = {
    let mut bytes = [0; 70_000];
    let mut i = 0;
    while i < bytes.len() {
        bytes[i] = (i % 251) as u8;
        i += 1;
    }
    bytes
};

pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The host sends something after `expected` of virtual time. Time-outs are rounded up to ticks of 0.13 ms before they
/// are doubled, so a little more counts as well.
#[track_caller]
pub fn sends_after(host: &mut Host, expected: Duration) {
    let took = host.pass_until_output(expected * 2 + seconds(1));
    assert!(!host.out.is_empty(), "nothing was sent for {took:?}");
    assert!(
        took + ms(1) >= expected && took <= expected + expected / 500 + ms(2),
        "sent after {took:?}, expected {expected:?}"
    );
}

/// The connection ends after `expected` of virtual time, for the reason `why`, and with nothing left.
#[track_caller]
pub fn ends_after(host: &mut Host, expected: Duration, why: CloseReason) {
    host.pass(expected - ms(1));
    assert_eq!(closed(host), None, "ended too early");
    host.pass(expected / 500 + ms(3));
    assert_eq!(closed(host), Some(why));
    assert_eq!(times_told_closed(host), 1);
}

/// How the connection ended, if it has.
pub fn closed(host: &Host) -> Option<CloseReason> {
    host.told().iter().find_map(|t| if let Told::Closed(why) = t { Some(*why) } else { None })
}

pub fn times_told_closed(host: &Host) -> usize {
    host.told().iter().filter(|t| matches!(t, Told::Closed(_))).count()
}

pub fn drops(host: &Host, reason: DropReason) -> u64 {
    host.shard.counters().dropped(reason)
}

pub fn events(host: &Host, event: Event) -> u64 {
    host.shard.counters().count(event)
}

/// The peer's RST with exactly the next number: the story is over, and nothing is left.
#[track_caller]
pub fn over(host: &mut Host, seq: u32) {
    host.out.clear();
    host.send(seg("R", seq, 0));
    assert_eq!(closed(host), Some(CloseReason::Reset));
    host.expect_nothing();
    host.assert_clean();
}

/// [`plain_config`] with timestamps.
pub fn stamped_config() -> ShardConfig {
    let mut config = plain_config();
    config.tcp.timestamps = true;
    config
}

/// In the order in which a connection may come to know its peer.
pub const STATES: [State; 11] = [
    State::Closed,
    State::Listen,
    State::SynSent,
    State::SynReceived,
    State::Established,
    State::FinWait1,
    State::FinWait2,
    State::CloseWait,
    State::Closing,
    State::LastAck,
    State::TimeWait,
];

/// Those that know the peer's numbers.
pub fn knowing_the_peer() -> &'static [State] {
    &STATES[3..]
}

/// Those that know the peer's numbers and have a control block.
pub fn live() -> &'static [State] {
    &STATES[3..10]
}

/// A connection that the host opened, its bytes in both directions done, in the given state. The peer's next number is
/// 501 (502 once its FIN has come), the host's 301 (302 once its FIN is sent).
pub fn in_state(state: State) -> Host {
    let config = plain_config();
    if state == State::SynSent {
        let mut host = Host::client(config);
        host.expect("S", 300, 0);
        return host;
    }
    if state == State::SynReceived {
        let mut host = Host::client(config);
        host.expect("S", 300, 0);
        host.send(seg("S", 500, 0).mss(1460));
        host.expect("S.", 300, 501);
        return host;
    }
    let mut host = Host::connected(config);
    let peer_first = matches!(state, State::CloseWait | State::LastAck);
    if peer_first {
        host.send(seg("F.", 501, 301));
        host.expect(".", 301, 502);
    }
    if !matches!(state, State::Established | State::CloseWait) {
        host.act(|c| c.shutdown());
        host.expect("F.", 301, if peer_first { 502 } else { 501 });
    }
    match state {
        State::FinWait2 => host.send(seg(".", 501, 302)),
        State::Closing => {
            host.send(seg("F.", 501, 301));
            host.expect(".", 302, 502);
        }
        State::TimeWait => {
            host.send(seg("F.", 501, 302));
            host.expect(".", 302, 502);
        }
        _ => {}
    }
    assert_eq!(host.state(), state);
    host.expect_nothing();
    host
}

/// Host's next number to send and the peer's next number, in a state of [`in_state`].
pub fn numbers(state: State) -> (u32, u32) {
    let ours = match state {
        State::SynSent | State::SynReceived | State::Established | State::CloseWait => 301,
        _ => 302,
    };
    let theirs = match state {
        State::CloseWait | State::LastAck | State::Closing | State::TimeWait => 502,
        _ => 501,
    };
    (ours, theirs)
}

/// A SYN from station `n` of 10/8.
pub fn syn_of_station(host: &mut Host, n: u32) -> Frame {
    let mut frame = host.pool.alloc().expect("a free frame");
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
        options: OptionsOut::Any(&TcpOptions::default()),
        payload_len: 0,
        ip: IpFields::default(),
        checksum: ChecksumMode::Full,
    };
    assert!(emit::tcp(&mut frame, &link, &segment, |_| {}));
    frame
}
