//! The section of `scripts/bench-veth`.

use super::Section;
use super::chart::Chart;
use super::csv::{Csv, Group};
use super::sections::{bars, figure, source, strings};
use crate::results::median;

pub fn section(csv: &Csv) -> Section {
    let groups = csv.groups(&["contender"], &["per_second", "frames_each", "failures"]);
    let row = |g: &Group| {
        let (name, mode) = (&*g.keys[0], g.keys[0].rsplit('-').next().unwrap_or(""));
        let [per_second, frames, failures] = [0, 1, 2].map(|i| g.medians[i]);
        let is_raw = name.starts_with("raw");
        let but_raw = |value: f64| if is_raw { f64::NAN } else { value };
        let (of_kernel, of_raw) = (ratio(csv, name, "kernel"), frames * ratio(csv, name, &format!("raw-{mode}")));
        let figures = [per_second, but_raw(frames), failures, but_raw(of_kernel), but_raw(of_raw)];
        std::iter::once(name.to_owned()).chain(figures.map(figure)).collect()
    };
    Section {
        title: "Over veth".to_owned(),
        text: "`scripts/bench-veth`: all contenders in turn, one core a side, medians of the rounds; ratios are medians of the \
               rounds' own, since a machine's speed varies from minute to minute. Raw: frames of both directions together; all \
               others: connections."
            .to_owned(),
        head: strings(&["contender", "per second", "frames each", "failures", "÷ kernel", "÷ raw"]),
        rows: groups.iter().map(row).collect(),
        chart: Some(Chart {
            file: "veth.svg".to_owned(),
            title: "over veth: connections (raw: frames) per second".to_owned(),
            bars: bars(&groups, 0),
            logarithmic: true,
        }),
        source: source(csv),
    }
}

/// Median, over the rounds in which both ran, of one contender's rate divided by another's; NaN without any.
fn ratio(csv: &Csv, name: &str, other: &str) -> f64 {
    let rates = |contender: &str| -> Vec<(&str, f64)> {
        let rows = csv.rows().iter().filter(|row| csv.cell(row, "contender") == contender);
        rows.filter_map(|row| Some((csv.cell(row, "round"), csv.cell(row, "per_second").parse().ok()?))).collect()
    };
    let others = rates(other);
    let of_round = |round: &str| others.iter().find(|(theirs, rate)| *theirs == round && *rate > 0.0);
    let ratios: Vec<f64> =
        rates(name).iter().filter_map(|(round, rate)| of_round(round).map(|(_, other)| rate / other)).collect();
    if ratios.is_empty() { f64::NAN } else { median(&ratios) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_each_round() {
        // A machine that is twice as fast in the second round, and an engine that is not, for once, in the third.
        let csv = Csv::parse(
            "v",
            "round,contender,frames_each,per_second,failures\n1,raw-skb,1,1200,0\n1,engine-skb,6,100,0\n1,kernel,,10,0\n\
             2,raw-skb,1,2400,0\n2,engine-skb,6,200,0\n2,kernel,,20,0\n3,raw-skb,1,2400,0\n3,engine-skb,6,40,0\n",
        );
        let rows = section(&csv).rows;
        assert_eq!(rows[0], ["raw-skb", "2,400", "-", "0", "-", "-"]);
        assert_eq!(rows[1], ["engine-skb", "100", "6", "0", "10", "0.50"]);
        assert_eq!(rows[2][4..], ["1", "-"]);
        assert!(ratio(&csv, "engine-skb", "raw-native").is_nan());
    }
}
