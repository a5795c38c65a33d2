//! What is asked of a set of sockets.

use crate::base::frame::chain::PARTS_MAX;
use crate::io::IoError;
use crate::io::bpf::XdpMode;

/// The largest MTU whose frames fit into a chunk of 4096 bytes: less the kernel's headroom in front, Ethernet header, two
/// VLAN tags, and the bookkeeping behind that drivers keep there.
pub const MTU_MAX: u32 = 4096 - 256 - 14 - 8 - 320;

/// Bytes of a chunk that a part of a frame may leave unused: the headroom, and what drivers lose that fill chunks in steps of
/// 1024 bytes.
const PART_BYTES_LOST_MAX: u32 = 1024;

/// How frames get between the device and our memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BindMode {
    /// Zero-copy where the driver has it, else copy.
    #[default]
    Auto,
    /// Zero-copy or an error.
    ZeroCopy,
    /// The kernel copies; works on every device.
    Copy,
}

/// Sockets on `queues` neighbouring queues of one device, over one packet memory.
#[derive(Clone, Debug)]
pub struct XskConfig {
    /// The interface's name, for messages.
    pub interface: String,
    pub ifindex: u32,
    /// Where the XDP program runs, for messages only: `XdpLink::mode`.
    pub attach_mode: Option<XdpMode>,
    pub first_queue: u32,
    pub queues: u32,
    /// Ring sizes in entries, powers of two. RX and fill together say how many frames may arrive while our core is
    /// taken away: 8192 are 8 ms at a million a second. (4096 were not measurably faster over veth.)
    pub rx_size: u32,
    pub tx_size: u32,
    /// Also the number of frames that wait for reception or to be read.
    pub fill_size: u32,
    pub completion_size: u32,
    /// Frames of each queue's pool. Two thirds at most wait for reception, the rest is for sending and holding.
    pub frames_per_queue: u32,
    /// Bytes of a chunk, 4096 or 2048. Some drivers split frames above 1024 bytes when chunks have 2048.
    pub chunk_bytes: u32,
    /// Ask for reserved huge pages (hugetlb); ordinary memory is taken when there are none.
    pub huge_pages: bool,
    pub bind: BindMode,
    /// Let the kernel say when it wants to be woken up, instead of waking it up every time.
    pub need_wakeup: bool,
    /// Frames that one wake-up may send in copy mode (kernel ≥ 6.17; older ones send 32); 0 keeps the kernel's.
    pub tx_budget: u32,
    /// Drive the device's NAPI from our own wake-ups, giving it this long: for devices, not for veth.
    pub busy_poll_us: Option<u32>,
    /// Let the device (in copy mode the kernel) fill in checksums that a frame asks for. Over veth such a frame
    /// arrives with the pseudo-header sum only: right for kernel peers, wrong for AF_XDP peers that verify.
    pub checksum_offload: bool,
    /// Take and send frames in several chunks, where the kernel (6.6 and newer) and the device can. For links whose MTU is
    /// beyond [`MTU_MAX`]; the XDP program must have been attached when it was.
    pub large_frames: bool,
}

impl XskConfig {
    /// The defaults for `queues` queues from queue 0 on.
    pub fn new(interface: impl Into<String>, ifindex: u32, queues: u32) -> XskConfig {
        XskConfig {
            interface: interface.into(),
            ifindex,
            attach_mode: None,
            first_queue: 0,
            queues,
            rx_size: 8192,
            tx_size: 4096,
            fill_size: 8192,
            completion_size: 4096,
            frames_per_queue: 12288,
            chunk_bytes: 4096,
            huge_pages: false,
            bind: BindMode::Auto,
            need_wakeup: true,
            tx_budget: 256,
            busy_poll_us: None,
            checksum_offload: false,
            large_frames: false,
        }
    }

    /// The largest MTU whose frames fit into several chunks.
    pub(in crate::io) fn mtu_max_in_parts(&self) -> u32 {
        (PARTS_MAX as u32 * (self.chunk_bytes - PART_BYTES_LOST_MAX) - 14 - 8).max(MTU_MAX)
    }

    /// Chunks of one queue that may wait for reception.
    pub(in crate::io) fn fill_target(&self) -> u32 {
        self.fill_size.min(self.frames_per_queue - self.frames_per_queue / 3)
    }

    /// Frames of one queue that are kept for sending when the fill ring is restocked.
    pub(in crate::io) fn send_reserve(&self) -> u32 {
        self.frames_per_queue / 16
    }

    /// Refuses what the kernel would refuse with a bare EINVAL.
    pub(in crate::io) fn check(&self) -> Result<(), IoError> {
        let rings = [
            ("RX", self.rx_size),
            ("TX", self.tx_size),
            ("fill", self.fill_size),
            ("completion", self.completion_size),
        ];
        for (name, size) in rings {
            if !size.is_power_of_two() || size > MAX_RING {
                let what = format!("{name} ring of {size} entries on {}", self.interface);
                return Err(IoError::new(what, format!("choose a power of two up to {MAX_RING}")));
            }
        }
        if !matches!(self.chunk_bytes, 2048 | 4096) {
            return Err(IoError::new(format!("chunks of {} bytes", self.chunk_bytes), "choose 4096 or 2048"));
        }
        if self.queues == 0 {
            return Err(IoError::new(format!("no queue chosen on {}", self.interface), "choose at least one"));
        }
        let bytes = u64::from(self.frames_per_queue) * u64::from(self.queues) * u64::from(self.chunk_bytes);
        if self.frames_per_queue < 64 || bytes > MAX_ARENA_BYTES {
            let what = format!("{} frames for each of {} queues", self.frames_per_queue, self.queues);
            return Err(IoError::new(what, "choose at least 64, and at most 16 GiB in all"));
        }
        Ok(())
    }
}

/// Far above any device's ring; keeps sums within u32.
const MAX_RING: u32 = 1 << 20;

const MAX_ARENA_BYTES: u64 = 16 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_accepted() {
        assert_eq!(XskConfig::new("veth0", 1, 4).check(), Ok(()));
    }

    #[test]
    fn what_the_kernel_would_refuse_is_refused_with_its_name() {
        type Spoil = fn(&mut XskConfig);
        let cases: [(&str, Spoil); 7] = [
            ("RX ring", |c| c.rx_size = 1000),
            ("TX ring", |c| c.tx_size = 0),
            ("fill ring", |c| c.fill_size = 1 << 21),
            ("completion ring", |c| c.completion_size = 3),
            ("chunks", |c| c.chunk_bytes = 1024),
            ("queue", |c| c.queues = 0),
            ("frames", |c| c.frames_per_queue = 1),
        ];
        for (name, spoil) in cases {
            let mut config = XskConfig::new("veth0", 1, 1);
            spoil(&mut config);
            let error = config.check().expect_err(name);
            assert!(error.what.contains(name) && !error.hint.is_empty(), "{error}");
        }
    }

    #[test]
    fn frames_are_left_for_sending_however_small_the_pool() {
        for frames in [64, 100, 4096, 100_000] {
            let config = XskConfig { frames_per_queue: frames, ..XskConfig::new("veth0", 1, 1) };
            assert!(config.fill_target() + config.send_reserve() < frames);
        }
    }
}
