//! Taking back a reduction that was not called for.
//!
//! Three signs: all that was taken for lost arrived before any of it was sent again; with timestamps, the ACK of the first
//! retransmission echoes a segment from before it (Eifel detection, RFC 3522), which unmasks spurious time-outs and
//! recoveries alike; with D-SACK (RFC 2883, 3708), every retransmission was reported to be a duplicate.

use super::rack::Moment;
use crate::tcp::congestion::Cubic;
use crate::wire::Seq;

/// The state before a reduction, and what was sent again since.
#[derive(Clone, Copy, Default, Debug)]
pub struct Undo {
    is_set: bool,
    /// What was sent again lies from here on.
    from: Seq,
    pub cwnd: u32,
    pub ssthresh: u32,
    pub cubic: Cubic,
    /// When the first retransmission went out.
    first_us: Option<u32>,
    /// Its end, if it was of the first segment that was missing. Else what is missing before it is only late, and will bring
    /// an old echo whatever became of this one.
    first_end: Option<Seq>,
    /// Retransmissions that no D-SACK has reported as unnecessary.
    unexplained: u32,
    /// The reduction was that of a time-out.
    pub by_timeout: bool,
}

impl Undo {
    pub fn new(from: Seq, cwnd: u32, ssthresh: u32, cubic: Cubic, by_timeout: bool) -> Undo {
        Undo { is_set: true, from, cwnd, ssthresh, cubic, first_us: None, first_end: None, unexplained: 0, by_timeout }
    }

    pub fn is_set(&self) -> bool {
        self.is_set
    }

    pub fn forget(&mut self) {
        self.is_set = false;
    }

    /// A segment up to `end` was sent again. `is_first`: nothing before it is missing.
    pub fn resent(&mut self, end: Seq, is_first: bool, now_us: u32) {
        if self.first_us.is_none() {
            (self.first_us, self.first_end) = (Some(now_us), is_first.then_some(end));
        }
        self.unexplained = self.unexplained.saturating_add(1);
    }

    /// Nothing was sent again since.
    pub fn is_without_resent(&self) -> bool {
        self.is_set && self.first_us.is_none()
    }

    /// All of the first retransmission lies below `una`, and nothing before it was missing.
    pub fn is_first_acknowledged(&self, una: Seq) -> bool {
        self.first_end.is_some_and(|end| una.at_or_after(end))
    }

    /// An ACK moved SND.UNA to `una`. True: the original segment had arrived.
    pub fn is_refuted_by_echo(&self, una: Seq, at: &Moment) -> bool {
        self.is_set && self.is_first_acknowledged(una) && self.first_us.is_some_and(|first| at.echoes_earlier(first))
    }

    /// A segment from `start` on came twice. True: nothing of what was sent again had been lost.
    pub fn is_refuted_by_duplicate(&mut self, start: Seq) -> bool {
        if start.before(self.from) {
            return false;
        }
        self.unexplained = self.unexplained.saturating_sub(1);
        self.is_set && self.first_us.is_some() && self.unexplained == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_echo_refutes_only_with_the_ack_of_a_first_segment_that_was_sent_again() {
        // An ACK now, brought about by something a hundred units of 2^20 ns old; the retransmission is half as old.
        let (sent_us, at) = (50 << 10, Moment { now_us: 100 << 10, echo_age: Some(100) });
        let undo = |is_first| {
            let mut undo = Undo::new(Seq(1000), 20_000, 20_000, Cubic::default(), false);
            undo.resent(Seq(2000), is_first, sent_us);
            undo.resent(Seq(5000), false, sent_us);
            undo
        };
        assert!(!undo(true).is_refuted_by_echo(Seq(1500), &at), "not acknowledged yet");
        assert!(undo(true).is_refuted_by_echo(Seq(2000), &at));
        assert!(!undo(false).is_refuted_by_echo(Seq(9000), &at), "what came late lies before it");
        let fresh = Moment { echo_age: Some(40), ..at };
        assert!(!undo(true).is_refuted_by_echo(Seq(2000), &fresh), "the copy's echo");
    }
}
