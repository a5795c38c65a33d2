//! Threads for workers: started together, pinned, joined, and none of them able to hang the run by dying.

use super::Worker;
use super::clock::Clock;
use super::engine::Engine;
use super::handoff::Handoff;
use super::pin;
use super::watch::Watch;
use crate::base::{Counters, Instant};
use crate::control::Control;
use crate::io::PacketIo;
use crate::steering::Policy;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

/// How workers run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The largest burst received in one turn; a turn sends up to four times as many.
    pub burst_frames: usize,
    /// Sleep in poll(2) instead of spinning, once nothing has come for a while and nothing is due soon.
    pub sleep: bool,
    /// One core for each worker; empty: left to the system.
    pub cores: Vec<usize>,
    /// How frames find the worker that owns their connection: for several workers on one device. `None`: the workers
    /// have nothing to do with each other.
    pub steering: Option<Policy>,
    /// Frames that may wait for each worker to take them over.
    pub inbox_frames: usize,
}

impl Default for RunOptions {
    fn default() -> Self {
        RunOptions { burst_frames: 64, sleep: false, cores: Vec::new(), steering: None, inbox_frames: 4096 }
    }
}

/// Why a run did not start or did not end well.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RunError {
    NoWorkers,
    /// Settings that do not go together.
    BadConfig(&'static str),
    /// Fewer cores were named than there are workers.
    TooFewCores {
        workers: usize,
        cores: usize,
    },
    /// This process may not use that core.
    NoSuchCore {
        core: usize,
        available: Vec<usize>,
    },
    /// The system refused the thread.
    Thread {
        worker: usize,
        error: String,
    },
    /// A worker ended by a bug; the others were stopped.
    Panicked {
        worker: usize,
        message: String,
    },
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::NoWorkers => write!(f, "no worker to run: give at least one queue"),
            RunError::BadConfig(why) => write!(f, "{why}"),
            RunError::TooFewCores { workers, cores } => {
                write!(f, "{workers} workers need {workers} cores, but {cores} were named")
            }
            RunError::NoSuchCore { core, available } => {
                write!(f, "core {core} is not there for this process; it may use {available:?}")
            }
            RunError::Thread { worker, error } => write!(f, "worker {worker} got no thread: {error}"),
            RunError::Panicked { worker, message } => {
                write!(f, "worker {worker} ended by a bug in synfin, and the run was stopped: {message}")
            }
        }
    }
}

impl std::error::Error for RunError {}

/// What a worker leaves behind.
pub struct Finished<E, I> {
    pub engine: E,
    pub io: I,
    pub(super) handoff: Option<Handoff>,
}

/// Workers at work.
pub struct Running<E, I> {
    control: Control,
    threads: Vec<JoinHandle<Result<Finished<E, I>, RunError>>>,
}

/// As [`start_with`], with engines that are there already.
///
/// # Errors
/// As for [`start_with`].
pub fn start<E, I>(
    parts: Vec<(E, I)>,
    clock: Clock,
    options: &RunOptions,
    control: &Control,
) -> Result<Running<E, I>, RunError>
where
    E: Engine + Send + 'static,
    I: PacketIo + Send + 'static,
{
    start_with(parts.into_iter().map(|(engine, io)| (move || engine, io)).collect(), clock, options, control)
}

/// Starts one worker for each engine and its queue. Each engine is made by the thread that runs it, once that is
/// pinned: its memory comes from the core's own node, and from pages that no other thread allocates from, so that no
/// two workers write to one cache line. Numbers and commands go through `control`, which was made for as many workers.
///
/// # Errors
/// Cores that are not there, or no thread to be had; then no worker goes on running.
pub fn start_with<F, E, I>(
    parts: Vec<(F, I)>,
    clock: Clock,
    options: &RunOptions,
    control: &Control,
) -> Result<Running<E, I>, RunError>
where
    F: FnOnce() -> E + Send + 'static,
    E: Engine + Send + 'static,
    I: PacketIo + Send + 'static,
{
    check_cores(parts.len(), &options.cores)?;
    let mut running = Running { control: control.clone(), threads: Vec::with_capacity(parts.len()) };
    for (index, seat) in seats(parts, clock, options, control).into_iter().enumerate() {
        let core = options.cores.get(index).copied();
        let stop = control.clone();
        let thread = std::thread::Builder::new().name(format!("synfin-{index}")).spawn(move || {
            let end = run_pinned(index, core, seat);
            if end.is_err() {
                stop.stop();
            }
            end
        });
        match thread {
            Ok(thread) => running.threads.push(thread),
            Err(e) => {
                control.stop();
                let _ = running.join();
                return Err(RunError::Thread { worker: index, error: e.to_string() });
            }
        }
    }
    Ok(running)
}

