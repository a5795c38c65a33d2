//! The table of function pointers, in packetdrill's order. Each function takes `userdata` first and is otherwise what the
//! system call of its name is.

use libc::{epoll_event, iovec, msghdr, pollfd, sockaddr, socklen_t, timeval};
use std::ffi::{c_int, c_longlong, c_uint, c_ulong, c_void};

type User = *mut c_void;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Interface {
    pub userdata: User,
    pub free: extern "C" fn(User),
    pub socket: extern "C" fn(User, c_int, c_int, c_int) -> c_int,
    pub bind: extern "C" fn(User, c_int, *const sockaddr, socklen_t) -> c_int,
    pub listen: extern "C" fn(User, c_int, c_int) -> c_int,
    pub accept: extern "C" fn(User, c_int, *mut sockaddr, *mut socklen_t) -> c_int,
    pub connect: extern "C" fn(User, c_int, *const sockaddr, socklen_t) -> c_int,
    pub read: extern "C" fn(User, c_int, *mut c_void, usize) -> isize,
    pub readv: extern "C" fn(User, c_int, *const iovec, c_int) -> isize,
    pub recv: extern "C" fn(User, c_int, *mut c_void, usize, c_int) -> isize,
    pub recvfrom: extern "C" fn(User, c_int, *mut c_void, usize, c_int, *mut sockaddr, *mut socklen_t) -> isize,
    pub recvmsg: extern "C" fn(User, c_int, *mut msghdr, c_int) -> isize,
    pub write: extern "C" fn(User, c_int, *const c_void, usize) -> isize,
    pub writev: extern "C" fn(User, c_int, *const iovec, c_int) -> isize,
    pub send: extern "C" fn(User, c_int, *const c_void, usize, c_int) -> isize,
    pub sendto: extern "C" fn(User, c_int, *const c_void, usize, c_int, *const sockaddr, socklen_t) -> isize,
    pub sendmsg: extern "C" fn(User, c_int, *const msghdr, c_int) -> isize,
    /// Variadic in C; on x86-64 and AArch64 a third integer argument arrives in the same register either way.
    pub fcntl: extern "C" fn(User, c_int, c_int, usize) -> c_int,
    /// As `fcntl`.
    pub ioctl: extern "C" fn(User, c_int, c_ulong, usize) -> c_int,
    pub close: extern "C" fn(User, c_int) -> c_int,
    pub shutdown: extern "C" fn(User, c_int, c_int) -> c_int,
    pub getsockopt: extern "C" fn(User, c_int, c_int, c_int, *mut c_void, *mut socklen_t) -> c_int,
    pub setsockopt: extern "C" fn(User, c_int, c_int, c_int, *const c_void, socklen_t) -> c_int,
    pub poll: extern "C" fn(User, *mut pollfd, c_ulong, c_int) -> c_int,
    /// The stack receives one IP packet.
    pub netdev_send: extern "C" fn(User, *const c_void, usize) -> c_int,
    /// The next IP packet that the stack has sent, and when. A count of 0: none came.
    pub netdev_receive: extern "C" fn(User, *mut c_void, *mut usize, *mut c_longlong) -> c_int,
    pub usleep: extern "C" fn(User, c_uint) -> c_int,
    pub gettimeofday: extern "C" fn(User, *mut timeval, *mut c_void) -> c_int,
    pub epoll_create: extern "C" fn(User, c_int) -> c_int,
    pub epoll_ctl: extern "C" fn(User, c_int, c_int, c_int, *mut epoll_event) -> c_int,
    pub epoll_wait: extern "C" fn(User, c_int, *mut epoll_event, c_int, c_int) -> c_int,
    pub pipe: extern "C" fn(User, *mut c_int) -> c_int,
    pub splice: extern "C" fn(User, c_int, *mut i64, c_int, *mut i64, usize, c_uint) -> c_int,
}
