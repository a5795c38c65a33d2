//! RFC 9293 3.10.7, "segment arrives", once more: what a segment must lead to, in the words and the order of the RFC, for a
//! connection on which nothing waits to be sent and whose peer has a window of 65,535 bytes. RFC 5961 is followed throughout,
//! and RFC 7323 where timestamps were agreed on.

use synfin_engine::shard::CloseReason;
use synfin_engine::tcp::State;
use synfin_engine::wire::TcpFlags;
use synfin_tests::host::Seg;

/// MAX.SND.WND.
const MAX_SND_WND: u32 = 65_535;

/// The state of a connection, and its numbers.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    pub state: State,
    /// SYN-RECEIVED came from LISTEN; in TIME-WAIT: somebody listens.
    pub passive: bool,
    pub snd_una: u32,
    pub snd_nxt: u32,
    pub rcv_nxt: u32,
    pub rcv_wnd: u32,
    /// TS.Recent, if timestamps were agreed on.
    pub ts_recent: Option<u32>,
}

/// A segment that answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    Nothing,
    /// `<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>`.
    Ack,
    /// `<SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK>`.
    SynAck,
    /// `<SEQ=n><CTL=RST>`.
    Reset(u32),
    /// `<SEQ=0><ACK=n><CTL=RST,ACK>`.
    ResetAck(u32),
}

/// What follows from a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Effect {
    pub answer: Answer,
    pub state: State,
    pub closed: Option<CloseReason>,
    /// Bytes handed to the application.
    pub bytes: u32,
}

fn after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

fn within(n: u32, from: u32, len: u32) -> bool {
    n.wrapping_sub(from) < len
}

fn seq_len(s: &Seg) -> u32 {
    s.data.len() as u32 + u32::from(s.flags.syn()) + u32::from(s.flags.fin())
}

impl Machine {
    pub fn arrives(&self, s: &Seg) -> Effect {
        match self.state {
            State::Closed => self.closed(s),
            State::Listen => self.listen(s),
            State::SynSent => self.syn_sent(s),
            _ => self.other(s),
        }
    }

    fn answer(&self, answer: Answer) -> Effect {
        Effect { answer, state: self.state, closed: None, bytes: 0 }
    }

    fn nothing(&self) -> Effect {
        self.answer(Answer::Nothing)
    }

    /// The TCB is deleted.
    fn ends(&self, why: CloseReason) -> Effect {
        Effect { state: State::Closed, closed: Some(why), ..self.nothing() }
    }

    fn closed(&self, s: &Seg) -> Effect {
        if s.flags.rst() {
            self.nothing()
        } else if s.flags.ack() {
            self.answer(Answer::Reset(s.ack))
        } else {
            self.answer(Answer::ResetAck(s.seq.wrapping_add(seq_len(s))))
        }
    }

    fn listen(&self, s: &Seg) -> Effect {
        if s.flags.rst() {
            self.nothing()
        } else if s.flags.ack() {
            self.answer(Answer::Reset(s.ack))
        } else if s.flags.syn() && !s.flags.fin() {
            // One that closes what it opens is nobody's that wants to be served: as on Linux it is dropped.
            Effect { state: State::SynReceived, ..self.answer(Answer::SynAck) }
        } else {
            self.nothing()
        }
    }

    fn syn_sent(&self, s: &Seg) -> Effect {
        // First, the ACK.
        if s.flags.ack() && s.ack != self.snd_nxt {
            return if s.flags.rst() { self.nothing() } else { self.answer(Answer::Reset(s.ack)) };
        }
        // Second, the RST.
        if s.flags.rst() {
            return if s.flags.ack() { self.ends(CloseReason::Refused) } else { self.nothing() };
        }
        // Fourth, the SYN.
        if !s.flags.syn() {
            return self.nothing();
        }
        if !s.flags.ack() {
            return Effect { state: State::SynReceived, ..self.answer(Answer::SynAck) };
        }
        let bytes = s.data.len() as u32;
        let state = if s.flags.fin() { State::CloseWait } else { State::Established };
        Effect { answer: Answer::Ack, state, closed: None, bytes }
    }

