//! A real device for tests: a thread in a network namespace of its own, a veth pair in it, AF_XDP on its
//! ends. The namespace and all that is in it vanish with the thread.
//!
//! Without the privileges for that, a test says why it is skipped and returns.

use crate::skip::skip;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use synfin_engine::io::bpf::{FilterAddr, FilterSpec, XdpLink, XdpMode};
use synfin_engine::io::sys::netlink;
use synfin_engine::io::xsk::{XskConfig, XskIo, XskSet};
use synfin_engine::io::{IoError, PacketIo};
use synfin_engine::wire::Addr;

/// The addresses that the XDP program of an [`End`] takes frames for.
pub const FIRST_ADDRESS: [u8; 4] = [198, 18, 0, 1];
pub const SECOND_ADDRESS: [u8; 4] = [198, 18, 0, 2];

/// Runs `body` on a thread in a new network namespace; threads that it starts are in it too.
pub fn in_new_namespace(body: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: no pointers are involved; only the calling thread's namespace changes.
            if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
                return Err(std::io::Error::last_os_error());
            }
            body();
            Ok(())
        });
        match thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(e)) => skip(format_args!("cannot make a network namespace: {e}")),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
}

/// Runs `ip` with these words in this thread's namespace.
pub fn ip(words: &str) {
    let out = Command::new("ip").args(words.split_whitespace()).output().expect("ip(8) of iproute2 is needed");
    assert!(out.status.success(), "ip {words}: {}", String::from_utf8_lossy(&out.stderr));
}

/// A veth pair `va` and `vb` of `queues` queues each, both up, without the kernel's own IPv6 chatter.
pub fn pair(queues: u32) {
    let n = format!("numrxqueues {queues} numtxqueues {queues}");
    ip(&format!("link add va {n} type veth peer name vb {n}"));
    for end in ["va", "vb"] {
        ip(&format!("link set {end} addrgenmode none"));
        ip(&format!("link set {end} up"));
    }
}

/// One end of the veth pair: program attached, a socket on each queue.
pub struct End {
    pub queues: Vec<XskIo>,
    _link: XdpLink,
}

impl End {
    /// Opens `interface` with an XDP program that takes everything of the two test addresses.
    pub fn open(interface: &str, mode: XdpMode, queues: u32) -> Result<End, IoError> {
        End::open_with(config(interface, queues)?, mode)
    }

    pub fn open_with(config: XskConfig, mode: XdpMode) -> Result<End, IoError> {
        let ours = FilterSpec { addresses: vec![FilterAddr::exclusive(Addr::v4(FIRST_ADDRESS), 2)] };
        let link = XdpLink::attach(config.ifindex, mode, &ours, config.queues)?;
        let queues = XskSet::open(&XskConfig { attach_mode: Some(mode), ..config })?;
        for io in &queues {
            link.set_socket(io.queue(), io.fd())?;
        }
        Ok(End { queues, _link: link })
    }

    /// Frames of all pools, wherever they are now, `held` of them with the caller.
    pub fn frames(&mut self, held: usize) -> usize {
        let mut sum = held;
        for io in &mut self.queues {
            io.pool().collect_returns();
            sum += io.pool().available() + io.frames_in_rings();
        }
        sum
    }

    /// Frames that belong to this end.
    pub fn capacity(&mut self) -> usize {
        self.queues.iter_mut().map(|io| io.pool().capacity()).sum()
    }
}

/// A configuration of modest size for `interface`.
pub fn config(interface: &str, queues: u32) -> Result<XskConfig, IoError> {
    let found = netlink::interface(interface)?;
    Ok(XskConfig { frames_per_queue: 6144, ..XskConfig::new(interface, found.ifindex, queues) })
}

/// A 64-byte frame from the first address to the second: Ethernet (broadcast), IPv4, TCP ports 9, carrying `mark`.
pub fn marked_frame(mark: u64) -> [u8; 64] {
    let mut f = [0; 64];
    f[..6].fill(0xff);
    (f[6], f[11], f[12]) = (2, 1, 8);
    (f[14], f[17], f[22], f[23]) = (0x45, 50, 64, 6);
    f[26..30].copy_from_slice(&FIRST_ADDRESS);
    f[30..34].copy_from_slice(&SECOND_ADDRESS);
    (f[35], f[37], f[46]) = (9, 9, 0x50);
    f[54..62].copy_from_slice(&mark.to_be_bytes());
    f
}

/// The mark of such a frame; `None` for anything else.
pub fn mark_of(frame: &[u8]) -> Option<u64> {
    let ours = frame.len() == 64 && frame[26..34] == [FIRST_ADDRESS, SECOND_ADDRESS].concat();
    ours.then(|| u64::from_be_bytes(frame[54..62].try_into().expect("eight bytes")))
}

/// Sends back what comes, in the frame it came in, until told to stop.
pub fn pong(io: &mut dyn PacketIo, stop: &AtomicBool) {
    let (mut rx, mut tx) = (Vec::with_capacity(64), Vec::with_capacity(256));
    while !stop.load(Ordering::Relaxed) {
        if io.rx_burst(&mut rx) == 0 {
            io.wait(Duration::from_millis(1));
        }
        tx.append(&mut rx);
        io.tx_burst(&mut tx);
        io.reclaim();
        io.kick();
    }
    tx.drain(..).for_each(|f| io.pool().free(f));
}
