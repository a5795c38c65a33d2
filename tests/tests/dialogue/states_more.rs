//! Every combination of SYN, FIN, RST and ACK once more, as in `states`, for connections in which there is more going on: bytes
//! that wait to be acknowledged or to be read, timestamps, and what those bits do that the state machine does not look at.

use crate::knowing_the_peer;
use crate::rfc9293::Machine;
use crate::states::agree;
use synfin_engine::shard::ShardConfig;
use synfin_engine::tcp::State;
use synfin_engine::wire::TcpFlags;
use synfin_tests::host::{Host, Seg, plain_config, seg};

/// How a connection comes to the state in question.
#[derive(Clone, Copy, Default)]
struct Story {
    /// Bytes that the host has sent and the peer not acknowledged.
    sent: &'static [u8],
    /// The window is this small, and the application takes nothing of what has filled it.
    closed_window: Option<u32>,
    /// The time on the peer's clock, if there are timestamps.
    stamp: Option<u32>,
}

const TEN: &[u8] = b"0123456789";
const STAMP: u32 = 5_000;

impl Story {
    fn config(&self) -> ShardConfig {
        let mut config = plain_config();
        config.tcp.timestamps = self.stamp.is_some();
        if let Some(bytes) = self.closed_window {
            config.tcp.receive_buffer_bytes = bytes;
        }
        config
    }

    fn says(&self, host: &mut Host, s: Seg) {
        host.send(if let Some(stamp) = self.stamp { s.ts(stamp, 0) } else { s });
    }

    /// The host has had a SYN: the peer's next number is 101, the host's 301.
    fn half_open(&self) -> (Host, Machine) {
        let mut host = Host::server(self.config());
        self.says(&mut host, seg("S", 100, 0).mss(1460));
        host.expect("S.", 300, 101);
        let machine = Machine {
            state: State::SynReceived,
            passive: true,
            snd_una: 300,
            snd_nxt: 301,
            rcv_nxt: 101,
            rcv_wnd: self.closed_window.unwrap_or(65_535),
            ts_recent: self.stamp,
        };
        (host, machine)
    }

    fn accepted(&self) -> (Host, Machine) {
        let (mut host, mut machine) = self.half_open();
        self.says(&mut host, seg(".", 101, 301));
        (machine.state, machine.passive, machine.snd_una) = (State::Established, false, 301);
        if self.closed_window.is_some() {
            host.shard.app_mut().appetite = 0;
            self.says(&mut host, seg(".", 101, 301).data(vec![b'x'; machine.rcv_wnd as usize]));
            (machine.rcv_nxt, machine.rcv_wnd) = (machine.rcv_nxt + machine.rcv_wnd, 0);
        }
        if !self.sent.is_empty() {
            host.write(self.sent);
            machine.snd_nxt += self.sent.len() as u32;
        }
        host.out.clear();
        (host, machine)
    }

    /// The same in `state`.
    fn begin(&self, state: State) -> (Host, Machine) {
        use State::{CloseWait, Closing, Established, FinWait2, LastAck, SynReceived, TimeWait};
        if state == SynReceived {
            return self.half_open();
        }
        let (mut host, mut m) = self.accepted();
        let peers_fin = |host: &mut Host, m: &mut Machine| {
            self.says(host, seg("F.", m.rcv_nxt, m.snd_una));
            (m.rcv_nxt, m.rcv_wnd) = (m.rcv_nxt + 1, m.rcv_wnd - 1);
        };
        if matches!(state, CloseWait | LastAck) {
            peers_fin(&mut host, &mut m);
        }
        if !matches!(state, Established | CloseWait) {
            host.act(|c| c.shutdown());
            m.snd_nxt += 1;
        }
        if matches!(state, FinWait2 | TimeWait) {
            m.snd_una = m.snd_nxt;
            self.says(&mut host, seg(".", m.rcv_nxt, m.snd_nxt));
        }
        if matches!(state, Closing | TimeWait) {
            peers_fin(&mut host, &mut m);
        }
        host.pass(core::time::Duration::from_millis(50));
        host.out.clear();
        assert_eq!(host.state(), state);
        // The listener is there still.
        (m.state, m.passive) = (state, state == TimeWait);
        (host, m)
    }
}

#[test]
fn bytes_under_way_are_acknowledged_in_part_or_with_the_fin() {
    let story = Story { sent: TEN, ..Story::default() };
    for state in [State::Established, State::FinWait1, State::CloseWait, State::Closing, State::LastAck] {
        agree(|| story.begin(state), |s| s);
    }
}

#[test]
fn closed_window_lets_acks_resets_and_a_fin_through() {
    let story = Story { closed_window: Some(10), ..Story::default() };
    for state in [State::Established, State::FinWait1, State::FinWait2] {
        agree(|| story.begin(state), |s| s);
    }
}

#[test]
fn timestamps_decide_before_numbers_do() {
    let story = Story { stamp: Some(STAMP), ..Story::default() };
    for &state in knowing_the_peer() {
        for stamp in [STAMP + 7, STAMP, STAMP - 1] {
            agree(|| story.begin(state), |s| s.ts(stamp, 0));
        }
        agree(|| story.begin(state), |s| s);
    }
}

#[test]
fn other_bits_change_nothing() {
    let others = TcpFlags::PSH | TcpFlags::URG | TcpFlags::ECE | TcpFlags::CWR;
    for &state in knowing_the_peer() {
        agree(|| Story::default().begin(state), |s| Seg { flags: s.flags | others, ..s });
    }
}
