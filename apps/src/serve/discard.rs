//! Discard (RFC 863): takes what comes, and closes when the client does.

use super::Tally;
use synfin_engine::base::Instant;
use synfin_engine::shard::conn::{Conn, Net};
use synfin_engine::shard::{App, CloseReason};

pub struct DiscardServer {
    pub tally: Tally,
}

impl App for DiscardServer {
    type Conn = ();

    fn accepted(&mut self, _conn: &mut Conn<'_, ()>) {
        self.tally.accepted();
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, ()>) {
        conn.shutdown();
    }

    fn closed(&mut self, _user: (), why: CloseReason, _now: Instant) {
        self.tally.closed(why);
    }

    fn poll(&mut self, net: &mut Net<'_, ()>) {
        self.tally.publish(net.now());
    }
}
