//! What the numbers of a run say to somebody who knows machine and device.

use crate::report::model::{WorkerSection, ratio};
use crate::report::number::grouped;
use synfin_engine::base::DropReason;
use synfin_engine::control::Snapshot;

/// A worker with less idle time than this has had no time to spare.
const IDLE_PERCENT_MIN: f64 = 5.0;
/// Waiting for a processor for longer than this shows in latencies.
const WAITED_PERCENT_MAX: f64 = 5.0;

/// Whether the machine that measures has become part of what is measured.
pub fn of_worker(w: &WorkerSection, command: &str, seconds: f64) -> Vec<String> {
    let mut hints = Vec::new();
    let waited = ratio(w.waited_seconds * 100.0, seconds);
    if waited > WAITED_PERCENT_MAX {
        hints.push(format!(
            "worker {} waited {waited:.0} % of the time for a processor that other programs had: its latencies and what it \
             missed are this machine's too; give it a core of its own (--cores), or stop what else runs here",
            w.worker
        ));
    }
    if w.busy_turns > 0 && w.time_percent.idle < IDLE_PERCENT_MIN {
        let whose = match command {
            "load" => {
                "the figures are the generator's limit, perhaps not the target's: use more --workers, or offer less"
            }
            _ => "this end is at its limit: use more --workers",
        };
        hints.push(format!("worker {} was busy {:.0} % of the time: {whose}", w.worker, 100.0 - w.time_percent.idle));
    }
    hints
}

/// Frames that were lost, and why.
pub fn of_frames(total: &Snapshot) -> Vec<String> {
    let io = &total.io;
    let mut hints = Vec::new();
    let no_room = io.kernel_fill_ring_empty + io.kernel_rx_ring_full;
    if no_room > 0 {
        hints.push(format!(
            "{} frames came faster than they were taken, and were lost: give each worker a core of its own, use more \
             workers, or ask for less at a time",
            grouped(no_room)
        ));
    }
    let shed = total.counters.dropped(DropReason::SynShed);
    if shed > 0 {
        hints.push(format!(
            "{} SYNs were turned away, since more had come than was handled in time: what was under way went on, and who \
             was turned away asks again after a second; use more workers, or offer less",
            grouped(shed)
        ));
    }
    // The kernel counts frames that found no room as dropped, too.
    let too_large = io.kernel_rx_dropped.saturating_sub(no_room) + io.rx_fragmented;
    if too_large > 0 {
        hints.push(format!(
            "{} frames were too large for a piece of packet memory, and were lost: switch off GRO here and TSO and GSO \
             at the peer (ethtool -K DEV gro off tso off gso off)",
            grouped(too_large)
        ));
    }
    let drops = &total.counters;
    if drops.dropped(DropReason::TcpChecksumBad) > 0 {
        hints.push(
            "segments came with a wrong checksum: a kernel on the other end of a veth pair leaves it out; switch that \
             off there (ethtool -K PEER tx off), or use --no-verify-checksums"
                .to_owned(),
        );
    }
    hints
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::{Cost, TimePercent};

    #[test]
    fn lost_frames_are_explained_by_what_lost_them() {
        let mut s = Snapshot::default();
        assert!(of_frames(&s).is_empty());
        (s.io.kernel_rx_dropped, s.io.kernel_fill_ring_empty) = (7, 7);
        assert!(matches!(&of_frames(&s)[..], [one] if one.starts_with("7 frames came faster")));
        s.io.kernel_rx_dropped = 9;
        assert!(of_frames(&s)[1].starts_with("2 frames were too large"));
        s.counters.drop(DropReason::TcpChecksumBad);
        assert!(of_frames(&s)[2].contains("--no-verify-checksums"));
        s.counters.drop(DropReason::SynShed);
        assert!(of_frames(&s)[1].starts_with("1 SYNs were turned away"));
    }

    #[test]
    fn a_worker_without_time_to_spare_or_without_a_processor_is_named() {
        let worker = |idle: f64, waited_seconds: f64| WorkerSection {
            busy_turns: 7,
            waited_seconds,
            time_percent: TimePercent { idle, ..TimePercent::default() },
            ..WorkerSection::of(3, String::new(), &Snapshot::default(), Cost::default())
        };
        assert!(of_worker(&worker(50.0, 0.1), "load", 10.0).is_empty());
        let busy = of_worker(&worker(2.0, 0.0), "load", 10.0);
        assert!(busy.len() == 1 && busy[0].starts_with("worker 3 was busy 98 % of the time: the figures are the"));
        let starved = of_worker(&worker(50.0, 4.0), "serve", 10.0);
        assert!(starved.len() == 1 && starved[0].starts_with("worker 3 waited 40 % of the time for a processor"));
    }
}
