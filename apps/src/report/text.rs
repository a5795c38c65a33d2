//! The report for people. Blocks with a title in the left margin; what is zero and means nothing is left out.

use super::model::{
    HoldSection, LoadSection, MemorySection, Named, Packets, Report, SearchStep, ServeSection, SteeringSection,
    WorkerSection, ratio,
};
use super::number::{bits_per_second, bytes, grouped, significant, time};
use super::paint::Paint;
use crate::load::tally::{FailReason, MissReason};
use synfin_engine::base::DropReason;

/// Width of the left margin.
const MARGIN: usize = 14;

/// The whole report, with a line end.
pub fn render(report: &Report, paint: Paint) -> String {
    let mut page = Page { out: String::new(), paint };
    if let Some(load) = &report.load {
        page.load(load);
    }
    if let Some(serve) = &report.serve {
        page.serve(serve, &report.memory);
    }
    report.search.iter().for_each(|steps| page.search(steps));
    page.packets(&report.packets);
    page.drops(&report.drops);
    report.steering.iter().for_each(|s| page.steering(s));
    report.workers.iter().for_each(|w| page.worker(w));
    page.environment(report);
    report.notes.iter().for_each(|n| {
        let text = page.paint.yellow(n);
        page.line("note", &text);
    });
    let verdict = match report.outcome.exit_code {
        0 => paint.green("ok"),
        _ => paint.red("failed"),
    };
    page.gap();
    page.out.push_str(&format!("{verdict}: {}\n", report.outcome.summary));
    page.out
}

struct Page {
    out: String,
    paint: Paint,
}

impl Page {
    fn gap(&mut self) {
        self.out.push('\n');
    }

    /// A line with a title in the margin; an empty title continues the block.
    fn line(&mut self, title: &str, text: &str) {
        let padded = format!("{title:MARGIN$}");
        let title = if title.is_empty() { padded } else { self.paint.bold(&padded) };
        self.out.push_str(&format!("{title}{text}\n"));
    }

    fn count(&self, name: &str, n: u64) -> String {
        format!("{name} {}", grouped(n))
    }

    /// A count that should be zero.
    fn bad_count(&self, name: &str, n: u64) -> String {
        let text = self.count(name, n);
        if n > 0 { self.paint.red(&text) } else { text }
    }

    fn load(&mut self, l: &LoadSection) {
        self.connections(l);
        if let Some(hold) = &l.hold {
            self.hold(hold);
        }
        let r = &l.requests;
        let mut text = format!("{} · {}", self.count("sent", r.sent), self.count("responses", r.responses));
        text.push_str(&by_name(&r.responses_by_status));
        text.push_str(&format!(" · {}/s", significant(r.per_second)));
        self.line("requests", &text);
        if let Some(h) = l.hold.as_ref().filter(|h| h.requests_missed > 0) {
            let asked = grouped(h.requests_per_second);
            let text = self.paint.red(&format!("{} missed of {asked}/s asked for", grouped(h.requests_missed)));
            self.line("", &text);
        }
        if r.cut_short > 0 {
            let text = format!("{} not made: the target closed before", grouped(r.cut_short));
            self.line("", &text);
        }
        let (got, sent) = (bits_per_second(l.received_bits_per_second), bits_per_second(l.sent_bits_per_second));
        let text = format!("received {} ({got}) · sent {} ({sent})", bytes(l.received_bytes), bytes(l.sent_bytes));
        self.line("streams", &text);
        self.latency(l);
    }

    fn connections(&mut self, l: &LoadSection) {
        let c = &l.connections;
        let head = [self.count("started", c.started), self.count("established", c.established)];
        let rest = [
            self.count("completed", c.completed),
            self.bad_count("failed", c.failed),
            self.bad_count("missed", c.missed),
            self.count("unfinished", c.unfinished),
        ];
        self.line("connections", &format!("{} · {}", head.join(" · "), rest.join(" · ")));
        if l.hold.is_none() {
            let model = match (l.rate_per_second, l.concurrency) {
                (Some(rate), _) => format!("{} asked for", grouped(rate)),
                (_, Some(n)) => format!("{} at a time", grouped(n)),
                (None, None) => String::new(),
            };
            let mut text =
                format!("{}/s completed over {:.2} s ({model})", significant(c.per_second), l.active_seconds);
            if l.warmup_seconds > 0.0 {
                text.push_str(&format!(", after {:.2} s of warm-up", l.warmup_seconds));
            }
            self.line("", &text);
        }
        if c.given_up > 0 {
            let why = "the engine did not take the request, which is no fault of the target's";
            let text = self.paint.red(&format!("{}: {why}", self.count("given up", c.given_up)));
            self.line("", &text);
        }
        self.reasons("failed", &c.failed_by_reason, |name| {
            FailReason::ALL.iter().find(|r| r.name() == name).map_or("", |r| r.help())
        });
        self.reasons("missed", &c.missed_by_reason, |name| {
            MissReason::ALL.iter().find(|r| r.name() == name).map_or("", |r| r.help())
        });
        if l.starved_seconds > 0.001 {
            let text = format!("{:.1} s of waiting for a free address and port", l.starved_seconds);
            let text = self.paint.yellow(&text);
            self.line("", &text);
        }
    }

