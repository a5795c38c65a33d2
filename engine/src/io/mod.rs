//! F4: where frames come from and go to.

#[cfg(feature = "afxdp")]
pub mod afxdp;
pub mod bpf;
pub mod copy;
pub mod error;
pub mod offloaded;
mod readable;
mod rebind;
pub mod sim;
pub mod stats;
pub mod sys;
pub mod tap;
#[cfg(test)]
pub(crate) mod test_net;
#[cfg(test)]
mod test_skip;
pub mod xsk;

pub use error::IoError;
pub use stats::IoStats;

use crate::base::{Backlog, Counters, Frame, FramePool};
use core::time::Duration;

/// One queue of a device, real or simulated: a source and a sink of frames, and the owner of the frame pool.
///
/// A packet larger than a chunk is a frame with others behind it ([`Frame::rest`](crate::base::Frame::rest)); only where
/// [`PacketIo::mtu_max`] says so are such packets sent and received.
///
/// Nothing here allocates once it is set up, and only `kick`, `wait` and `stats` may enter the kernel.
pub trait PacketIo {
    /// Moves received frames into `rx`, at most up to its capacity minus its length (never reallocating).
    /// Returns how many came.
    fn rx_burst(&mut self, rx: &mut Vec<Frame>) -> usize;

    /// What the last `rx_burst` has left to the next one. A backend that does not know says that it is nothing.
    fn backlog(&self) -> Backlog {
        Backlog::None
    }

    /// Takes frames off the front of `tx`, in order, as many as there is room for; the rest stays in `tx`.
    /// Returns how many were taken. Taken frames return to the pool by `reclaim`.
    fn tx_burst(&mut self, tx: &mut Vec<Frame>) -> usize;

    /// Collects frames whose sending is done, and restocks the fill ring from the pool.
    fn reclaim(&mut self);

    /// Wakes the kernel up if it asks for it. Call once per iteration, after `tx_burst`.
    fn kick(&mut self);

    /// Blocks until a frame may have arrived or `timeout` has passed (poll(2)); for `--sleep`.
    fn wait(&mut self, timeout: Duration);

    /// The pool that frames are taken from and given back to.
    fn pool(&mut self) -> &mut FramePool;

    /// Counters of the device and the rings.
    fn stats(&self) -> IoStats;

    /// What this is and how it runs, for people: e.g. `xsk veth0#0 native copy need-wakeup`.
    fn describe(&self) -> String;

    /// The largest MTU whose frames can be received and sent.
    fn mtu_max(&self) -> u32 {
        xsk::MTU_MAX
    }

    /// Whether `Frame::request_checksum` is honoured.
    fn checksum_offload(&self) -> bool {
        false
    }

    /// What taps around the device have counted on their own (dropped on purpose), if there are any.
    fn tap_counters(&self) -> Option<&Counters> {
        None
    }
}

/// So that a program can choose its backend and its taps at run time.
impl<I: PacketIo + ?Sized> PacketIo for Box<I> {
    fn rx_burst(&mut self, rx: &mut Vec<Frame>) -> usize {
        (**self).rx_burst(rx)
    }

    fn backlog(&self) -> Backlog {
        (**self).backlog()
    }

    fn tx_burst(&mut self, tx: &mut Vec<Frame>) -> usize {
        (**self).tx_burst(tx)
    }

    fn reclaim(&mut self) {
        (**self).reclaim();
    }

    fn kick(&mut self) {
        (**self).kick();
    }

    fn wait(&mut self, timeout: Duration) {
        (**self).wait(timeout);
    }

    fn pool(&mut self) -> &mut FramePool {
        (**self).pool()
    }

    fn stats(&self) -> IoStats {
        (**self).stats()
    }

    fn describe(&self) -> String {
        (**self).describe()
    }

    fn mtu_max(&self) -> u32 {
        (**self).mtu_max()
    }

    fn checksum_offload(&self) -> bool {
        (**self).checksum_offload()
    }

    fn tap_counters(&self) -> Option<&Counters> {
        (**self).tap_counters()
    }
}
