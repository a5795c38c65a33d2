//! The run over time: what is in the files when a run ends, is ended, or is killed. Without privileges each test says why it
//! is skipped.

mod common;

use common::{Running, number, temporary};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};
use synfin_tests::netns::{Lab, Side};

const PATIENCE: Duration = Duration::from_secs(60);

/// The sum of a column of a CSV file.
fn sum(csv: &str, column: &str) -> u64 {
    let mut lines = csv.lines();
    let place = lines.next().and_then(|head| head.split(',').position(|c| c == column)).expect("the column");
    lines.map(|line| line.split(',').nth(place).and_then(|cell| cell.parse::<u64>().ok()).expect("a number")).sum()
}

fn wait_for_rows(path: &Path, rows: usize) -> String {
    let start = Instant::now();
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.lines().count() > rows {
            return text;
        }
        assert!(start.elapsed() < PATIENCE, "{rows} rows do not come: {text}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_rows_of_a_run_that_ctrl_c_ends_add_up_to_its_report_on_both_sides() {
    let Some(lab) = Lab::up(1) else { return };
    let (csv, html, served) = (temporary("load.csv"), temporary("load.html"), temporary("serve.csv"));
    let server = format!("-a 198.18.0.20/24 --listen 80 --interval 200ms --csv {}", served.display());
    let server = Running::serve(&lab, &server);
    let client = format!(
        "load -i veth-a --sleep -a 198.18.0.30-198.18.0.99/24 -t 198.18.0.20:80 --rate 200 --duration 10m --interval 200ms \
         --csv {} --html {}",
        csv.display(),
        html.display()
    );
    let client = Running::start(&lab, Side::A, &client);
    wait_for_rows(&csv, 5);
    let (code, report) = client.stop();
    assert_eq!(code, 0, "{report:#}");
    let text = std::fs::read_to_string(&csv).expect("the CSV file");
    for column in ["started", "established", "completed", "missed"] {
        assert_eq!(sum(&text, column), number(&report, &format!("load/connections/{column}")), "{column}:\n{text}");
    }
    for (column, path) in [("requests", "sent"), ("responses", "responses")] {
        assert_eq!(sum(&text, column), number(&report, &format!("load/requests/{path}")), "{column}:\n{text}");
    }
    let series = report["series"].as_array().expect("rows");
    assert_eq!(series.len(), text.lines().count() - 1);
    let handshakes: u64 = series.iter().filter_map(|row| row["handshake_ns"]["count"].as_u64()).sum();
    assert_eq!(handshakes, number(&report, "load/latency_ns/handshake/count"));
    let page = std::fs::read_to_string(&html).expect("the page");
    assert!(page.contains("stopped early") && page.contains("<svg"), "{page}");
    let (_, report) = server.stop();
    let text = std::fs::read_to_string(&served).expect("the server's CSV file");
    assert_eq!(sum(&text, "started"), number(&report, "serve/accepted"), "{text}");
    [csv, html, served].iter().for_each(|f| std::fs::remove_file(f).expect("a file of ours"));
}

#[test]
fn the_rows_of_a_run_with_failures_that_is_cut_add_up_to_its_report_too() {
    let Some(lab) = Lab::up(1) else { return };
    let _server = Running::serve(&lab, "-a 198.18.0.20/24 --listen 9 --app discard");
    let csv = temporary("cut.csv");
    let client = format!(
        "load -i veth-a --sleep -a 198.18.0.30-198.18.0.99/24 -t 198.18.0.20:9 --rate 200 --duration 10m --timeout 500ms \
         --interval 200ms --csv {}",
        csv.display()
    );
    let mut client = Running::start(&lab, Side::A, &client);
    wait_for_rows(&csv, 8);
    client.signal("INT");
    thread::sleep(Duration::from_millis(100));
    client.signal("INT");
    assert_eq!(client.wait(), Some(1));
    let (report, text) = (client.report(), std::fs::read_to_string(&csv).expect("the CSV file"));
    for column in ["started", "established", "completed", "failed", "missed"] {
        assert_eq!(sum(&text, column), number(&report, &format!("load/connections/{column}")), "{column}:\n{text}");
    }
    assert_eq!(sum(&text, "requests"), number(&report, "load/requests/sent"), "{text}");
    let (failed, unfinished) =
        (number(&report, "load/connections/failed"), number(&report, "load/connections/unfinished"));
    assert!(failed > 0 && unfinished > 0 && sum(&text, "responses") == 0, "{report:#}");
    let last = report["series"].as_array().and_then(|rows| rows.last()).expect("rows");
    assert_eq!(last["open"], 0, "what was cut is no longer open: {last}");
    std::fs::remove_file(csv).expect("the CSV file");
}

#[test]
fn a_run_that_is_killed_keeps_the_rows_that_were_complete() {
    let Some(lab) = Lab::up(1) else { return };
    let _server = Running::serve(&lab, "-a 198.18.0.20/24 --listen 80");
    let csv = temporary("killed.csv");
    let line = format!(
        "load -i veth-a --sleep -a 198.18.0.30-198.18.0.99/24 -t 198.18.0.20:80 --rate 200 --duration 10m --interval 200ms \
         --csv {}",
        csv.display()
    );
    let mut client = Running::start(&lab, Side::A, &line);
    let before = wait_for_rows(&csv, 3);
    client.signal("KILL");
    assert_eq!(client.wait(), None);
    let after = std::fs::read_to_string(&csv).expect("the CSV file");
    assert!(after.starts_with(&before) && after.ends_with('\n'), "{after}");
    let link = lab.run(Side::A, "ip -d link show dev veth-a");
    assert!(!link.contains("xdp"), "{link}");
    std::fs::remove_file(csv).expect("the CSV file");
}

#[test]
fn a_link_that_goes_down_and_comes_back_costs_connections_and_not_the_run() {
    let Some(lab) = Lab::up(1) else { return };
    let _server = Running::serve(&lab, "-a 198.18.0.20/24 --listen 80");
    let csv = temporary("down.csv");
    let line = format!(
        "load -i veth-a --sleep -a 198.18.0.30-198.18.0.99/24 -t 198.18.0.20:80 --rate 100 --duration 10m --timeout 500ms \
         --interval 200ms --csv {}",
        csv.display()
    );
    let client = Running::start(&lab, Side::A, &line);
    wait_for_rows(&csv, 3);
    lab.run(Side::A, "ip link set dev veth-a down");
    thread::sleep(Duration::from_millis(1500));
    lab.run(Side::A, "ip link set dev veth-a up");
    let rows = std::fs::read_to_string(&csv).expect("the CSV file").lines().count();
    wait_for_rows(&csv, rows + 15);
    let (code, report) = client.stop();
    let last = report["series"].as_array().and_then(|rows| rows.iter().rev().nth(2)).expect("rows").clone();
    assert!(last["completed"].as_u64() > Some(0), "connections are completed again: {last}");
    let failed = number(&report, "load/connections/failed");
    assert_eq!(code, i32::from(failed > 0), "{:#}", report["outcome"]);
    std::fs::remove_file(csv).expect("the CSV file");
}
