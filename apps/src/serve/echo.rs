//! Echo (RFC 862): what comes goes back. Holds back a client that does not read, and closes when it does.

use super::Tally;
use crate::pipe::Pipe;
use synfin_engine::base::Instant;
use synfin_engine::shard::conn::{Conn, Net};
use synfin_engine::shard::{App, CloseReason};

pub struct EchoServer {
    pub tally: Tally,
}

/// Nothing is kept per connection: what was not taken stays with the engine.
fn take(conn: &mut impl Pipe, bytes: &[u8]) -> usize {
    // A closed sending side takes nothing more ever, so what comes is forgotten.
    conn.send_copy(bytes).unwrap_or(bytes.len())
}

impl App for EchoServer {
    type Conn = ();

    fn accepted(&mut self, _conn: &mut Conn<'_, ()>) {
        self.tally.accepted();
    }

    fn data(&mut self, conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        take(conn, bytes)
    }

    fn writable(&mut self, conn: &mut Conn<'_, ()>) {
        conn.resume_receive();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipe::fake::FakePipe;

    #[test]
    fn takes_only_what_there_is_room_to_send_back() {
        let mut c = FakePipe::<()>::new();
        c.room = 5;
        assert_eq!(take(&mut c, b"hello world"), 5);
        assert_eq!(take(&mut c, b" world"), 0);
        assert_eq!(c.take_sent(), b"hello");
        assert_eq!(take(&mut c, b" world"), 5);
        c.shutdown();
        assert_eq!(take(&mut c, b"x"), 1);
    }
}