fn check_cores(workers: usize, cores: &[usize]) -> Result<(), RunError> {
    if workers == 0 {
        return Err(RunError::NoWorkers);
    }
    if cores.is_empty() {
        return Ok(());
    }
    if cores.len() < workers {
        return Err(RunError::TooFewCores { workers, cores: cores.len() });
    }
    let available = pin::available_cores();
    match cores.iter().find(|core| !available.contains(core)) {
        Some(&core) => Err(RunError::NoSuchCore { core, available }),
        None => Ok(()),
    }
}

/// What a worker's thread is given.
struct Seat<F, I> {
    index: usize,
    make_engine: F,
    io: I,
    handoff: Option<Handoff>,
    clock: Clock,
    control: Control,
    burst_frames: usize,
    sleep: bool,
}

fn seats<F, I: PacketIo>(
    mut parts: Vec<(F, I)>,
    clock: Clock,
    options: &RunOptions,
    control: &Control,
) -> Vec<Seat<F, I>> {
    let burst_frames = options.burst_frames.max(1);
    let mut handoffs: Vec<Option<Handoff>> = match &options.steering {
        Some(policy) if parts.len() > 1 => {
            let arenas: Vec<_> = parts.iter_mut().map(|(_, io)| io.pool().arena().clone()).collect();
            Handoff::connect(&arenas, policy, burst_frames, options.inbox_frames).into_iter().map(Some).collect()
        }
        _ => parts.iter().map(|_| None).collect(),
    };
    let parts = parts.into_iter().zip(handoffs.drain(..)).enumerate();
    parts
        .map(|(index, ((make_engine, io), handoff))| Seat {
            index,
            make_engine,
            io,
            handoff,
            clock,
            control: control.clone(),
            burst_frames,
            sleep: options.sleep,
        })
        .collect()
}

impl<F, I: PacketIo> Seat<F, I> {
    /// Makes everything that the worker writes to.
    fn take<E: Engine>(self) -> Worker<E, I>
    where
        F: FnOnce() -> E,
    {
        Worker {
            index: self.index,
            engine: (self.make_engine)(),
            io: self.io,
            clock: self.clock,
            control: self.control,
            handoff: self.handoff,
            sleep: self.sleep,
            rx: Vec::with_capacity(self.burst_frames),
            tx: Vec::with_capacity(self.burst_frames * 4),
            counters: Counters::default(),
            watch: Watch::new(self.clock),
            last_busy: Instant::ZERO,
            last_publish: Instant::ZERO,
            draining: false,
            reported_drained: false,
        }
    }
}

/// The life of a worker's thread.
fn run_pinned<F: FnOnce() -> E, E: Engine, I: PacketIo>(
    index: usize,
    core: Option<usize>,
    seat: Seat<F, I>,
) -> Result<Finished<E, I>, RunError> {
    if let Some(core) = core.filter(|&core| !pin::pin_to(core)) {
        return Err(RunError::NoSuchCore { core, available: pin::available_cores() });
    }
    // The worker is gone after a panic, so nobody sees it in a broken state.
    catch_unwind(AssertUnwindSafe(|| seat.take().run()))
        .map_err(|panic| RunError::Panicked { worker: index, message: message_of(&*panic) })
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

impl<E: Engine, I: PacketIo> Running<E, I> {
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Some worker has ended: all have been stopped, have drained, or one has panicked.
    pub fn is_ending(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Waits until all workers have ended, and gives back their engines and queues, in order.
    ///
    /// # Errors
    /// The first worker that panicked.
    pub fn join(self) -> Result<Vec<Finished<E, I>>, RunError> {
        // All are joined before the first error is looked at: nothing runs on after this.
        let ends: Vec<_> = self.threads.into_iter().map(JoinHandle::join).collect();
        let mut finished = Vec::with_capacity(ends.len());
        for (worker, end) in ends.into_iter().enumerate() {
            let end = end.map_err(|panic| RunError::Panicked { worker, message: message_of(&*panic) });
            finished.push(end.and_then(|parts| parts)?);
        }
        for _round in 0..2 {
            for Finished { io, handoff, .. } in &mut finished {
                handoff.iter_mut().for_each(|h| h.clear(io.pool()));
            }
        }
        Ok(finished)
    }
}
