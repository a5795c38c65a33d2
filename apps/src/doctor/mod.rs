//! `synfin doctor`: what of this machine stands in the way of a run, or would slow it down, and the command that mends
//! it. It looks and tells; it changes nothing.
//!
//! [`machine`] is kernel, privileges, memory and processors, [`device`] the interface, [`interrupts`] where the
//! interface's interrupts go, [`trial`] what its driver can. What is read is judged by functions that do not read, so
//! that tests can show them machines that are not there.

pub mod device;
pub mod interrupts;
pub mod machine;
pub mod trial;

use crate::cli::DoctorArgs;
use crate::failure::{EXIT_FAILED, Failure};
use crate::report::paint::Paint;
use serde::Serialize;
use synfin_engine::io::IoError;
use synfin_engine::io::sys;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Ok,
    /// A run works, but slower or less evenly than it could.
    Warn,
    /// A run cannot work.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    pub level: Level,
    pub topic: &'static str,
    /// What is so, in one clause.
    pub what: String,
    /// The command or the step that mends it; empty if nothing has to be.
    pub mend: String,
}

impl Finding {
    pub fn ok(topic: &'static str, what: impl Into<String>) -> Finding {
        Finding { level: Level::Ok, topic, what: what.into(), mend: String::new() }
    }

    pub fn warn(topic: &'static str, what: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding { level: Level::Warn, topic, what: what.into(), mend: mend.into() }
    }

    pub fn fail(topic: &'static str, what: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding { level: Level::Fail, topic, what: what.into(), mend: mend.into() }
    }

    fn refused(topic: &'static str, e: IoError) -> Finding {
        Finding::fail(topic, e.what, e.hint)
    }
}

/// All findings.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnosis {
    pub findings: Vec<Finding>,
}

/// Looks.
pub fn run(args: &DoctorArgs) -> Result<Diagnosis, Failure> {
    let mut findings = machine::look(args.workers);
    if let Some(name) = &args.interface {
        let interface = sys::interface(name)?;
        findings.extend(device::look(&interface, args.workers));
        findings.extend(interrupts::look(name));
        let is_hopeless = findings.iter().any(|f| f.level == Level::Fail);
        if args.attach && !is_hopeless {
            findings.extend(trial::attach(&interface, args.workers));
        }
    }
    Ok(Diagnosis { findings })
}

impl Diagnosis {
    fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|f| f.level == level).count()
    }

    pub fn exit_code(&self) -> u8 {
        if self.count(Level::Fail) > 0 { EXIT_FAILED } else { 0 }
    }

    /// For people, with a line end.
    pub fn text(&self, paint: Paint) -> String {
        let mut out = String::new();
        for f in &self.findings {
            let word = match f.level {
                Level::Ok => paint.green("ok  "),
                Level::Warn => paint.yellow("warn"),
                Level::Fail => paint.red("fail"),
            };
            out.push_str(&format!("{word}  {:14}{}\n", f.topic, f.what));
            if !f.mend.is_empty() {
                out.push_str(&format!("{:20}→ {}\n", "", f.mend));
            }
        }
        let (warnings, failures) = (self.count(Level::Warn), self.count(Level::Fail));
        out.push_str(&match (failures, warnings) {
            (0, 0) => format!("\n{}: nothing stands in the way\n", paint.green("ok")),
            (0, n) => format!("\n{}: nothing stands in the way, {n} could be better\n", paint.green("ok")),
            (n, _) => format!("\n{}: {n} of {} in the way of a run\n", paint.red("failed"), self.findings.len()),
        });
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_decide_the_exit_code_and_what_mends_stands_below() {
        let ok = Finding::ok("kernel", "new enough");
        let warn = Finding::warn("queues", "too many", "ethtool -L v combined 1");
        let fine = Diagnosis { findings: vec![ok.clone(), warn.clone()] };
        assert_eq!(fine.exit_code(), 0);
        let text = fine.text(Paint::PLAIN);
        let want = "ok    kernel        new enough\nwarn  queues        too many\n";
        assert!(text.starts_with(want), "{text}");
        assert!(
            text.contains("→ ethtool -L v combined 1\n")
                && text.ends_with("ok: nothing stands in the way, 1 could be better\n"),
            "{text}"
        );
        let bad = Diagnosis { findings: vec![ok, warn, Finding::fail("privileges", "none", "sudo")] };
        assert_eq!(bad.exit_code(), 1);
        assert!(bad.text(Paint::PLAIN).contains("failed: 1 of 3 in the way of a run"));
        assert_eq!(serde_json::to_value(&bad).unwrap()["findings"][2]["level"], "fail");
    }
}
