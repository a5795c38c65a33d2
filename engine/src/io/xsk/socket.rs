//! Opening sockets, waking the kernel up, waiting, telling what was got.
//!
//! Owns the descriptor of each queue and the order of set-up and end. Set-up, for each queue: socket, packet memory
//! (registered with the first socket, shared by the others), rings, stocked fill ring, bind. End: rings are unmapped,
//! then the descriptor is closed (a ring still mapped would keep the queue taken), then the packet memory goes.
//!
//! On the packet path only `kick` and `wait` enter the kernel. An error there (link down, interface gone) is counted
//! and otherwise ignored: frames wait in the TX ring, and nothing is lost but time.

use super::config::{BindMode, MTU_MAX, XskConfig};
use super::explain;
use super::path::{Rings, XskPath};
use super::sys::{self, XdpSocket};
use super::umem::Umem;
use crate::base::{Backlog, Frame, FramePool};
use crate::io::bpf::XdpMode;
use crate::io::{IoError, IoStats, PacketIo, readable, rebind};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

/// A sleep with frames in the transmit ring is no longer than this.
const RETRY_TX: Duration = Duration::from_millis(1);

/// Frames that a kernel sends for one wake-up at least (TX_BATCH_SIZE in net/xdp/xsk.c).
const KERNEL_TX_BATCH: u32 = 32;

/// Send buffer asked for, bytes: in copy mode each frame on its way is charged to it.
const SEND_BUFFER_BYTES: libc::c_int = 16 << 20;

/// Opens the sockets of neighbouring queues.
pub struct XskSet;

impl XskSet {
    /// One [`XskIo`] for each queue, in queue order, over one packet memory. They may go to different threads.
    ///
    /// # Errors
    /// Each says what failed, where, and what mends it: privileges, a queue in use, a queue that is not there,
    /// zero-copy that the driver lacks, locked memory.
    pub fn open(config: &XskConfig) -> Result<Vec<XskIo>, IoError> {
        config.check()?;
        let (umem, pools) = Umem::create(config)?;
        let mut set: Vec<XskIo> = Vec::with_capacity(pools.len());
        for (queue, pool) in (config.first_queue..).zip(pools) {
            let opened = XskIo::open(config, queue, set.first(), pool, umem.clone())?;
            set.push(opened);
        }
        Ok(set)
    }
}

/// One AF_XDP socket on one queue.
pub struct XskIo {
    // The end comes in this order: the rings (in `drop`), the descriptor, the packet memory.
    path: ManuallyDrop<XskPath>,
    socket: XdpSocket,
    umem: Arc<Umem>,
    label: Label,
    /// The memory was registered with room for TX metadata.
    metadata: bool,
    busy_poll: bool,
    /// System calls that one `kick` makes at most.
    max_kicks: u32,
    kicks: u64,
    errors: u64,
}

/// What `describe` tells.
struct Label {
    interface: String,
    attach_mode: Option<XdpMode>,
    queue: u32,
    zero_copy: bool,
    need_wakeup: bool,
    ring_sizes: [u32; 4],
    frames: u32,
    chunk_bytes: u32,
    mtu_max_in_parts: u32,
    /// 0: not accepted, the kernel's own stands.
    tx_budget: u32,
}

impl XskIo {
    fn open(
        config: &XskConfig,
        queue: u32,
        first: Option<&XskIo>,
        pool: FramePool,
        umem: Arc<Umem>,
    ) -> Result<XskIo, IoError> {
        let place = format!("{}#{queue}", config.interface);
        let socket = XdpSocket::open().map_err(|e| explain::socket(&place, &e))?;
        let metadata = match first {
            Some(first) => first.metadata,
            None => umem.register(&socket, config.checksum_offload).map_err(|e| explain::register(&place, &e))?,
        };
        let rings = open_rings(&socket, config).map_err(|e| explain::rings(&place, &e))?;
        let tx_budget = tune(&socket, config);
        let mut io = XskIo {
            path: ManuallyDrop::new(XskPath::new(config, rings, pool)),
            socket,
            umem,
            label: Label::new(config, queue, tx_budget),
            metadata,
            busy_poll: config.busy_poll_us.is_some(),
            max_kicks: config.tx_size / tx_budget.max(KERNEL_TX_BATCH) + 2,
            kicks: 0,
            errors: 0,
        };
        // Drivers take their receive buffers while they are being bound: the fill ring must be stocked before.
        io.path.reclaim();
        if io.bind(config, queue, first)? {
            io.path.allow_parts();
        }
        io.label.zero_copy = io.socket.is_zero_copy().unwrap_or(false);
        // Only the kernel's own sending honours metadata on every device; zero-copy drivers may ignore it silently.
        if metadata && !io.label.zero_copy {
            io.path.offload_checksums();
        }
        Ok(io)
    }

