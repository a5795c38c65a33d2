//! C structures and ours.

use libc::{AF_INET, AF_INET6, iovec, msghdr, sockaddr, sockaddr_in, sockaddr_in6, socklen_t};
use std::ffi::{c_int, c_void};
use synfin_engine::socket::{Errno, Flags};
use synfin_engine::wire::Addr;

/// The address in a `struct sockaddr`; `None` for AF_UNSPEC.
///
/// # Safety
/// `addr` must be null or point to `len` readable bytes.
pub unsafe fn address(addr: *const sockaddr, len: socklen_t) -> Result<Option<(Addr, u16)>, Errno> {
    if addr.is_null() {
        return Err(Errno::FAULT);
    }
    if (len as usize) < size_of::<libc::sa_family_t>() {
        return Err(Errno::INVAL);
    }
    // SAFETY: not null, and long enough for the family.
    let family = i32::from(unsafe { (&raw const (*addr).sa_family).read_unaligned() });
    match family {
        libc::AF_UNSPEC => Ok(None),
        AF_INET if len as usize >= size_of::<sockaddr_in>() => {
            // SAFETY: long enough for this structure.
            let a = unsafe { addr.cast::<sockaddr_in>().read_unaligned() };
            Ok(Some((Addr::v4(a.sin_addr.s_addr.to_ne_bytes()), u16::from_be(a.sin_port))))
        }
        AF_INET6 if len as usize >= size_of::<sockaddr_in6>() => {
            // SAFETY: long enough for this structure.
            let a = unsafe { addr.cast::<sockaddr_in6>().read_unaligned() };
            Ok(Some((Addr(a.sin6_addr.s6_addr), u16::from_be(a.sin6_port))))
        }
        AF_INET | AF_INET6 => Err(Errno::INVAL),
        _ => Err(Errno::AFNOSUPPORT),
    }
}

/// Writes an address as sockets of this family see it, cut off at `*len`; nothing if there is no room at all.
///
/// # Safety
/// `addr` must be null or point to `*len` writable bytes.
pub unsafe fn write_address((ip, port): (Addr, u16), v6: bool, addr: *mut sockaddr, len: *mut socklen_t) {
    if addr.is_null() || len.is_null() {
        return;
    }
    // SAFETY: all zeroes are a valid value of these plain structures.
    let (mut four, mut six): (sockaddr_in, sockaddr_in6) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
    let (from, size) = if v6 {
        six.sin6_family = AF_INET6 as _;
        (six.sin6_port, six.sin6_addr.s6_addr) = (port.to_be(), ip.0);
        ((&raw const six).cast::<u8>(), size_of::<sockaddr_in6>())
    } else {
        four.sin_family = AF_INET as _;
        (four.sin_port, four.sin_addr.s_addr) = (port.to_be(), u32::from_ne_bytes(ip.v4_bytes()));
        ((&raw const four).cast::<u8>(), size_of::<sockaddr_in>())
    };
    // SAFETY: the caller promises `*len` writable bytes, and no more than the structure has are copied.
    unsafe {
        std::ptr::copy_nonoverlapping(from, addr.cast(), size.min(*len as usize));
        *len = size as socklen_t;
    }
}

/// Bytes of the caller's; an empty range may have any address.
///
/// # Safety
/// `at` must be null or point to `len` readable bytes that nobody changes for the length of `'a`.
pub unsafe fn bytes<'a>(at: *const c_void, len: usize) -> Result<&'a [u8], Errno> {
    match (at.is_null(), len) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Errno::FAULT),
        // SAFETY: the caller's promise.
        (false, _) => Ok(unsafe { std::slice::from_raw_parts(at.cast(), len) }),
    }
}

