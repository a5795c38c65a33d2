//! The states of RFC 9293 3.3.2 and the one place where a connection changes its state.

use super::Tcb;

/// RFC 9293 states. LISTEN has no record (a listener is a port), SYN-RECEIVED of a passive open is a
/// [`HalfOpen`](super::HalfOpen) record and TIME-WAIT a [`TimeWait`](super::TimeWait) record; a `Tcb` is in one of
/// the others, or in SYN-RECEIVED after a simultaneous open.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
#[repr(u8)]
pub enum State {
    #[default]
    Closed,
    Listen,
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
}

impl State {
    pub const COUNT: usize = 11;

    /// The RFC's name of it.
    pub const fn name(self) -> &'static str {
        match self {
            State::Closed => "CLOSED",
            State::Listen => "LISTEN",
            State::SynSent => "SYN-SENT",
            State::SynReceived => "SYN-RECEIVED",
            State::Established => "ESTABLISHED",
            State::FinWait1 => "FIN-WAIT-1",
            State::FinWait2 => "FIN-WAIT-2",
            State::CloseWait => "CLOSE-WAIT",
            State::Closing => "CLOSING",
            State::LastAck => "LAST-ACK",
            State::TimeWait => "TIME-WAIT",
        }
    }

    /// The peer's FIN has not come yet: its bytes are still taken.
    pub const fn receives_data(self) -> bool {
        matches!(self, State::Established | State::FinWait1 | State::FinWait2)
    }

    /// New bytes may be sent.
    pub const fn sends_data(self) -> bool {
        matches!(self, State::Established | State::CloseWait)
    }

    /// Both SYNs are acknowledged (RFC 9293: "synchronized").
    pub const fn is_synchronized(self) -> bool {
        !matches!(self, State::Closed | State::Listen | State::SynSent | State::SynReceived)
    }
}

impl core::fmt::Display for State {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// The only writer of `Tcb::state`.
#[inline]
pub fn transition(t: &mut Tcb, to: State) {
    debug_assert!(is_edge(t.state(), to), "{} -> {to} is no edge of RFC 9293 figure 5", t.state());
    t.write_state(to);
}

/// The edges of the state diagram (RFC 9293 figure 5), plus those that its text adds: every state may end in
/// CLOSED (reset, abort, time-out), and FIN-WAIT-1 may go straight to TIME-WAIT.
pub const fn is_edge(from: State, to: State) -> bool {
    use State::*;
    match (from, to) {
        (_, Closed) => true,
        (Closed, Listen | SynSent) => true,
        (Listen, SynReceived | SynSent) => true,
        (SynSent, SynReceived | Established) => true,
        // FIN-WAIT-1 from SYN-RECEIVED: the application closed before the handshake was over.
        (SynReceived, Established | FinWait1 | CloseWait) => true,
        (Established, FinWait1 | CloseWait) => true,
        (FinWait1, FinWait2 | Closing | TimeWait) => true,
        (FinWait2, TimeWait) => true,
        (Closing, TimeWait) => true,
        (CloseWait, LastAck) => true,
        _ => false,
    }
}
