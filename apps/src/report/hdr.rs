//! Latencies whole, for other tools and to be added to those of other runs: an interval log of HdrHistogram (V2,
//! compressed) with a line for each measure, tagged with its name, in nanoseconds.

use super::file::Destination;
use super::model::{LoadSection, Report};
use crate::failure::Failure;
use crate::load::latency::Measure;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use std::io;
use std::time::{Duration, UNIX_EPOCH};

pub const OPTION: &str = "--hdr";

pub fn write(report: &Report, place: Destination) -> Result<(), Failure> {
    let Some(load) = &report.load else { return Ok(()) };
    let text = log(load, report.started_unix_seconds).map_err(|e| place.cannot_write(&e))?;
    place.write(&text)
}

fn log(load: &LoadSection, started_unix_seconds: u64) -> io::Result<String> {
    let start = UNIX_EPOCH + Duration::from_secs(started_unix_seconds);
    let (mut bytes, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
    let mut writer = IntervalLogWriterBuilder::new()
        .add_comment("[Histogram log format version 1.3]")
        .add_comment("synfin load: nanoseconds, a tag for each measure")
        .with_start_time(start)
        .with_base_time(start)
        .begin_log_with(&mut bytes, &mut serializer)?;
    writer
        .write_comment("\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"")?;
    let (from, lasts) = (Duration::from_secs_f64(load.warmup_seconds), Duration::from_secs_f64(load.active_seconds));
    for measure in Measure::ALL.into_iter().filter(|m| !load.histograms.of(*m).is_empty()) {
        let written = writer.write_histogram(load.histograms.of(measure), from, lasts, Tag::new(measure.name()));
        written.map_err(|e| io::Error::other(e.to_string()))?;
    }
    String::from_utf8(bytes).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::text::tests::report;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    #[test]
    fn what_was_measured_is_read_back_whole_under_its_name() {
        let load = report().load.expect("a run of load");
        let text = log(&load, 1_700_000_000).expect("a log");
        assert!(text.contains("#[StartTime: 1700000000.000 (seconds since epoch)]\n"), "{text}");
        let entries: Vec<_> = IntervalLogIterator::new(text.as_bytes()).map(|e| e.expect("an entry")).collect();
        let lines: Vec<_> = entries
            .iter()
            .filter_map(|entry| if let LogEntry::Interval(line) = entry { Some(line) } else { None })
            .collect();
        assert_eq!(lines.len(), 1, "handshakes, and nothing else was measured");
        assert_eq!(lines[0].tag().map(|t| t.as_str()), Some("handshake"));
        assert_eq!(
            (lines[0].start_timestamp(), lines[0].duration()),
            (Duration::from_millis(500), Duration::from_secs(2))
        );
        let bytes = base64_of(lines[0].encoded_histogram());
        let read = Deserializer::new().deserialize::<u64, _>(&mut &*bytes).expect("a histogram");
        assert_eq!(&read, load.histograms.of(Measure::Handshake));
    }

    /// Decodes, for there is no decoder of our own.
    fn base64_of(text: &str) -> Vec<u8> {
        const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let value = |c: u8| DIGITS.iter().position(|d| *d == c).expect("a digit") as u32;
        let digits: Vec<u32> = text.bytes().filter(|c| *c != b'=').map(value).collect();
        let group = |four: &[u32]| {
            let bits = four.iter().enumerate().fold(0, |bits, (i, d)| bits | d << (26 - 6 * i));
            bits.to_be_bytes()[..four.len() * 6 / 8].to_vec()
        };
        digits.chunks(4).flat_map(group).collect()
    }
}