    fn hold(&mut self, h: &HoldSection) {
        let (peak, asked) = (grouped(h.held_peak), grouped(h.connections));
        let broken = self.bad_count("broken", h.broken);
        self.line("hold", &format!("{peak} of {asked} held at a time · {broken}"));
        let text = format!(
            "opened in {:.2} s ({}/s) · held for {:.2} s · closed in {:.2} s ({}/s)",
            h.opening_seconds,
            significant(h.opened_per_second),
            h.holding_seconds,
            h.closing_seconds,
            significant(h.closed_per_second)
        );
        self.line("", &text);
        let each = significant(h.bytes_per_connection);
        self.line("", &format!("{} resident, {each} B per connection", bytes(h.resident_bytes)));
    }

    fn reasons(&mut self, what: &str, named: &Named, help: impl Fn(&str) -> &'static str) {
        for (name, n) in named.non_zero() {
            let text = format!("{what} {} {name}: {}", grouped(n), help(name));
            let text = self.paint.red(&text);
            self.line("", &text);
        }
    }

    fn latency(&mut self, l: &LoadSection) {
        self.gap();
        if l.latency_ns.all().iter().all(|(_, p)| p.count == 0) {
            return;
        }
        let head = ["p50", "p90", "p95", "p99", "p99.9", "p99.99", "max", "count"];
        let titles: String = head.iter().map(|h| format!("{h:>11}")).collect();
        let titles = self.paint.dim(&titles);
        self.line("latency", &titles);
        for (measure, p) in l.latency_ns.all() {
            if p.count == 0 {
                continue;
            }
            let values = [p.p50, p.p90, p.p95, p.p99, p.p99_9, p.p99_99, p.max];
            let cells: String = values.iter().map(|ns| format!("{:>11}", time(*ns))).collect();
            let title = format!("  {}", measure.name().replace('_', " "));
            self.out.push_str(&format!("{title:MARGIN$}{cells}{:>11}\n", grouped(p.count)));
        }
        self.gap();
    }

    fn serve(&mut self, s: &ServeSection, memory: &MemorySection) {
        let text = format!(
            "{} ({}/s) · {}{}",
            self.count("accepted", s.accepted),
            significant(s.accepted_per_second),
            self.count("closed", s.closed),
            by_name(&s.closed_by_reason)
        );
        self.line("connections", &text);
        let MemorySection { resident_before_bytes: before, resident_peak_bytes: peak } = *memory;
        let text = format!("{} · {} resident", self.count("open at most", s.open_peak), bytes(peak));
        // With few, what is not theirs weighs more.
        let each = ratio(peak.saturating_sub(before) as f64, s.open_peak as f64);
        let each =
            if s.open_peak >= 10_000 { format!(", {} B per connection", significant(each)) } else { String::new() };
        self.line("", &(text + &each));
        if s.requests > 0 || s.responses_by_status.total() > 0 {
            let text = format!(
                "{} ({}/s) · {}{}",
                self.count("received", s.requests),
                significant(s.requests_per_second),
                self.count("responses", s.responses_by_status.total()),
                by_name(&s.responses_by_status)
            );
            self.line("requests", &text);
        }
        let rate = |n: u64| bits_per_second(ratio(n as f64 * 8.0, s.active_seconds));
        let (got, sent) = (s.received_bytes, s.sent_bytes);
        let text = format!("received {} ({}) · sent {} ({})", bytes(got), rate(got), bytes(sent), rate(sent));
        self.line("streams", &text);
    }

