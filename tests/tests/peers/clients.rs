//! curl and wrk as clients of `synfin serve`.

use crate::{SERVE_V4, SERVE_V6, Stage, number, page, stop};
use std::fs;
use synfin_tests::programs::PATIENCE;

const SIZES: [usize; 5] = [0, 1, 1_460, 100_000, 1_000_000];

/// Gets a page of each size with one curl; returns the connections that took.
fn fetch(stage: &Stage, host: &str, options: &[&str]) -> u64 {
    let file = |size: usize| stage.dir.path(&format!("got-{size}")).to_string_lossy().into_owned();
    let mut words: Vec<String> = ["curl", "-sS", "--max-time", "60", "-w", "%{http_code} %{num_connects}\n"]
        .iter()
        .chain(options)
        .map(|w| (*w).into())
        .collect();
    for size in SIZES {
        words.extend(["-o".into(), file(size), format!("http://{host}/bytes/{size}")]);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let printed = stage.run(&words, PATIENCE).ok();
    let mut connections = 0;
    for line in printed.lines() {
        let (status, connects) = line.split_once(' ').expect("a status and a number");
        assert_eq!(status, "200", "{printed}");
        connections += connects.parse::<u64>().expect("a number");
    }
    for size in SIZES {
        // curl makes no file for an empty body.
        let got = fs::read(file(size)).unwrap_or_default();
        assert!(got == page(size), "{host}: {size} bytes came back as {} other ones", got.len());
        let _ = fs::remove_file(file(size));
    }
    connections
}

/// Gets `/bytes/SIZE` this many times with one curl, and compares every body.
pub fn fetch_many(stage: &Stage, host: &str, size: usize, count: u64, options: &str) {
    let want = page(size);
    let file = |i: u64| stage.dir.path(&format!("got-{i}"));
    let one = |i| format!("url = \"http://{host}/bytes/{size}\"\noutput = \"{}\"\n", file(i).display());
    let config = stage.dir.write("curl.config", (0..count).map(one).collect::<String>());
    let words = format!("curl -sS -f --fail-early {options} -K {}", config.display());
    let words: Vec<&str> = words.split_whitespace().collect();
    stage.run(&words, 10 * PATIENCE).ok();
    for i in 0..count {
        let got = fs::read(file(i)).unwrap_or_else(|e| panic!("{host}: page {i}: {e}"));
        assert!(got == want, "{host}: page {i} came back as {} other bytes", got.len());
        let _ = fs::remove_file(file(i));
    }
}

fn curl_gets_every_page(host: &str) {
    let Some(stage) = Stage::up(1, &["curl"]) else { return };
    let server = stage.serve_own("");
    assert_eq!(fetch(&stage, host, &[]), 1, "one connection, kept alive");
    assert_eq!(fetch(&stage, host, &["-H", "Connection: close"]), SIZES.len() as u64);
    assert_eq!(fetch(&stage, host, &["--http1.0"]), SIZES.len() as u64);

    let url = |path: &str| format!("http://{host}{path}");
    let head = stage.run(&["curl", "-sS", "--max-time", "60", "-I", &url("/bytes/100000")], PATIENCE).ok();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("Content-Length: 100000\r\n"), "{head}");
    for (method, path, want) in [("GET", "/nowhere", "404"), ("DELETE", "/", "405"), ("POST", "/", "405")] {
        let words = ["curl", "-sS", "--max-time", "60", "-X", method, "-o", "/dev/null", "-w", "%{http_code}"];
        let status = stage.run(&[words.as_slice(), &[&url(path)]].concat(), PATIENCE).ok();
        assert_eq!(status, want, "{method} {path}");
    }

    let report = stop(server);
    let answers = |class: &str| number(&report, &format!("serve/responses_by_status/{class}"));
    assert_eq!((answers("2xx"), answers("4xx")), (3 * SIZES.len() as u64 + 1, 3));
    let connections = 1 + 2 * SIZES.len() as u64 + 1 + 3;
    assert_eq!(number(&report, "serve/accepted"), connections);
    assert_eq!(number(&report, "serve/closed_by_reason/graceful"), connections, "{report:#}");
}

#[test]
fn curl_gets_every_page_unharmed_over_ipv4() {
    curl_gets_every_page(SERVE_V4);
}

#[test]
fn curl_gets_every_page_unharmed_over_ipv6() {
    curl_gets_every_page(SERVE_V6);
}

#[test]
fn curl_gets_its_pages_through_the_afxdp_crate() {
    let Some(stage) = Stage::up(1, &["curl"]) else { return };
    if stage.has_afxdp() {
        let _server = stage.serve_own("--backend afxdp");
        for host in [SERVE_V4, SERVE_V6] {
            assert_eq!(fetch(&stage, host, &[]), 1);
        }
    }
}

/// wrk prints a line only for what went wrong.
fn wrk_is_content(stage: &Stage, host: &str, options: &[&str]) -> u64 {
    let url = format!("http://{host}/bytes/1000");
    let printed = stage.run(&[&["wrk", "-t1", "-c16", "-d3s"], options, &[&url]].concat(), PATIENCE).ok();
    assert!(!printed.contains("Socket errors") && !printed.contains("Non-2xx"), "{printed}");
    let requests = printed.lines().find_map(|l| l.trim().split_once(" requests in ")).map(|(n, _)| n.parse());
    let requests: u64 = requests.unwrap_or_else(|| panic!("no figures in {printed}")).expect("a number");
    assert!(requests > 0, "{printed}");
    requests
}

fn wrk_sees_no_errors(host: &str) {
    let Some(stage) = Stage::up(1, &["wrk"]) else { return };
    let server = stage.serve_own("");
    let kept = wrk_is_content(&stage, host, &[]);
    let closed = wrk_is_content(&stage, host, &["-H", "Connection: close"]);
    let report = stop(server);
    // wrk leaves in the middle of requests, and does not count those.
    let requests = number(&report, "serve/requests");
    assert!(requests >= kept + closed, "{requests} < {kept} + {closed}");
    assert!(number(&report, "serve/accepted") >= 16 + closed);
    assert_eq!(number(&report, "serve/responses_by_status/2xx"), requests);
}

#[test]
fn wrk_sees_no_socket_errors_over_ipv4() {
    wrk_sees_no_errors(SERVE_V4);
}

#[test]
fn wrk_sees_no_socket_errors_over_ipv6() {
    wrk_sees_no_errors(SERVE_V6);
}