    /// Binds to the queue. Returns whether frames in several chunks are taken: where that is asked for and cannot be had
    /// (kernels before 6.6, some drivers), the socket is bound without.
    fn bind(&self, config: &XskConfig, queue: u32, first: Option<&XskIo>) -> Result<bool, IoError> {
        match first {
            // Sockets that share a memory inherit the first one's flags and may name none.
            Some(first) => {
                let bound = self.bind_with(config, queue, libc::XDP_SHARED_UMEM, first.fd());
                bound.map(|()| first.path.allows_parts())
            }
            None if config.large_frames
                && self.bind_with(config, queue, flags(config) | libc::XDP_USE_SG, 0).is_ok() =>
            {
                Ok(true)
            }
            None => self.bind_with(config, queue, flags(config), 0).map(|()| false),
        }
        .map_err(|e| explain::bind(config, queue, &e))
    }

    /// Waits a little for a socket that has just been closed.
    fn bind_with(&self, config: &XskConfig, queue: u32, flags: u16, shared: RawFd) -> io::Result<()> {
        let is_busy = |e: &io::Error| e.raw_os_error() == Some(libc::EBUSY);
        rebind::patiently(is_busy, || self.socket.bind(config.ifindex, queue, flags, shared))
    }

    /// The descriptor, for the XDP program's socket map. It stays ours.
    pub fn fd(&self) -> RawFd {
        self.socket.fd()
    }

    /// The queue this socket is bound to.
    pub fn queue(&self) -> u32 {
        self.label.queue
    }

    /// Whether frames really go without a copy.
    pub fn zero_copy(&self) -> bool {
        self.label.zero_copy
    }

    /// Chunks that lie in rings or with the device: neither in the pool nor in a frame.
    pub fn frames_in_rings(&self) -> usize {
        self.path.in_rings() as usize
    }

    #[cold]
    fn count_error(&mut self) {
        self.errors += 1;
    }

    /// Has the kernel send what is in the TX ring. In copy mode one call sends up to a budget and says EAGAIN when
    /// more waits; EAGAIN without progress means that completions or the send buffer are full: the next round, after
    /// `reclaim`, goes on.
    fn kick_tx(&mut self, mut waiting: u32) {
        for _ in 0..self.max_kicks {
            self.kicks += 1;
            let Err(e) = self.socket.wake_tx() else { return };
            match e.raw_os_error() {
                Some(libc::EAGAIN | libc::EBUSY | libc::ENOBUFS) => {
                    let now = self.path.rings.tx.unread();
                    if now == 0 || now == waiting {
                        return;
                    }
                    waiting = now;
                }
                Some(libc::EINTR) => {}
                _ => return self.count_error(),
            }
        }
    }

    fn kick_rx(&mut self) {
        self.kicks += 1;
        match self.socket.wake_rx().map_err(|e| e.raw_os_error()) {
            Ok(()) | Err(Some(libc::EAGAIN | libc::EBUSY | libc::ENOBUFS | libc::EINTR)) => {}
            Err(_) => self.count_error(),
        }
    }
}

impl PacketIo for XskIo {
    fn rx_burst(&mut self, rx: &mut Vec<Frame>) -> usize {
        self.path.receive(rx)
    }

    fn backlog(&self) -> Backlog {
        self.path.backlog()
    }

    fn tx_burst(&mut self, tx: &mut Vec<Frame>) -> usize {
        self.path.send(tx)
    }

    fn reclaim(&mut self) {
        self.path.reclaim();
    }

    fn kick(&mut self) {
        if self.busy_poll || self.path.rings.fill.needs_wakeup() {
            self.kick_rx();
        }
        let waiting = self.path.rings.tx.unread();
        if waiting > 0 && self.path.rings.tx.needs_wakeup() {
            self.kick_tx(waiting);
        }
    }

    fn wait(&mut self, timeout: Duration) {
        // What the kernel would not take yet has to be offered again soon, and nothing tells when.
        let unsent = self.path.rings.tx.unread() > 0;
        let timeout = if unsent { timeout.min(RETRY_TX) } else { timeout };
        match readable::wait(&mut [readable::entry(self.socket.fd())], timeout).map_err(|e| e.raw_os_error()) {
            Ok(_) | Err(Some(libc::EINTR)) => {}
            Err(_) => self.count_error(),
        }
    }

    fn pool(&mut self) -> &mut FramePool {
        &mut self.path.pool
    }

