//! The socket layer as programs use it: two stacks joined in memory, in virtual time.

mod addresses;
mod errors;
mod fast_open;
mod options;
mod ready;
mod records;
mod stamps;
mod stream;
mod waiting;

use std::time::Duration;
use synfin_engine::socket::{Errno, Fd, Flags};
use synfin_tests::sockets::{Host, Net};

pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub const PLAIN: Flags = Flags {
    more: false,
    urgent: false,
    end_of_record: false,
    peek: false,
    dont_wait: false,
    wait_all: false,
    zero_copy: false,
    goes_on: false,
};

/// One `recv` of at most `len` bytes.
pub fn recv(net: &mut Net, host: Host, fd: Fd, len: usize) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; len];
    let n = net.on(host, |s| s.recv(fd, &mut buffer, PLAIN))?;
    buffer.truncate(n);
    Ok(buffer)
}

pub fn send(net: &mut Net, host: Host, fd: Fd, bytes: &[u8]) -> Result<usize, Errno> {
    net.on(host, |s| s.send(fd, bytes, PLAIN))
}

pub fn set(net: &mut Net, host: Host, fd: Fd, level: i32, name: i32, value: i32) -> Result<(), Errno> {
    net.on(host, |s| s.setsockopt(fd, level, name, &value.to_ne_bytes()))
}

pub fn get(net: &mut Net, host: Host, fd: Fd, level: i32, name: i32) -> Result<i32, Errno> {
    let mut value = [0; 4];
    net.on(host, |s| s.getsockopt(fd, level, name, &mut value))?;
    Ok(i32::from_ne_bytes(value))
}

pub fn close(net: &mut Net, host: Host, fd: Fd) {
    net.on(host, |s| s.close(fd)).expect("an open descriptor");
}
