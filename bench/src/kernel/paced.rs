//! The client in open loop: a connection at each of evenly spaced times, whatever the others do, with latency recorded
//! from those times on. So a stall is not hidden by the connections that were not begun meanwhile. It is what `synfin load
//! --rate` does, through the kernel's sockets.

use super::Mode;
use super::sys::{self, Epoll};
use crate::lifecycle::{REQUEST, RESPONSE_BYTES};
use hdrhistogram::Histogram;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub target: SocketAddr,
    /// Connections per second.
    pub rate: u64,
    /// How long connections are begun.
    pub length: Duration,
}

/// How late a connection may begin before it counts as missed instead.
const LATENESS_MAX: Duration = Duration::from_millis(100);
/// How long connections that are open at the end may take.
const DRAIN: Duration = Duration::from_secs(2);
/// Latencies beyond are recorded as this.
const LATENCY_MAX_NS: u64 = 60_000_000_000;
/// Connections begun in one go before events are looked at again.
const LAUNCHES_MAX: u32 = 64;
/// Connections open at a time; more are missed. Below the usual limit of descriptors.
const OPEN_MAX: usize = 16_384;

/// Nanoseconds.
pub struct Paced {
    pub completed: u64,
    pub failed: u64,
    pub missed: u64,
    pub seconds: f64,
    /// From when the connection was due until it was established.
    pub handshake: Histogram<u64>,
    /// From sending the request until the last byte of the response.
    pub request: Histogram<u64>,
}

struct Open {
    socket: OwnedFd,
    due: Instant,
    asked: Option<Instant>,
    received: usize,
}

struct Client {
    epoll: Epoll,
    open: Vec<Option<Open>>,
    free: Vec<usize>,
    result: Paced,
}

/// # Errors
/// The system refuses to go on.
///
/// # Panics
/// Never: the histograms are made with valid bounds.
pub fn run(pace: &Pace) -> io::Result<Paced> {
    let histogram = || Histogram::new_with_bounds(1, LATENCY_MAX_NS, 3).expect("valid bounds");
    let result =
        Paced { completed: 0, failed: 0, missed: 0, seconds: 0.0, handshake: histogram(), request: histogram() };
    let mut client = Client { epoll: Epoll::new()?, open: Vec::new(), free: Vec::new(), result };
    client.run(pace)?;
    Ok(client.result)
}

impl Client {
    fn run(&mut self, pace: &Pace) -> io::Result<()> {
        let start = Instant::now();
        let total = (pace.length.as_secs_f64() * pace.rate as f64) as u64;
        let due = |number: u64| start + Duration::from_nanos(number * 1_000_000_000 / pace.rate);
        let give_up = start + pace.length + DRAIN;
        let mut next = 0;
        loop {
            for _ in 0..LAUNCHES_MAX {
                if next == total || due(next) > Instant::now() {
                    break;
                }
                self.launch(pace.target, due(next))?;
                next += 1;
            }
            // Polls without sleeping, as the engine's worker does.
            for number in 0..self.epoll.wait(Duration::ZERO)? {
                let (events, place) = self.epoll.event(number);
                self.step(place as usize, events);
            }
            let under_way = self.open.len() - self.free.len();
            if next == total && under_way == 0 || Instant::now() > give_up {
                self.result.failed += under_way as u64;
                self.result.seconds = start.elapsed().as_secs_f64();
                return Ok(());
            }
        }
    }

    fn launch(&mut self, target: SocketAddr, due: Instant) -> io::Result<()> {
        if due.elapsed() > LATENESS_MAX || (self.free.is_empty() && self.open.len() == OPEN_MAX) {
            self.result.missed += 1;
            return Ok(());
        }
        let Ok(socket) = sys::socket(&target).and_then(|s| sys::connect(&s, &target).map(|()| s)) else {
            self.result.failed += 1;
            return Ok(());
        };
        let place = self.free.pop().unwrap_or_else(|| {
            self.open.push(None);
            self.open.len() - 1
        });
        self.epoll.add(socket.as_raw_fd(), sys::READABLE | sys::WRITABLE | sys::EDGE, place as u64)?;
        self.open[place] = Some(Open { socket, due, asked: None, received: 0 });
        Ok(())
    }

