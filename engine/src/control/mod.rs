//! F5: how the outside reaches running workers, and how it sees what they do. No locks: a worker is never kept
//! waiting by whoever commands or watches it.
//!
//! A worker owns one [`Published`] block, which it alone writes, and one mailbox, which it alone empties. A
//! [`Control`] is the other end of all of them; it is cheap to clone and may live in any thread. This module
//! knows nothing of the poll loop itself.

mod published;

pub use published::{Published, Snapshot, Stage, TimeSpent};

use crossbeam::queue::ArrayQueue;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What a worker can be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// End now: connections that are open are reset.
    Stop,
    /// Begin nothing new, finish what is open, then end. All workers end together, when the last has finished.
    Drain,
}

/// Commands that may wait in a mailbox. More make no sense: they are dropped, and `send` says so.
const MAILBOX_COMMANDS: usize = 16;

/// What workers and their controls share.
struct Shared {
    /// Set by a signal handler, by a worker that panics, or by [`Control::stop`].
    stop: Arc<AtomicBool>,
    mailboxes: Vec<ArrayQueue<Command>>,
    published: Vec<Published>,
    /// Workers that were told to drain and have nothing left to do.
    drained: AtomicUsize,
}

/// The handle on all workers of a run.
#[derive(Clone)]
pub struct Control {
    shared: Arc<Shared>,
}

impl Control {
    pub fn new(workers: usize) -> Control {
        let shared = Shared {
            stop: Arc::new(AtomicBool::new(false)),
            mailboxes: (0..workers).map(|_| ArrayQueue::new(MAILBOX_COMMANDS)).collect(),
            published: (0..workers).map(|_| Published::default()).collect(),
            drained: AtomicUsize::new(0),
        };
        Control { shared: Arc::new(shared) }
    }

    pub fn workers(&self) -> usize {
        self.shared.mailboxes.len()
    }

    /// The flag that ends the run; made to be set from a signal handler.
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        self.shared.stop.clone()
    }

    /// Ends all workers.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }

    /// Lets all workers finish what is open.
    pub fn drain(&self) {
        for worker in 0..self.workers() {
            // A full mailbox has 16 commands in it; one of them is a Drain or a Stop already.
            let _ = self.send(worker, Command::Drain);
        }
    }

    /// Puts a command into one worker's mailbox. False when there is no such worker or its mailbox is full.
    #[must_use]
    pub fn send(&self, worker: usize, command: Command) -> bool {
        self.shared.mailboxes.get(worker).is_some_and(|mailbox| mailbox.push(command).is_ok())
    }

    /// What a worker last published, about a millisecond ago at most while it is busy. Zeros for a worker that
    /// does not exist.
    pub fn snapshot(&self, worker: usize) -> Snapshot {
        self.shared.published.get(worker).map(Published::snapshot).unwrap_or_default()
    }

    /// All workers' snapshots added up.
    pub fn total(&self) -> Snapshot {
        let mut total = Snapshot::default();
        (0..self.workers()).for_each(|worker| total.merge(&self.snapshot(worker)));
        total
    }

    /// For the worker: whether the run is over.
    #[inline]
    pub(crate) fn is_stopped(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    /// For the worker: its next command.
    #[inline]
    pub(crate) fn next_command(&self, worker: usize) -> Option<Command> {
        self.shared.mailboxes.get(worker)?.pop()
    }

    /// For the worker: says once that it has drained.
    pub(crate) fn report_drained(&self) {
        self.shared.drained.fetch_add(1, Ordering::Relaxed);
    }

    /// For the worker: all have drained.
    pub(crate) fn all_drained(&self) -> bool {
        self.shared.drained.load(Ordering::Relaxed) >= self.workers()
    }

    /// For the worker: its block.
    pub(crate) fn published(&self, worker: usize) -> Option<&Published> {
        self.shared.published.get(worker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_arrive_in_order_at_the_worker_they_were_sent_to() {
        let control = Control::new(2);
        assert!(control.send(1, Command::Drain));
        assert!(control.send(1, Command::Stop));
        assert_eq!(control.next_command(0), None);
        assert_eq!(control.next_command(1), Some(Command::Drain));
        assert_eq!(control.next_command(1), Some(Command::Stop));
        assert_eq!(control.next_command(1), None);
    }

    #[test]
    fn each_workers_block_and_mailbox_lie_on_cache_lines_of_their_own() {
        let control = Control::new(3);
        let words = size_of::<Snapshot>();
        let blocks = control.shared.published.iter().map(|block| (block.address(), words));
        let mailbox = |m: &ArrayQueue<Command>| (std::ptr::from_ref(m) as usize, size_of_val(m));
        let parts: Vec<(usize, usize)> = blocks.chain(control.shared.mailboxes.iter().map(mailbox)).collect();
        let lines = |&(at, len): &(usize, usize)| at / 64..=(at + len - 1) / 64;
        for (n, a) in parts.iter().enumerate() {
            for b in &parts[n + 1..] {
                let (a, b) = (lines(a), lines(b));
                assert!(a.end() < b.start() || b.end() < a.start(), "{a:?} {b:?}");
            }
        }
        assert!(parts.iter().all(|(at, _)| at % 64 == 0));
    }

    #[test]
    fn a_full_mailbox_and_an_unknown_worker_refuse() {
        let control = Control::new(1);
        let taken = (0..100).filter(|_| control.send(0, Command::Drain)).count();
        assert_eq!(taken, MAILBOX_COMMANDS);
        assert!(!control.send(1, Command::Stop));
        assert_eq!(control.snapshot(1), Snapshot::default());
    }

    #[test]
    fn the_run_has_drained_when_every_worker_has() {
        let control = Control::new(2);
        control.report_drained();
        assert!(!control.all_drained());
        control.report_drained();
        assert!(control.all_drained());
    }
}
