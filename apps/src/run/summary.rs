//! What all runs have in common at their end: workers are joined, and their numbers go into the report.

use super::{Runner, memory};
use crate::cli::NetArgs;
use crate::cli::net::Backend;
use crate::failure::Failure;
use crate::report::Report;
use crate::report::environment::Environment;
use crate::report::model::{MemorySection, Outcome, Packets, SteeringSection, WorkerSection, drops, events};
use crate::report::number::grouped;
use crate::setup::device::Guard;
use crate::setup::{BoxIo, Device, Site, Steering};
use std::time::{SystemTime, UNIX_EPOCH};
use synfin_engine::control::Snapshot;
use synfin_engine::io::PacketIo;
use synfin_engine::io::tap::PcapSink;
use synfin_engine::shard::App;
use synfin_engine::worker::Running;

/// What is known at the start.
pub struct Parts {
    environment: Environment,
    steering: Option<Steering>,
    notes: Vec<String>,
    pcap: Option<PcapSink>,
    started_unix_seconds: u64,
    resident_before_bytes: u64,
}

/// What is known at the end, the applications' own findings apart.
pub struct Facts {
    parts: Parts,
    workers: Vec<WorkerSection>,
    total: Snapshot,
}

pub struct Finished<A: App> {
    pub runners: Vec<Runner<A>>,
    pub total: Snapshot,
    pub facts: Facts,
}

impl Parts {
    pub fn new(site: &Site, net: &NetArgs, device: &Device, steering: Option<Steering>) -> Parts {
        let driver = site.interface.driver.clone().or_else(|| site.interface.kind.clone());
        let backend = match net.machine.backend {
            Backend::Xsk => "xsk",
            Backend::Afxdp => "afxdp",
        };
        let environment = Environment::new(
            site.interface.name.clone(),
            driver.unwrap_or_else(|| "unknown driver".into()),
            device.mtu,
            backend,
            device.mode.to_string(),
        );
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Parts {
            environment,
            steering,
            notes: device.notes.clone(),
            pcap: device.pcap.clone(),
            started_unix_seconds: now.as_secs(),
            resident_before_bytes: memory::resident_bytes(),
        }
    }

    pub fn resident_before_bytes(&self) -> u64 {
        self.resident_before_bytes
    }

    /// Stops the workers, takes the program off the device, and adds up.
    pub fn finish<A: App>(mut self, running: Running<Runner<A>, BoxIo>, guard: Guard) -> Result<Finished<A>, Failure> {
        let control = running.control().clone();
        control.stop();
        let finished =
            running.join().map_err(|e| Failure::new(e.to_string(), "Please report this with the command line."))?;
        let queues: Vec<String> = finished.iter().map(|f| f.io.describe()).collect();
        // Taps write out what they hold when they go; the program goes before its sockets.
        drop(guard);
        let runners: Vec<Runner<A>> = finished.into_iter().map(|f| f.engine).collect();
        let described = queues.into_iter().zip(&runners).enumerate();
        let workers = described.map(|(n, (q, r))| WorkerSection::of(n, q, &control.snapshot(n), r.usage())).collect();
        let total = control.total();
        self.notes.extend(hints(&total));
        if let Some(pcap) = &self.pcap {
            self.notes.extend(pcap.error().map(|e| format!("the recording broke off: {e}")));
        }
        Ok(Finished { runners, total: total.clone(), facts: Facts { parts: self, workers, total } })
    }
}

/// What the numbers say to somebody who knows the device.
fn hints(total: &Snapshot) -> Vec<String> {
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
    if drops.dropped(synfin_engine::base::DropReason::TcpChecksumBad) > 0 {
        hints.push(
            "segments came with a wrong checksum: a kernel on the other end of a veth pair leaves it out; switch that \
             off there (ethtool -K PEER tx off), or use --no-verify-checksums"
                .to_owned(),
        );
    }
    hints
}

impl Facts {
    /// The report, its `load` or `serve` section still to be filled in.
    pub fn report(self, command: &'static str, seconds: f64, connections: u64, outcome: Outcome) -> Report {
        let counters = &self.total.counters;
        let steering = self.parts.steering;
        let steering = steering.map(|s| SteeringSection::of(s.policy.name(), s.reason, &self.total));
        Report {
            command,
            arguments: std::env::args().collect(),
            started_unix_seconds: self.parts.started_unix_seconds,
            seconds,
            outcome,
            load: None,
            serve: None,
            packets: Packets::of(counters, connections, seconds),
            drops: drops(counters),
            events: events(counters),
            steering,
            workers: self.workers,
            memory: MemorySection {
                resident_before_bytes: self.parts.resident_before_bytes,
                resident_peak_bytes: memory::resident_peak_bytes(),
            },
            environment: self.parts.environment,
            notes: self.parts.notes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use synfin_engine::base::DropReason;

    #[test]
    fn lost_frames_are_explained_by_what_lost_them() {
        let mut s = Snapshot::default();
        assert!(hints(&s).is_empty());
        (s.io.kernel_rx_dropped, s.io.kernel_fill_ring_empty) = (7, 7);
        assert!(matches!(&hints(&s)[..], [one] if one.starts_with("7 frames came faster")));
        s.io.kernel_rx_dropped = 9;
        assert!(hints(&s)[1].starts_with("2 frames were too large"));
        s.counters.drop(DropReason::TcpChecksumBad);
        assert!(hints(&s)[2].contains("--no-verify-checksums"));
    }
}
