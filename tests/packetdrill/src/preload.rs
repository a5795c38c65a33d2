//! `getsockopt`, `sendfile` and `system` for who calls them past the table of functions: packetdrill's own questions for TCP_INFO,
//! scripts that send files, and those that have commands run. They are found if this library is preloaded (`LD_PRELOAD`), and
//! passes on what is not about us.

use crate::calls;
use libc::{off_t, socklen_t};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

/// `userdata` of the adapter that packetdrill uses, or null.
static SERVED: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

/// From now on `user` is asked.
pub fn serve(user: *mut c_void) {
    SERVED.store(user, Ordering::Release);
}

/// The adapter goes away.
pub fn stop() {
    SERVED.store(null_mut(), Ordering::Release);
}

/// # Safety
/// As the system call of this name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    let user = SERVED.load(Ordering::Acquire);
    if !user.is_null() && calls::adapter(user).is_ours(fd) {
        return calls::getsockopt(user, fd, level, name, value, len);
    }
    // SAFETY: the caller's promise is the system call's.
    unsafe { libc::syscall(libc::SYS_getsockopt, fd, level, name, value, len) as c_int }
}

/// # Safety
/// As the system call of this name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendfile(to: c_int, from: c_int, offset: *mut off_t, count: usize) -> isize {
    let user = SERVED.load(Ordering::Acquire);
    if user.is_null() || !calls::adapter(user).is_ours(to) {
        // SAFETY: the caller's promise is the system call's.
        return unsafe { libc::syscall(libc::SYS_sendfile, to, from, offset, count) as isize };
    }
    let mut bytes = vec![0_u8; count];
    let room = bytes.as_mut_ptr().cast();
    // SAFETY: `bytes` has room for `count` bytes, and `offset` is null or valid, by the caller's promise.
    let n = unsafe {
        match offset.as_mut() {
            Some(at) => libc::pread(from, room, count, *at),
            None => libc::read(from, room, count),
        }
    };
    let Ok(n) = usize::try_from(n) else { return n };
    let sent = calls::send(user, to, bytes.as_ptr().cast(), n, 0);
    // SAFETY: as above.
    if let (Some(at), true) = (unsafe { offset.as_mut() }, sent > 0) {
        *at += sent as off_t;
    }
    sent
}

/// The command with which scripts have the kernel forget Fast Open cookies.
fn is_flush(command: &CStr) -> bool {
    let words = b"tcp_metrics flush";
    command.to_bytes().windows(words.len()).any(|part| part == words)
}

/// # Safety
/// As the library function of this name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn system(command: *const c_char) -> c_int {
    let user = SERVED.load(Ordering::Acquire);
    // SAFETY: not null, so a C string by the caller's promise.
    if !user.is_null() && !command.is_null() && is_flush(unsafe { CStr::from_ptr(command) }) {
        calls::adapter(user).forget_servers();
    }
    // SAFETY: a C string.
    let next = unsafe { libc::dlsym(libc::RTLD_NEXT, c"system".as_ptr()) };
    if next.is_null() {
        return -1;
    }
    // SAFETY: the C library's function of this name, and what it was given.
    unsafe { std::mem::transmute::<*mut c_void, extern "C" fn(*const c_char) -> c_int>(next)(command) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_run_and_flushes_known() {
        // SAFETY: a C string.
        let status = unsafe { system(c"exit 3".as_ptr()) };
        assert_eq!(libc::WEXITSTATUS(status), 3);
        assert!(is_flush(c"ip tcp_metrics flush all > /dev/null") && !is_flush(c"ip tcp_metrics show"));
    }
}
