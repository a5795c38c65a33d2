//! `synfin doctor` on machines that are well and machines that are not. Without privileges each test says why it is skipped.

mod common;

use common::{Running, synfin};
use serde_json::Value;
use synfin_tests::netns::{Lab, Side};

/// Exit code and findings.
fn doctor(lab: &Lab, words: &str) -> (Option<i32>, Vec<Value>) {
    let out = synfin(lab, Side::B, &format!("doctor --json - {words}"));
    let text = String::from_utf8_lossy(&out.stdout);
    let diagnosis: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{words}: {e}: {text}"));
    (out.status.code(), diagnosis["findings"].as_array().expect("findings").clone())
}

fn finding<'a>(findings: &'a [Value], topic: &str) -> &'a Value {
    findings.iter().find(|f| f["topic"] == topic).unwrap_or_else(|| panic!("nothing about {topic}: {findings:#?}"))
}

#[test]
fn a_free_interface_is_tried_out_and_left_as_it_was() {
    let Some(lab) = Lab::up(2) else { return };
    let (code, findings) = doctor(&lab, "-i veth-b --workers 2 --try");
    assert_eq!(code, Some(0), "{findings:#?}");
    assert_eq!(finding(&findings, "XDP")["level"], "ok");
    assert!(finding(&findings, "sockets")["what"].as_str().is_some_and(|w| w.contains("veth-b#1")), "{findings:#?}");
    let link = lab.run(Side::B, "ip -d link show dev veth-b");
    assert!(!link.contains("xdp"), "{link}");
}

#[test]
fn what_stands_in_the_way_is_named_with_what_mends_it() {
    let Some(lab) = Lab::up(1) else { return };
    let (code, findings) = doctor(&lab, "-i veth-b --workers 3");
    assert_eq!((code, finding(&findings, "queues")["level"].as_str()), (Some(1), Some("fail")));
    lab.run(Side::A, "ip link set dev veth-a down");
    let (code, findings) = doctor(&lab, "-i veth-b");
    assert_eq!((code, finding(&findings, "interface")["level"].as_str()), (Some(1), Some("fail")));
    lab.run(Side::A, "ip link set dev veth-a up");
    let server = Running::serve(&lab, "-a 198.18.0.20/24 --listen 80");
    let (code, findings) = doctor(&lab, "-i veth-b --try");
    assert_eq!((code, finding(&findings, "XDP")["level"].as_str()), (Some(1), Some("fail")));
    assert_eq!(server.stop().0, 0, "the server was not disturbed");
}

#[test]
fn an_interface_that_is_not_there_is_bad_usage() {
    let Some(lab) = Lab::up(1) else { return };
    let out = synfin(&lab, Side::B, "doctor -i nope0");
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("there is no interface \"nope0\""));
}
