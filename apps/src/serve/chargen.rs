//! Character generator (RFC 864): lines of 72 printing characters without end, until the client closes.

use super::Tally;
use crate::pipe::Pipe;
use synfin_engine::base::Instant;
use synfin_engine::shard::conn::{Conn, Net};
use synfin_engine::shard::{App, CloseReason, Generator, Payload};

const PIECE_BYTES: u64 = 64 * 1024;
/// Enough to fill a large window while the next piece is asked for.
const QUEUE_BYTES: u32 = 1024 * 1024;

const LINE_CHARS: u64 = 72;
const LINE_BYTES: u64 = LINE_CHARS + 2;
const PRINTING: u64 = 95;

pub struct ChargenServer {
    pub tally: Tally,
}

#[derive(Default)]
pub struct ChargenConn {
    /// Bytes of the stream queued so far.
    queued: u64,
    done: bool,
}

/// The bytes at `start + offset` of the endless stream.
fn fill(start: u64, offset: u64, out: &mut [u8]) {
    let at = start.wrapping_add(offset);
    let (mut line, mut column) = (at / LINE_BYTES, at % LINE_BYTES);
    for byte in out {
        *byte = match column {
            LINE_CHARS => b'\r',
            c if c > LINE_CHARS => b'\n',
            c => b' ' + ((line + c) % PRINTING) as u8,
        };
        column += 1;
        if column == LINE_BYTES {
            (line, column) = (line + 1, 0);
        }
    }
}

fn pump(conn: &mut impl Pipe<User = ChargenConn>) {
    if conn.user().done {
        return;
    }
    while conn.queued_bytes() < QUEUE_BYTES {
        let piece = Generator { len: PIECE_BYTES, seed: conn.user().queued, fill };
        if conn.send(Payload::Generated(piece)).is_err() {
            break;
        }
        conn.user().queued += PIECE_BYTES;
    }
    conn.want_writable();
}

impl App for ChargenServer {
    type Conn = ChargenConn;

    fn accepted(&mut self, conn: &mut Conn<'_, ChargenConn>) {
        self.tally.accepted();
        pump(conn);
    }

    fn writable(&mut self, conn: &mut Conn<'_, ChargenConn>) {
        pump(conn);
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, ChargenConn>) {
        conn.user.done = true;
        conn.shutdown();
    }

    fn closed(&mut self, _user: ChargenConn, why: CloseReason, _now: Instant) {
        self.tally.closed(why);
    }

    fn poll(&mut self, net: &mut Net<'_, ChargenConn>) {
        self.tally.publish(net.now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipe::fake::FakePipe;

    #[test]
    fn lines_are_those_of_rfc_864_across_pieces() {
        let mut c = FakePipe::<ChargenConn>::new();
        pump(&mut c);
        assert!(c.wants_writable);
        let mut sent = c.take_sent();
        pump(&mut c);
        sent.extend(c.take_sent());
        let text = String::from_utf8(sent).unwrap();
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert!(lines.len() > 2 * 95);
        let first = " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg";
        assert_eq!(lines[0], first);
        for (i, line) in lines.iter().enumerate().take(lines.len() - 1) {
            assert_eq!(line.len(), 72);
            assert_eq!(line.as_bytes()[0], b' ' + (i % 95) as u8);
        }
        assert_eq!(lines[95], first);
    }

    #[test]
    fn nothing_more_is_queued_once_the_client_has_closed() {
        let mut c = FakePipe::<ChargenConn>::new();
        c.user.done = true;
        pump(&mut c);
        assert!(c.sent.is_empty());
    }
}
