//! Answers Prometheus while a run goes on: a small HTTP server on one of the kernel's addresses, with a thread of its own.

use crate::failure::Failure;
use crate::live::Board;
use crate::live::metrics::{CONTENT_TYPE, Exposition};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// For one request, from its first byte to the last of the answer. One is answered at a time.
const PATIENCE: Duration = Duration::from_secs(2);
const REQUEST_BYTES_MAX: usize = 8192;

/// A place at which nobody is answered yet.
pub struct Exporter(TcpListener);

/// Answers until it is dropped.
pub struct Exporting {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    pub fn bind(address: SocketAddr) -> Result<Exporter, Failure> {
        let next = "Name an address of this machine and a free port with --metrics, as in 127.0.0.1:9100.";
        TcpListener::bind(address)
            .map(Exporter)
            .map_err(|e| Failure::new(format!("cannot listen on {address} for --metrics: {e}"), next))
    }

    pub fn start(self, boards: &[Arc<Board>]) -> Result<Exporting, Failure> {
        let failed = |e: io::Error| Failure::new(format!("cannot answer Prometheus: {e}"), "");
        let (address, is_over) = (self.0.local_addr().map_err(failed)?, Arc::new(AtomicBool::new(false)));
        let (exposition, over) = (Exposition::new(boards.to_vec()), is_over.clone());
        let answer_all = move || {
            while let Ok((stream, _)) = self.0.accept() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                // Whoever asked has gone, or takes too long.
                let _ = answer(stream, &exposition);
            }
        };
        let thread = thread::Builder::new().name("metrics".into()).spawn(answer_all).map_err(failed)?;
        Ok(Exporting { address, is_over, thread: Some(thread) })
    }
}

impl Drop for Exporting {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Wakes the thread up; where that fails, it ends with the program.
        if TcpStream::connect_timeout(&self.address, PATIENCE).is_ok() {
            self.thread.take().map(JoinHandle::join);
        }
    }
}

fn answer(mut stream: TcpStream, exposition: &Exposition) -> io::Result<()> {
    let head = head(&mut stream)?;
    let (status, kind, body) = match path(&head) {
        Some("/metrics") => ("200 OK", CONTENT_TYPE, exposition.text()),
        Some(_) => ("404 Not Found", "text/plain", "see /metrics\n".into()),
        None => ("405 Method Not Allowed", "text/plain", "GET /metrics\n".into()),
    };
    let length = body.len();
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// What there is of a request up to its empty line.
fn head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let (begin, mut head) = (Instant::now(), Vec::new());
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        let left = PATIENCE.saturating_sub(begin.elapsed());
        if left.is_zero() || head.len() > REQUEST_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        stream.set_read_timeout(Some(left))?;
        let mut bytes = [0; 1024];
        match stream.read(&mut bytes)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => head.extend_from_slice(&bytes[..n]),
        }
    }
    Ok(head)
}

/// What is to be got, without a query behind it.
fn path(head: &[u8]) -> Option<&str> {
    let line = str::from_utf8(head).ok()?.lines().next()?;
    let target = line.strip_prefix("GET ")?.split(' ').next()?;
    target.split('?').next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Figures;

    /// What came before the connection was closed or reset.
    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).expect("somebody listens");
        stream.write_all(request.as_bytes()).expect("a request");
        let mut text = Vec::new();
        let _reset = stream.read_to_end(&mut text);
        String::from_utf8(text).expect("text")
    }

    #[test]
    fn each_scrape_shows_how_things_stand_and_nothing_is_left_when_the_run_is_over() {
        let boards = [Arc::new(Board::default())];
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let exporting = Exporter::bind(loopback).and_then(|e| e.start(&boards)).expect("a free port");
        let address = exporting.address;
        for started in [5, 7] {
            boards[0].publish(&Figures { started, ..Figures::default() });
            let text = ask(address, "GET /metrics?x=1 HTTP/1.1\r\nHost: here\r\n\r\n");
            assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
            assert!(text.contains(&format!("\nsynfin_connections_started_total {started}\n")), "{text}");
        }
        assert!(ask(address, "GET /other HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
        assert!(ask(address, "POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405"));
        assert_eq!(ask(address, &"x".repeat(2 * REQUEST_BYTES_MAX)), "", "more than a request has: no answer");
        drop(exporting);
        Exporter::bind(address).expect("the port is free again");
    }

    #[test]
    fn a_place_that_is_taken_is_told() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = taken.local_addr().expect("it is bound");
        let failure = Exporter::bind(address).err().expect("it is taken");
        assert!(failure.what.starts_with(&format!("cannot listen on {address} for --metrics")), "{failure}");
    }
}