    fn stats(&self) -> IoStats {
        let counts = self.path.counts;
        let mut stats = IoStats {
            rx_frames: counts.rx_frames,
            tx_frames: counts.tx_frames,
            kicks: self.kicks,
            rx_fragmented: counts.rx_fragmented,
            tx_refused: counts.tx_refused,
            io_errors: self.errors + counts.strange_entries,
            ..IoStats::default()
        };
        if let Ok(kernel) = self.socket.statistics() {
            stats.set_kernel(&kernel);
        }
        stats
    }

    fn describe(&self) -> String {
        let l = &self.label;
        let copy = if l.zero_copy { "zero-copy" } else { "copy" };
        let wakeup = if self.busy_poll {
            "busy-poll"
        } else if l.need_wakeup {
            "need-wakeup"
        } else {
            "always-wakeup"
        };
        let [rx, tx, fill, completion] = l.ring_sizes;
        let pages = if self.umem.hugetlb { ", hugetlb" } else { "" };
        let budget = if l.tx_budget > 0 { l.tx_budget.to_string() } else { "kernel's".into() };
        let offload = if self.path.offloads_checksums() { "on" } else { "off" };
        let parts = if self.path.allows_parts() { ", frames in several" } else { "" };
        let attached = l.attach_mode.map(|mode| format!("{mode} ")).unwrap_or_default();
        format!(
            "xsk {}#{} {attached}{copy} {wakeup}, rings rx {rx} tx {tx} fill {fill} completion {completion}, \
             {} frames of {} bytes{pages}{parts}, tx budget {budget}, checksum offload {offload}",
            l.interface, l.queue, l.frames, l.chunk_bytes
        )
    }

    fn mtu_max(&self) -> u32 {
        if self.path.allows_parts() { self.label.mtu_max_in_parts } else { MTU_MAX }
    }

    fn checksum_offload(&self) -> bool {
        self.path.offloads_checksums()
    }
}

impl Drop for XskIo {
    fn drop(&mut self) {
        // SAFETY: `path` is not used again: this is its owner's end.
        let path = unsafe { ManuallyDrop::take(&mut self.path) };
        let in_rings = path.in_rings();
        self.umem.retire(path.pool, in_rings);
        drop(path.rings);
    }
}

impl Label {
    fn new(config: &XskConfig, queue: u32, tx_budget: u32) -> Label {
        Label {
            interface: config.interface.clone(),
            attach_mode: config.attach_mode,
            queue,
            zero_copy: false,
            need_wakeup: config.need_wakeup,
            ring_sizes: [config.rx_size, config.tx_size, config.fill_size, config.completion_size],
            frames: config.frames_per_queue,
            chunk_bytes: config.chunk_bytes,
            mtu_max_in_parts: config.mtu_max_in_parts(),
            tx_budget,
        }
    }
}

fn flags(config: &XskConfig) -> u16 {
    let mode = match config.bind {
        BindMode::Auto => 0,
        BindMode::ZeroCopy => libc::XDP_ZEROCOPY,
        BindMode::Copy => libc::XDP_COPY,
    };
    if config.need_wakeup { mode | libc::XDP_USE_NEED_WAKEUP } else { mode }
}

fn open_rings(socket: &XdpSocket, config: &XskConfig) -> io::Result<Rings> {
    Ok(Rings {
        fill: socket.producer(sys::FILL, config.fill_size)?,
        completion: socket.consumer(sys::COMPLETION, config.completion_size)?,
        rx: socket.consumer(sys::RX, config.rx_size)?,
        tx: socket.producer(sys::TX, config.tx_size)?,
    })
}

/// Sets what helps and is not needed; what the kernel refuses is left as it is. Returns the TX budget in force, 0
/// when the kernel knows none.
fn tune(socket: &XdpSocket, config: &XskConfig) -> u32 {
    let _unprivileged = socket.set(libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &SEND_BUFFER_BYTES);
    if let Some(micros) = config.busy_poll_us {
        let _old_kernel = socket
            .set(libc::SOL_SOCKET, libc::SO_PREFER_BUSY_POLL, &1u32)
            .and_then(|()| socket.set(libc::SOL_SOCKET, libc::SO_BUSY_POLL, &micros))
            .and_then(|()| socket.set(libc::SOL_SOCKET, libc::SO_BUSY_POLL_BUDGET, &64u32));
    }
    let budget = config.tx_budget.min(config.tx_size);
    let wanted = budget >= KERNEL_TX_BATCH;
    let accepted = wanted && socket.set(libc::SOL_XDP, sys::XDP_MAX_TX_SKB_BUDGET, &budget).is_ok();
    if accepted { budget } else { 0 }
}
