//! The crate's pieces of one queue: made in order, taken down in order.

use crate::io::xsk::{BindMode, XskConfig};
use crate::io::{IoError, rebind};
use afxdp::buf_mmap::BufMmap;
use afxdp::mmap_area::{MmapArea, MmapAreaOptions};
use afxdp::socket::{Socket, SocketNewError, SocketOptions, SocketRx, SocketTx};
use afxdp::umem::{Umem, UmemCompletionQueue, UmemFillQueue, UmemNewError};
use std::io::Error;
use std::mem::ManuallyDrop;
use std::sync::Arc;

/// A buffer of the crate. Nothing of ours is attached to it.
pub(super) type Buffer = BufMmap<'static, ()>;
pub(super) type Area = Arc<MmapArea<'static, ()>>;

/// Maps the packet memory; the buffers come in the order of their chunks.
pub(super) fn map(config: &XskConfig, chunks: u32) -> Result<(Area, Vec<Buffer>), IoError> {
    let options = MmapAreaOptions { huge_tlb: false };
    MmapArea::new(chunks as usize, config.chunk_bytes as usize, options).map_err(|_| {
        let mib = (u64::from(chunks) * u64::from(config.chunk_bytes)) >> 20;
        let what = format!("{mib} MiB of packet memory for {}", config.interface);
        IoError::last_os(what, "ask for fewer frames or queues")
    })
}

/// Socket and rings of one queue.
pub(super) struct Parts {
    // Dropped by hand, see `Drop`.
    socket: ManuallyDrop<Arc<Socket<'static, ()>>>,
    pub rx: ManuallyDrop<SocketRx<'static, ()>>,
    pub tx: ManuallyDrop<SocketTx<'static, ()>>,
    // After the socket: libbpf unmaps these rings through pointers into them. The memory's registration, which both
    // share, ends with the last of them and closes the descriptor.
    pub fill: UmemFillQueue<'static, ()>,
    pub completion: UmemCompletionQueue<'static, ()>,
}

impl Parts {
    /// Registers the memory and binds to the queue, waiting a little for a socket that has just been closed.
    pub fn open(config: &XskConfig, queue: u32, area: &Area) -> Result<Parts, IoError> {
        rebind::patiently(|&(_, errno)| errno == libc::EBUSY, || Parts::try_open(config, queue, area))
            .map_err(|(step, errno)| explain(config, queue, step, errno))
    }

    /// The error is the step that failed and its errno.
    fn try_open(config: &XskConfig, queue: u32, area: &Area) -> Result<Parts, (&'static str, i32)> {
        // A registration that failed to bind once is of no further use, so each attempt makes its own.
        let registered = Umem::new(area.clone(), config.completion_size, config.fill_size);
        let (umem, completion, fill) = registered.map_err(|e| match e {
            UmemNewError::Create(e) => ("register the packet memory", errno(&e)),
            UmemNewError::RingNotPowerOfTwo => ("size the rings", libc::EINVAL),
        })?;
        let options = SocketOptions {
            zero_copy_mode: config.bind == BindMode::ZeroCopy,
            copy_mode: config.bind == BindMode::Copy,
            ..SocketOptions::default()
        };
        let name = &config.interface;
        let bound = Socket::new(umem, name, queue as usize, config.rx_size, config.tx_size, options);
        let (socket, rx, tx) = bound.map_err(|e| match e {
            SocketNewError::Create(e) => ("open and bind a socket", errno(&e)),
            SocketNewError::RingNotPowerOfTwo => ("size the rings", libc::EINVAL),
        })?;
        Ok(Parts {
            socket: ManuallyDrop::new(socket),
            rx: ManuallyDrop::new(rx),
            tx: ManuallyDrop::new(tx),
            fill,
            completion,
        })
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        // SAFETY: `socket` is not used again.
        let socket = Arc::into_raw(unsafe { ManuallyDrop::take(&mut self.socket) }).cast_mut();
        // libbpf's end of a socket reads all four rings. The crate would run it when the last of its three owners
        // goes, when the ring of at least one of the others has been freed. So it is run now, while all are alive,
        // and the two owners with rings are left lying: some hundred bytes for each socket ever opened.
        // SAFETY: the pointer comes from a live `Arc`, whose other owners (`rx` and `tx`) are never used or dropped
        // again, so nobody sees the socket after this.
        unsafe { std::ptr::drop_in_place(socket) };
    }
}

/// The crate hands over libbpf's codes as they are: negative.
fn errno(e: &Error) -> i32 {
    e.raw_os_error().map_or(libc::EIO, i32::abs)
}

fn explain(config: &XskConfig, queue: u32, step: &str, errno: i32) -> IoError {
    let interface = &config.interface;
    let hint = match errno {
        libc::EPERM | libc::EACCES => format!(
            "the afxdp backend needs CAP_SYS_ADMIN besides (libbpf asks for programs by id): run it as root, or use \
             the xsk backend; for that, {}",
            IoError::privilege_hint()
        ),
        libc::EBUSY => "stop the program that has this queue (ss --xdp -p names it), or choose another queue".into(),
        libc::ENOBUFS | libc::ENOMEM => {
            "lift the limit on locked memory (ulimit -l unlimited), or ask for fewer frames".into()
        }
        libc::EOPNOTSUPP => format!("the driver of {interface} has no zero-copy: take copy mode, or auto"),
        libc::EINVAL => format!("ethtool -l {interface} shows how many queues it has, counted from 0"),
        libc::ENETDOWN => format!("ip link set {interface} up"),
        libc::ENODEV => "ip link shows the interfaces there are".into(),
        libc::ENOENT => "our XDP program was taken off the interface: attach it again".into(),
        _ => String::new(),
    };
    IoError::os(format!("cannot {step} for {interface}#{queue} (afxdp)"), &Error::from_raw_os_error(errno), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crates_negative_codes_become_the_systems_words() {
        assert_eq!(errno(&Error::from_raw_os_error(-libc::EBUSY)), libc::EBUSY);
        let config = XskConfig::new("eth7", 3, 1);
        for code in [libc::EPERM, libc::EBUSY, libc::ENOBUFS, libc::EOPNOTSUPP, libc::EINVAL, libc::ENETDOWN] {
            let e = explain(&config, 5, "bind", code);
            assert!(e.what.contains("eth7#5") && !e.what.contains("Unknown") && !e.hint.is_empty(), "{e}");
        }
    }
}
