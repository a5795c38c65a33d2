//! The command line: what can be asked for, in words for people. One definition feeds parsing and `--help`.
//!
//! Values are checked one by one in [`values`]; what only shows when several are looked at together is checked in
//! [`check`]. Nothing here touches the system.

pub mod check;
pub mod doctor;
pub mod header;
pub mod impair;
pub mod limit;
pub mod load;
pub mod manual;
pub mod net;
pub mod serve;
pub mod values;

#[cfg(test)]
mod tests;

pub use doctor::DoctorArgs;
pub use impair::ImpairArgs;
pub use load::LoadArgs;
pub use manual::{CompletionsArgs, ManArgs};
pub use net::NetArgs;
pub use serve::ServeArgs;

use clap::{Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  Serve 200-byte pages on port 80 of an address that only synfin has:
      synfin serve --interface veth1 --address 198.18.0.2/24 --listen 80

  Open 20,000 connections a second to it for ten seconds, one request each:
      synfin load --interface veth0 --address 198.18.0.10-198.18.0.13/24 \\
          --target 198.18.0.2:80 --rate 20k --duration 10s

  Keep 1,000 connections busy with 100 requests each, over IPv6, and keep the figures:
      synfin load --interface veth0 --address 2001:2::1/64 --target [2001:2::2]:80 \\
          --concurrency 1000 --requests-per-connection 100 --duration 30s \\
          --json run.json --html run.html

  See what this machine lacks, and the command that mends it:
      synfin doctor --interface veth0

Exit status:
  0  the run did what was asked; doctor: nothing stands in the way of one
  1  it ran, but more connections failed or were missed than --max-errors and --max-missed allow, or a --limit was exceeded, \
or it was ended before anything was completed; doctor: something stands in the way
  2  bad usage, or the run could not be set up: one sentence on standard error, and what to do
  134 (SIGABRT)  a bug in synfin; there is no report, but --csv keeps what it has written

Privileges: root, or the capabilities cap_net_raw, cap_net_admin and cap_bpf:
      sudo setcap cap_net_raw,cap_net_admin,cap_bpf,cap_ipc_lock+ep $(command -v synfin)";

/// A TCP load generator and server with a stack of its own, on Linux AF_XDP.
///
/// synfin takes the frames of its own addresses and ports off a network interface and speaks TCP itself; everything
/// else on the interface goes on to the kernel undisturbed. No driver is unbound and nothing is left behind at the
/// end.
#[derive(Parser, Debug)]
#[command(name = "synfin", version, long_version = crate::report::environment::LONG_VERSION)]
#[command(after_help = EXAMPLES, arg_required_else_help = true, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    Serve(Box<ServeArgs>),
    Load(Box<LoadArgs>),
    Impair(Box<ImpairArgs>),
    Doctor(Box<DoctorArgs>),
    #[command(hide = true)]
    Completions(CompletionsArgs),
    #[command(hide = true)]
    Man(ManArgs),
}
