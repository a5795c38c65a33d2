//! Answers each request once.

use super::{Form, NextTurn, REQUEST_BYTES, RESPONSE};
use synfin_engine::base::Instant;
use synfin_engine::shard::{App, CloseReason, Conn, Net, Payload};

pub struct Server {
    form: Form,
    /// Ended in order, after the whole request.
    pub completed: u64,
    pub failed: u64,
    next_turn: NextTurn,
}

impl Server {
    pub fn new(form: Form) -> Server {
        Server { form, completed: 0, failed: 0, next_turn: NextTurn::default() }
    }
}

impl App for Server {
    /// Bytes of the request received.
    type Conn = usize;

    fn data(&mut self, conn: &mut Conn<'_, usize>, bytes: &[u8]) -> usize {
        *conn.user += bytes.len();
        if *conn.user == REQUEST_BYTES {
            // A response that cannot be queued shows as a connection that does not complete.
            let _ = conn.send(Payload::Static(&RESPONSE));
            if self.form == Form::Six {
                conn.shutdown();
            }
        }
        bytes.len()
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, usize>) {
        if self.form == Form::Nine {
            self.next_turn.note(conn.id());
        }
    }

    fn closed(&mut self, received: usize, why: CloseReason, _now: Instant) {
        if why == CloseReason::Graceful && received == REQUEST_BYTES {
            self.completed += 1;
        } else {
            self.failed += 1;
        }
    }

    fn poll(&mut self, net: &mut Net<'_, usize>) {
        self.next_turn.each(|id| {
            if let Some(mut conn) = net.conn(id) {
                conn.shutdown();
            }
        });
    }
}
