//! `synfin impair`.

use super::values;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;
use synfin_engine::io::sim::Impairment;
use synfin_engine::io::tap::fault_spec;

const EXAMPLES: &str = "\
Examples:
  Three namespaces in a row (scripts/lab up --middle), a path of 100 Mbit/s and 20 ms in the middle one:
      synfin impair -a veth-a -b veth-b --both rate=100mbit,delay=10ms,queue=250k

  One packet in a hundred is lost on the way from a to b, and one in a hundred overtaken by ten others:
      synfin impair -a veth-a -b veth-b \\
          --a-to-b loss=1%,reorder=1%,reorder-frames=10,reorder-delay=5ms

  For half a minute, the same dice as last time, and the figures kept:
      synfin impair -a veth-a -b veth-b --both loss=0.1% \\
          --seed 7 --duration 30s --json link.json

A specification is a list of name=value. Shares, from 0 to 1 or 0% to 100%: loss, dup, reorder, corrupt. Times: delay, \
jitter (random, on top of the delay; never changes the order), reorder-delay (how long a packet is held back at most). \
rate: bits per second of whole frames, such as 100mbit; what comes faster waits, up to queue (bytes, such as 64k), and is \
dropped at the tail beyond that. Numbers: reorder-frames (how many packets overtake one that is held back; 0: as many as \
come), corrupt-bits. A direction without any specification passes everything on at once.

The kernel's offloads: over a veth pair a kernel hands over segments of up to 64 KiB and no checksums. While synfin's XDP \
program is on a veth interface, the kernel has TSO off at the other end, so that packets are packets; checksums are filled \
in on the way. Neither needs a setting, and both are over when the program ends, even by kill -9: nothing is left behind. \
Packets up to an MTU of 3498 bytes pass. The interfaces should have no addresses of their own: all they receive goes to \
the other one, and nothing to this machine's kernel.

The report says how late packets were handed over. If that is much against the delay asked for, the machine is too slow.";

/// Join two interfaces by a link that loses, delays, reorders, duplicates, damages and throttles packets
#[derive(Args, Debug, Clone)]
#[command(after_help = EXAMPLES)]
pub struct ImpairArgs {
    /// One interface: a network card, or one end of a veth pair
    #[arg(short, long, value_name = "IF")]
    pub a: String,

    /// The other one
    #[arg(short, long, value_name = "IF")]
    pub b: String,

    /// What happens to packets, whichever way they go, for example delay=5ms,loss=1%
    #[arg(long, value_name = "SPEC", value_parser = changes)]
    pub both: Option<Changes>,

    /// What happens to packets from a to b, besides
    #[arg(long, value_name = "SPEC", value_parser = changes)]
    pub a_to_b: Option<Changes>,

    /// What happens to packets from b to a, besides
    #[arg(long, value_name = "SPEC", value_parser = changes)]
    pub b_to_a: Option<Changes>,

    /// Seed of the dice; each direction has its own [default: drawn from the system]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Stop after this time [default: run until Ctrl-C]
    #[arg(short, long, value_name = "TIME", value_parser = values::positive_duration)]
    pub duration: Option<Duration>,

    /// Sleep while there is nothing to do, instead of polling all the time
    ///
    /// Costs some microseconds of lateness, and leaves the machine usable for others when cores are few.
    #[arg(long)]
    pub sleep: bool,

    /// Core to stay on [default: any]
    #[arg(long, value_name = "N")]
    pub core: Option<usize>,

    /// Write the report as JSON too ('-': to standard output, instead of the text)
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl ImpairArgs {
    /// What happens from a to b, and from b to a.
    pub fn impairments(&self) -> [Impairment; 2] {
        [&self.a_to_b, &self.b_to_a].map(|own| {
            let mut spec = Impairment::default();
            [&self.both, own].into_iter().flatten().for_each(|changes| changes.apply(&mut spec));
            spec
        })
    }
}

/// A specification that has been found right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes(String);

impl Changes {
    fn apply(&self, spec: &mut Impairment) {
        let applied = fault_spec::apply(spec, &self.0);
        debug_assert_eq!(applied, Ok(()), "was checked when it was read");
    }
}

fn changes(text: &str) -> Result<Changes, String> {
    fault_spec::apply(&mut Impairment::default(), text).map_err(|e| e.to_string())?;
    Ok(Changes(text.to_owned()))
}
