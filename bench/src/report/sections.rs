//! Which figures of which bench go into the page.

use super::Section;
use super::chart::Chart;
use super::csv::{Csv, Group};
use std::collections::BTreeMap;

type Files = BTreeMap<String, Csv>;
type Make = fn(&Csv, &Files) -> Section;

/// Rows of a bench without a section of its own that are shown.
const OTHER_ROWS_MAX: usize = 60;
/// Files that are shown as part of another's section.
const PARTS: [&str; 2] = ["lifecycle-instructions", "micro-instructions"];

pub fn all(files: &Files) -> Vec<Section> {
    let own: [(&str, Make); 8] = [
        ("lifecycle", lifecycle),
        ("veth", |csv, _| super::veth::section(csv)),
        ("latency", latency),
        ("bulk", bulk),
        ("goodput", |csv, _| super::goodput::section(csv)),
        ("nic", nic),
        ("micro", micro),
        ("scale", |csv, _| super::many::scale(csv)),
    ];
    let mut sections: Vec<Section> =
        own.iter().filter_map(|(bench, section)| files.get(*bench).map(|csv| section(csv, files))).collect();
    let is_other = |bench: &str| !PARTS.contains(&bench) && own.iter().all(|(name, _)| *name != bench);
    sections.extend(files.iter().filter(|(bench, _)| is_other(bench)).map(|(bench, csv)| {
        if bench.starts_with("hold-") { super::many::hold(bench, csv) } else { other(bench, csv) }
    }));
    sections
}

