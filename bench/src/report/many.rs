//! The sections on very many connections: `scripts/bench-hold`, over a link, and the bench *scale*, in memory.

use super::Section;
use super::csv::Csv;
use super::sections::{figure, source, strings};

/// Of the distributions of turns, this is shown; the file has the rest.
const TURN: &str = "turn p99.9 (cpu)";
/// Figures of which each bench event has a dozen.
const DETAILS: [&str; 3] = [": turn", ": page faults", "longest first touch"];

/// What happened to so many connections that were held: `hold-10M`.
pub fn hold(bench: &str, csv: &Csv) -> Section {
    let row = |row: &Vec<String>| {
        let value = csv.cell(row, "value").parse().map_or("-".to_owned(), figure);
        vec![csv.cell(row, "figure").replace('_', " "), value]
    };
    Section {
        title: format!("{} connections held", bench.trim_start_matches("hold-")),
        text:
            "`scripts/bench-hold`: opened, held, asked something at random, closed; one worker a side, over veth. Both \
               reports lie beside the file."
                .to_owned(),
        head: strings(&["figure", "value"]),
        rows: csv.rows().iter().map(row).collect(),
        chart: None,
        source: source(csv),
    }
}

/// A row of *scale*: phase, connections, figure, value, unit, of which figure and unit may have commas in them.
fn parts(cells: &[String]) -> Option<[String; 5]> {
    let value = cells.iter().rposition(|cell| cell.contains('.') && cell.parse::<f64>().is_ok())?;
    let [phase, connections, ..] = cells else { return None };
    let (what, unit) = (cells.get(2..value)?, cells.get(value + 1..)?);
    let value = cells[value].parse().map_or("-".to_owned(), figure);
    Some([phase.clone(), connections.clone(), what.join(","), value, unit.join(",")])
}

pub fn scale(csv: &Csv) -> Section {
    let is_shown = |what: &str| what.contains(TURN) || DETAILS.iter().all(|detail| !what.contains(detail));
    let rows: Vec<[String; 5]> = csv.rows().iter().filter_map(|cells| parts(cells)).collect();
    let shown = rows.iter().filter(|row| is_shown(&row[2])).map(|row| row.to_vec());
    Section {
        title: "Many connections in memory".to_owned(),
        text: "`scripts/bench-engine --only scale`: two shards joined in memory. Bytes are of the resident set, turns are \
               those of the poll loop while all connections come, go or expire at once."
            .to_owned(),
        head: strings(&["phase", "connections", "figure", "value", "unit"]),
        rows: shown.collect(),
        chart: None,
        source: source(csv),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_scale_the_figures_are_shown_with_their_commas_and_of_the_turns_one_each() {
        let csv = Csv::parse(
            "s",
            "phase,connections,figure,value,unit\nidle,10,left, per end,0.449,bytes\n\
             idle,10,opening: turn p50 (cpu),1.5,us\nidle,10,opening: turn p99.9 (cpu),110.079,us\n\
             idle,10,exchanges,785181.212,1/s of CPU time, both ends\n",
        );
        let rows = scale(&csv).rows;
        assert_eq!(rows[0], ["idle", "10", "left, per end", "0.45", "bytes"]);
        assert_eq!(rows[1], ["idle", "10", "opening: turn p99.9 (cpu)", "110", "us"]);
        assert_eq!(rows[2][3..], ["785,181", "1/s of CPU time, both ends"]);
        assert_eq!(rows.len(), 3);
    }

    #[test]
    fn of_held_connections_every_figure_is_shown() {
        let csv = Csv::parse("h", "figure,value\nheld_peak,10000000\nopening_seconds,41.821722584\nnone,\n");
        let section = hold("hold-10M", &csv);
        assert_eq!(section.title, "10M connections held");
        assert_eq!(section.rows, [["held peak", "10,000,000"], ["opening seconds", "41.8"], ["none", "-"]]);
    }
}
