//! What all runs have in common at their end: workers are joined, and their numbers go into the report.

use super::record::Recorded;
use super::{Runner, hints, memory};
use crate::cli::NetArgs;
use crate::cli::net::Backend;
use crate::failure::Failure;
use crate::live::Row;
use crate::report::Report;
use crate::report::environment::Environment;
use crate::report::model::{MemorySection, Outcome, Packets, SteeringSection, WorkerSection, drops, events};
use crate::report::number::{bytes, grouped};
use crate::setup::device::{Guard, PCAP_BYTES_MAX};
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
    series: Vec<Row>,
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
        let workers: Vec<WorkerSection> =
            described.map(|(n, (q, r))| WorkerSection::of(n, q, &control.snapshot(n), r.cost())).collect();
        let total = control.total();
        self.notes.extend(hints::of_frames(&total));
        if let Some(pcap) = &self.pcap {
            self.notes.extend(recording_note(pcap.missing_frames(), pcap.error()));
        }
        Ok(Finished { runners, total: total.clone(), facts: Facts { parts: self, workers, total, series: Vec::new() } })
    }
}

impl Facts {
    /// The run over time.
    pub fn add_recorded(&mut self, recorded: Recorded) {
        self.series = recorded.rows;
        self.parts.notes.extend(recorded.notes);
    }

    /// The report, its `load` or `serve` section still to be filled in. `seconds`: of the whole run, and from the first
    /// connection to the end of the last.
    pub fn report(
        self,
        command: &'static str,
        (seconds, active_seconds): (f64, f64),
        connections: u64,
        outcome: Outcome,
    ) -> Report {
        let counters = &self.total.counters;
        let mut notes = self.parts.notes;
        notes.extend(self.workers.iter().flat_map(|w| hints::of_worker(w, command, seconds)));
        let steering = self.parts.steering;
        let steering = steering.map(|s| SteeringSection::of(s.policy.name(), s.reason, &self.total));
        Report {
            command,
            arguments: std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect(),
            started_unix_seconds: self.parts.started_unix_seconds,
            seconds,
            outcome,
            load: None,
            serve: None,
            search: None,
            packets: Packets::of(counters, connections, active_seconds),
            drops: drops(counters),
            events: events(counters),
            steering,
            workers: self.workers,
            memory: MemorySection {
                resident_before_bytes: self.parts.resident_before_bytes,
                resident_peak_bytes: memory::resident_peak_bytes(),
            },
            environment: self.parts.environment,
            notes,
            series: self.series,
        }
    }
}

/// What is not in the recording, and why.
fn recording_note(missing_frames: u64, error: Option<String>) -> Option<String> {
    let why = error.unwrap_or_else(|| format!("it has reached {}", bytes(PCAP_BYTES_MAX)));
    (missing_frames > 0).then(|| format!("{} frames are missing in the recording: {why}", grouped(missing_frames)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_that_is_not_whole_says_how_much_is_missing_and_why() {
        assert_eq!(recording_note(0, None), None);
        let full = recording_note(1234, None);
        assert_eq!(full.as_deref(), Some("1,234 frames are missing in the recording: it has reached 64.0 GiB"));
        let broken = recording_note(1, Some("no space left".into()));
        assert_eq!(broken.as_deref(), Some("1 frames are missing in the recording: no space left"));
    }
}