    /// First check: table 6. An empty segment right at the edge of the window is taken as well: so a peer sends its ACKs
    /// that has filled the window and lost a part of it.
    fn is_acceptable(&self, s: &Seg) -> bool {
        let len = seq_len(s);
        if self.rcv_wnd == 0 {
            return len == 0 && s.seq == self.rcv_nxt;
        }
        within(s.seq, self.rcv_nxt, self.rcv_wnd)
            || (len > 0 && within(s.seq.wrapping_add(len - 1), self.rcv_nxt, self.rcv_wnd))
            || (len == 0 && !self.passive && s.seq == self.rcv_nxt.wrapping_add(self.rcv_wnd))
    }

    fn other(&self, s: &Seg) -> Effect {
        if s.flags.rst() {
            return self.reset(s);
        }
        if s.flags.syn() {
            return self.syn(s);
        }
        if let Some(refused) = self.paws(s) {
            return refused;
        }
        if self.state == State::TimeWait {
            return self.time_wait(s);
        }
        if self.rcv_wnd == 0 && s.seq == self.rcv_nxt && seq_len(s) > 0 && s.flags.ack() {
            return self.at_a_closed_window(s);
        }
        if !self.is_acceptable(s) {
            return self.answer(Answer::Ack);
        }
        // Fifth, the ACK.
        if !s.flags.ack() {
            return self.nothing();
        }
        self.acknowledged(s)
    }

    /// RFC 7323 5.3, R1, and 3.2. A SYN is challenged before that: a peer that has begun anew need not have timestamps.
    fn paws(&self, s: &Seg) -> Option<Effect> {
        let recent = self.ts_recent?;
        match s.options.timestamp {
            None => Some(self.nothing()),
            Some((val, _)) => after(recent, val).then(|| self.answer(Answer::Ack)),
        }
    }

    /// The "special allowance" of the first check: an ACK counts though nothing else of its segment can. A FIN without bytes
    /// takes no room: it is taken. The application hears of the end only after the bytes that fill the window.
    fn at_a_closed_window(&self, s: &Seg) -> Effect {
        let mut rest = s.clone();
        if !s.data.is_empty() {
            rest.data.clear();
            rest.flags = s.flags.without(TcpFlags::FIN);
        }
        let effect = self.acknowledged(&rest);
        let closed = effect.closed.filter(|_| effect.state != State::TimeWait);
        let answer = if effect.answer == Answer::Nothing { Answer::Ack } else { effect.answer };
        Effect { answer, closed, ..effect }
    }

    /// Second check, with RFC 5961 section 3; in TIME-WAIT RFC 1337.
    fn reset(&self, s: &Seg) -> Effect {
        match self.state {
            State::TimeWait => self.nothing(),
            // The next number is always one that the peer could use, however small the window.
            _ if !within(s.seq, self.rcv_nxt, self.rcv_wnd.max(1)) => self.nothing(),
            _ if s.seq != self.rcv_nxt => self.answer(Answer::Ack),
            State::SynReceived if self.passive => Effect { state: State::Listen, ..self.nothing() },
            State::SynReceived => self.ends(CloseReason::Refused),
            _ => self.ends(CloseReason::Reset),
        }
    }

