//! An echo server on port 7 of an address: `sudo target/debug/examples/echo veth-b 198.18.0.9/24`
//! Try it with `nc 198.18.0.9 7` on the other end of the link.

use synfin_engine::shard::{App, CloseReason, Conn};
use synfin_engine::worker::Endpoint;

struct Echo;

impl App for Echo {
    /// Nothing to remember about a connection.
    type Conn = ();

    /// Sends back what came. What the send queue has no room for stays with the shard, which closes the window.
    fn data(&mut self, conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        conn.send_copy(bytes).unwrap_or(bytes.len())
    }

    /// There is room again: take what was left.
    fn writable(&mut self, conn: &mut Conn<'_, ()>) {
        conn.resume_receive();
    }

    /// The peer has sent everything; our FIN follows the last byte.
    fn peer_closed(&mut self, conn: &mut Conn<'_, ()>) {
        conn.shutdown();
    }

    fn closed(&mut self, (): (), why: CloseReason, _now: synfin_engine::base::Instant) {
        println!("a connection ended: {}", why.name());
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(interface), Some(address)) = (args.next(), args.next()) else {
        return Err("usage: echo INTERFACE ADDRESS/PREFIX".into());
    };
    let endpoint = Endpoint::open(&interface, &address, &[7])?;
    println!("echo on {address} port 7: {}", endpoint.describe());
    endpoint.run(Echo, &[7])?.join().map_err(Into::into)
}
