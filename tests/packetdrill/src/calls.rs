//! The functions of the table. Each turns what C gives it into a call of the socket layer, and the result into a number
//! and `errno`.
//!
//! Soundness rests on packetdrill's side of the contract, which is the system calls': pointers are null or point to what
//! the manual page says, and `userdata` is what `packetdrill_interface_init` has put there, until `free`.

use crate::adapter::Adapter;
use crate::interface::Interface;
use crate::{convert, error_queue, fast_open};
use libc::{epoll_event, iovec, msghdr, pollfd, sockaddr, socklen_t, timeval};
use std::ffi::{c_int, c_longlong, c_uint, c_ulong, c_void};
use std::time::Duration;
use synfin_engine::socket::{Control, EpollEvent, Errno, Flags, How, Poll, blocking};

type User = *mut c_void;

pub fn table(userdata: User) -> Interface {
    Interface {
        userdata,
        free,
        socket,
        bind,
        listen,
        accept,
        connect,
        read,
        readv,
        recv,
        recvfrom,
        recvmsg,
        write,
        writev,
        send,
        sendto,
        sendmsg,
        fcntl,
        ioctl,
        close,
        shutdown,
        getsockopt,
        setsockopt,
        poll,
        netdev_send,
        netdev_receive,
        usleep,
        gettimeofday,
        epoll_create,
        epoll_ctl,
        epoll_wait,
        pipe,
        splice,
    }
}

/// The adapter behind `userdata`.
pub fn adapter<'a>(user: User) -> &'a Adapter {
    // SAFETY: `user` is the box that `packetdrill_interface_init` leaked, alive until `free`, and only ever shared.
    unsafe { &*user.cast::<Adapter>() }
}

/// The C result: -1 and `errno` for an error.
fn result<T: TryInto<isize>>(r: Result<T, Errno>) -> isize {
    match r {
        Ok(value) => value.try_into().unwrap_or(isize::MAX),
        Err(e) => {
            // SAFETY: always a valid place, the calling thread's own.
            unsafe { *libc::__errno_location() = e.0 };
            -1
        }
    }
}

fn status(r: Result<(), Errno>) -> c_int {
    result(r.map(|()| 0_i32)) as c_int
}

/// A kernel descriptor to stand for one of ours.
fn new_fd(a: &Adapter, fd: i32) -> Result<i32, Errno> {
    // SAFETY: no pointers.
    let kernel = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    if kernel < 0 {
        return Err(Errno::MFILE);
    }
    a.adopt(kernel, fd);
    Ok(kernel)
}

extern "C" fn free(user: User) {
    crate::preload::stop();
    // SAFETY: the box that `packetdrill_interface_init` leaked; packetdrill uses it no more.
    drop(unsafe { Box::from_raw(user.cast::<Adapter>()) });
}

extern "C" fn socket(user: User, domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    let mut a = adapter(user);
    let nonblocking = kind & libc::SOCK_NONBLOCK != 0;
    let checked = match (domain, kind & !(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC), protocol) {
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_STREAM, 0 | libc::IPPROTO_TCP) => Ok(()),
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_STREAM, _) => Err(Errno::PROTONOSUPPORT),
        (libc::AF_INET | libc::AF_INET6, ..) => Err(Errno::SOCKTNOSUPPORT),
        _ => Err(Errno::AFNOSUPPORT),
    };
    result(checked.and_then(|()| {
        let fd = blocking::World::act(&mut a, |s| {
            let fd = s.socket(domain == libc::AF_INET6);
            s.set_nonblocking(fd, nonblocking).map(|()| fd)
        })?;
        new_fd(a, fd)
    })) as c_int
}

