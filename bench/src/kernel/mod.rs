//! Connections through the kernel's TCP, from a bare epoll server and client: what the engine is compared with.
//!
//! One thread each, non-blocking sockets, as few system calls as it takes, nothing parsed. The server closes first in
//! both modes, so the TIME-WAIT records are its own, and the client never runs out of ports.

pub mod client;
pub mod paced;
pub mod server;
mod sys;

use std::time::{Duration, Instant};

/// What happens on a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Mode {
    /// Nothing: the server accepts and closes, the client closes too.
    Connect,
    /// 100 bytes there, 200 bytes back.
    Request,
}

/// What one end has done.
#[derive(Clone, Copy, Default, Debug)]
pub struct Outcome {
    /// Connections that ended as they should.
    pub completed: u64,
    pub failed: u64,
    /// From the first connection's beginning to the last one's end.
    pub elapsed: Duration,
}

/// The time between the first and the last event of a run.
#[derive(Clone, Copy, Default)]
struct Span(Option<(Instant, Instant)>);

impl Span {
    fn extend(&mut self) {
        let now = Instant::now();
        self.0 = Some((self.0.map_or(now, |(first, _)| first), now));
    }

    fn has_begun(&self) -> bool {
        self.0.is_some()
    }

    fn length(&self) -> Duration {
        self.0.map_or(Duration::ZERO, |(first, last)| last - first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn pair(mode: Mode, listen: &str) -> (Outcome, Outcome) {
        let patience = server::Patience { first: Duration::from_secs(20), next: Duration::from_millis(300) };
        let server = server::Server::listen(listen.parse().expect("an address"), mode).expect("a listener");
        let target: SocketAddr = server.address();
        let serving = std::thread::spawn(move || server.run(patience).expect("serving"));
        let load = client::Load { target, mode, concurrency: 8, length: Duration::from_millis(200) };
        let client = client::run(&load).expect("a client");
        (client, serving.join().expect("no panic"))
    }

    #[test]
    fn both_modes_complete_connections_and_lose_none() {
        for mode in [Mode::Connect, Mode::Request] {
            let (client, server) = pair(mode, "127.0.0.1:0");
            assert!(client.completed > 0, "{mode:?}");
            assert_eq!((client.failed, server.failed), (0, 0), "{mode:?}");
            assert_eq!(client.completed, server.completed, "{mode:?}");
        }
    }

    #[test]
    fn a_refused_connection_counts_as_failed() {
        let unused =
            server::Server::listen("127.0.0.1:0".parse().expect("an address"), Mode::Request).expect("a listener");
        let target = unused.address();
        drop(unused);
        let load = client::Load { target, mode: Mode::Request, concurrency: 1, length: Duration::from_millis(20) };
        let outcome = client::run(&load).expect("a client");
        assert!(outcome.failed > 0);
        assert_eq!(outcome.completed, 0);
    }
}
