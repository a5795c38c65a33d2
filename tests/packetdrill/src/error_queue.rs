//! `recvmsg` with MSG_ERRQUEUE, where calls with MSG_ZEROCOPY are told of.

use crate::adapter::Adapter;
use libc::{msghdr, sock_extended_err};
use std::ffi::c_int;
use synfin_engine::socket::Errno;
use synfin_engine::socket::blocking::World;

/// SO_EE_ORIGIN_ZEROCOPY and SO_EE_CODE_ZEROCOPY_COPIED, which libc does not have.
const ORIGIN: u8 = 5;
const COPIED: u8 = 1;

/// What the kernel adds: whom the error is about, here nobody.
#[repr(C)]
struct Report {
    error: sock_extended_err,
    offender: libc::sockaddr_in6,
}

/// # Safety
/// `message` must be null or point to a `struct msghdr`, whose `msg_control` is null or points to `msg_controllen` writable bytes.
pub unsafe fn receive(mut a: &Adapter, fd: c_int, message: *mut msghdr) -> Result<usize, Errno> {
    let fd = a.fd(fd)?;
    // SAFETY: the caller's promise.
    let message = unsafe { message.as_mut() }.ok_or(Errno::FAULT)?;
    let ((first, last), v6) = a.act(|s| Ok((s.take_copied(fd)?, s.is_v6(fd)?)))?;
    let (level, kind, offender_bytes) = match v6 {
        false => (libc::SOL_IP, libc::IP_RECVERR, size_of::<libc::sockaddr_in>()),
        true => (libc::SOL_IPV6, libc::IPV6_RECVERR, size_of::<libc::sockaddr_in6>()),
    };
    let len = size_of::<sock_extended_err>() + offender_bytes;
    // SAFETY: all zeroes are a valid value of this plain structure.
    let mut report: Report = unsafe { std::mem::zeroed() };
    (report.error.ee_origin, report.error.ee_code) = (ORIGIN, COPIED);
    (report.error.ee_info, report.error.ee_data) = (first, last);
    (message.msg_flags, message.msg_namelen) = (libc::MSG_ERRQUEUE, 0);
    // SAFETY: the macros of the C library; the header lies inside the control buffer, which has room for it and `len` bytes.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(message);
        let space = libc::CMSG_SPACE(len as u32) as usize;
        if header.is_null() || message.msg_controllen < space {
            (message.msg_flags, message.msg_controllen) = (libc::MSG_ERRQUEUE | libc::MSG_CTRUNC, 0);
            return Ok(0);
        }
        ((*header).cmsg_level, (*header).cmsg_type) = (level, kind);
        (*header).cmsg_len = libc::CMSG_LEN(len as u32) as _;
        std::ptr::copy_nonoverlapping((&raw const report).cast(), libc::CMSG_DATA(header), len);
        message.msg_controllen = space;
    }
    Ok(0)
}
