//! SO_TIMESTAMPING: when the last byte of a call was sent, and when it was acknowledged. What is scheduled here is sent: of queues
//! below the engine it knows nothing.

use super::table::{Owner, Socket};
use super::{Errno, Fd, Sockets};
use crate::base::Instant;
use crate::shard::Conn;
use crate::wire::Seq;
use std::collections::VecDeque;

/// Calls whose times are waited for, and times that nobody has asked for yet, at most; beyond that there are none.
const LIMIT: usize = 1024;
const REPORTED: u32 = libc::SOF_TIMESTAMPING_SOFTWARE;
const NUMBERED: u32 = libc::SOF_TIMESTAMPING_OPT_ID;

/// What happened, with Linux's numbers (SCM_TSTAMP_SND, SCM_TSTAMP_SCHED, SCM_TSTAMP_ACK).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Moment {
    Sent = 0,
    Scheduled = 1,
    Acknowledged = 2,
}

impl Moment {
    /// The bit that asks for it.
    fn bit(self) -> u32 {
        match self {
            Moment::Sent => libc::SOF_TIMESTAMPING_TX_SOFTWARE,
            Moment::Scheduled => libc::SOF_TIMESTAMPING_TX_SCHED,
            Moment::Acknowledged => libc::SOF_TIMESTAMPING_TX_ACK,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    pub moment: Moment,
    /// The byte in question, counted from when SOF_TIMESTAMPING_OPT_ID was set, or else from the connection's first; 0 without.
    pub key: u32,
    pub at: Instant,
}

/// The times of one socket's calls.
#[derive(Default, Debug)]
pub struct Stamps {
    bits: u32,
    /// The byte that counts as 0.
    origin: Seq,
    /// Ends of calls that are not acknowledged, and whether they were sent.
    waiting: VecDeque<(Seq, bool)>,
    news: VecDeque<Stamp>,
}

impl Stamps {
    pub fn bits(&self) -> u32 {
        self.bits
    }

    pub fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Another connection, or none: of calls on the one before nothing more will be heard. `first` is the number of its first
    /// byte.
    pub fn renew(&mut self, first: Seq) {
        self.origin = first;
        self.waiting.clear();
    }

    fn note(&mut self, moment: Moment, end: Seq, at: Instant) {
        if self.bits & moment.bit() != 0 && self.news.len() < LIMIT {
            let key = if self.bits & NUMBERED != 0 { end.since(self.origin).wrapping_sub(1) } else { 0 };
            self.news.push_back(Stamp { moment, key, at });
        }
    }

    /// What was sent and acknowledged since the last look. True: there is something to tell.
    pub fn look(&mut self, conn: &Conn<'_, Owner>) -> bool {
        let Some(i) = conn.info().filter(|_| self.is_waiting()) else { return false };
        let (before, at) = (self.news.len(), conn.now());
        let (acknowledged, _) = i.positions;
        let sent = acknowledged + conn.queued_bytes().saturating_sub(i.unsent_bytes);
        for index in 0..self.waiting.len() {
            let (end, was_sent) = self.waiting[index];
            if !was_sent && end.at_or_before(sent) {
                self.waiting[index].1 = true;
                self.note(Moment::Scheduled, end, at);
                self.note(Moment::Sent, end, at);
            }
        }
        while let Some(&(end, _)) = self.waiting.front().filter(|(end, _)| end.at_or_before(acknowledged)) {
            self.waiting.pop_front();
            self.note(Moment::Acknowledged, end, at);
        }
        self.news.len() > before
    }
}

/// The number of the byte after the last one that is queued.
pub(super) fn end_of(conn: &Conn<'_, Owner>) -> Seq {
    conn.stream_positions().0 + conn.queued_bytes()
}

impl Socket {
    /// A call has queued bytes.
    pub(super) fn stamp_call(&mut self, conn: &Conn<'_, Owner>) {
        let s = &mut self.stamps;
        let wanted = [Moment::Sent, Moment::Scheduled, Moment::Acknowledged].iter().any(|m| s.bits & m.bit() != 0);
        if wanted && s.bits & REPORTED != 0 && s.waiting.len() < LIMIT {
            s.waiting.push_back((end_of(conn), false));
        }
    }
}

impl Sockets<'_> {
    /// SO_TIMESTAMPING.
    pub(super) fn set_stamps(&mut self, fd: Fd, bits: u32) -> Result<(), Errno> {
        let s = self.table.socket(fd)?;
        if bits & NUMBERED & !s.stamps.bits != 0 {
            // Without a connection there is nothing to count from.
            let conn = s.conn().and_then(|id| self.net.conn(id)).ok_or(Errno::INVAL)?;
            s.stamps.origin = end_of(&conn);
        }
        s.stamps.bits = bits;
        Ok(())
    }

    /// The error queue (`recvmsg` with MSG_ERRQUEUE): the next time that the program does not know.
    pub fn take_stamp(&mut self, fd: Fd) -> Result<Stamp, Errno> {
        self.table.socket(fd)?.stamps.news.pop_front().ok_or(Errno::AGAIN)
    }
}