/// Room of the caller's.
///
/// # Safety
/// `at` must be null or point to `len` writable bytes that nobody else uses for the length of `'a`.
pub unsafe fn room<'a>(at: *mut c_void, len: usize) -> Result<&'a mut [u8], Errno> {
    match (at.is_null(), len) {
        (_, 0) => Ok(&mut []),
        (true, _) => Err(Errno::FAULT),
        // SAFETY: the caller's promise.
        (false, _) => Ok(unsafe { std::slice::from_raw_parts_mut(at.cast(), len) }),
    }
}

/// The parts of a scattered buffer.
///
/// # Safety
/// `iov` must be null or point to `count` structures.
pub unsafe fn parts<'a>(iov: *const iovec, count: usize) -> Result<&'a [iovec], Errno> {
    match (iov.is_null(), count) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Errno::FAULT),
        // SAFETY: the caller's promise.
        (false, _) => Ok(unsafe { std::slice::from_raw_parts(iov, count) }),
    }
}

/// All bytes of a scattered buffer, one after the other.
///
/// # Safety
/// Each part must be null or readable.
pub unsafe fn gather(parts: &[iovec]) -> Result<Vec<u8>, Errno> {
    let mut all = Vec::new();
    for part in parts {
        // SAFETY: the caller's promise.
        all.extend_from_slice(unsafe { bytes(part.iov_base, part.iov_len) }?);
    }
    Ok(all)
}

pub fn total(parts: &[iovec]) -> usize {
    parts.iter().map(|p| p.iov_len).sum()
}

/// Spreads `from` over a scattered buffer.
///
/// # Safety
/// Each part must be null or writable.
pub unsafe fn scatter(parts: &[iovec], mut from: &[u8]) -> Result<(), Errno> {
    for part in parts {
        // SAFETY: the caller's promise.
        let to = unsafe { room(part.iov_base, part.iov_len) }?;
        let n = to.len().min(from.len());
        to[..n].copy_from_slice(&from[..n]);
        from = &from[n..];
    }
    Ok(())
}

/// The control message that TCP_INQ asks for, or none.
///
/// # Safety
/// `msg_control` must be null or point to `msg_controllen` writable bytes.
pub unsafe fn write_control(message: &mut msghdr, unread: Option<u32>) {
    // SAFETY: the macros of the C library; the first header lies inside the control buffer or is null.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(message);
        let (len, space) = (libc::CMSG_LEN(4), libc::CMSG_SPACE(4) as usize);
        match unread {
            Some(unread) if !header.is_null() && message.msg_controllen >= space => {
                (*header).cmsg_level = libc::IPPROTO_TCP;
                (*header).cmsg_type = libc::TCP_CM_INQ;
                (*header).cmsg_len = len as _;
                libc::CMSG_DATA(header).cast::<c_int>().write_unaligned(unread as c_int);
                message.msg_controllen = space;
            }
            _ => message.msg_controllen = 0,
        }
    }
}

/// # Safety
/// `message` must be null or point to a `struct msghdr` whose parts are what they seem.
pub unsafe fn message_parts<'a>(message: *const msghdr) -> Result<&'a [iovec], Errno> {
    if message.is_null() {
        return Err(Errno::FAULT);
    }
    // SAFETY: not null; the rest is the caller's promise.
    unsafe { parts((*message).msg_iov, (*message).msg_iovlen) }
}

/// Flags of one call.
pub fn flags(flags: c_int) -> Result<Flags, Errno> {
    if flags & libc::MSG_ERRQUEUE != 0 {
        // There is never anything in it but reports, and those are no bytes.
        return Err(Errno::AGAIN);
    }
    Ok(Flags {
        more: flags & libc::MSG_MORE != 0,
        urgent: flags & libc::MSG_OOB != 0,
        end_of_record: flags & libc::MSG_EOR != 0,
        peek: flags & libc::MSG_PEEK != 0,
        dont_wait: flags & libc::MSG_DONTWAIT != 0,
        wait_all: flags & libc::MSG_WAITALL != 0,
        zero_copy: flags & libc::MSG_ZEROCOPY != 0,
        goes_on: false,
    })
}
