//! Fetches a page over HTTP, as a client: `sudo target/debug/examples/fetch veth-a 198.18.0.9/24 198.18.0.2:80`
//! Everything goes to standard output as it comes, the head of the response included.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};
use synfin_engine::base::Instant;
use synfin_engine::shard::app::Connect;
use synfin_engine::shard::{App, CloseReason, Conn, Net};
use synfin_engine::wire::Addr;
use synfin_engine::worker::Endpoint;

/// Any port of our own that nobody uses.
const LOCAL_PORT: u16 = 40_000;

struct Fetch {
    /// Taken when the connection is begun.
    to: Option<Connect>,
    request: String,
    /// Tells the main thread how it ended.
    over: Sender<CloseReason>,
}

impl App for Fetch {
    type Conn = ();

    /// Called on every turn of the poll loop: here connections are begun.
    fn poll(&mut self, net: &mut Net<'_, ()>) {
        if let Some(to) = self.to.take()
            && let Err(e) = net.connect(to, ())
        {
            eprintln!("cannot connect: {e:?}");
            let _ = self.over.send(CloseReason::Unreachable);
        }
    }

    /// A worker that sleeps calls `poll` by then.
    fn next_wakeup(&self) -> Option<Instant> {
        self.to.map(|_| Instant::ZERO)
    }

    fn connected(&mut self, conn: &mut Conn<'_, ()>) {
        // An empty send queue has room for so little.
        let _ = conn.send_copy(self.request.as_bytes());
    }

    fn data(&mut self, _conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        let _ = std::io::stdout().write_all(bytes);
        bytes.len()
    }

    /// The server has sent everything; our FIN is the answer.
    fn peer_closed(&mut self, conn: &mut Conn<'_, ()>) {
        conn.shutdown();
    }

    fn closed(&mut self, (): (), why: CloseReason, _now: Instant) {
        let _ = self.over.send(why);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [interface, address, target] = &args[..] else {
        return Err("usage: fetch INTERFACE ADDRESS/PREFIX SERVER:PORT".into());
    };
    let server: SocketAddr = target.parse()?;
    let endpoint = Endpoint::open(interface, address, &[LOCAL_PORT])?;
    let (over, ended) = channel();
    let to = Connect {
        local: endpoint.config.locals[0].first,
        local_port: LOCAL_PORT,
        remote: Addr::from(server.ip()),
        remote_port: server.port(),
    };
    let request = format!("GET / HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n");
    let running = endpoint.run(Fetch { to: Some(to), request, over }, &[])?;
    let why = ended.recv()?;
    running.control().stop();
    running.join()?;
    if why == CloseReason::Graceful { Ok(()) } else { Err(format!("the connection ended: {}", why.name()).into()) }
}
