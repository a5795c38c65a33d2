//! The system calls of AF_XDP, one small function each.
//!
//! Nothing here decides anything: errors come back as the kernel gave them. Calls of the packet path (`wake_tx`,
//! `wake_rx`, `poll`) neither allocate nor format.

use super::ring::{Consumer, Producer, RingMemory};
use std::io::{Error, Result};
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;

/// setsockopt(SOL_XDP): how many frames one wake-up may send in copy mode (linux/if_xdp.h, kernel ≥ 6.17).
pub(super) const XDP_MAX_TX_SKB_BUDGET: libc::c_int = 9;

/// Which of a socket's rings: the set-up option and the place of its mapping.
#[derive(Clone, Copy)]
pub(super) struct RingKind {
    option: libc::c_int,
    page_offset: u64,
    offsets: fn(&libc::xdp_mmap_offsets) -> &libc::xdp_ring_offset,
}

pub(super) const RX: RingKind =
    RingKind { option: libc::XDP_RX_RING, page_offset: libc::XDP_PGOFF_RX_RING as u64, offsets: |o| &o.rx };
pub(super) const TX: RingKind =
    RingKind { option: libc::XDP_TX_RING, page_offset: libc::XDP_PGOFF_TX_RING as u64, offsets: |o| &o.tx };
pub(super) const FILL: RingKind =
    RingKind { option: libc::XDP_UMEM_FILL_RING, page_offset: libc::XDP_UMEM_PGOFF_FILL_RING, offsets: |o| &o.fr };
pub(super) const COMPLETION: RingKind = RingKind {
    option: libc::XDP_UMEM_COMPLETION_RING,
    page_offset: libc::XDP_UMEM_PGOFF_COMPLETION_RING,
    offsets: |o| &o.cr,
};

/// A mapping of our address space, unmapped when dropped.
struct Mapping {
    address: NonNull<libc::c_void>,
    bytes: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread; this is its only owner.
unsafe impl Send for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what mmap returned, unmapped once; the ring on it goes at the same time.
        unsafe { libc::munmap(self.address.as_ptr(), self.bytes) };
    }
}

/// An AF_XDP socket.
pub(super) struct XdpSocket {
    fd: OwnedFd,
}

