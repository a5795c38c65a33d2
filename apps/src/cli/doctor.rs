//! `synfin doctor`.

use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  Is everything there that synfin needs, and what would slow it down?
      synfin doctor

  The same, and a network card with two workers on it, its XDP modes tried out:
      synfin doctor -i veth0 --workers 2 --try

What is found is 'ok', a 'warn'ing (a run works, but slower or less evenly than it could) or a 'fail'ure (a run cannot \
work), with the command that mends it. Nothing is changed. Exit code 0 without a failure, 1 with one, 2 for bad usage.";

/// Look at the machine: what stands in the way of a run, what would slow it down, and the command that mends it
#[derive(Args, Debug, Clone)]
#[command(after_help = EXAMPLES)]
pub struct DoctorArgs {
    /// Network interface to look at [default: none, the machine only]
    #[arg(short, long, value_name = "IF")]
    pub interface: Option<String>,

    /// Workers that are to run
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: u16,

    /// Attach an XDP program that takes nothing, and open a socket on each queue, to see what the driver can
    ///
    /// Some drivers lose the link for a few seconds then: not on an interface that somebody depends on.
    #[arg(long = "try", requires = "interface")]
    pub attach: bool,

    /// Write the findings as JSON too ('-': to standard output, instead of the text)
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}
