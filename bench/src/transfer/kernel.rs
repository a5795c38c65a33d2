//! Through the kernel's TCP: blocking sockets, a thread for each flow.

use super::{Arrivals, Measured, PIECE, Sent, Times};
use std::io::{Error, Read, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is read at once.
const READ_BYTES: usize = 1 << 18;

/// Sends `bytes` on each flow, one beginning `stagger` after the other, until `limit` or until the receiver has had enough.
///
/// # Errors
/// A connection that is not to be had.
pub fn send(to: SocketAddr, flows: usize, bytes: u64, stagger: Duration, limit: Option<Duration>) -> Result<Sent> {
    let end = limit.map(|limit| Instant::now() + limit);
    let mut threads = Vec::new();
    for flow in 0..flows {
        if flow > 0 {
            std::thread::sleep(stagger);
        }
        let stream = TcpStream::connect(to)?;
        threads.push(std::thread::spawn(move || feed(stream, bytes, end)));
    }
    let mut sum = Sent::default();
    for thread in threads {
        sum.retransmits += thread.join().unwrap_or_default();
    }
    Ok(sum)
}

/// Returns how many segments were sent again.
fn feed(mut stream: TcpStream, bytes: u64, end: Option<Instant>) -> u64 {
    let mut left = bytes;
    while left > 0 && end.is_none_or(|end| Instant::now() < end) {
        let piece = &PIECE[..PIECE.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        // A receiver whose time is up closes: no error of ours.
        if stream.write_all(piece).is_err() {
            break;
        }
        left -= piece.len() as u64;
    }
    let _ = stream.shutdown(std::net::Shutdown::Write);
    // Until the other end has all of it, or has gone.
    let _ = stream.read(&mut [0]);
    retransmits(&stream).unwrap_or_default()
}

fn retransmits(stream: &TcpStream) -> Result<u64> {
    // SAFETY: tcp_info is made of integers, for which zero is a value.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: `info` and `len` live through the call, and `len` is the size of `info`.
    let r = unsafe {
        libc::getsockopt(stream.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, (&raw mut info).cast(), &mut len)
    };
    if r < 0 { Err(Error::last_os_error()) } else { Ok(u64::from(info.tcpi_total_retrans)) }
}

/// Takes `flows` connections and measures what comes.
///
/// # Errors
/// What accepting says.
pub fn receive(listener: &TcpListener, flows: usize, times: &Times) -> Result<Option<Measured>> {
    let arrivals = Arc::new(Arrivals::default());
    let (listener, taking) = (listener.try_clone()?, arrivals.clone());
    std::thread::spawn(move || {
        for flow in 0..flows {
            let Ok((stream, _)) = listener.accept() else { return };
            taking.begin();
            let taking = taking.clone();
            std::thread::spawn(move || drain(stream, flow, &taking));
        }
    });
    Ok(arrivals.measure(flows, times, || false))
}

fn drain(mut stream: TcpStream, flow: usize, arrivals: &Arrivals) {
    let mut bytes = vec![0; READ_BYTES];
    while let Ok(n @ 1..) = stream.read(&mut bytes) {
        arrivals.take(flow, &bytes[..n]);
    }
    arrivals.end();
}