impl XdpSocket {
    pub fn open() -> Result<XdpSocket> {
        // SAFETY: no pointers.
        let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        check(fd)?;
        // SAFETY: a fresh descriptor that nobody else owns.
        Ok(XdpSocket { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Sets an option whose value is plain data (a `u32` or a C struct of the kernel's).
    pub fn set<T: Copy>(&self, level: libc::c_int, option: libc::c_int, value: &T) -> Result<()> {
        let value: *const T = value;
        // SAFETY: the value lives through the call and its size is given.
        check(unsafe { libc::setsockopt(self.fd(), level, option, value.cast(), size_of::<T>() as u32) }).map(drop)
    }

    /// Reads an option into a zeroed C struct; a kernel that knows less leaves the rest zero.
    fn get<T: KernelStruct>(&self, option: libc::c_int) -> Result<T> {
        let mut value = T::ZERO;
        let mut bytes = size_of::<T>() as libc::socklen_t;
        let out: *mut T = &mut value;
        // SAFETY: `out` is writable for `bytes` bytes, and every bit pattern is valid for a `KernelStruct`.
        check(unsafe { libc::getsockopt(self.fd(), libc::SOL_XDP, option, out.cast(), &mut bytes) })?;
        Ok(value)
    }

    pub fn statistics(&self) -> Result<libc::xdp_statistics> {
        self.get(libc::XDP_STATISTICS)
    }

    /// Whether the bound socket really is zero-copy.
    pub fn is_zero_copy(&self) -> Result<bool> {
        let options: libc::xdp_options = self.get(libc::XDP_OPTIONS)?;
        Ok(options.flags & libc::XDP_OPTIONS_ZEROCOPY != 0)
    }

    /// Makes the ring we write to. `T` must be the kind's entry type.
    pub fn producer<T: RingEntry>(&self, kind: RingKind, size: u32) -> Result<Producer<T>> {
        let memory = self.ring_memory(kind, size)?;
        // SAFETY: a fresh ring of `size` entries, counters at 0, mapped once.
        Ok(unsafe { Producer::new(memory, size, 0) })
    }

    /// Makes the ring we read from. `T` must be the kind's entry type.
    pub fn consumer<T: RingEntry>(&self, kind: RingKind, size: u32) -> Result<Consumer<T>> {
        let memory = self.ring_memory(kind, size)?;
        // SAFETY: a fresh ring of `size` entries, counters at 0, mapped once.
        Ok(unsafe { Consumer::new(memory, size, 0) })
    }

    fn ring_memory<T: RingEntry>(&self, kind: RingKind, size: u32) -> Result<RingMemory<T>> {
        self.set(libc::SOL_XDP, kind.option, &size)?;
        let all: libc::xdp_mmap_offsets = self.get(libc::XDP_MMAP_OFFSETS)?;
        let at = (kind.offsets)(&all);
        let bytes = at.desc as usize + size as usize * size_of::<T>();
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        let place = kind.page_offset as libc::off_t;
        // SAFETY: a new mapping, nothing of ours is replaced.
        let raw = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, self.fd(), place) };
        let address = mapped(raw)?;
        let owner = Box::new(Mapping { address, bytes });
        let base: NonNull<u8> = address.cast();
        // SAFETY: the kernel placed counters and entries at these offsets inside the mapping, aligned for their
        // types; the mapping goes with `owner`.
        unsafe {
            Ok(RingMemory::new(
                base.add(at.producer as usize).cast(),
                base.add(at.consumer as usize).cast(),
                base.add(at.flags as usize).cast(),
                base.add(at.desc as usize).cast(),
                owner,
            ))
        }
    }

    pub fn bind(&self, ifindex: u32, queue: u32, flags: u16, shared_umem_fd: RawFd) -> Result<()> {
        let address = libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            sxdp_flags: flags,
            sxdp_ifindex: ifindex,
            sxdp_queue_id: queue,
            sxdp_shared_umem_fd: shared_umem_fd as u32,
        };
        let pointer: *const libc::sockaddr_xdp = &address;
        // SAFETY: the address lives through the call and its size is given.
        check(unsafe { libc::bind(self.fd(), pointer.cast(), size_of::<libc::sockaddr_xdp>() as u32) }).map(drop)
    }

    /// Has the kernel send what lies in the TX ring.
    #[inline]
    pub fn wake_tx(&self) -> Result<()> {
        let none = std::ptr::null();
        // SAFETY: no buffer and no address are passed.
        let sent = unsafe { libc::sendto(self.fd(), none, 0, libc::MSG_DONTWAIT, none.cast(), 0) };
        if sent < 0 { Err(Error::last_os_error()) } else { Ok(()) }
    }

    /// Has the driver look at the fill ring again (and, with busy polling, receive).
    #[inline]
    pub fn wake_rx(&self) -> Result<()> {
        let none = std::ptr::null_mut();
        // SAFETY: no buffer and no address are passed.
        let got = unsafe {
            libc::recvfrom(self.fd(), none, 0, libc::MSG_DONTWAIT, std::ptr::null_mut(), std::ptr::null_mut())
        };
        if got < 0 { Err(Error::last_os_error()) } else { Ok(()) }
    }
}

/// C structs that getsockopt fills: integers only.
trait KernelStruct: Copy {
    const ZERO: Self;
}

impl KernelStruct for libc::xdp_statistics {
    const ZERO: Self = libc::xdp_statistics {
        rx_dropped: 0,
        rx_invalid_descs: 0,
        tx_invalid_descs: 0,
        rx_ring_full: 0,
        rx_fill_ring_empty_descs: 0,
        tx_ring_empty_descs: 0,
    };
}

impl KernelStruct for libc::xdp_options {
    const ZERO: Self = libc::xdp_options { flags: 0 };
}

impl KernelStruct for libc::xdp_mmap_offsets {
    const ZERO: Self = {
        const NONE: libc::xdp_ring_offset = libc::xdp_ring_offset { producer: 0, consumer: 0, desc: 0, flags: 0 };
        libc::xdp_mmap_offsets { rx: NONE, tx: NONE, fr: NONE, cr: NONE }
    };
}

/// What rings hold: packet descriptors in RX and TX, addresses in FILL and COMPLETION.
pub(super) trait RingEntry: Copy + Send {}
impl RingEntry for libc::xdp_desc {}
impl RingEntry for u64 {}

/// The result of a call that reports an error as a negative number.
pub(super) fn check(result: libc::c_int) -> Result<libc::c_int> {
    if result < 0 { Err(Error::last_os_error()) } else { Ok(result) }
}

/// The result of mmap.
pub(super) fn mapped(address: *mut libc::c_void) -> Result<NonNull<libc::c_void>> {
    match NonNull::new(address) {
        Some(good) if address != libc::MAP_FAILED => Ok(good),
        _ => Err(Error::last_os_error()),
    }
}