    fn step(&mut self, place: usize, events: u32) {
        let Some(open) = self.open.get_mut(place).and_then(Option::as_mut) else { return };
        let Some(is_good) = open.step(events, &mut self.result) else { return };
        let count = if is_good { &mut self.result.completed } else { &mut self.result.failed };
        *count += 1;
        self.open[place] = None;
        self.free.push(place);
    }
}

impl Open {
    /// Whether the connection ended well; None while it goes on.
    fn step(&mut self, events: u32, result: &mut Paced) -> Option<bool> {
        if self.asked.is_none() && events & sys::WRITABLE != 0 {
            let now = Instant::now();
            if !sys::send(&self.socket, &REQUEST).is_ok_and(|sent| sent == REQUEST.len()) {
                return Some(false);
            }
            result.handshake.saturating_record(nanos(now - self.due));
            self.asked = Some(now);
        }
        if events & sys::READABLE == 0 {
            return None;
        }
        loop {
            match sys::receive(&self.socket, &mut [0; 4096]) {
                Ok(0) => return Some(self.received == RESPONSE_BYTES),
                Ok(n) => {
                    self.received += n;
                    if let (RESPONSE_BYTES, Some(asked)) = (self.received, self.asked) {
                        result.request.saturating_record(nanos(asked.elapsed()));
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return None,
                Err(_) => return Some(false),
            }
        }
    }
}

fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

impl Paced {
    /// One line of JSON.
    pub fn json(&self, mode: Mode, rate: u64) -> String {
        let us = |h: &Histogram<u64>, q: f64| h.value_at_quantile(q) as f64 / 1e3;
        format!(
            "{{\"mode\":\"{}\",\"rate\":{rate},\"seconds\":{:.3},\"completed\":{},\"failed\":{},\"missed\":{},\
             \"handshake_p50_us\":{:.2},\"handshake_p99_us\":{:.2},\"request_p50_us\":{:.2},\"request_p99_us\":{:.2}}}",
            format!("{mode:?}").to_lowercase(),
            self.seconds,
            self.completed,
            self.failed,
            self.missed,
            us(&self.handshake, 0.5),
            us(&self.handshake, 0.99),
            us(&self.request, 0.5),
            us(&self.request, 0.99),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::server::{Patience, Server};
    use super::*;

    #[test]
    fn every_due_connection_is_completed_and_recorded_once() {
        let patience = Patience { first: Duration::from_secs(20), next: Duration::from_millis(300) };
        let server = Server::listen("127.0.0.1:0".parse().expect("an address"), Mode::Request).expect("a listener");
        let target = server.address();
        let serving = std::thread::spawn(move || server.run(patience).expect("serving"));
        let paced = run(&Pace { target, rate: 500, length: Duration::from_millis(400) }).expect("a client");
        assert_eq!(paced.completed + paced.missed, 200);
        assert_eq!((paced.handshake.len(), paced.request.len()), (paced.completed, paced.completed));
        assert_eq!(paced.failed, 0);
        assert_eq!(serving.join().expect("no panic").completed, paced.completed);
    }

    #[test]
    fn a_connection_that_comes_late_is_measured_from_when_it_was_due_or_missed() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let target = listener.local_addr().expect("its address");
        let histogram = || Histogram::new_with_bounds(1, LATENCY_MAX_NS, 3).expect("valid bounds");
        let result =
            Paced { completed: 0, failed: 0, missed: 0, seconds: 0.0, handshake: histogram(), request: histogram() };
        let mut client = Client { epoll: Epoll::new().expect("epoll"), open: Vec::new(), free: Vec::new(), result };
        let ago = |length| Instant::now().checked_sub(length).expect("the machine is up for longer");
        client.launch(target, ago(LATENESS_MAX * 2)).expect("a launch");
        assert_eq!((client.result.missed, client.open.len()), (1, 0));
        // Again if the machine was so busy that this one was missed too.
        while client.open.is_empty() {
            client.launch(target, ago(LATENESS_MAX / 2)).expect("a launch");
        }
        while client.result.handshake.is_empty() {
            for number in 0..client.epoll.wait(Duration::from_millis(10)).expect("events") {
                let (events, place) = client.epoll.event(number);
                client.step(place as usize, events);
            }
        }
        assert!(client.result.handshake.min() >= nanos(LATENESS_MAX / 2) * 99 / 100);
    }
}
