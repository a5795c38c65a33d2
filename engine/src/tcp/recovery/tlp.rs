//! Tail loss probes (RFC 8985 section 7): when the last segments of a flight get no ACK, one segment goes out after two
//! round trips, so that its ACK shows what is missing before a time-out has to.

use crate::wire::Seq;

#[derive(Clone, Copy, Default, Debug)]
pub struct Probe {
    /// End of the probe that is not acknowledged yet.
    end: Option<Seq>,
    /// It carried nothing new.
    is_retransmission: bool,
    /// A round trip was measured since the last probe.
    has_measured: bool,
    was_sent: bool,
}

/// What an ACK says about a probe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProbeVerdict {
    Nothing,
    /// It repaired a loss that nobody would have noticed: the controller has to react.
    Repaired,
}

impl Probe {
    /// A probe may be sent.
    pub fn is_allowed(&self) -> bool {
        self.end.is_none() && self.has_measured
    }

    pub fn measured(&mut self) {
        self.has_measured = true;
    }

    pub fn sent(&mut self, end: Seq, is_retransmission: bool) {
        *self = Probe { end: Some(end), is_retransmission, has_measured: false, was_sent: true };
    }

    /// The probe that is under way carried nothing new and ends there.
    pub fn is_for(&self, end: Seq) -> bool {
        self.is_retransmission && self.end == Some(end)
    }

    /// Whether a probe that carried nothing new was needed is not known yet.
    pub fn is_pending(&self) -> bool {
        self.is_retransmission && self.end.is_some()
    }

    /// Nothing was measured since the last one, and until then there must be no other (RFC 8985 7.3): or else probes that come
    /// too early would keep a round trip that has become longer from being measured.
    pub fn is_unmeasured(&self) -> bool {
        self.was_sent && !self.has_measured
    }

    pub fn forget(&mut self) {
        self.end = None;
    }

    /// `ack` was acknowledged. `is_bare`: it moved nothing and brought nothing. `dsack_end`: end of a
    /// segment that it reports as received twice.
    pub fn on_ack(&mut self, ack: Seq, is_bare: bool, dsack_end: Option<Seq>) -> ProbeVerdict {
        let Some(end) = self.end.filter(|&end| ack.at_or_after(end)) else { return ProbeVerdict::Nothing };
        let explained = !self.is_retransmission || dsack_end == Some(end);
        if explained || ack.after(end) || is_bare {
            self.end = None;
        }
        if !explained && ack.after(end) { ProbeVerdict::Repaired } else { ProbeVerdict::Nothing }
    }
}
