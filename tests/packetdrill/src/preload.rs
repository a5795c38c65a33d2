//! `getsockopt` for who calls it past the table of functions: packetdrill's own questions for TCP_INFO. It is found if this
//! library is preloaded (`LD_PRELOAD`), and passes on what is not about one of our descriptors.

use crate::calls;
use libc::socklen_t;
use std::ffi::{c_int, c_void};
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