    fn packets(&mut self, p: &Packets) {
        let share = ratio(p.retransmitted as f64 * 100.0, p.segments_sent as f64);
        let text = format!(
            "received {} · sent {} · retransmitted {} ({share:.2} %) · {} segments per connection",
            grouped(p.received),
            grouped(p.sent),
            grouped(p.retransmitted),
            significant(p.segments_per_connection)
        );
        self.line("packets", &text);
        if p.fast_opens_sent + p.fast_opens_accepted > 0 {
            let (sent, taken, accepted) = (p.fast_opens_sent, p.fast_opens_taken, p.fast_opens_accepted);
            let counts =
                [self.count("SYNs with data", sent), self.count("taken", taken), self.count("accepted", accepted)];
            self.line("fast open", &counts.join(" · "));
        }
        if p.ecn_agreed > 0 {
            let (marks, echoes) = (p.congestion_marks, p.congestion_echoes);
            let rest = [self.count("marks", marks), self.count("windows reduced", echoes)].join(" · ");
            self.line("ecn", &format!("{} · {rest}", self.count("connections", p.ecn_agreed)));
        }
    }

    fn drops(&mut self, drops: &Named) {
        if drops.total() == 0 {
            return self.line("drops", "none");
        }
        for ((name, n), title) in drops.non_zero().zip(["drops"].into_iter().chain(std::iter::repeat(""))) {
            let help = DropReason::ALL.iter().find(|r| r.name() == name).map_or("", |r| r.help());
            self.line(title, &format!("{:>9}  {name}: {help}", grouped(n)));
        }
    }

    fn search(&mut self, steps: &[SearchStep]) {
        for (step, title) in steps.iter().zip(["search"].into_iter().chain(std::iter::repeat(""))) {
            let rate = format!("{:>11}/s  ", grouped(step.rate_per_second));
            let verdict = if step.ok { self.paint.green("ok") } else { self.paint.red("failed") };
            self.line(title, &format!("{rate}{verdict}: {}", step.summary));
            // Whether it was the target that failed or the generator.
            for note in step.notes.iter().filter(|_| !step.ok) {
                let text = self.paint.yellow(note);
                self.line("", &format!("{:15}{text}", ""));
            }
        }
    }

    fn steering(&mut self, s: &SteeringSection) {
        self.line("steering", &format!("by {}: {}", s.policy, s.reason));
        let text = format!(
            "{} of the frames ({} %) arrived on another worker's queue",
            grouped(s.strays),
            significant(s.strays_percent)
        );
        self.line("", &text);
    }

    fn worker(&mut self, w: &WorkerSection) {
        let t = &w.time_percent;
        let text = format!(
            "idle {:.1} % · stack {:.1} % · kernel {:.1} % · rx {:.1} % · app {:.1} % · tx {:.1} %",
            t.idle, t.shard, t.kick, t.rx, t.app, t.tx
        );
        self.line(&format!("worker {}", w.worker), &text);
        // Ring sizes and the like are for the JSON file.
        self.line("", w.queue.split(", ").next().unwrap_or(""));
        // What happens in every run, and means nothing.
        let quiet = ["rx_frames", "tx_frames", "kernel_tx_ring_empty"];
        let io: Vec<String> =
            w.io.non_zero().filter(|(name, _)| !quiet.contains(name)).map(|(name, n)| self.count(name, n)).collect();
        let handed = [("handed over", w.handoff_out), ("taken over", w.handoff_in)];
        let handed = handed.into_iter().filter(|(_, n)| *n > 0).map(|(name, n)| self.count(name, n));
        let all: Vec<String> = io.into_iter().chain(handed).collect();
        if !all.is_empty() {
            self.line("", &all.join(" · "));
        }
    }

    fn environment(&mut self, report: &Report) {
        let e = &report.environment;
        self.line("environment", &e.machine);
        let text = format!("{} ({}), MTU {} · {} {}", e.interface, e.driver, e.mtu, e.backend, e.mode);
        self.line("", &text);
        let text = format!("synfin {} ({})", e.version, e.commit);
        self.line("", &text);
    }
}

/// ` (name n, name n)` of those that are not zero.
fn by_name(named: &Named) -> String {
    let parts: Vec<String> = named.non_zero().map(|(name, n)| format!("{name} {}", grouped(n))).collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

#[cfg(test)]
#[path = "text_tests.rs"]
pub mod tests;
