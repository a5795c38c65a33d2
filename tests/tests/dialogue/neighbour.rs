//! Link addresses of peers.

use std::time::Duration;
use synfin_tests::host::{Host, plain_config, seg};

/// An address that the kernel has too: the kernel gets the answers to our questions.
#[test]
fn on_a_shared_address_a_silent_neighbour_is_found_again_by_its_segments() {
    let mut config = plain_config();
    config.static_neighbours.clear();
    config.locals[0].exclusive = false;
    let mut host = Host::server(config);
    host.send(seg("S", 100, 0).mss(1460));
    host.expect("S.", 300, 101);
    host.send(seg(".", 101, 301));
    // Silence makes the entry doubtful; its next use asks, nobody answers us, and it is given up.
    host.pass(Duration::from_secs(31));
    host.write(b"anyone?");
    host.expect_data(301, 101, b"anyone?");
    host.pass(Duration::from_secs(40));
    host.out.clear();
    host.pass(Duration::from_secs(60));
    host.expect_nothing();
    host.send(seg(".", 101, 301).data(&b"here"[..]));
    host.pass(Duration::from_secs(1));
    assert_eq!(host.next().seg.ack.0, 105);
    host.send(seg(".", 105, 308));
    host.out.clear();
    host.write(b"yes");
    host.expect_data(308, 105, b"yes");
    host.act(|c| c.abort());
    host.expect("R.", 311, 105);
    host.assert_clean();
}
