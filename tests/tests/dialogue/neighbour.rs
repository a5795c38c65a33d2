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
    // Nothing is said for so long that the entry is doubted, asked for, and given up.
    host.pass(Duration::from_secs(120));
    host.out.clear();
    host.send(seg(".", 101, 301).data(&b"still there?"[..]));
    host.pass(Duration::from_secs(1));
    host.expect(".", 301, 113);
    host.write(b"yes");
    host.expect_data(301, 113, b"yes");
    host.act(|c| c.abort());
    host.expect("R.", 304, 113);
    host.assert_clean();
}
