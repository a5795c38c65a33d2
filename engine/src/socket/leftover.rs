//! What a connection that is over leaves to its socket: bytes that had come and were not read, and how it was doing.
//!
//! RFC 9293 3.10.7.4 and 3.10.8 have an RST and a time-out flush the queues. Bytes that were acknowledged are handed on all
//! the same, before the error, as on Linux: a peer that answers and resets has answered. They are copied, since the frames
//! are the shard's, and all sockets together keep no more than the frames for held segments take, however many connections
//! peers may end.

use super::table::{Owner, Table};
use super::transfer::Flags;
use super::{Errno, Fd};
use crate::shard::{CloseReason, Conn, ConnInfo, ShardConfig};

#[derive(Default)]
pub struct Leftover {
    /// All of them stay until the last is read.
    bytes: Vec<u8>,
    read: usize,
    pub info: Option<Box<ConnInfo>>,
}

/// Bytes that sockets may still keep.
pub struct Room(usize);

impl Room {
    pub fn new(config: &ShardConfig) -> Room {
        Room(config.limits.held_frames as usize * usize::from(config.mtu))
    }
}

impl Table {
    /// A connection is about to be over. Who reads no more, or has reset it himself, will not ask for its bytes.
    pub(super) fn keep_leftover(&mut self, fd: Fd, conn: &Conn<'_, Owner>, why: CloseReason) {
        self.forget_leftover(fd);
        let room = self.room.0;
        let Ok(s) = self.socket(fd) else { return };
        let is_wanted = why != CloseReason::Aborted && !s.read_shut;
        let bytes = conn.rest(if is_wanted { room } else { 0 });
        let len = bytes.len();
        s.leftover = Leftover { bytes, read: 0, info: conn.info().map(Box::new) };
        self.room.0 -= len;
    }

    /// The socket begins anew, or is closed.
    pub(super) fn forget_leftover(&mut self, fd: Fd) {
        if let Ok(s) = self.socket(fd) {
            let old = std::mem::take(&mut s.leftover);
            self.room.0 += old.bytes.len();
        }
    }

    /// What had come before the connection ended; then why it ended, once.
    pub(super) fn recv_leftover(&mut self, fd: Fd, out: &mut [u8], flags: Flags) -> Result<usize, Errno> {
        let s = self.socket(fd)?;
        let left = &s.leftover.bytes[s.leftover.read..];
        let n = out.len().min(left.len());
        if left.is_empty() {
            return s.error_for(flags).map_or(Ok(0), Err);
        }
        out[..n].copy_from_slice(&left[..n]);
        if flags.peek {
            return Ok(n);
        }
        s.leftover.read += n;
        if s.leftover.read == s.leftover.bytes.len() {
            s.leftover.read = 0;
            self.room.0 += std::mem::take(&mut s.leftover.bytes).len();
        }
        Ok(n)
    }
}
