//! What `--fault` says: `loss=0.01,dup=0.1%,rx.delay=2ms` and so on.
//!
//! A list of `name=value`, separated by commas. A name counts for both directions, `rx.name` for received frames
//! and `tx.name` for sent ones. Later ones win.

use crate::io::sim::Impairment;
use core::fmt;
use core::str::FromStr;
use core::time::Duration;

/// The faults of both directions.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct FaultSpec {
    pub rx: Impairment,
    pub tx: Impairment,
    /// Decides the dice; `None`: the run's own seed.
    pub seed: Option<u64>,
}

/// One sentence about what is wrong with a specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultSpecError(String);

impl fmt::Display for FaultSpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FaultSpecError {}

fn error<T>(text: String) -> Result<T, FaultSpecError> {
    Err(FaultSpecError(text))
}

/// The names, for help texts.
pub const FAULT_NAMES: &str = "loss, dup, reorder, reorder-frames, reorder-delay, corrupt, corrupt-bits, delay, \
                               jitter, mark, rate, queue, seed";

impl FromStr for FaultSpec {
    type Err = FaultSpecError;

    fn from_str(text: &str) -> Result<FaultSpec, FaultSpecError> {
        let mut spec = FaultSpec::default();
        for part in text.split(',').map(str::trim) {
            let Some((name, value)) = part.split_once('=') else {
                return error(format!("fault `{part}` has no value: write it as name=value, for example loss=0.01"));
            };
            let (name, value) = (name.trim(), value.trim());
            if name == "seed" {
                spec.seed = Some(whole_number(name, value)?);
            } else if let Some(name) = name.strip_prefix("rx.") {
                set(&mut spec.rx, name, value)?;
            } else if let Some(name) = name.strip_prefix("tx.") {
                set(&mut spec.tx, name, value)?;
            } else {
                set(&mut spec.rx, name, value)?;
                set(&mut spec.tx, name, value)?;
            }
        }
        Ok(spec)
    }
}

/// Changes one direction as a list of `name=value` says, the names without a prefix.
pub fn apply(spec: &mut Impairment, list: &str) -> Result<(), FaultSpecError> {
    list.split(',').map(str::trim).try_for_each(|part| match part.split_once('=') {
        Some((name, value)) => set(spec, name.trim(), value.trim()),
        None => error(format!("fault `{part}` has no value: write it as name=value, for example loss=0.01")),
    })
}

fn set(spec: &mut Impairment, name: &str, value: &str) -> Result<(), FaultSpecError> {
    match name {
        "loss" => spec.loss = share(name, value)?,
        "dup" => spec.duplicate = share(name, value)?,
        "reorder" => spec.reorder = share(name, value)?,
        "reorder-frames" => spec.reorder_frames = whole_number(name, value)?,
        "reorder-delay" => spec.reorder_delay = duration(name, value)?,
        "corrupt" => spec.corrupt = share(name, value)?,
        "corrupt-bits" => {
            spec.corrupt_bits_max = whole_number(name, value)?;
            if spec.corrupt_bits_max == 0 {
                return error("fault corrupt-bits=0 corrupts nothing: give at least 1".to_owned());
            }
        }
        "delay" => spec.delay = duration(name, value)?,
        "mark" => spec.mark = share(name, value)?,
        "jitter" => spec.jitter = duration(name, value)?,
        "rate" => spec.rate_bits_per_s = rate(name, value)?,
        "queue" => spec.queue_bytes = size_bytes(name, value)?,
        _ => return error(format!("fault `{name}` is not known: it is one of {FAULT_NAMES}")),
    }
    Ok(())
}

/// `0.01` or `1%`.
fn share(name: &str, value: &str) -> Result<f64, FaultSpecError> {
    let (digits, scale) = match value.strip_suffix('%') {
        Some(digits) => (digits, 0.01),
        None => (value, 1.0),
    };
    match digits.parse::<f64>().map(|v| v * scale) {
        Ok(p) if (0.0..=1.0).contains(&p) => Ok(p),
        _ => error(format!("fault {name}={value} is no share: give a number from 0 to 1, or from 0% to 100%")),
    }
}

fn whole_number<T: FromStr>(name: &str, value: &str) -> Result<T, FaultSpecError> {
    match value.parse() {
        Ok(n) => Ok(n),
        Err(_) => error(format!("fault {name}={value} is no whole number (or too large a one)")),
    }
}

