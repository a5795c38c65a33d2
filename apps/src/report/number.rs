//! Numbers for people.

/// `1234567` as `1,234,567`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Nanoseconds with three significant digits and the unit that suits: `850 ns`, `1.23 ms`, `12.0 s`.
pub fn time(ns: u64) -> String {
    let units = [(1e9, "s"), (1e6, "ms"), (1e3, "µs")];
    let v = ns as f64;
    // 999.5 of a unit would be printed as 1000 of it.
    match units.iter().find(|(scale, _)| v >= scale * 0.9995) {
        Some((scale, unit)) => format!("{} {unit}", significant(v / scale)),
        None => format!("{ns} ns"),
    }
}

/// Three significant digits, without an exponent.
pub fn significant(v: f64) -> String {
    if v < 9.995 {
        format!("{v:.2}")
    } else if v < 99.95 {
        format!("{v:.1}")
    } else {
        grouped(v.round() as u64)
    }
}

/// Bytes with a binary unit: `512 B`, `1.50 MiB`.
pub fn bytes(n: u64) -> String {
    scaled(n as f64, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB"])
}

/// Bits per second with a decimal unit: `9.41 Gbit/s`.
pub fn bits_per_second(v: f64) -> String {
    scaled(v, 1000.0, &["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"])
}

fn scaled(v: f64, step: f64, units: &[&str]) -> String {
    let mut v = v;
    let mut unit = 0;
    while v >= step * 0.9995 && unit + 1 < units.len() {
        v /= step;
        unit += 1;
    }
    if unit == 0 {
        format!("{} {}", grouped(v.round() as u64), units[0])
    } else {
        format!("{} {}", significant(v), units[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_come_in_groups_of_three() {
        for (n, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(n), text);
        }
    }

    #[test]
    fn times_and_sizes_choose_their_unit() {
        let times = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (12_345, "12.3 µs"),
            (999_999, "1.00 ms"),
            (123_456_789, "123 ms"),
            (90_000_000_000, "90.0 s"),
            (9_999_000, "10.0 ms"),
        ];
        for (ns, text) in times {
            assert_eq!(time(ns), text);
        }
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(1536 * 1024), "1.50 MiB");
        assert_eq!(bits_per_second(9.41e9), "9.41 Gbit/s");
        assert_eq!(bits_per_second(5.0), "5 bit/s");
    }
}
