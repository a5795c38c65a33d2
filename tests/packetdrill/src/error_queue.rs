//! `recvmsg` with MSG_ERRQUEUE, where calls with MSG_ZEROCOPY are told of, and times with SO_TIMESTAMPING.

use crate::adapter::Adapter;
use libc::{msghdr, sock_extended_err, timespec};
use std::ffi::{c_int, c_void};
use synfin_engine::socket::blocking::World;
use synfin_engine::socket::{Errno, Stamp};

/// SO_EE_ORIGIN_ZEROCOPY, SO_EE_CODE_ZEROCOPY_COPIED and SO_EE_ORIGIN_TIMESTAMPING, which libc does not have.
const ORIGIN_ZEROCOPY: u8 = 5;
const COPIED: u8 = 1;
const ORIGIN_TIMESTAMPING: u8 = 4;
/// Times in a `struct scm_timestamping`: by software, and two by hardware.
type Times = [timespec; 3];

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
    // SAFETY: all zeroes are a valid value of these plain structures.
    let (mut report, mut times): (Report, Times) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
    let v6 = a.act(|s| s.is_v6(fd))?;
    let stamp = a.act(|s| s.take_stamp(fd)).ok();
    if let Some(Stamp { moment, key, at }) = stamp {
        (report.error.ee_errno, report.error.ee_origin) = (libc::ENOMSG as u32, ORIGIN_TIMESTAMPING);
        (report.error.ee_info, report.error.ee_data) = (moment as u32, key);
        (times[0].tv_sec, times[0].tv_nsec) =
            ((at.as_nanos() / 1_000_000_000) as _, (at.as_nanos() % 1_000_000_000) as _);
    } else {
        let (first, last) = a.act(|s| s.take_copied(fd))?;
        (report.error.ee_origin, report.error.ee_code) = (ORIGIN_ZEROCOPY, COPIED);
        (report.error.ee_info, report.error.ee_data) = (first, last);
    }
    let (level, kind, offender_bytes) = match v6 {
        false => (libc::SOL_IP, libc::IP_RECVERR, size_of::<libc::sockaddr_in>()),
        true => (libc::SOL_IPV6, libc::IPV6_RECVERR, size_of::<libc::sockaddr_in6>()),
    };
    let report = ((&raw const report).cast(), size_of::<sock_extended_err>() + offender_bytes);
    let times = ((&raw const times).cast(), size_of::<Times>());
    let of_times = stamp.map(|_| (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING, times));
    let parts: Vec<Part> = of_times.into_iter().chain([(level, kind, report)]).collect();
    // The segment in question would come with it: there is never room for that.
    let cut = if stamp.is_some() { libc::MSG_TRUNC } else { 0 };
    (message.msg_flags, message.msg_namelen) = (libc::MSG_ERRQUEUE | cut, 0);
    // SAFETY: the caller's promise, and the parts are where they say.
    unsafe { write_control(message, &parts) };
    Ok(0)
}

/// Level, kind, and what is told: where it is and how long.
type Part = (c_int, c_int, (*const c_void, usize));

/// # Safety
/// As [`receive`], and the parts have to be readable.
unsafe fn write_control(message: &mut msghdr, parts: &[Part]) {
    // SAFETY: no pointers are followed.
    let space = |len: usize| unsafe { libc::CMSG_SPACE(len as u32) } as usize;
    let needed: usize = parts.iter().map(|&(_, _, (_, len))| space(len)).sum();
    if message.msg_control.is_null() || message.msg_controllen < needed {
        message.msg_flags |= libc::MSG_CTRUNC;
        message.msg_controllen = 0;
        return;
    }
    let mut at = 0;
    for &(level, kind, (from, len)) in parts {
        // SAFETY: the control buffer has room for all parts, each of which begins where the one before ends, at a multiple of
        // the alignment.
        unsafe {
            let header = message.msg_control.byte_add(at).cast::<libc::cmsghdr>();
            ((*header).cmsg_level, (*header).cmsg_type) = (level, kind);
            (*header).cmsg_len = libc::CMSG_LEN(len as u32) as _;
            std::ptr::copy_nonoverlapping(from.cast::<u8>(), libc::CMSG_DATA(header), len);
        }
        at += space(len);
    }
    message.msg_controllen = needed;
}
