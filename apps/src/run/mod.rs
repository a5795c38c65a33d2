//! A run: workers at work, one thread that watches over them, and what they leave behind.

pub mod bisection;
pub mod bodies;
pub mod engine;
pub mod exporter;
pub mod hints;
pub mod hold;
pub mod impair;
pub mod limits;
pub mod load;
pub mod memory;
pub mod record;
pub mod search;
pub mod section;
pub mod serve;
pub mod stop;
pub mod summary;
pub mod verdict;
pub mod watch;

pub use engine::Runner;

use crate::cli::net::MachineArgs;
use crate::failure::Failure;
use crate::setup::BoxIo;
use synfin_engine::control::Control;
use synfin_engine::shard::App;
use synfin_engine::steering::Policy;
use synfin_engine::worker::{self, Clock, RunOptions, Running};

/// In which order workers take cores.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CoreOrder {
    Rising,
    Falling,
}

/// The cores that workers are pinned to. Unless they are named, a server takes them from the first on and a load
/// generator from the last on, so that both on one machine do not sit on the same one; with fewer cores than workers
/// nobody is pinned.
fn cores(machine: &MachineArgs, available: Vec<usize>, order: CoreOrder) -> Vec<usize> {
    if let Some(cores) = &machine.cores {
        return cores.0.clone();
    }
    let mut cores = available;
    if order == CoreOrder::Falling {
        cores.reverse();
    }
    if cores.len() < usize::from(machine.workers) { Vec::new() } else { cores }
}

/// Starts a worker for each queue; its thread makes the shard.
pub fn start<A, F>(
    shards: Vec<F>,
    queues: Vec<BoxIo>,
    machine: &MachineArgs,
    steering: Option<Policy>,
    order: CoreOrder,
    clock: Clock,
) -> Result<Running<Runner<A>, BoxIo>, Failure>
where
    A: App + Send + 'static,
    A::Conn: Send,
    F: FnOnce() -> Runner<A> + Send + 'static,
{
    let control = Control::new(shards.len());
    let options = RunOptions {
        sleep: machine.sleep,
        cores: cores(machine, worker::pin::available_cores(), order),
        steering,
        ..RunOptions::default()
    };
    let parts = shards.into_iter().zip(queues).collect();
    worker::start_with(parts, clock, &options, &control)
        .map_err(|e| Failure::new(e.to_string(), "Name other --cores, or fewer --workers."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn machine(more: &str) -> MachineArgs {
        let line = format!("synfin serve -i v -a 198.18.0.1/24 --listen 80 {more}");
        match Cli::try_parse_from(line.split_whitespace()).unwrap().command {
            Command::Serve(args) => args.net.machine,
            _ => unreachable!("the line says serve"),
        }
    }

    #[test]
    fn server_and_load_generator_begin_at_opposite_ends_and_named_cores_win() {
        let pick = |more: &str, order| cores(&machine(more), vec![0, 1, 2], order);
        assert_eq!(pick("", CoreOrder::Rising), [0, 1, 2]);
        assert_eq!(pick("", CoreOrder::Falling), [2, 1, 0]);
        assert_eq!(pick("--cores 5", CoreOrder::Falling), [5]);
        assert_eq!(pick("--workers 4", CoreOrder::Rising), [0; 0]);
    }
}
