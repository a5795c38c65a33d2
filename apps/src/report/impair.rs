//! What a link has done: as data, which is the JSON file, and as text.

use super::environment::{COMMIT, VERSION};
use super::number::{bits_per_second, bytes, grouped, significant, time};
use super::paint::Paint;
use crate::impair::Traffic;
use serde::Serialize;
use synfin_engine::io::sim::Impairment;

/// The whole report.
#[derive(Clone, Debug, Serialize)]
pub struct ImpairReport {
    pub command: &'static str,
    pub version: &'static str,
    pub commit: &'static str,
    pub machine: String,
    pub seconds: f64,
    pub seed: u64,
    /// From a to b, and from b to a.
    pub directions: [Direction; 2],
    /// Longest time for which nobody looked at the devices, beyond what was meant: packets waited unseen.
    pub pause_max_ns: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Direction {
    pub from: String,
    pub to: String,
    pub asked: Asked,
    pub came: Count,
    pub delivered: Count,
    pub delivered_bits_per_second: f64,
    pub lost: u64,
    pub queue_dropped: u64,
    pub reordered: u64,
    pub duplicated: u64,
    pub corrupted: u64,
    /// Lost without having been asked to: the device or this program could not keep up.
    pub missed: u64,
    pub late_max_ns: u64,
    pub late_mean_ns: f64,
    pub late_over_1ms: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Count {
    pub packets: u64,
    pub bytes: u64,
}

impl From<Traffic> for Count {
    fn from(t: Traffic) -> Count {
        Count { packets: t.packets, bytes: t.bytes }
    }
}

/// Shares are from 0 to 1.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Asked {
    pub loss: f64,
    pub reorder: f64,
    pub reorder_frames: u32,
    pub duplicate: f64,
    pub corrupt: f64,
    pub delay_ns: u64,
    pub jitter_ns: u64,
    pub rate_bits_per_second: u64,
    pub queue_bytes: u64,
}

impl From<&Impairment> for Asked {
    fn from(spec: &Impairment) -> Asked {
        Asked {
            loss: spec.loss,
            reorder: spec.reorder,
            reorder_frames: spec.reorder_frames,
            duplicate: spec.duplicate,
            corrupt: spec.corrupt,
            delay_ns: spec.delay.as_nanos() as u64,
            jitter_ns: spec.jitter.as_nanos() as u64,
            rate_bits_per_second: spec.rate_bits_per_s,
            queue_bytes: spec.queue_bytes,
        }
    }
}

impl Asked {
    fn text(&self) -> String {
        let percent = |name: &str, share: f64| (share > 0.0).then(|| format!("{name} {:.4}", share * 100.0));
        let trimmed = |text: String| format!("{} %", text.trim_end_matches('0').trim_end_matches('.'));
        let shares = [
            percent("loss", self.loss),
            percent("reorder", self.reorder),
            percent("dup", self.duplicate),
            percent("corrupt", self.corrupt),
        ];
        let duration = |name: &str, ns: u64| (ns > 0).then(|| format!("{name} {}", time(ns)));
        let rate = (self.rate_bits_per_second > 0).then(|| {
            format!("rate {}, queue {}", bits_per_second(self.rate_bits_per_second as f64), bytes(self.queue_bytes))
        });
        let rest = [duration("delay", self.delay_ns), duration("jitter", self.jitter_ns), rate];
        let parts: Vec<String> = shares.into_iter().flatten().map(trimmed).chain(rest.into_iter().flatten()).collect();
        if parts.is_empty() { "no impairment".to_owned() } else { parts.join(", ") }
    }
}

impl ImpairReport {
    pub fn new(seconds: f64, seed: u64, directions: [Direction; 2], pause_max_ns: u64) -> ImpairReport {
        let machine = synfin_engine::io::sys::environment().to_string();
        let (command, version, commit) = ("impair", VERSION, COMMIT);
        ImpairReport { command, version, commit, machine, seconds, seed, directions, pause_max_ns }
    }

