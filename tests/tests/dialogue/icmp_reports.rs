//! ICMP errors: which connection they reach, what they end, and what is only told (RFC 9293 3.9.2.2).

use crate::{BYTES, closed, drops, events, in_state, ms, over};
use synfin_engine::base::{DropReason, Event};
use synfin_engine::shard::Report;
use synfin_engine::tcp::State;
use synfin_tests::altered::icmp_about;
use synfin_tests::host::{Host, plain_config, seg};

/// Network, host and source route unreachable, time exceeded, parameter problem.
const SOFT: [[u8; 2]; 8] = [[3, 0], [3, 1], [3, 5], [11, 0], [11, 1], [12, 0], [12, 1], [12, 2]];
/// Protocol and port unreachable.
const HARD: [[u8; 2]; 2] = [[3, 2], [3, 3]];

/// An established connection with four bytes under way.
fn busy() -> Host {
    let mut host = in_state(State::Established);
    host.write(b"data");
    host.expect_data(301, 501, b"data");
    host
}

#[test]
fn soft_errors_are_reported_and_end_nothing() {
    for kind in SOFT {
        for (mut host, seq) in [(in_state(State::SynSent), 300), (busy(), 301)] {
            let before = host.state();
            let message = icmp_about(&host, kind, [0; 4], seq);
            host.send_raw(&message);
            assert_eq!(closed(&host), None, "{kind:?} in {before}");
            assert_eq!(host.state(), before);
            host.expect_nothing();
            assert!(matches!(host.reports()[..], [Report::Icmp(_)]), "{:?}", host.reports());
            // What is under way is sent again at its usual time.
            host.pass_until_output(ms(1500));
            assert_eq!(host.next().seg.seq.0, seq);
            host.act(|c| c.abort());
            host.assert_clean();
        }
    }
}

#[test]
fn hard_error_on_a_connection_that_works_is_only_reported() {
    for kind in HARD {
        let mut host = busy();
        let message = icmp_about(&host, kind, [0; 4], 301);
        host.send_raw(&message);
        assert_eq!((closed(&host), host.state()), (None, State::Established));
        assert!(matches!(host.reports()[..], [Report::Icmp(_)]), "{:?}", host.reports());
        host.send(seg(".", 501, 305));
        host.expect_nothing();
        over(&mut host, 501);
    }
}

#[test]
fn error_about_nothing_that_is_under_way_is_not_believed() {
    let mut host = busy();
    for (n, seq) in [300, 305, 1_000_000].into_iter().enumerate() {
        for kind in [[3, 0], [3, 3], [3, 4]] {
            let message = icmp_about(&host, kind, [0, 0, 2, 88], seq);
            host.send_raw(&message);
        }
        assert_eq!(drops(&host, DropReason::IcmpStale), 3 * (n as u64 + 1));
    }
    // Nor one about another connection's ports.
    host.local.1 += 1;
    let message = icmp_about(&host, [3, 3], [0; 4], 301);
    host.local.1 -= 1;
    host.send_raw(&message);
    assert_eq!(drops(&host, DropReason::IcmpStale), 10);
    host.expect_nothing();
    assert_eq!((host.reports(), closed(&host)), (vec![], None));
    over(&mut host, 501);
}

#[test]
fn error_reaches_the_connection_that_it_is_about_and_no_other() {
    let mut host = in_state(State::SynSent);
    let first = host.shard.app().conn;
    host.local.1 += 1;
    host.connect().expect("another port");
    host.turn(Vec::new());
    host.expect("S", 300, 0);
    let second = host.shard.app().conn;
    assert_ne!(first, second);
    let message = icmp_about(&host, [3, 1], [0; 4], 300);
    host.send_raw(&message);
    let told: Vec<_> = host.shard.app().reports.iter().map(|(id, _)| Some(*id)).collect();
    assert_eq!(told, [second]);
    let message = icmp_about(&host, [3, 3], [0; 4], 300);
    host.send_raw(&message);
    assert!(closed(&host).is_some());
    // The first is still there.
    host.shard.app_mut().conn = first;
    host.local.1 -= 1;
    host.send(seg("S.", 500, 301));
    host.expect(".", 301, 501);
    host.send(seg("R", 501, 0));
    host.assert_clean();
}

#[test]
fn source_quench_is_discarded_silently() {
    let mut host = Host::accepted(plain_config());
    host.write(&BYTES[..40_000]);
    let flight = host.out.len();
    host.out.clear();
    let message = icmp_about(&host, [4, 0], [0; 4], 301);
    host.send_raw(&message);
    host.expect_nothing();
    assert_eq!((drops(&host, DropReason::IcmpIgnored), events(&host, Event::IcmpErrorsIn)), (1, 0));
    assert_eq!(host.reports(), []);
    // The window grows as if nothing had been said.
    host.send(seg(".", 101, 301 + 2 * 1460));
    assert_eq!(host.out.len(), 4, "slow start goes on from {flight} segments");
    over(&mut host, 101);
}