    /// Fourth check, with RFC 5961 section 4, which a handshake that we have not begun ourselves has as well: a peer that has
    /// begun anew answers with RST, which returns it to LISTEN, and others cannot.
    fn syn(&self, s: &Seg) -> Effect {
        let again = self.state == State::SynReceived && s.seq.wrapping_add(1) == self.rcv_nxt;
        match (again, s.flags.ack()) {
            _ if self.state == State::TimeWait && self.may_begin_anew(s) => {
                Effect { state: State::SynReceived, ..self.answer(Answer::SynAck) }
            }
            // The same SYN once more.
            (true, false) if self.passive => self.answer(Answer::SynAck),
            // The SYN,ACK of a simultaneous open: only its SYN is known already.
            (true, true) if !self.passive => {
                let mut rest = s.clone();
                rest.flags = s.flags.without(TcpFlags::SYN);
                rest.seq = self.rcv_nxt;
                let effect = self.acknowledged(&rest);
                // What establishes the connection for the peer.
                let established = matches!(effect.state, State::Established | State::CloseWait);
                if established { Effect { answer: Answer::Ack, ..effect } } else { effect }
            }
            _ => self.answer(Answer::Ack),
        }
    }

    /// MAY-2, by RFC 6191 section 2: where somebody listens, a SYN that cannot be an old one.
    fn may_begin_anew(&self, s: &Seg) -> bool {
        let stamps = self.ts_recent.zip(s.options.timestamp.map(|(val, _)| val));
        let is_beyond = after(s.seq, self.rcv_nxt);
        let is_new = stamps.map_or(is_beyond, |(recent, val)| after(val, recent) || val == recent && is_beyond);
        self.passive && is_new && !s.flags.ack() && !s.flags.fin()
    }

    /// Without ACK it cannot be a FIN once more, which is all that may come. All else is acknowledged, but for an ACK that
    /// says what is known.
    fn time_wait(&self, s: &Seg) -> Effect {
        let known = s.seq == self.rcv_nxt && seq_len(s) == 0 && !after(s.ack, self.snd_nxt);
        self.answer(if known || !s.flags.ack() { Answer::Nothing } else { Answer::Ack })
    }

    /// From the fifth check on: the segment is acceptable and has an ACK.
    fn acknowledged(&self, s: &Seg) -> Effect {
        let mut next = *self;
        match self.state {
            State::SynReceived => {
                if s.ack != self.snd_nxt {
                    return self.answer(Answer::Reset(s.ack));
                }
                next.state = State::Established;
            }
            // RFC 5961 section 5.
            _ if after(s.ack, self.snd_nxt) => return self.answer(Answer::Ack),
            _ if after(self.snd_una.wrapping_sub(MAX_SND_WND), s.ack) => return self.answer(Answer::Ack),
            State::FinWait1 if s.ack == self.snd_nxt => next.state = State::FinWait2,
            State::Closing if s.ack == self.snd_nxt => {
                return Effect { state: State::TimeWait, closed: Some(CloseReason::Graceful), ..self.nothing() };
            }
            State::LastAck if s.ack == self.snd_nxt => return self.ends(CloseReason::Graceful),
            _ => {}
        }
        next.text_and_fin(s)
    }

    /// Seventh and eighth check.
    fn text_and_fin(&self, s: &Seg) -> Effect {
        let len = s.data.len() as u32;
        let end = s.seq.wrapping_add(len);
        if len == 0 && !s.flags.fin() {
            return self.nothing();
        }
        if !matches!(self.state, State::Established | State::FinWait1 | State::FinWait2) {
            // The text is ignored; that it was not taken, the peer is told.
            return self.answer(Answer::Ack);
        }
        if after(s.seq, self.rcv_nxt) {
            // Held for later (SHLD-31), and said so.
            return self.answer(Answer::Ack);
        }
        let bytes = if after(end, self.rcv_nxt) { end.wrapping_sub(self.rcv_nxt) } else { 0 };
        if !s.flags.fin() {
            // Its ACK may wait, unless a part of it has come before.
            let again = if s.seq == self.rcv_nxt { Answer::Nothing } else { Answer::Ack };
            return Effect { bytes, ..self.answer(again) };
        }
        let state = match self.state {
            State::FinWait1 => State::Closing,
            State::FinWait2 => State::TimeWait,
            _ => State::CloseWait,
        };
        let closed = (state == State::TimeWait).then_some(CloseReason::Graceful);
        Effect { answer: Answer::Ack, state, closed, bytes }
    }
}