/// A number directly followed by one of the units, in its smallest unit.
fn with_unit(value: &str, units: &[(&str, f64)]) -> Option<f64> {
    let split = value.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(value.len());
    let (digits, unit) = value.split_at(split);
    let scale = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1;
    let number: f64 = digits.parse().ok()?;
    let scaled = number * scale;
    (scaled < 1e18).then_some(scaled)
}

fn duration(name: &str, value: &str) -> Result<Duration, FaultSpecError> {
    match with_unit(value, &[("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9)]) {
        Some(ns) => Ok(Duration::from_nanos(ns as u64)),
        None => error(format!("fault {name}={value} is no time: give a number with ns, us, ms or s, like 2ms")),
    }
}

fn rate(name: &str, value: &str) -> Result<u64, FaultSpecError> {
    match with_unit(value, &[("", 1.0), ("bit", 1.0), ("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9)]) {
        Some(bits) if bits >= 1.0 => Ok(bits as u64),
        _ => error(format!("fault {name}={value} is no rate: give bits per second, like 100mbit or 2.5gbit")),
    }
}

fn size_bytes(name: &str, value: &str) -> Result<u64, FaultSpecError> {
    match with_unit(value, &[("", 1.0), ("k", 1024.0), ("m", 1024.0 * 1024.0)]) {
        Some(bytes) if bytes >= 1.0 => Ok(bytes as u64),
        _ => error(format!("fault {name}={value} is no size: give bytes, or a number with k or m, like 64k")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_counts_for_both_directions_and_a_prefix_for_one() {
        let spec: FaultSpec = "loss=0.01, rx.dup=5%,tx.delay=2ms,seed=7".parse().unwrap();
        assert_eq!((spec.rx.loss, spec.tx.loss), (0.01, 0.01));
        assert_eq!((spec.rx.duplicate, spec.tx.duplicate), (0.05, 0.0));
        assert_eq!((spec.rx.delay, spec.tx.delay), (Duration::ZERO, Duration::from_millis(2)));
        assert_eq!(spec.seed, Some(7));
    }

    #[test]
    fn a_list_for_one_direction_knows_neither_seed_nor_prefix_and_later_values_win() {
        let mut spec = Impairment { loss: 0.5, ..Impairment::default() };
        apply(&mut spec, "loss=1%, delay=2ms,loss=2%").unwrap();
        assert_eq!((spec.loss, spec.delay), (0.02, Duration::from_millis(2)));
        for wrong in ["seed=1", "rx.loss=1%", "loss", ""] {
            assert!(apply(&mut spec, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_name_of_the_list_is_understood_and_changes_something() {
        let values = ["0.5", "0.5", "0.5", "9", "9ms", "0.5", "9", "9us", "9ns", "0.5", "9.5Gbit", "9k", "9"];
        let names: Vec<&str> = FAULT_NAMES.split(", ").collect();
        assert_eq!(names.len(), values.len());
        for (name, value) in names.iter().zip(values) {
            let spec: FaultSpec = format!("{name}={value}").parse().unwrap();
            assert_ne!(spec, FaultSpec::default(), "{name}");
        }
        let spec: FaultSpec = "rate=9.5Gbit,queue=9k".parse().unwrap();
        assert_eq!((spec.rx.rate_bits_per_s, spec.tx.queue_bytes), (9_500_000_000, 9216));
    }

    #[test]
    fn mistakes_are_named_in_a_sentence() {
        let cases = [
            ("", "has no value"),
            ("loss", "has no value"),
            ("los=1", "`los` is not known"),
            ("rx.seed=1", "`seed` is not known"),
            ("loss=1.5", "is no share"),
            ("loss=-0.1", "is no share"),
            ("dup=NaN", "is no share"),
            ("corrupt=101%", "is no share"),
            ("corrupt-bits=0", "at least 1"),
            ("reorder-frames=-1", "no whole number"),
            ("delay=5", "is no time"),
            ("delay=fast", "is no time"),
            ("jitter=1e400s", "is no time"),
            ("rate=0", "is no rate"),
            ("rate=10mb", "is no rate"),
            ("queue=1g", "is no size"),
            ("seed=x", "no whole number"),
        ];
        for (text, sentence) in cases {
            let e = text.parse::<FaultSpec>().expect_err(text).to_string();
            assert!(e.contains(sentence), "{text}: {e}");
        }
    }
}
