//! What a load generator counts, one per worker, added up at the end.
//!
//! Every connection that was begun ends up in exactly one place: completed, failed for one reason, unfinished (still open
//! when the run was over), or given up (we failed it ourselves). Launches that were due but never begun are missed, and counted apart: they are the
//! generator's failure, not the target's.

use super::lost::Lost;
use crate::live::Figures;
use synfin_engine::shard::CloseReason;

synfin_engine::named_enum! {
    /// Why a connection failed.
    FailReason {
        Refused = "refused": "the target answered the SYN with RST",
        Reset = "reset": "the target reset the connection",
        Unreachable = "unreachable": "no answer to ARP or neighbour discovery, or an ICMP error",
        ConnectTimeout = "connect_timeout": "no handshake within --timeout",
        ResponseTimeout = "response_timeout": "no complete response within --timeout",
        CloseTimeout = "close_timeout": "the target did not close within --timeout",
        RetriesUsedUp = "retries_used_up": "a segment was never acknowledged",
        ClosedEarly = "closed_early": "the target closed before the response was complete",
        Malformed = "malformed": "what came back is no HTTP response",
        Mismatch = "mismatch": "what came back differs from what was sent (echo) or expected (--expect-body)",
        BadStatus = "bad_status": "a response had a status of 400 or more",
    }
}

synfin_engine::named_enum! {
    /// Why a launch that was due was not made.
    MissReason {
        Late = "late": "the generator was behind its schedule by more than --max-lateness",
        NoTuple = "no_tuple": "all source addresses and ports are in use or in TIME-WAIT",
        TableFull = "table_full": "the connection table is full",
        NoRoute = "no_route": "the target lies in no subnet of ours and there is no gateway",
    }
}

impl FailReason {
    /// The reason for an end that the engine reports and nobody asked for.
    pub fn of(why: CloseReason) -> Option<FailReason> {
        match why {
            CloseReason::Refused => Some(FailReason::Refused),
            CloseReason::Reset => Some(FailReason::Reset),
            CloseReason::TimedOut => Some(FailReason::RetriesUsedUp),
            CloseReason::Unreachable | CloseReason::NetUnreachable => Some(FailReason::Unreachable),
            CloseReason::Orphaned => Some(FailReason::CloseTimeout),
            CloseReason::Graceful | CloseReason::Aborted => None,
        }
    }
}

#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct Tally {
    pub started: u64,
    pub established: u64,
    pub completed: u64,
    /// Open when the run was over, and aborted then.
    pub unfinished: u64,
    /// Reset by us since the engine did not take the request: no fault of the target's.
    pub given_up: u64,
    /// By [`FailReason`].
    pub failed: [u64; FailReason::ALL.len()],
    /// By [`MissReason`].
    pub missed: [u64; MissReason::ALL.len()],
    pub requests: u64,
    /// Responses by status class (index 2 is 2xx); messages that came back right count as 2xx.
    pub responses: [u64; 6],
    /// Connections whose first response had a status of 400 or more.
    pub bad_first: u64,
    /// Requests that were not made since the target announced that it would close.
    pub cut_short: u64,
    /// Stream bytes received.
    pub bytes_in: u64,
    /// Stream bytes handed over for sending.
    pub bytes_out: u64,
    /// With connections that failed or were given up.
    pub lost: Lost,
    /// With those that were cut when the run was over.
    pub cut: Lost,
}

impl Tally {
    pub fn fail(&mut self, reason: FailReason) {
        self.failed[reason as usize] += 1;
    }

    pub fn miss(&mut self, reason: MissReason, n: u64) {
        self.missed[reason as usize] += n;
    }

    pub fn response(&mut self, status: u16) {
        self.responses[usize::from(status / 100).min(5)] += 1;
    }

    /// How things stand, for those who look on.
    pub fn figures(&self) -> Figures {
        Figures {
            started: self.started,
            established: self.established,
            completed: self.completed,
            failed: self.failed_total(),
            missed: self.missed_total(),
            requests: self.requests,
            requests_missed: 0,
            responses: self.responses_total(),
            open: self.open(),
        }
    }

    pub fn failed_total(&self) -> u64 {
        self.failed.iter().sum()
    }

    pub fn missed_total(&self) -> u64 {
        self.missed.iter().sum()
    }

    pub fn responses_total(&self) -> u64 {
        self.responses.iter().sum()
    }

    /// Responses with a status of 400 or more.
    pub fn bad_total(&self) -> u64 {
        self.responses[4] + self.responses[5]
    }

    /// Begun and not yet over.
    pub fn open(&self) -> u64 {
        self.started.saturating_sub(self.completed + self.unfinished + self.given_up + self.failed_total())
    }

    /// What has been counted since `before`.
    pub fn since(&self, before: &Tally) -> Tally {
        let mut new = self.clone();
        new.add(before, u64::saturating_sub);
        new
    }

    pub fn merge(&mut self, other: &Tally) {
        self.add(other, |a, b| a + b);
    }

    fn add(&mut self, other: &Tally, sum: impl Fn(u64, u64) -> u64) {
        let pairs = [
            (&mut self.started, other.started),
            (&mut self.established, other.established),
            (&mut self.completed, other.completed),
            (&mut self.unfinished, other.unfinished),
            (&mut self.given_up, other.given_up),
            (&mut self.requests, other.requests),
            (&mut self.bad_first, other.bad_first),
            (&mut self.cut_short, other.cut_short),
            (&mut self.bytes_in, other.bytes_in),
            (&mut self.bytes_out, other.bytes_out),
        ];
        let failed = self.failed.iter_mut().zip(other.failed);
        let missed = self.missed.iter_mut().zip(other.missed);
        let responses = self.responses.iter_mut().zip(other.responses);
        pairs.into_iter().chain(failed).chain(missed).chain(responses).for_each(|(a, b)| *a = sum(*a, b));
        self.lost.add(&other.lost, &sum);
        self.cut.add(&other.cut, &sum);
    }
}
