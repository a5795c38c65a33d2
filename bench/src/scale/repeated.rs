//! Turns that are long each time.
//!
//! On a machine that others use too, a long turn says little. But a run in virtual time from a seed repeats itself, turn
//! by turn: of several runs the shortest time of each turn is what the turn itself takes, apart from what disturbed every
//! single run. What the engine does to itself (growing, giving back, mass expiry) is in all of them.

use super::phases::{Figures, exchange, expire_time_wait, open, room_for_time_wait, time_all_out};
use super::rig::Room;
use super::{Pauses, Rig};
use std::time::Duration;

const RUNS: usize = 3;
/// Turns that take longer are counted.
const STALL: Duration = Duration::from_millis(1);

/// Opening, and both kinds of mass expiry.
pub fn repeated(connections: u32) -> Figures {
    let mut figures = Figures::default();
    shortest(&mut figures, "opening", |client, server| {
        open(&mut Rig::new(&Room::for_idle(connections)), connections, client, server);
    });
    shortest(&mut figures, "opening, flow table prepared", |client, server| {
        let room = Room { flows_prepared: true, ..Room::for_idle(connections) };
        open(&mut Rig::new(&room), connections, client, server);
    });
    shortest(&mut figures, "keepalive of all expires", |client, server| time_all_out(connections, client, server));
    shortest(&mut figures, "TIME-WAIT of all expires", |_, server| {
        let mut rig = Rig::new(&room_for_time_wait(connections));
        exchange(&mut rig, connections);
        expire_time_wait(&mut rig, server);
    });
    figures
}

fn shortest(figures: &mut Figures, what: &str, run: impl Fn(&mut Pauses, &mut Pauses)) {
    let once = || {
        let mut ends = [Pauses::keeping_turns(), Pauses::keeping_turns()];
        let [client, server] = &mut ends;
        run(client, server);
        ends
    };
    let mut shortest = once();
    for _ in 1..RUNS {
        shortest.iter_mut().zip(&once()).for_each(|(shortest, again)| shortest.keep_shorter(again));
    }
    for (end, pauses) in ["client", "server"].iter().zip(&shortest).filter(|(_, pauses)| pauses.turns() > 0) {
        let (quantiles, stalls) = pauses.kept_us(STALL);
        for (quantile, us) in ["p50", "p99", "p99.9", "max"].iter().zip(quantiles) {
            figures.add(format!("{what} ({end}): turn {quantile} (wall, shortest of {RUNS} runs)"), us, "us");
        }
        figures.add(format!("{what} ({end}): turns above 1 ms in all of {RUNS} runs"), stalls as f64, "turns");
    }
}
