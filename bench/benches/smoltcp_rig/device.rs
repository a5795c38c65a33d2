//! A device in memory: frames change hands, buffers are used again.

use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use std::collections::VecDeque;

const FRAME_BYTES: usize = 1514;

struct Frame {
    bytes: Box<[u8; FRAME_BYTES]>,
    len: usize,
}

#[derive(Default)]
pub struct Device {
    rx: VecDeque<Frame>,
    tx: VecDeque<Frame>,
    /// Received and read.
    read: Vec<Frame>,
    spare: Vec<Frame>,
    pub sent: u64,
}

impl Device {
    /// Receives all that `other` has sent.
    pub fn take_from(&mut self, other: &mut Device) {
        other.sent += other.tx.len() as u64;
        other.spare.append(&mut other.read);
        if self.rx.is_empty() {
            std::mem::swap(&mut self.rx, &mut other.tx);
        } else {
            self.rx.append(&mut other.tx);
        }
    }
}

pub struct RxToken<'a> {
    frame: Frame,
    read: &'a mut Vec<Frame>,
}

pub struct TxToken<'a> {
    tx: &'a mut VecDeque<Frame>,
    spare: &'a mut Vec<Frame>,
}

impl phy::Device for Device {
    type RxToken<'a> = RxToken<'a>;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, _: Instant) -> Option<(RxToken<'_>, TxToken<'_>)> {
        let frame = self.rx.pop_front()?;
        Some((RxToken { frame, read: &mut self.read }, TxToken { tx: &mut self.tx, spare: &mut self.spare }))
    }

    fn transmit(&mut self, _: Instant) -> Option<TxToken<'_>> {
        Some(TxToken { tx: &mut self.tx, spare: &mut self.spare })
    }

    /// Checksums are computed and verified, as on our side.
    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.max_transmission_unit = FRAME_BYTES;
        capabilities.medium = Medium::Ethernet;
        capabilities
    }
}

impl phy::RxToken for RxToken<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let result = f(&self.frame.bytes[..self.frame.len]);
        self.read.push(self.frame);
        result
    }
}

impl phy::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let new = || Frame { bytes: Box::new([0; FRAME_BYTES]), len };
        let mut frame = self.spare.pop().unwrap_or_else(new);
        frame.len = len;
        let result = f(&mut frame.bytes[..len]);
        self.tx.push_back(frame);
        result
    }
}
