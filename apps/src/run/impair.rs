//! `synfin impair`, from the command line to the report.

use super::stop::StopRequests;
use crate::cli::ImpairArgs;
use crate::failure::Failure;
use crate::impair::{Bridge, Port};
use crate::report::impair::{Direction, ImpairReport};
use crate::report::model::ratio;
use crate::setup::shard::random_u64;
use std::time::Duration;
use synfin_engine::base::Instant;
use synfin_engine::io::sim::{End, Impairment, SimLink};
use synfin_engine::io::xsk::{Waiter, XskIo};
use synfin_engine::worker::{Clock, pin};

/// A sleep is no longer than this: nothing wakes it up when a device that was full can take packets again.
const NAP: Duration = Duration::from_millis(1);

/// Carries packets until the time is up or somebody stops it.
pub fn run(args: &ImpairArgs) -> Result<ImpairReport, Failure> {
    crate::cli::check::impair(args)?;
    let stop = StopRequests::listen()?;
    let seed = args.seed.map_or_else(random_u64, Ok)?;
    let impairments = args.impairments();
    let (a, b) = (Port::open(&args.a)?, Port::open(&args.b)?);
    if let Some(core) = args.core.filter(|core| !pin::pin_to(*core)) {
        return Err(Failure::new(format!("cannot stay on core {core}"), "Name another --core."));
    }
    let mut waiter = args.sleep.then(|| Waiter::new(a.queues.iter().chain(&b.queues)));
    let (_guards, clock) = ([a.guard, b.guard], Clock::start());
    let mut bridge = Bridge::new(SimLink::new(seed, impairments), a.queues, b.queues);
    eprintln!("synfin: joining {} and {}; Ctrl-C ends it", args.a, args.b);
    let pause_max_ns = carry(&mut bridge, waiter.as_mut(), args.duration, &stop, clock);
    let seconds = clock.now().as_nanos() as f64 / 1e9;
    let [a_to_b, b_to_a] = impairments;
    let directions = [
        direction(&bridge, End::A, [&args.a, &args.b], &a_to_b, seconds),
        direction(&bridge, End::B, [&args.b, &args.a], &b_to_a, seconds),
    ];
    Ok(ImpairReport::new(seconds, seed, directions, pause_max_ns))
}

/// Returns the longest time for which the devices were not looked at, beyond what was meant.
fn carry(
    bridge: &mut Bridge<XskIo>,
    mut waiter: Option<&mut Waiter>,
    duration: Option<Duration>,
    stop: &StopRequests,
    clock: Clock,
) -> u64 {
    let end = duration.map(|d| clock.now() + d);
    let (mut last, mut nap, mut pause_max_ns) = (clock.now(), Duration::ZERO, 0);
    loop {
        let now = clock.now();
        pause_max_ns = pause_max_ns.max(now.nanos_since(last + nap));
        (last, nap) = (now, Duration::ZERO);
        if stop.count() > 0 || end.is_some_and(|end| now >= end) {
            return pause_max_ns;
        }
        if bridge.round(&clock) {
            continue;
        }
        if let Some(waiter) = &mut waiter {
            nap = until(bridge.next_due(), clock.now());
            // A device that has gone makes it return at once: the loop then polls until somebody stops it.
            let _gone = waiter.wait(nap);
        }
    }
}

fn until(due: Option<Instant>, now: Instant) -> Duration {
    due.map_or(NAP, |due| Duration::from_nanos(due.nanos_since(now)).min(NAP))
}

fn direction(
    bridge: &Bridge<XskIo>,
    from: End,
    [name, other]: [&String; 2],
    spec: &Impairment,
    seconds: f64,
) -> Direction {
    let (fates, device, delivered) = (bridge.fates(from), bridge.device(from), bridge.delivered_to(from.other()));
    Direction {
        from: name.clone(),
        to: other.clone(),
        asked: spec.into(),
        came: bridge.came_from(from).into(),
        delivered: delivered.into(),
        delivered_bits_per_second: ratio(delivered.bytes as f64 * 8.0, seconds),
        lost: fates.lost,
        queue_dropped: fates.queue_dropped,
        reordered: fates.reordered,
        duplicated: fates.duplicated,
        corrupted: fates.corrupted,
        missed: device.kernel_rx_dropped
            + device.kernel_rx_ring_full
            + device.kernel_fill_ring_empty
            + device.rx_fragmented
            + fates.no_frame,
        late_max_ns: fates.late_max_ns,
        late_mean_ns: ratio(fates.late_total_ns as f64, fates.delivered as f64),
        late_over_1ms: fates.late,
    }
}
