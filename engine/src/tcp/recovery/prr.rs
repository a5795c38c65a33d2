//! Proportional rate reduction (RFC 6937): how much may be sent for each ACK of a recovery, so that the window comes
//! down to ssthresh in the course of one round trip, neither at once nor too late. The slow-start reduction bound applies
//! while ACKs move forward without new losses, the conservative bound otherwise.

#[derive(Clone, Copy, Default, Debug)]
pub struct Prr {
    delivered: u32,
    out: u32,
    /// What was outstanding when recovery began.
    outstanding: u32,
}

impl Prr {
    /// `outstanding` bytes were under way; ACKs just before have acknowledged `delivered` of them, and nothing was sent for
    /// that.
    pub fn start(outstanding: u32, delivered: u32) -> Prr {
        Prr { delivered, out: 0, outstanding: outstanding.max(1) }
    }

    pub fn sent(&mut self, bytes: u32) {
        self.out = self.out.saturating_add(bytes);
    }

    /// The window after an ACK that reported `delivered` bytes, `pipe` being on their way. `is_safe`: the ACK moved
    /// forward and told of no further loss.
    pub fn window(&mut self, delivered: u32, pipe: u32, ssthresh: u32, mss: u32, is_safe: bool) -> u32 {
        self.delivered = self.delivered.saturating_add(delivered);
        let may_send = if pipe > ssthresh {
            let share = (u64::from(self.delivered) * u64::from(ssthresh)).div_ceil(u64::from(self.outstanding));
            (share as u32).saturating_sub(self.out)
        } else {
            let owed = self.delivered.saturating_sub(self.out).max(delivered);
            let limit = if is_safe { owed + mss } else { owed };
            limit.min(ssthresh - pipe)
        };
        // The retransmission that opens the recovery goes out in any case; and where nothing is on its way (RACK's timer
        // has taken it for lost), no ACK will come that could allow more.
        let may_send = if self.out == 0 || pipe == 0 { may_send.max(mss) } else { may_send };
        pipe.saturating_add(may_send)
    }
}
