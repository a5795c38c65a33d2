//! Calls that wait: each tries, and while there is nothing to do lets the world go on.
//!
//! How the world goes on is the caller's business ([`World`]): a program with a stack of its own runs the poll loop
//! until something has come; one that shares the stack between threads sleeps until another thread has run it.

use super::calls::Closed;
use super::epoll::EpollEvent;
use super::ready::Poll;
use super::transfer::Flags;
use super::{Errno, Fd, Options, Sockets};
use crate::base::Instant;
use crate::wire::Addr;
use core::time::Duration;

/// A stack and everything around it.
pub trait World {
    /// Makes calls, now.
    fn act<R>(&mut self, call: impl FnOnce(&mut Sockets<'_>) -> R) -> R;

    /// Lets frames and time pass until something may have changed, at most until `until`.
    ///
    /// # Errors
    /// `EINTR` or the like: the call that waits ends with it.
    fn wait(&mut self, until: Option<Instant>) -> Result<(), Errno>;
}

/// Repeats `attempt` until it gives something else than `EAGAIN`, or `limit` is over.
fn repeat<W: World, R>(
    world: &mut W,
    fd: Fd,
    dont_wait: bool,
    limit: fn(&Options) -> Option<Duration>,
    mut attempt: impl FnMut(&mut Sockets<'_>) -> Result<R, Errno>,
) -> Result<R, Errno> {
    let start = world.act(|s| -> Result<_, Errno> {
        let waits = !(dont_wait || s.is_nonblocking(fd)?);
        Ok(waits.then_some((s.now(), limit(s.options(fd)?))))
    })?;
    let Some((began, limit)) = start else { return world.act(attempt) };
    let until = limit.map(|l| began + l);
    loop {
        let (result, now) = world.act(|s| (attempt(s), s.now()));
        match result {
            Err(Errno::AGAIN) if until.is_none_or(|until| now < until) => world.wait(until)?,
            other => return other,
        }
    }
}

pub fn accept<W: World>(world: &mut W, fd: Fd) -> Result<(Fd, (Addr, u16)), Errno> {
    repeat(world, fd, false, |o| o.receive_timeout, |s| s.accept(fd))
}

pub fn connect<W: World>(world: &mut W, fd: Fd, remote: Addr, port: u16) -> Result<(), Errno> {
    let first = world.act(|s| s.connect(fd, remote, port));
    let nonblocking = world.act(|s| s.is_nonblocking(fd))?;
    if nonblocking || !matches!(first, Err(Errno::INPROGRESS | Errno::ALREADY)) {
        return first;
    }
    finish_connect(world, fd, remote, port)
}

/// Waits for the handshake that has begun.
fn finish_connect<W: World>(world: &mut W, fd: Fd, remote: Addr, port: u16) -> Result<(), Errno> {
    let again = |s: &mut Sockets<'_>| match s.connect(fd, remote, port) {
        Err(Errno::ALREADY) => Err(Errno::AGAIN),
        other => other,
    };
    let result = repeat(world, fd, false, |o| o.send_timeout, again);
    result.map_err(|e| if e == Errno::AGAIN { Errno::INPROGRESS } else { e })
}

/// `sendto` with MSG_FASTOPEN: connects, sends what fits with the SYN, and, once the handshake is complete, the rest.
pub fn send_fast<W: World>(
    world: &mut W,
    fd: Fd,
    bytes: &[u8],
    flags: Flags,
    remote: (Addr, u16),
) -> Result<usize, Errno> {
    let sent = open_and_send(world, fd, bytes, flags, remote);
    tell_copied(world, fd, flags, sent)
}

/// The bytes of one call were copied.
fn tell_copied<W: World>(world: &mut W, fd: Fd, flags: Flags, sent: Result<usize, Errno>) -> Result<usize, Errno> {
    if flags.zero_copy && matches!(sent, Ok(1..)) {
        // Where another thread has closed the socket meanwhile, nobody is left to be told.
        let _told = world.act(|s| s.note_copied(fd));
    }
    sent
}

fn open_and_send<W: World>(
    world: &mut W,
    fd: Fd,
    bytes: &[u8],
    flags: Flags,
    (remote, port): (Addr, u16),
) -> Result<usize, Errno> {
    let nonblocking = flags.dont_wait || world.act(|s| s.is_nonblocking(fd))?;
    match world.act(|s| s.send_fast(fd, bytes, flags, (remote, port), !nonblocking)) {
        Err(Errno::INPROGRESS) if !nonblocking => {}
        other if nonblocking => return other,
        other => drop(other?),
    }
    let opened = finish_connect(world, fd, remote, port);
    // Whatever came of it, nothing must be left to be sent later: the caller is told what was not.
    let rest = world.act(|s| s.take_rest(fd))?;
    let done = bytes.len() - rest.len();
    match opened {
        // What went with the SYN is on its way.
        Err(Errno::INPROGRESS | Errno::INTR) if done > 0 => return Ok(done),
        _ => opened?,
    }
    if rest.is_empty() {
        if flags.end_of_record {
            world.act(|s| s.end_record(fd))?;
        }
        return Ok(done);
    }
    let flags = Flags { goes_on: done > 0, ..flags };
    send_all(world, fd, &rest, flags).map(|n| done + n).or_else(|e| if done > 0 { Ok(done) } else { Err(e) })
}

/// Waits until something has come (or, with `wait_all`, until `out` is full or the stream ends).
pub fn recv<W: World>(world: &mut W, fd: Fd, out: &mut [u8], flags: Flags) -> Result<usize, Errno> {
    let mut done = 0;
    loop {
        let (part, flags) = (&mut out[done..], Flags { goes_on: done > 0, ..flags });
        match repeat(world, fd, flags.dont_wait, |o| o.receive_timeout, |s| s.recv(fd, part, flags)) {
            Ok(n) => {
                done += n;
                if n == 0 || !flags.wait_all || flags.peek || done == out.len() {
                    return Ok(done);
                }
            }
            Err(_) if done > 0 => return Ok(done),
            Err(e) => return Err(e),
        }
    }
}

/// Waits until all bytes are queued. An error after some of them were is kept for the next call.
pub fn send<W: World>(world: &mut W, fd: Fd, bytes: &[u8], flags: Flags) -> Result<usize, Errno> {
    let sent = send_all(world, fd, bytes, flags);
    tell_copied(world, fd, flags, sent)
}

fn send_all<W: World>(world: &mut W, fd: Fd, bytes: &[u8], flags: Flags) -> Result<usize, Errno> {
    if let Some(remote) = world.act(|s| s.deferred(fd))? {
        return open_and_send(world, fd, bytes, flags, remote);
    }
    let mut done = 0;
    loop {
        let (part, flags) = (&bytes[done..], Flags { goes_on: flags.goes_on || done > 0, ..flags });
        match repeat(world, fd, flags.dont_wait, |o| o.send_timeout, |s| s.send(fd, part, flags)) {
            Ok(n) => done += n,
            Err(_) if done > 0 => return Ok(done),
            Err(e) => return Err(e),
        }
        // A socket that another thread has closed meanwhile takes no more.
        let takes_more = |s: &mut Sockets<'_>| s.is_nonblocking(fd) == Ok(false);
        if done == bytes.len() || flags.dont_wait || !world.act(takes_more) {
            return Ok(done);
        }
    }
}

/// With SO_LINGER, waits until everything is acknowledged, or the time is over.
pub fn close<W: World>(world: &mut W, fd: Fd) -> Result<(), Errno> {
    let waits = world.act(|s| s.is_nonblocking(fd).is_ok_and(|nonblocking| !nonblocking));
    let Closed::Linger(id, until) = world.act(|s| s.close(fd))? else { return Ok(()) };
    while waits && world.act(|s| s.now() < until && s.is_lingering(id)) {
        world.wait(Some(until))?;
    }
    Ok(())
}

/// `timeout`: `None` waits for ever.
pub fn poll<W: World>(world: &mut W, fds: &mut [Poll], timeout: Option<Duration>) -> Result<usize, Errno> {
    until(world, timeout, |s| match s.poll(fds) {
        0 => Ok(None),
        n => Ok(Some(n)),
    })
    .map(Option::unwrap_or_default)
}

/// `timeout`: `None` waits for ever.
pub fn epoll_wait<W: World>(
    world: &mut W,
    epoll: Fd,
    limit: usize,
    timeout: Option<Duration>,
) -> Result<Vec<EpollEvent>, Errno> {
    let events = until(world, timeout, |s| s.epoll_wait(epoll, limit).map(|e| (!e.is_empty()).then_some(e)));
    events.map(Option::unwrap_or_default)
}

/// Repeats `attempt` until it finds something or the time is over.
fn until<W: World, R>(
    world: &mut W,
    timeout: Option<Duration>,
    mut attempt: impl FnMut(&mut Sockets<'_>) -> Result<Option<R>, Errno>,
) -> Result<Option<R>, Errno> {
    let end = timeout.map(|t| world.act(|s| s.now()) + t);
    loop {
        let (found, now) = world.act(|s| (attempt(s), s.now()));
        if let Some(found) = found? {
            return Ok(Some(found));
        }
        if end.is_some_and(|end| now >= end) {
            return Ok(None);
        }
        world.wait(end)?;
    }
}