    /// For people, with a line end.
    pub fn text(&self, paint: Paint) -> String {
        let mut lines: Vec<String> = self.directions.iter().flat_map(|d| d.lines(paint)).collect();
        let line = |title: &str, text: String| format!("{}{text}", paint.bold(&format!("{title:14}")));
        lines.push(line(
            "link",
            format!("{:.2} s · seed {} · longest pause {}", self.seconds, self.seed, time(self.pause_max_ns)),
        ));
        lines.push(line("environment", self.machine.clone()));
        lines.push(format!("{:14}synfin {} ({})", "", self.version, self.commit));
        lines.push(String::new());
        lines.join("\n")
    }
}

impl Direction {
    fn lines(&self, paint: Paint) -> [String; 5] {
        let count = |name: &str, n: u64| format!("{name} {}", grouped(n));
        let share = if self.came.packets > 0 { 100.0 * self.lost as f64 / self.came.packets as f64 } else { 0.0 };
        let lost = format!("lost {} ({} %)", grouped(self.lost), significant(share));
        let mut fates = vec![
            lost,
            count("queue drops", self.queue_dropped),
            count("reordered", self.reordered),
            count("duplicated", self.duplicated),
            count("corrupted", self.corrupted),
        ];
        if self.missed > 0 {
            fates.push(paint.red(&count("missed (too slow)", self.missed)));
        }
        [
            format!("{}  {}", paint.bold(&format!("{} → {}", self.from, self.to)), self.asked.text()),
            format!(
                "{:14}came {} packets, {} · delivered {}, {} ({})",
                "",
                grouped(self.came.packets),
                bytes(self.came.bytes),
                grouped(self.delivered.packets),
                bytes(self.delivered.bytes),
                bits_per_second(self.delivered_bits_per_second)
            ),
            format!("{:14}{}", "", fates.join(" · ")),
            format!(
                "{:14}late: {} at most, {} on average, {} packets by more than 1 ms",
                "",
                time(self.late_max_ns),
                time(self.late_mean_ns as u64),
                grouped(self.late_over_1ms)
            ),
            String::new(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direction(spec: &Impairment) -> Direction {
        Direction {
            from: "v0".into(),
            to: "v1".into(),
            asked: spec.into(),
            came: Count { packets: 2000, bytes: 2_097_152 },
            delivered: Count { packets: 1980, bytes: 2_076_180 },
            delivered_bits_per_second: 1.66e6,
            lost: 20,
            queue_dropped: 0,
            reordered: 3,
            duplicated: 0,
            corrupted: 0,
            missed: 0,
            late_max_ns: 120_000,
            late_mean_ns: 3200.0,
            late_over_1ms: 0,
        }
    }

    #[test]
    fn the_text_says_what_was_asked_for_and_what_came_of_it() {
        let mut spec = Impairment { loss: 0.01, ..Impairment::default() };
        (spec.delay, spec.rate_bits_per_s) = (std::time::Duration::from_millis(5), 100_000_000);
        let back = Direction { missed: 7, ..direction(&Impairment::default()) };
        let text = ImpairReport::new(10.0, 7, [direction(&spec), back], 250_000).text(Paint::PLAIN);
        for want in [
            "v0 → v1  loss 1 %, delay 5.00 ms, rate 100 Mbit/s, queue 256 KiB\n",
            "came 2,000 packets, 2.00 MiB · delivered 1,980, 1.98 MiB (1.66 Mbit/s)\n",
            "lost 20 (1.00 %) · queue drops 0 · reordered 3 · duplicated 0 · corrupted 0\n",
            "late: 120 µs at most, 3.20 µs on average, 0 packets by more than 1 ms\n",
            "v0 → v1  no impairment\n",
            "missed (too slow) 7",
            "link          10.00 s · seed 7 · longest pause 250 µs\n",
        ] {
            assert!(text.contains(want), "{want:?} is missing in {text}");
        }
    }

    #[test]
    fn the_file_names_units_and_keeps_directions_apart() {
        let report =
            ImpairReport::new(1.0, 7, [direction(&Impairment::default()), direction(&Impairment::default())], 9);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["directions"][1]["came"]["bytes"], 2_097_152);
        assert_eq!(json["directions"][0]["late_max_ns"], 120_000);
        assert_eq!(json["pause_max_ns"], 9);
    }
}
