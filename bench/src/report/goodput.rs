//! The section of `scripts/bench-goodput`.

use super::Section;
use super::chart::Chart;
use super::csv::{Csv, Group};
use super::sections::{figure, source, strings};

/// What the others are compared with.
const BASE: &str = "kernel-kernel";

pub fn section(csv: &Csv) -> Section {
    const CELL: [&str; 5] = ["mbit", "rtt_ms", "loss_percent", "reorder_percent", "flows"];
    let groups = csv.groups(&[CELL.as_slice(), &["contender"]].concat(), &["goodput_mbit", "share", "late_over_1ms"]);
    let base = |group: &Group| {
        let same =
            |other: &&Group| other.keys[..CELL.len()] == group.keys[..CELL.len()] && other.keys[CELL.len()] == BASE;
        groups.iter().find(same).map_or(f64::NAN, |other| other.medians[0])
    };
    let row = |group: &Group| {
        let [goodput, share, late] = [0, 1, 2].map(|i| group.medians[i]);
        let figures = [goodput, goodput / base(group), share, late];
        group.keys.iter().cloned().chain(figures.map(figure)).collect()
    };
    let bar = |group: &Group| {
        let ratio = group.medians[0] / base(group);
        let [mbit, rtt, loss, reorder, _, contender] = [0, 1, 2, 3, 4, 5].map(|i| group.keys[i].as_str());
        let what = if reorder == "0" { format!("loss {loss} %") } else { format!("reordering {reorder} %") };
        (format!("{mbit} Mbit/s, {rtt} ms, {what}: {contender}"), ratio, figure(ratio))
    };
    let others = groups.iter().filter(|group| group.keys[CELL.len()] != BASE && group.keys[4] == "1");
    Section {
        title: "Goodput over an impaired link".to_owned(),
        text: "`scripts/bench-goodput`: bulk transfers through `synfin impair`, the same seeds for all contenders (sender-\
               receiver; the kernel's: CUBIC, SACK, RACK), medians of the rounds. A queue of one bandwidth-delay product; \
               loss and reordering (by ten packets) of data only. Two flows: the second begins half a second later, and \
               what comes after five seconds counts. *Late*: packets that the link itself handed over more than 1 ms late."
            .to_owned(),
        head: strings(&[
            "Mbit/s",
            "RTT ms",
            "loss %",
            "reordered %",
            "flows",
            "contender",
            "goodput Mbit/s",
            "÷ kernel",
            "first flow's share",
            "late",
        ]),
        rows: groups.iter().map(row).collect(),
        chart: Some(Chart {
            file: "goodput.svg".to_owned(),
            title: "goodput over an impaired link, kernel to kernel = 1".to_owned(),
            bars: others.map(bar).collect(),
            logarithmic: false,
        }),
        source: source(csv),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cell_is_compared_with_the_kernel_in_the_same_cell() {
        let csv = Csv::parse(
            "g",
            "contender,mbit,rtt_ms,loss_percent,reorder_percent,flows,goodput_mbit,share,late_over_1ms\n\
             kernel-kernel,100,10,1,0,1,10,,0\nengine-engine,100,10,1,0,1,12,,0\nkernel-kernel,100,10,3,0,1,5,,0\n\
             engine-engine,100,10,3,0,1,4,,0\nengine-engine,100,10,0,0,2,95,0.5,0\n",
        );
        let section = section(&csv);
        let ratios: Vec<&str> = section.rows.iter().map(|row| row[7].as_str()).collect();
        assert_eq!(ratios, ["1", "1.20", "1", "0.80", "-"]);
        assert_eq!(section.rows[4][8], "0.50");
        assert_eq!(section.chart.unwrap().bars.len(), 2);
    }
}
