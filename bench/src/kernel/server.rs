//! The server: accepts, answers, closes.

use super::sys::{self, Epoll};
use super::{Mode, Outcome, Span};
use crate::lifecycle::{REQUEST_BYTES, RESPONSE};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

const LISTENER: u64 = u64::MAX;

/// How long to wait for the first connection, and for any later one.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub first: Duration,
    pub next: Duration,
}

pub struct Server {
    listener: TcpListener,
    epoll: Epoll,
    mode: Mode,
    /// By descriptor.
    open: Vec<Option<Open>>,
    span: Span,
    outcome: Outcome,
}

struct Open {
    socket: OwnedFd,
    received: usize,
}

impl Server {
    /// # Errors
    /// The address cannot be listened on.
    pub fn listen(address: SocketAddr, mode: Mode) -> io::Result<Server> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        sys::lengthen_backlog(listener.as_raw_fd())?;
        let epoll = Epoll::new()?;
        epoll.add(listener.as_raw_fd(), sys::READABLE, LISTENER)?;
        Ok(Server { listener, epoll, mode, open: Vec::new(), span: Span::default(), outcome: Outcome::default() })
    }

    /// # Panics
    /// Never: a listener has an address.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("a listener has an address")
    }

    /// Serves until nothing has come for as long as `patience` says.
    ///
    /// # Errors
    /// The system refuses to go on (out of descriptors, for example).
    pub fn run(mut self, patience: Patience) -> io::Result<Outcome> {
        loop {
            let timeout = if self.span.has_begun() { patience.next } else { patience.first };
            let events = self.epoll.wait(timeout)?;
            if events == 0 {
                self.outcome.elapsed = self.span.length();
                return Ok(self.outcome);
            }
            for number in 0..events {
                match self.epoll.event(number) {
                    (_, LISTENER) => self.accept()?,
                    (_, fd) => self.read(fd as usize),
                }
            }
            self.span.extend();
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        while let Some(socket) = sys::accept(self.listener.as_raw_fd())? {
            if self.mode == Mode::Connect {
                self.outcome.completed += 1;
                continue;
            }
            let fd = socket.as_raw_fd();
            self.epoll.add(fd, sys::READABLE, fd as u64)?;
            if self.open.len() <= fd as usize {
                self.open.resize_with(fd as usize + 1, || None);
            }
            self.open[fd as usize] = Some(Open { socket, received: 0 });
        }
        Ok(())
    }

    fn read(&mut self, fd: usize) {
        let Some(open) = self.open.get_mut(fd).and_then(Option::as_mut) else { return };
        let answered = match sys::receive(&open.socket, &mut [0; 4096]) {
            Ok(0) => Some(false),
            Ok(n) => {
                open.received += n;
                let whole = open.received >= REQUEST_BYTES;
                whole.then(|| sys::send(&open.socket, &RESPONSE).is_ok_and(|sent| sent == RESPONSE.len()))
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => None,
            Err(_) => Some(false),
        };
        let Some(answered) = answered else { return };
        if answered {
            self.outcome.completed += 1;
        } else {
            self.outcome.failed += 1;
        }
        // Closing it takes it out of the epoll set too.
        self.open[fd] = None;
    }
}
