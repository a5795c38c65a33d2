//! Two workers on the two queues of the lab's veth pair, against each other and against kernels that choose queues as
//! they like.

use crate::clients::fetch_many;
use crate::nginx::Nginx;
use crate::{KERNEL_V4, KERNEL_V6, SERVE_V4, SERVE_V6, Stage, all_completed, number, stop};
use serde_json::Value;

/// Frames handed from one worker to another; every one that was given was taken.
fn handed_over(report: &Value) -> u64 {
    let workers = report["workers"].as_array().expect("a list of workers");
    assert_eq!(workers.len(), 2);
    let sum = |name: &str| workers.iter().map(|w| w[name].as_u64().expect("a number")).sum::<u64>();
    assert_eq!(number(report, "drops/handoff_full"), 0);
    assert_eq!(sum("handoff_in"), sum("handoff_out"), "{report:#}");
    sum("handoff_in")
}

/// Frames that arrived on another worker's queue than their owner's.
fn strays(report: &Value) -> u64 {
    number(report, "steering/strays")
}

#[test]
fn two_workers_a_side_complete_every_connection_and_hand_no_segment_over() {
    let Some(stage) = Stage::up(2, &[]) else { return };
    let server = stage.serve_own("--workers 2");
    let report = stage.load(&format!(
        "-a 198.18.0.10-198.18.0.13/24 -a 2001:2::10/64 -t {SERVE_V4}:80 -t {SERVE_V6}:80 --workers 2 --concurrency 32 \
         -n 3000"
    ));
    all_completed(&report, 3000);
    handed_over(&report);
    assert_eq!((report["steering"]["policy"].as_str(), strays(&report)), (Some("hash"), 0));
    let report = stop(server);
    handed_over(&report);
    assert_eq!((report["steering"]["policy"].as_str(), strays(&report)), (Some("hash"), 0));
    assert_eq!(number(&report, "serve/accepted"), 3000);
    assert_eq!(number(&report, "serve/closed_by_reason/graceful"), 3000);
}

#[test]
fn two_workers_share_nginx_s_answers_whichever_queue_they_arrive_on() {
    let Some(stage) = Stage::up(2, &["nginx"]) else { return };
    let nginx = Nginx::start(&stage);
    let words = format!(
        "-a 198.18.0.10/24 -a 2001:2::10/64 -t {KERNEL_V4}:80 -t {KERNEL_V6}:80 --path /small --workers 2 \
         --concurrency 32 -n 3000"
    );
    let (report, accepted) = nginx.accepted_during(|| stage.load(&words));
    all_completed(&report, 3000);
    assert_eq!(accepted, 3000);
    assert!(handed_over(&report) > 0 && strays(&report) > 0, "{report:#}");
}

#[test]
fn a_server_that_goes_by_queue_answers_on_the_queue_it_was_asked_on() {
    let Some(stage) = Stage::up(3, &[]) else { return };
    let server = stage.serve_own("--workers 3 --steering queue");
    let words = format!("-a 198.18.0.10-198.18.0.13/24 -t {SERVE_V4}:80 --workers 2 --concurrency 32 -n 2000");
    let report = stage.load(&words);
    all_completed(&report, 2000);
    assert_eq!(strays(&report), 0);
    let report = stop(server);
    assert_eq!(report["steering"]["policy"], "queue");
    assert_eq!((number(&report, "serve/closed_by_reason/graceful"), strays(&report)), (2000, 0));
    assert_eq!(number(&report, "workers/2/io/rx_frames"), 0);
}

#[test]
fn two_workers_serve_curl_whichever_queue_its_requests_arrive_on() {
    let Some(stage) = Stage::up(2, &["curl"]) else { return };
    let server = stage.serve_own("--workers 2");
    for host in [SERVE_V4, SERVE_V6] {
        fetch_many(&stage, host, 50_000, 100, "-H Connection:close --max-time 60");
    }
    let report = stop(server);
    assert_eq!(number(&report, "serve/accepted"), 200);
    assert!(handed_over(&report) > 0, "{report:#}");
}
