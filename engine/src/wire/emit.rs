//! From what is to be said to a frame.

use super::parse::{LinkInfo, VlanTags};
use super::{Addr, Mac, Seq, TcpFlags, TcpOptions};
use crate::base::Frame;

/// How checksums of sent segments come about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ChecksumMode {
    /// Computed here.
    #[default]
    Full,
    /// Only the pseudo-header sum is written; the device is asked to do the rest (`Frame::request_checksum`).
    Offload,
}

/// Link header of a frame to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkOut {
    pub src: Mac,
    pub dst: Mac,
    pub vlan: VlanTags,
}

impl LinkOut {
    pub fn reply_to(info: &LinkInfo) -> LinkOut {
        LinkOut { src: info.dst, dst: info.src, vlan: info.vlan }
    }
}

/// A segment to send.
#[derive(Clone, Copy, Debug)]
pub struct SegmentOut<'a> {
    pub src: Addr,
    pub dst: Addr,
    pub src_port: u16,
    pub dst_port: u16,
    pub seq: Seq,
    pub ack: Seq,
    pub flags: TcpFlags,
    /// The window field as it goes into the header.
    pub window: u16,
    pub options: &'a TcpOptions,
    pub payload_len: u16,
    pub checksum: ChecksumMode,
}

/// Writes headers and payload of a segment into `frame`, replacing what it held. `payload` is called once, with
/// exactly `payload_len` bytes to fill. Returns false (frame emptied) when the chunk is too small.
///
/// IPv4: DF set, identification 0 (atomic datagram, RFC 6864), TTL 64. IPv6: flow label 0, hop limit 64.
#[must_use]
pub fn tcp(_frame: &mut Frame, _link: &LinkOut, _segment: &SegmentOut<'_>, _payload: impl FnOnce(&mut [u8])) -> bool {
    false
}

/// Bytes that `options` take in a TCP header, padding included (a multiple of 4).
pub fn options_len(_options: &TcpOptions) -> usize {
    0
}
