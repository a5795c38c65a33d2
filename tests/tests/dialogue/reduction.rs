//! How the window comes down during a recovery with SACK, and what may be sent meanwhile (RFC 6937).

use crate::recovery::{sack, sack_config, sent, under_way};
use crate::{ms, over};
use synfin_tests::host::seg;

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
