//! How the window comes down during a recovery with SACK (RFC 6937) or goes on growing where none was called for, and what
//! may be sent meanwhile.

use crate::recovery::{sack, sack_config, sent, under_way, window};
use crate::{events, ms, over, seconds};
use synfin_engine::base::Event;
use synfin_tests::host::{Host, seg};

#[test]
fn ack_that_begins_a_recovery_counts_once_for_what_may_be_sent() {
    let mut host = under_way(sack_config(), 60_000);
    host.pass(ms(100));
    host.send(sack(10, &[]));
    assert_eq!(sent(&mut host).len(), 20);
    host.pass(ms(100));
    // Seven of twenty have arrived: one is sent for every two of them.
    host.send(sack(14, &[(15, 18)]));
    assert_eq!(sent(&mut host), [14, 30, 31]);
    over(&mut host, 501);
}

#[test]
fn fin_alone_waits_for_the_window_of_a_recovery() {
    let mut host = under_way(sack_config(), 10_000);
    host.pass(ms(100));
    host.send(sack(0, &[(1, 5)]));
    assert_eq!(sent(&mut host), [0]);
    host.act(|c| c.shutdown());
    host.expect_nothing();
    host.pass(ms(100));
    host.send(sack(10, &[]));
    host.expect("F.", 10_301, 501);
    host.send(seg("R", 501, 0));
    host.assert_clean();
}

#[test]
fn sacked_segments_have_let_new_ones_out_and_do_not_let_the_window_grow_once_more() {
    let mut host = under_way(sack_config(), 30_000);
    host.pass(ms(100));
    host.send(sack(0, &[(1, 2)]));
    host.send(sack(0, &[(1, 3)]));
    assert_eq!(sent(&mut host), [10, 11]);
    host.send(sack(3, &[]));
    assert_eq!(sent(&mut host), [12, 13]);
    // On a path that is known to reorder, the window grows with all that is acknowledged.
    host.send(sack(3, &[(4, 6)]));
    sent(&mut host);
    let before = window(&mut host);
    host.send(sack(6, &[]));
    assert_eq!(window(&mut host) - before, 3000);
    over(&mut host, 501);
}

fn threshold(host: &mut Host) -> u32 {
    let conn = host.shard.app().conn.expect("one");
    host.shard.with_net(host.now, |_, net| net.conn(conn).expect("live").info().expect("live").ssthresh)
}

#[test]
fn time_out_in_a_recovery_counts_once_more_and_a_second_one_does_not() {
    let mut host = under_way(sack_config(), 40_000);
    host.pass(ms(100));
    host.send(sack(0, &[(1, 4)]));
    let in_recovery = threshold(&mut host);
    assert_eq!((sent(&mut host)[0], in_recovery), (0, 5_000));
    // The retransmission is lost, and then that of the time-out.
    host.pass_until_output(seconds(10));
    let after_time_out = threshold(&mut host);
    assert!((2_000..in_recovery).contains(&after_time_out), "{after_time_out}");
    assert_eq!(events(&host, Event::RtoExpiries), 1);
    host.pass(seconds(3));
    assert!(events(&host, Event::RtoExpiries) > 1);
    assert_eq!(threshold(&mut host), after_time_out);
    host.out.clear();
    over(&mut host, 501);
}
