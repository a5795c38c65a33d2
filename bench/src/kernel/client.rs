//! The client: keeps a number of connections in flight.

use super::sys::{self, Epoll};
use super::{Mode, Outcome, Span};
use crate::lifecycle::{REQUEST, RESPONSE_BYTES};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// What the client does.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub target: SocketAddr,
    pub mode: Mode,
    pub concurrency: usize,
    /// How long connections are begun.
    pub length: Duration,
}

/// How long connections that are open at the end may take.
const DRAIN: Duration = Duration::from_secs(5);

struct Client<'a> {
    load: &'a Load,
    epoll: Epoll,
    places: Vec<Option<Open>>,
    /// Places whose connection could not even begin: tried again with the next events.
    refused: Vec<usize>,
    span: Span,
    outcome: Outcome,
}

struct Open {
    socket: OwnedFd,
    asked: bool,
    received: usize,
}

enum Step {
    Goes,
    Completed,
    Failed,
}

/// # Errors
/// The system refuses to go on (out of descriptors, for example).
pub fn run(load: &Load) -> io::Result<Outcome> {
    let places = (0..load.concurrency).map(|_| None).collect();
    let epoll = Epoll::new()?;
    let mut client =
        Client { load, epoll, places, refused: Vec::new(), span: Span::default(), outcome: Outcome::default() };
    client.run()?;
    Ok(Outcome { elapsed: client.span.length(), ..client.outcome })
}

impl Client<'_> {
    fn run(&mut self) -> io::Result<()> {
        let end = Instant::now() + self.load.length;
        self.span.extend();
        (0..self.places.len()).try_for_each(|place| self.begin(place))?;
        let mut goes_on = true;
        while goes_on || self.places.iter().any(Option::is_some) {
            let now = Instant::now();
            goes_on = now < end;
            if now > end + DRAIN {
                self.outcome.failed += self.places.iter_mut().filter_map(Option::take).count() as u64;
                break;
            }
            for number in 0..self.epoll.wait(Duration::from_millis(10))? {
                let (events, place) = self.epoll.event(number);
                self.step(place as usize, events, goes_on)?;
            }
            self.span.extend();
            if goes_on {
                std::mem::take(&mut self.refused).into_iter().try_for_each(|place| self.begin(place))?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, place: usize) -> io::Result<()> {
        let socket = sys::socket(&self.load.target)?;
        if sys::connect(&socket, &self.load.target).is_err() {
            self.outcome.failed += 1;
            self.refused.push(place);
            return Ok(());
        }
        let events = match self.load.mode {
            Mode::Connect => sys::READABLE | sys::EDGE,
            Mode::Request => sys::READABLE | sys::WRITABLE | sys::EDGE,
        };
        self.epoll.add(socket.as_raw_fd(), events, place as u64)?;
        self.places[place] = Some(Open { socket, asked: self.load.mode == Mode::Connect, received: 0 });
        Ok(())
    }

    fn step(&mut self, place: usize, events: u32, goes_on: bool) -> io::Result<()> {
        let Some(open) = self.places.get_mut(place).and_then(Option::as_mut) else { return Ok(()) };
        let step = open.step(events, self.load.mode);
        match step {
            Step::Goes => return Ok(()),
            Step::Completed => self.outcome.completed += 1,
            Step::Failed => self.outcome.failed += 1,
        }
        self.places[place] = None;
        if goes_on { self.begin(place) } else { Ok(()) }
    }
}

impl Open {
    fn step(&mut self, events: u32, mode: Mode) -> Step {
        if !self.asked && events & sys::WRITABLE != 0 {
            if !sys::send(&self.socket, &REQUEST).is_ok_and(|sent| sent == REQUEST.len()) {
                return Step::Failed;
            }
            self.asked = true;
        }
        if events & sys::READABLE == 0 {
            return Step::Goes;
        }
        let expected = if mode == Mode::Request { RESPONSE_BYTES } else { 0 };
        // Edge-triggered: until there is nothing more.
        loop {
            match sys::receive(&self.socket, &mut [0; 4096]) {
                Ok(0) if self.received == expected => return Step::Completed,
                Ok(0) => return Step::Failed,
                Ok(n) => self.received += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Step::Goes,
                Err(_) => return Step::Failed,
            }
        }
    }
}
