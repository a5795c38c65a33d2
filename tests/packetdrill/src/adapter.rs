//! Two threads that share the stack: packetdrill's own, which moves the clock, and the one on which it makes calls that
//! are expected to wait.
//!
//! A call that waits sleeps on a condition, so that packetdrill sees its thread sleep. When the world has changed it is
//! woken, and the clock stands still until it either sleeps again or has asked what time it is: the moment at which the
//! call has returned.

use crate::machine::Machine;
use crate::settings::Settings;
use crate::sysctls::Sysctls;
use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;
use synfin_engine::base::Instant;
use synfin_engine::socket::blocking::World;
use synfin_engine::socket::{Errno, Fd, Sockets};

/// Longest wait for a packet, in virtual time.
const PATIENCE: Duration = Duration::from_secs(86_400);
/// How long a woken thread may take, in real time, before the clock goes on without it.
const GRACE: Duration = Duration::from_secs(1);

/// And how long it then has, in real time.
const AFTERMATH: Duration = Duration::from_millis(20);

/// The thread whose call waits.
#[derive(Clone, Copy, PartialEq)]
enum Sleeper {
    None,
    /// Until then at most.
    Asleep(Option<Instant>),
    /// The clock stands still for it.
    Woken(ThreadId),
}

struct Shared {
    machine: Machine,
    sysctls: Sysctls,
    sleeper: Sleeper,
    /// A call that waited is over.
    has_returned: bool,
    /// Kernel descriptors (one for each socket, since packetdrill closes what a script leaves open) and ours.
    fds: HashMap<i32, Fd>,
}

pub struct Adapter {
    shared: Mutex<Shared>,
    changed: Condvar,
    /// The thread that moves the clock.
    mover: ThreadId,
}

type Guard<'a> = MutexGuard<'a, Shared>;

impl Adapter {
    /// `flags`: `settings` were made from them.
    pub fn new(settings: Settings, flags: &str) -> Adapter {
        let machine = Machine::new(&settings);
        let sysctls = Sysctls::new(settings.sysctls, flags);
        let shared = Shared { machine, sysctls, sleeper: Sleeper::None, has_returned: false, fds: HashMap::new() };
        Adapter { shared: Mutex::new(shared), changed: Condvar::new(), mover: std::thread::current().id() }
    }

    fn lock(&self) -> Guard<'_> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the sleeper see what has changed, and waits until it is done with it.
    fn settle<'a>(&'a self, mut g: Guard<'a>) -> Guard<'a> {
        if let Sleeper::Asleep(_) = g.sleeper {
            // Which thread it is becomes known when it has woken.
            g.sleeper = Sleeper::Woken(std::thread::current().id());
            self.changed.notify_all();
        }
        let busy = |s: &mut Shared| matches!(s.sleeper, Sleeper::Woken(_));
        let (mut g, timeout) = self.changed.wait_timeout_while(g, GRACE, busy).unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            g.sleeper = Sleeper::None;
        }
        g
    }

    /// Moves the clock to `end`, doing everything on the way at its time. Stops early, as soon as `enough`.
    fn pass<'a>(&'a self, mut g: Guard<'a>, end: Instant, enough: fn(&Machine) -> bool) -> Guard<'a> {
        loop {
            if enough(&g.machine) {
                return g;
            }
            let limit = match g.sleeper {
                Sleeper::Asleep(Some(until)) if until < end => until.max(g.machine.now),
                _ => end,
            };
            let step = g.machine.next_step(limit);
            if step.is_none() && limit == end {
                g.machine.now = g.machine.now.max(end);
                return g;
            }
            g.machine.now = step.unwrap_or(limit);
            g.machine.turn();
            g = self.settle(g);
        }
    }

    /// `usleep`.
    pub fn sleep(&self, time: Duration) {
        let mut g = self.lock();
        if std::mem::take(&mut g.has_returned) {
            // Now packetdrill's thread can take note of what its call has returned.
            drop(g);
            std::thread::sleep(AFTERMATH);
            g = self.lock();
        }
        let end = g.machine.now + time;
        drop(self.pass(g, end, |_| false));
    }

    /// `gettimeofday`. It takes a microsecond, so that who waits for a point in time comes to it.
    pub fn time(&self) -> Instant {
        let mut g = self.lock();
        if g.sleeper == Sleeper::Woken(std::thread::current().id()) {
            (g.sleeper, g.has_returned) = (Sleeper::None, true);
            self.changed.notify_all();
            return g.machine.now;
        }
        let end = g.machine.now + Duration::from_micros(1);
        g = self.pass(g, end, |_| false);
        g.machine.now
    }

    /// A packet arrives.
    pub fn packet_in(&self, packet: &[u8]) -> bool {
        let mut g = self.lock();
        let taken = g.machine.receive(packet);
        drop(self.settle(g));
        taken
    }

    /// The next packet that the stack sends, and when it did; the clock moves on to it.
    pub fn packet_out(&self) -> Option<(Instant, Vec<u8>)> {
        let mut g = self.lock();
        let start = g.machine.now;
        g = self.pass(g, start + PATIENCE, |m| !m.sent.is_empty());
        g.machine.sent.pop_front()
    }

    /// `ip tcp_metrics flush`.
    pub fn forget_servers(&self) {
        self.lock().machine.stack.forget_fast_open_servers();
    }

    /// Our descriptor for one of the kernel's.
    pub fn fd(&self, kernel: i32) -> Result<Fd, Errno> {
        self.lock().fds.get(&kernel).copied().ok_or(Errno::BADF)
    }

    pub fn is_ours(&self, kernel: i32) -> bool {
        self.fd(kernel).is_ok()
    }

    pub fn adopt(&self, kernel: i32, fd: Fd) {
        self.lock().fds.insert(kernel, fd);
    }

    pub fn forget(&self, kernel: i32) {
        self.lock().fds.remove(&kernel);
    }
}

impl World for &Adapter {
    fn act<R>(&mut self, call: impl FnOnce(&mut Sockets<'_>) -> R) -> R {
        let mut g = self.lock();
        if let Some(settings) = g.sysctls.changes() {
            g.machine.configure(&settings);
        }
        let now = g.machine.now;
        let result = call(&mut g.machine.stack.at(now));
        g.machine.turn();
        result
    }

    fn wait(&mut self, until: Option<Instant>) -> Result<(), Errno> {
        if std::thread::current().id() == self.mover {
            // Nobody would ever wake it.
            return Err(Errno::AGAIN);
        }
        let mut g = self.lock();
        g.sleeper = Sleeper::Asleep(until);
        self.changed.notify_all();
        let asleep = |s: &mut Shared| matches!(s.sleeper, Sleeper::Asleep(_));
        g = self.changed.wait_while(g, asleep).unwrap_or_else(PoisonError::into_inner);
        g.sleeper = Sleeper::Woken(std::thread::current().id());
        Ok(())
    }
}
