//! CPU time of the calling thread or of the whole process, split into user and system: what a figure cost; and how long a
//! thread has waited for a processor.
//!
//! CPU time is read from /proc (proc_pid_stat(5)), in steps of 10 ms: measure for a second at least.

use std::time::Duration;

/// CPU time spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub user: Duration,
    pub system: Duration,
}

impl Usage {
    /// Spent by this thread so far; zero where there is no /proc.
    pub fn of_this_thread() -> Usage {
        Usage::read("/proc/thread-self/stat")
    }

    /// Spent by all threads of this process so far; zero where there is no /proc.
    pub fn of_this_process() -> Usage {
        Usage::read("/proc/self/stat")
    }

    fn read(path: &str) -> Usage {
        std::fs::read_to_string(path).ok().and_then(|line| parse(&line)).unwrap_or_default()
    }
}

/// How long this thread was ready to run and did not, because others ran on the processors that it may use; zero where the
/// kernel does not tell (CONFIG_SCHED_INFO).
pub fn waited_by_this_thread() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(waited_ns(&text).unwrap_or(0))
}

/// Time on a processor, time waiting for one (ns), and how often it got one.
fn waited_ns(schedstat: &str) -> Option<u64> {
    schedstat.split_ascii_whitespace().nth(1)?.parse().ok()
}

impl std::ops::Sub for Usage {
    type Output = Usage;
    fn sub(self, earlier: Usage) -> Usage {
        Usage { user: self.user.saturating_sub(earlier.user), system: self.system.saturating_sub(earlier.system) }
    }
}

/// Fields 14 and 15 (utime, stime), in ticks of USER_HZ, which is 100. The name, field 2, may hold anything.
fn parse(line: &str) -> Option<Usage> {
    let (_, after_name) = line.rsplit_once(')')?;
    let mut times = after_name.split_ascii_whitespace().skip(11).map(|ticks| ticks.parse().ok());
    let mut next = || times.next().flatten().map(|ticks: u64| Duration::from_millis(ticks * 10));
    Some(Usage { user: next()?, system: next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_ticks_are_found_behind_any_thread_name() {
        let line = "77 (a ) 1 (b) R 1 2 3 4 5 6 7 8 9 10 250 33 0 0 20 0 1 0 0";
        let (user, system) = (Duration::from_millis(2500), Duration::from_millis(330));
        assert_eq!(parse(line), Some(Usage { user, system }));
        assert_eq!(parse("77 (short) R 1 2"), None);
    }

    #[test]
    fn time_spent_waiting_is_the_second_figure_of_schedstat() {
        assert_eq!(waited_ns("126968 3318400 2\n"), Some(3_318_400));
        assert_eq!(waited_ns(""), None);
    }

    #[test]
    fn work_costs_cpu_time() {
        let before = Usage::of_this_thread();
        let mut x = 1u64;
        while Usage::of_this_thread() == before {
            x = std::hint::black_box(x.wrapping_mul(3));
        }
        let spent = Usage::of_this_thread() - before;
        assert!(spent.user + spent.system > Duration::ZERO);
    }
}