/// Makes one call that does not wait.
fn act<R>(
    user: User,
    fd: c_int,
    call: impl FnOnce(&mut synfin_engine::socket::Sockets<'_>, i32) -> Result<R, Errno>,
) -> Result<R, Errno> {
    let mut a = adapter(user);
    let fd = a.fd(fd)?;
    blocking::World::act(&mut a, |s| call(s, fd))
}

extern "C" fn bind(user: User, fd: c_int, addr: *const sockaddr, len: socklen_t) -> c_int {
    // SAFETY: as the module says.
    let to = unsafe { convert::address(addr, len) };
    status(act(user, fd, |s, fd| {
        let (addr, port) = to?.ok_or(Errno::AFNOSUPPORT)?;
        s.bind(fd, addr, port)
    }))
}

extern "C" fn listen(user: User, fd: c_int, backlog: c_int) -> c_int {
    status(act(user, fd, |s, fd| s.listen(fd, backlog.max(0) as usize)))
}

extern "C" fn accept(user: User, fd: c_int, addr: *mut sockaddr, len: *mut socklen_t) -> c_int {
    let mut a = adapter(user);
    let accepted = a.fd(fd).and_then(|fd| blocking::accept(&mut a, fd)).and_then(|(child, peer)| {
        let v6 = act(user, fd, |s, fd| s.is_v6(fd))?;
        // SAFETY: as the module says.
        unsafe { convert::write_address(peer, v6, addr, len) };
        new_fd(a, child)
    });
    result(accepted) as c_int
}

extern "C" fn connect(user: User, fd: c_int, addr: *const sockaddr, len: socklen_t) -> c_int {
    let mut a = adapter(user);
    // SAFETY: as the module says.
    let to = unsafe { convert::address(addr, len) };
    status(a.fd(fd).and_then(|fd| match to? {
        Some((addr, port)) => blocking::connect(&mut a, fd, addr, port),
        None => blocking::World::act(&mut a, |s| s.disconnect(fd)),
    }))
}

fn receive(user: User, fd: c_int, out: Result<&mut [u8], Errno>, flags: Result<Flags, Errno>) -> Result<usize, Errno> {
    let mut a = adapter(user);
    let fd = a.fd(fd)?;
    blocking::recv(&mut a, fd, out?, flags?)
}

fn transmit(user: User, fd: c_int, bytes: Result<&[u8], Errno>, flags: Result<Flags, Errno>) -> Result<usize, Errno> {
    let mut a = adapter(user);
    let fd = a.fd(fd)?;
    blocking::send(&mut a, fd, bytes?, flags?)
}

extern "C" fn read(user: User, fd: c_int, buf: *mut c_void, count: usize) -> isize {
    recv(user, fd, buf, count, 0)
}

extern "C" fn readv(user: User, fd: c_int, iov: *const iovec, count: c_int) -> isize {
    // SAFETY: as the module says.
    let parts = unsafe { convert::parts(iov, count.max(0) as usize) };
    result(parts.and_then(|parts| receive_parts(user, fd, parts, Ok(Flags::default()))))
}

fn receive_parts(user: User, fd: c_int, parts: &[iovec], flags: Result<Flags, Errno>) -> Result<usize, Errno> {
    let mut all = vec![0; convert::total(parts)];
    let n = receive(user, fd, Ok(&mut all), flags)?;
    // SAFETY: as the module says.
    unsafe { convert::scatter(parts, &all[..n]) }?;
    Ok(n)
}

extern "C" fn recv(user: User, fd: c_int, buf: *mut c_void, len: usize, bits: c_int) -> isize {
    if bits & libc::MSG_TRUNC != 0 {
        // The bytes are read and thrown away.
        return result(receive(user, fd, Ok(&mut vec![0; len]), convert::flags(bits)));
    }
    // SAFETY: as the module says.
    result(receive(user, fd, unsafe { convert::room(buf, len) }, convert::flags(bits)))
}

extern "C" fn recvfrom(
    user: User,
    fd: c_int,
    buf: *mut c_void,
    len: usize,
    bits: c_int,
    _addr: *mut sockaddr,
    _addr_len: *mut socklen_t,
) -> isize {
    // A stream has no source addresses.
    recv(user, fd, buf, len, bits)
}

extern "C" fn recvmsg(user: User, fd: c_int, message: *mut msghdr, bits: c_int) -> isize {
    if bits & libc::MSG_ERRQUEUE != 0 {
        // SAFETY: as the module says.
        return result(unsafe { error_queue::receive(adapter(user), fd, message) });
    }
    // SAFETY: as the module says.
    let parts = unsafe { convert::message_parts(message) };
    result(parts.and_then(|parts| {
        let n = receive_parts(user, fd, parts, convert::flags(bits))?;
        let unread = act(user, fd, |s, fd| s.unread_hint(fd))?;
        // SAFETY: as the module says; `message_parts` has refused null.
        unsafe {
            ((*message).msg_flags, (*message).msg_namelen) = (0, 0);
            convert::write_control(&mut *message, unread);
        }
        Ok(n)
    }))
}

extern "C" fn write(user: User, fd: c_int, buf: *const c_void, count: usize) -> isize {
    send(user, fd, buf, count, 0)
}

extern "C" fn writev(user: User, fd: c_int, iov: *const iovec, count: c_int) -> isize {
    // SAFETY: as the module says.
    let bytes = unsafe { convert::parts(iov, count.max(0) as usize).and_then(|parts| convert::gather(parts)) };
    result(bytes.and_then(|bytes| transmit(user, fd, Ok(&bytes), Ok(Flags::default()))))
}

pub extern "C" fn send(user: User, fd: c_int, buf: *const c_void, len: usize, bits: c_int) -> isize {
    // SAFETY: as the module says.
    result(transmit(user, fd, unsafe { convert::bytes(buf, len) }, convert::flags(bits)))
}

extern "C" fn sendto(
    user: User,
    fd: c_int,
    buf: *const c_void,
    len: usize,
    bits: c_int,
    addr: *const sockaddr,
    addr_len: socklen_t,
) -> isize {
    if bits & libc::MSG_FASTOPEN == 0 {
        // A connected stream knows where its bytes go.
        return send(user, fd, buf, len, bits);
    }
    // SAFETY: as the module says.
    let (bytes, to) = unsafe { (convert::bytes(buf, len), convert::address(addr, addr_len)) };
    result(bytes.and_then(|bytes| fast_open::send(adapter(user), fd, bytes, bits, to)))
}

extern "C" fn sendmsg(user: User, fd: c_int, message: *const msghdr, bits: c_int) -> isize {
    // SAFETY: as the module says.
    let bytes = unsafe { convert::message_parts(message).and_then(|parts| convert::gather(parts)) };
    result(bytes.and_then(|bytes| {
        if bits & libc::MSG_FASTOPEN == 0 {
            return transmit(user, fd, Ok(&bytes), convert::flags(bits));
        }
        // SAFETY: as the module says; `message_parts` has refused null.
        let to = unsafe { convert::address((*message).msg_name.cast(), (*message).msg_namelen) };
        fast_open::send(adapter(user), fd, &bytes, bits, to)
    }))
}

extern "C" fn fcntl(user: User, fd: c_int, command: c_int, argument: usize) -> c_int {
    if !adapter(user).is_ours(fd) {
        // SAFETY: the commands that packetdrill's scripts give take an integer.
        return unsafe { libc::fcntl(fd, command, argument) };
    }
    let done = act(user, fd, |s, fd| match command {
        libc::F_GETFL => Ok(libc::O_RDWR | if s.is_nonblocking(fd)? { libc::O_NONBLOCK } else { 0 }),
        libc::F_SETFL => s.set_nonblocking(fd, argument as c_int & libc::O_NONBLOCK != 0).map(|()| 0),
        libc::F_GETFD | libc::F_SETFD => Ok(0),
        _ => Err(Errno::INVAL),
    });
    result(done) as c_int
}

/// SIOCOUTQNSD, which libc does not have.
const UNSENT: c_ulong = 0x894b;

extern "C" fn ioctl(user: User, fd: c_int, request: c_ulong, argument: usize) -> c_int {
    let out = argument as *mut c_int;
    let done = act(user, fd, |s, fd| match request {
        libc::FIONREAD => s.unread(fd).map(Some),
        libc::TIOCOUTQ => s.unacknowledged(fd).map(|(all, _)| Some(all)),
        UNSENT => s.unacknowledged(fd).map(|(_, unsent)| Some(unsent)),
        // SAFETY: as the module says.
        libc::FIONBIO => match unsafe { out.as_ref() } {
            Some(on) => s.set_nonblocking(fd, *on != 0).map(|()| None),
            None => Err(Errno::FAULT),
        },
        _ => Err(Errno::INVAL),
    });
    status(done.and_then(|value| match value {
        Some(_) if out.is_null() => Err(Errno::FAULT),
        Some(value) => {
            // SAFETY: not null, and room for an int, as the module says.
            unsafe { *out = value as c_int };
            Ok(())
        }
        None => Ok(()),
    }))
}

extern "C" fn close(user: User, fd: c_int) -> c_int {
    let mut a = adapter(user);
    let closed = a.fd(fd).and_then(|own| blocking::close(&mut a, own));
    a.forget(fd);
    // SAFETY: no pointers; a descriptor that is not open is an error like any other.
    let kernel = unsafe { libc::close(fd) };
    match closed {
        // A pipe's end, say.
        Err(Errno::BADF) => kernel,
        closed => status(closed),
    }
}

extern "C" fn shutdown(user: User, fd: c_int, how: c_int) -> c_int {
    status(act(user, fd, |s, fd| match how {
        libc::SHUT_RD => s.shutdown(fd, How::Read),
        libc::SHUT_WR => s.shutdown(fd, How::Write),
        libc::SHUT_RDWR => s.shutdown(fd, How::Both),
        _ => Err(Errno::INVAL),
    }))
}

pub extern "C" fn getsockopt(
    user: User,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    // SAFETY: as the module says.
    let room = unsafe {
        match len.as_ref() {
            Some(&len) => convert::room(value, len as usize),
            None => Err(Errno::FAULT),
        }
    };
    status(act(user, fd, |s, fd| {
        let n = s.getsockopt(fd, level, name, room?)?;
        // SAFETY: it was not null above.
        unsafe { *len = n as socklen_t };
        Ok(())
    }))
}

extern "C" fn setsockopt(
    user: User,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: socklen_t,
) -> c_int {
    // SAFETY: as the module says.
    let value = unsafe { convert::bytes(value, len as usize) };
    status(act(user, fd, |s, fd| s.setsockopt(fd, level, name, value?)))
}

/// Milliseconds as `poll` has them: negative means for ever.
fn wait_time(ms: c_int) -> Option<Duration> {
    u64::try_from(ms).ok().map(Duration::from_millis)
}

extern "C" fn poll(user: User, fds: *mut pollfd, count: c_ulong, timeout: c_int) -> c_int {
    let mut a = adapter(user);
    if fds.is_null() {
        return status(Err(Errno::FAULT));
    }
    // SAFETY: not null, and `count` structures, as the module says.
    let fds = unsafe { std::slice::from_raw_parts_mut(fds, count as usize) };
    let ours = |p: &pollfd| Poll {
        fd: if p.fd < 0 { -1 } else { a.fd(p.fd).unwrap_or(i32::MAX) },
        events: p.events as u16 as u32,
        revents: 0,
    };
    let mut polled: Vec<Poll> = fds.iter().map(ours).collect();
    let ready = blocking::poll(&mut a, &mut polled, wait_time(timeout));
    for (to, from) in fds.iter_mut().zip(&polled) {
        to.revents = from.revents as i16;
    }
    result(ready) as c_int
}

extern "C" fn netdev_send(user: User, packet: *const c_void, count: usize) -> c_int {
    // SAFETY: as the module says.
    let packet = unsafe { convert::bytes(packet, count) };
    status(packet.and_then(|p| adapter(user).packet_in(p).then_some(()).ok_or(Errno::NOBUFS)))
}

extern "C" fn netdev_receive(user: User, out: *mut c_void, count: *mut usize, time_us: *mut c_longlong) -> c_int {
    let packet = adapter(user).packet_out();
    // SAFETY: as the module says: `count` is the room at `out`, and all three are valid.
    unsafe {
        let Ok(room) = convert::room(out, *count) else { return status(Err(Errno::FAULT)) };
        *count = 0;
        if let Some((at, packet)) = packet {
            let n = packet.len().min(room.len());
            room[..n].copy_from_slice(&packet[..n]);
            (*count, *time_us) = (n, (at.as_nanos() / 1_000) as c_longlong);
        }
    }
    0
}

extern "C" fn usleep(user: User, us: c_uint) -> c_int {
    adapter(user).sleep(Duration::from_micros(us.into()));
    0
}

extern "C" fn gettimeofday(user: User, time: *mut timeval, _zone: *mut c_void) -> c_int {
    let us = adapter(user).time().as_nanos() / 1_000;
    // SAFETY: as the module says.
    unsafe { *time = timeval { tv_sec: (us / 1_000_000) as _, tv_usec: (us % 1_000_000) as _ } };
    0
}

extern "C" fn epoll_create(user: User, size: c_int) -> c_int {
    let mut a = adapter(user);
    if size <= 0 {
        return status(Err(Errno::INVAL));
    }
    let fd = blocking::World::act(&mut a, |s| s.epoll_create());
    result(new_fd(a, fd)) as c_int
}

extern "C" fn epoll_ctl(user: User, epoll: c_int, op: c_int, fd: c_int, event: *mut epoll_event) -> c_int {
    // SAFETY: as the module says.
    let event = unsafe { event.as_ref() }.map(|e| EpollEvent { events: e.events, data: e.u64 }).ok_or(Errno::FAULT);
    let done = adapter(user).fd(fd).and_then(|fd| {
        act(user, epoll, |s, epoll| {
            let control = match op {
                libc::EPOLL_CTL_ADD => Control::Add(event?),
                libc::EPOLL_CTL_MOD => Control::Modify(event?),
                libc::EPOLL_CTL_DEL => Control::Delete,
                _ => return Err(Errno::INVAL),
            };
            s.epoll_ctl(epoll, fd, control)
        })
    });
    status(done)
}

extern "C" fn epoll_wait(user: User, epoll: c_int, events: *mut epoll_event, limit: c_int, timeout: c_int) -> c_int {
    let mut a = adapter(user);
    let limit = limit.max(0) as usize;
    let got = a.fd(epoll).and_then(|epoll| blocking::epoll_wait(&mut a, epoll, limit, wait_time(timeout)));
    result(got.map(|got| {
        for (at, e) in got.iter().enumerate() {
            // SAFETY: room for `limit` of them, as the module says, and no more than that were asked for.
            unsafe { events.add(at).write_unaligned(epoll_event { events: e.events, u64: e.data }) };
        }
        got.len()
    })) as c_int
}

extern "C" fn pipe(_user: User, ends: *mut c_int) -> c_int {
    // SAFETY: as the module says.
    unsafe { libc::pipe(ends) }
}

extern "C" fn splice(
    user: User,
    from: c_int,
    _from_offset: *mut i64,
    to: c_int,
    _to_offset: *mut i64,
    len: usize,
    _flags: c_uint,
) -> c_int {
    let a = adapter(user);
    let mut bytes = vec![0; len];
    let moved = if a.is_ours(from) {
        receive(user, from, Ok(&mut bytes), Ok(Flags::default())).map(|n| {
            // SAFETY: `n` bytes of `bytes` are readable.
            unsafe { libc::write(to, bytes.as_ptr().cast(), n) }
        })
    } else {
        // SAFETY: `bytes` has room for `len` bytes.
        let n = unsafe { libc::read(from, bytes.as_mut_ptr().cast(), len) };
        match usize::try_from(n) {
            Ok(n) => transmit(user, to, Ok(&bytes[..n]), Ok(Flags::default())).map(|n| n as isize),
            Err(_) => Ok(n),
        }
    };
    result(moved) as c_int
}
