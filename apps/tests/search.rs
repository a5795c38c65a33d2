//! Latencies that decide the exit code, and the search for the highest rate. Without privileges each test says why it is
//! skipped.

mod common;

use common::{Running, load, number};
use synfin_tests::netns::Lab;

#[test]
fn a_latency_beyond_its_limit_fails_a_run_that_went_well_otherwise() {
    let Some(lab) = Lab::up(1) else { return };
    let _server = Running::serve(&lab, "-a 198.18.0.20/24 --listen 80");
    let line = "-a 198.18.0.10/24 -t 198.18.0.20:80 --concurrency 2 -n 20";
    let (code, report) = load(&lab, &format!("{line} --limit request.p50=30s --limit connection.max=30s"));
    assert_eq!(code, 0, "{:#}", report["outcome"]);
    let (code, report) = load(&lab, &format!("{line} --limit request.p50=30s --limit handshake.max=1ns"));
    assert_eq!((code, number(&report, "load/connections/completed")), (1, 20));
    let said = report["outcome"]["summary"].as_str().expect("a sentence");
    assert!(said.starts_with("the max of handshake was ") && said.ends_with("more than the 1 ns of --limit"), "{said}");
}

#[test]
fn a_search_ends_at_the_highest_rate_where_the_target_takes_all_and_tells_of_each_run() {
    let Some(lab) = Lab::up(1) else { return };
    let _server = Running::serve(&lab, "-a 198.18.0.20/24 --listen 80");
    let line = "-a 198.18.0.10-198.18.0.19/24 --rate 16 --search --duration 300ms --max-missed 100%";
    let (code, report) = load(&lab, &format!("{line} -t 198.18.0.20:80"));
    let said = report["outcome"]["summary"].as_str().expect("a sentence");
    assert_eq!((code, said), (0, "16/s went well, which is all that --rate allows"));
    let rates: Vec<u64> =
        report["search"].as_array().expect("runs").iter().filter_map(|s| s["rate_per_second"].as_u64()).collect();
    assert_eq!((rates, number(&report, "load/rate_per_second")), (vec![1, 2, 4, 8, 16, 16], 16));
    let (code, report) = load(&lab, &format!("{line} -t 198.18.0.20:81"));
    assert_eq!((code, report["search"][0]["ok"].as_bool()), (1, Some(false)));
    let said = report["outcome"]["summary"].as_str().expect("a sentence");
    assert!(said.starts_with("no rate went well, down to 1/s: ") && said.contains("connections failed"), "{said}");
}