/// A figure as people read it: three digits that count, thousands apart.
pub(super) fn figure(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    if value.abs() < 100.0 && value.fract() != 0.0 {
        let decimals = if value.abs() < 10.0 { 2 } else { 1 };
        return format!("{value:.decimals$}");
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 && digits.as_bytes()[i - 1] != b'-' {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

pub(super) fn source(csv: &Csv) -> String {
    let facts = ["cpu", "cores", "kernel", "load_average", "rustc", "commit", "date"];
    let told = facts.iter().filter(|name| !csv.fact(name).is_empty());
    let told: Vec<String> = told.map(|name| format!("{} {}", name.replace('_', " "), csv.fact(name))).collect();
    format!("[results/{}](results/{}): {}", csv.file, csv.file, told.join(" · "))
}

pub(super) fn strings(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

pub(super) fn bars(groups: &[Group], value: usize) -> Vec<(String, f64, String)> {
    let bar = |group: &Group| (group.keys.join(" "), group.medians[value], figure(group.medians[value]));
    groups.iter().map(bar).collect()
}

/// A section of medians: some columns that name a row, some whose medians are shown.
struct Medians<'a> {
    title: &'a str,
    text: &'a str,
    /// Column and heading.
    keys: &'a [(&'a str, &'a str)],
    values: &'a [(&'a str, &'a str)],
    /// Which of the values is drawn, and its name with the unit.
    drawn: (usize, &'a str),
}

impl Medians<'_> {
    fn section(&self, csv: &Csv, file: &str) -> Section {
        let keys: Vec<&str> = self.keys.iter().map(|(column, _)| *column).collect();
        let values: Vec<&str> = self.values.iter().map(|(column, _)| *column).collect();
        let groups = csv.groups(&keys, &values);
        let row = |g: &Group| g.keys.iter().cloned().chain(g.medians.iter().map(|v| figure(*v))).collect();
        Section {
            title: self.title.to_owned(),
            text: self.text.to_owned(),
            head: self.keys.iter().chain(self.values).map(|(_, heading)| (*heading).to_owned()).collect(),
            rows: groups.iter().map(row).collect(),
            chart: Some(Chart {
                file: file.to_owned(),
                title: self.drawn.1.to_owned(),
                bars: bars(&groups, self.drawn.0),
                logarithmic: false,
            }),
            source: source(csv),
        }
    }
}

fn lifecycle(csv: &Csv, files: &Files) -> Section {
    const KEYS: [&str; 5] = ["stack", "form", "family", "in_flight", "idle"];
    let counted = files.get("lifecycle-instructions").map(|csv| csv.groups(&KEYS, &["connections", "instructions"]));
    let instructions = |keys: &[String]| {
        let group = counted.as_ref()?.iter().find(|group| group.keys == keys)?;
        Some(group.medians[1] / group.medians[0])
    };
    // Rate from sums would hide a bad sample: the median of the samples' own times.
    let mut groups = csv.groups(&[KEYS.as_slice(), &["sample"]].concat(), &["connections", "seconds"]);
    let mut rates: Vec<(Vec<String>, Vec<f64>)> = Vec::new();
    for group in groups.drain(..) {
        let rate = group.medians[0] / group.medians[1];
        let key = group.keys[..KEYS.len()].to_vec();
        match rates.iter_mut().find(|(known, _)| *known == key) {
            Some((_, samples)) => samples.push(rate),
            None => rates.push((key, vec![rate])),
        }
    }
    let rates: Vec<(Vec<String>, f64)> =
        rates.into_iter().map(|(key, samples)| (key, crate::results::median(&samples))).collect();
    let other_stack = |keys: &[String]| {
        let theirs = |other: &&(Vec<String>, f64)| other.0[0] == "smoltcp" && other.0[1..] == keys[1..];
        rates.iter().find(theirs).map_or(f64::NAN, |other| other.1)
    };
    let row = |(keys, rate): &(Vec<String>, f64)| {
        let figures = [*rate, 1e9 / rate, instructions(keys).unwrap_or(f64::NAN), rate / other_stack(keys)];
        keys.iter().cloned().chain(figures.map(figure)).collect()
    };
    let bar = |(keys, rate): &(Vec<String>, f64)| {
        let label = format!("{} {} {} {} in flight {} idle", keys[0], keys[1], keys[2], keys[3], keys[4]);
        (label, *rate, figure(*rate))
    };
    Section {
        title: "Lifecycle".to_owned(),
        text: "Whole connections, both ends in one thread, joined in memory: SYN to TIME-WAIT, 100 bytes there, 200 back. \
               Instructions are those of both ends together (callgrind)."
            .to_owned(),
        head: strings(&[
            "stack",
            "form",
            "family",
            "in flight",
            "idle beside them",
            "connections/s",
            "ns each",
            "instructions each",
            "× smoltcp",
        ]),
        rows: rates.iter().map(row).collect(),
        chart: Some(Chart {
            file: "lifecycle.svg".to_owned(),
            title: "lifecycle: connections per second, both ends on one core".to_owned(),
            bars: rates.iter().map(bar).collect(),
            logarithmic: true,
        }),
        source: source(csv),
    }
}

fn micro(csv: &Csv, files: &Files) -> Section {
    let counted =
        files.get("micro-instructions").map(|csv| csv.groups(&["group", "case"], &["things", "instructions"]));
    let instructions = |keys: &[String]| {
        let group = counted.as_ref()?.iter().find(|group| group.keys == keys)?;
        Some(group.medians[1] / group.medians[0])
    };
    let groups = csv.groups(&["group", "case"], &["median_ns"]);
    let row = |g: &Group| {
        let figures = [g.medians[0], instructions(&g.keys).unwrap_or(f64::NAN)];
        g.keys.iter().cloned().chain(figures.map(figure)).collect()
    };
    let mut look_ups = csv.groups(&["group", "case"], &["median_ns"]);
    look_ups.retain(|group| group.keys[1].starts_with("look-up"));
    Section {
        title: "Small parts".to_owned(),
        text: "Median time (criterion) and instructions (callgrind) for one thing each: one buffer, one segment, one \
               connection looked up in random order, one timer. What prepares it is not counted."
            .to_owned(),
        head: strings(&["part", "case", "ns", "instructions"]),
        rows: groups.iter().map(row).collect(),
        chart: (!look_ups.is_empty()).then(|| Chart {
            file: "look-up.svg".to_owned(),
            title: "flow table: ns for each look-up in random order".to_owned(),
            bars: bars(&look_ups, 0),
            logarithmic: false,
        }),
        source: source(csv),
    }
}

fn latency(csv: &Csv, _: &Files) -> Section {
    let medians = Medians {
        title: "Latency over veth",
        text: "`scripts/bench-latency`: the same offered rate for all pairs, open loop; handshakes from the intended \
               start on, so that a late start counts; medians of the rounds, µs. *Load* says of which pair's own saturated \
               rate how much is offered; a pair that cannot do it shows failed or missed launches. `synfin --sleep`: both \
               ends sleep while nothing comes, where the others poll.",
        keys: &[("load", "load"), ("offered_per_second", "offered/s"), ("pair", "pair")],
        values: &[
            ("completed_per_second", "completed/s"),
            ("failed", "failed"),
            ("missed", "missed"),
            ("handshake_p50_us", "handshake p50"),
            ("handshake_p99_us", "p99"),
            ("request_p50_us", "request p50"),
            ("request_p99_us", "p99"),
        ],
        drawn: (3, "median handshake over veth, µs"),
    };
    let mut section = medians.section(csv, "latency.svg");
    if let Some(chart) = section.chart.as_mut() {
        chart.logarithmic = true;
    }
    section
}

fn bulk(csv: &Csv, _: &Files) -> Section {
    let medians = Medians {
        title: "Bulk over veth",
        text: "`scripts/bench-bulk`: Gbit/s of payload (raw: of whole frames), medians of the rounds. A dash: this kernel \
               or driver cannot do it, and the file says why.",
        keys: &[("contender", "contender"), ("mtu", "MTU"), ("connections", "connections"), ("direction", "direction")],
        values: &[("gbit_per_second", "Gbit/s"), ("share_of_raw", "÷ raw")],
        drawn: (0, "bulk over veth, Gbit/s"),
    };
    medians.section(csv, "bulk.svg")
}

fn nic(csv: &Csv, _: &Files) -> Section {
    let medians = Medians {
        title: "Over a network card",
        text: "`scripts/bench-nic`: `synfin load` against `synfin serve` over real devices.",
        keys: &[("interface", "interface"), ("driver", "driver"), ("workers", "workers"), ("io", "sockets")],
        values: &[
            ("completed_per_second", "connections/s"),
            ("failed", "failed"),
            ("retransmitted", "retransmitted"),
            ("handshake_p50_us", "handshake p50 µs"),
            ("handshake_p99_us", "p99 µs"),
        ],
        drawn: (0, "connections per second over a network card"),
    };
    medians.section(csv, "nic.svg")
}

/// As it is.
fn other(bench: &str, csv: &Csv) -> Section {
    let shown = &csv.rows()[..csv.rows().len().min(OTHER_ROWS_MAX)];
    let left_out = csv.rows().len() - shown.len();
    let mut title = bench.to_owned();
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    Section {
        title,
        text: if left_out > 0 { format!("{left_out} more rows are in the file.") } else { String::new() },
        head: csv.columns().iter().map(|column| column.replace('_', " ")).collect(),
        rows: shown.to_vec(),
        chart: None,
        source: source(csv),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_that_count_and_thousands_apart() {
        let table = [(0.123, "0.12"), (9.876, "9.88"), (55.55, "55.5"), (3.0, "3"), (123.4, "123"), (1234.0, "1,234")];
        for (value, text) in table {
            assert_eq!(figure(value), text);
        }
        assert_eq!(figure(12_345_678.0), "12,345,678");
        assert_eq!(figure(f64::NAN), "-");
    }

    #[test]
    fn lifecycle_joins_time_and_instructions_and_compares_with_smoltcp() {
        let head = "stack,form,family,in_flight,idle,";
        let time = format!(
            "{head}sample,connections,seconds\nsynfin,6,v4,1,0,0,100,0.1\nsynfin,6,v4,1,0,1,100,0.2\n\
             synfin,6,v4,1,0,2,100,0.2\nsmoltcp,6,v4,1,0,0,100,1\n"
        );
        let counted = format!("{head}connections,instructions\nsynfin,6,v4,1,0,10,5000\n");
        let files = Files::from([
            ("lifecycle".to_owned(), Csv::parse("a", &time)),
            ("lifecycle-instructions".to_owned(), Csv::parse("b", &counted)),
        ]);
        let sections = all(&files);
        assert_eq!(sections.len(), 1);
        assert_eq!(sections[0].rows[0][5..], ["500", "2,000,000", "500", "5"]);
        assert_eq!(sections[0].rows[1][5..], ["100", "10,000,000", "-", "1"]);
    }

    #[test]
    fn the_latency_of_every_pair_is_shown() {
        let head = "round,load,offered_per_second,pair,completed_per_second,handshake_p50_us";
        let rows = ["synfin,99,7", "synfin --sleep,98,9", "kernel,97,50"].map(|row| format!("1,10 %,100,{row}"));
        let csv = Csv::parse("l", &format!("{head}\n{}\n", rows.join("\n")));
        let section = latency(&csv, &Files::new());
        let shown: Vec<String> =
            section.rows.iter().map(|row| [&row[2], &row[3], &row[6]].map(|c| c.as_str()).join(" ")).collect();
        assert_eq!(shown, ["synfin 99 7", "synfin --sleep 98 9", "kernel 97 50"]);
        assert_eq!(section.chart.map(|chart| chart.bars.len()), Some(3));
    }

    #[test]
    fn a_bench_without_a_section_of_its_own_is_shown_as_it_is() {
        let files = Files::from([("new".to_owned(), Csv::parse("n", "step,live_connections\n1,5\n"))]);
        let sections = all(&files);
        assert_eq!((sections[0].title.as_str(), sections[0].head[1].as_str()), ("New", "live connections"));
        assert_eq!(sections[0].rows, [["1", "5"]]);
    }
}
