//! `synfin load`.

use super::header::{self, Header};
use super::limit::{self, Limit};
use super::net::NetArgs;
use super::values::{self, Allowance, Ports, Target};
use clap::{ArgGroup, Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  Open loop: 20,000 new connections a second, whatever the target does, after a ramp of 2 s:
      synfin load -i veth0 -a 198.18.0.10-198.18.0.13/24 -t 198.18.0.2:80 \\
          --rate 20k --ramp 2s --duration 10s

  Closed loop: 1,000 connections at any time, 100 requests each:
      synfin load -i veth0 -a 198.18.0.1/24 -t 198.18.0.2:80 \\
          --concurrency 1000 --requests-per-connection 100

  Posts of a file to a name that the target serves beside others, after two seconds to warm up:
      synfin load -i veth0 -a 198.18.0.1/24 -t 198.18.0.2:80 --concurrency 100 --warmup 2s \\
          --path /api --body-file order.json -H Host:api.example

  Hold: open a million connections as fast as the target takes them, keep them for a minute, ask something over a \
thousand of them a second, chosen at random, and close them all:
      synfin load -i veth0 -a 198.18.0.10-198.18.0.25/24 -t 198.18.0.2:80 \\
          --hold 1M --hold-time 60s --hold-requests 1k

  Exactly 10,000 connections from 200 addresses, IPv4 and IPv6 in rotation:
      synfin load -i veth0 -a 198.18.0.10-198.18.0.209/24 -a 2001:2::10/64 \\
          -t 198.18.0.2:80 -t [2001:2::2]:80 --concurrency 100 --connections 10k

  The highest rate, up to a million a second, at which 99 of 100 connections have their response within a millisecond:
      synfin load -i veth0 -a 198.18.0.10-198.18.0.73/24 -t 198.18.0.2:80 \\
          --rate 1M --search --limit response.p99=1ms --duration 5s

  Keep what was measured: as data, as a page with charts, and a line a second as the run goes on:
      synfin load -i veth0 -a 198.18.0.1/24 -t 198.18.0.2:80 --concurrency 100 \\
          --duration 60s --json run.json --html run.html --csv run.csv

Latency is measured per connection: 'handshake' from the moment at which the connection was due (open loop) or begun \
(closed loop) until it is established; 'first byte' and 'request' from sending a request until the first and the last \
byte of the response; 'response', once for each connection, from when it was due until the last byte of its first \
response; 'close' from the end of the last response until both sides have closed (with --close half-close \
the closing has begun before that, so it is nearly nothing); 'connection' from when it was due until it is over. In open \
loop a launch that comes late counts its lateness as latency, and one that comes more than --max-lateness late is not \
made but counted as missed. 'request' says how fast a target answers what it is asked, and nothing about what came late \
since a stall held it up: that is in 'response'. In hold mode every connection is opened, however late; 'response' is \
measured for every request, from when it was due, and 'close' from the beginning of the closing.

Ports: a client that closes first cannot use an address and port again for --time-wait, so a high rate needs many of \
them: give address ranges. Source ports default to 1024-65535 for addresses that only synfin has; for an address that \
the kernel has too, to those below the kernel's own ephemeral ports (1024-32767 unless ip_local_port_range says \
otherwise), since replies to the ports in use here no longer reach the kernel.

Memory: where --hold means 1,048,576 connections or more for each worker, or --concurrency half as many (there is room \
for twice its number), the table that finds them takes its memory at the start (11 bytes for each that there is room \
for); else it grows as they come.

Ctrl-C ends a run early: what is open may finish (--drain), and the report follows. A second Ctrl-C cuts it. A run that \
was ended before anything was completed has failed.";

/// What is spoken to the target.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum LoadApp {
    /// HTTP/1.1 requests
    Http,
    /// Messages that must come back as they were sent
    Echo,
}

impl LoadApp {
    pub const fn name(self) -> &'static str {
        match self {
            LoadApp::Http => "http",
            LoadApp::Echo => "echo",
        }
    }
}

/// How connections end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum CloseMode {
    /// The client closes after the last response
    Fin,
    /// The client resets after the last response
    Rst,
    /// The client closes its direction right after the last request; the server closes the other. Some servers (nginx
    /// with large pages) take that for a hang-up and cut the last response short
    HalfClose,
    /// The client is gone after the last response: it sends nothing more, and answers nothing, as if its power had failed
    Abandon,
}

impl CloseMode {
    /// It is over at once, whatever the peer does.
    pub const fn is_abrupt(self) -> bool {
        matches!(self, CloseMode::Rst | CloseMode::Abandon)
    }

    pub const fn name(self) -> &'static str {
        match self {
            CloseMode::Fin => "fin",
            CloseMode::Rst => "rst",
            CloseMode::HalfClose => "half-close",
            CloseMode::Abandon => "abandon",
        }
    }
}

#[derive(Args, Debug, Clone)]
pub struct HoldArgs {
    /// Hold: open this many connections, keep them all open for --hold-time, then close them all
    ///
    /// They are opened as fast as the target takes them, or at --rate. Every one of them has to be established, and to
    /// stay so: one that breaks is a failure.
    #[arg(
        long,
        value_name = "N",
        value_parser = values::positive_count,
        conflicts_with_all = ["concurrency", "duration", "connections", "requests_per_connection", "drain"]
    )]
    pub hold: Option<u64>,

    /// Hold: how long, once all are open
    #[arg(long, value_name = "TIME", default_value = "60s", requires = "hold", value_parser = values::duration)]
    pub hold_time: Duration,

    /// Hold: requests per second meanwhile, each over a connection chosen at random; 0 for none
    #[arg(long, value_name = "N", default_value = "1k", requires = "hold", value_parser = values::count)]
    pub hold_requests: u64,

    /// Hold: handshakes, and later closes, under way at a time
    #[arg(long, value_name = "N", default_value = "512", requires = "hold", value_parser = values::positive_count)]
    pub at_a_time: u64,
}

#[derive(Args, Debug, Clone)]
pub struct RequestArgs {
    /// Path to request (HTTP) [default: /]
    #[arg(long, value_name = "PATH", value_parser = values::path)]
    pub path: Option<String>,

    /// Header to send, as in 'Cookie: a=1' (HTTP); may be given several times
    ///
    /// Host, User-Agent and Accept come in place of synfin's own.
    #[arg(short = 'H', long, value_name = "NAME: VALUE", value_parser = header::header)]
    pub header: Vec<Header>,

    /// Method of the requests (HTTP) [default: GET, or POST with --body-file]
    #[arg(long, value_name = "NAME", value_parser = header::method)]
    pub method: Option<String>,

    /// File that is sent with each request (HTTP)
    #[arg(long, value_name = "FILE")]
    pub body_file: Option<PathBuf>,
}

/// Open connections, exchange requests and responses, close, and measure
#[derive(Args, Debug, Clone)]
#[command(after_help = EXAMPLES)]
#[command(group = ArgGroup::new("load model").required(true).multiple(true).args(["rate", "concurrency", "hold"]))]
pub struct LoadArgs {
    /// Where to connect to, as address:port, [IPv6 address]:port or name:port; several are taken in rotation
    #[arg(short, long, value_name = "HOST:PORT", required = true, value_parser = values::target)]
    pub target: Vec<Target>,

    /// Open loop: new connections per second, at even distances; with --hold: to open and to close at most
    #[arg(short, long, value_name = "N", value_parser = values::positive_count)]
    pub rate: Option<u64>,

    /// Closed loop: connections open at any time; one that ends is replaced at once
    #[arg(short, long, value_name = "N", value_parser = values::positive_count, conflicts_with = "rate")]
    pub concurrency: Option<u64>,

    #[command(flatten)]
    pub hold: HoldArgs,

    /// How long to launch connections, and to send requests over them [default: 10s, or no limit with --connections]
    ///
    /// Then each connection closes after the response that it waits for.
    #[arg(short, long, value_name = "TIME", value_parser = values::positive_duration)]
    pub duration: Option<Duration>,

    /// Stop launching after this many connections
    #[arg(short = 'n', long, value_name = "N", value_parser = values::positive_count)]
    pub connections: Option<u64>,

    /// Begin with nothing and grow evenly to the full rate or concurrency in this time
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = values::duration)]
    pub ramp: Duration,

    /// So much at the beginning is left out of rates and latencies; counts are of the whole run
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = values::duration, conflicts_with = "hold")]
    pub warmup: Duration,

    /// What is spoken
    #[arg(long, value_enum, default_value_t = LoadApp::Http)]
    pub app: LoadApp,

    /// Requests (or messages) per connection, one after the other
    #[arg(long, value_name = "N", default_value = "1", value_parser = values::positive_count)]
    pub requests_per_connection: u64,

    #[command(flatten)]
    pub request: RequestArgs,

    /// File that the body of every successful response must be equal to (HTTP); others fail with 'mismatch'
    #[arg(long, value_name = "FILE")]
    pub expect_body: Option<PathBuf>,

    /// Size of a message (echo) [default: 100]
    #[arg(long, value_name = "BYTES", value_parser = values::bytes)]
    pub message_bytes: Option<u64>,

    /// How connections end
    #[arg(long, value_enum, default_value_t = CloseMode::Fin)]
    pub close: CloseMode,

    /// Source ports to use [default: see below]
    #[arg(long, value_name = "A-B", value_parser = values::ports)]
    pub source_ports: Option<Ports>,

    /// Give a connection up when its handshake, a response or its close takes longer
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = values::positive_duration)]
    pub timeout: Duration,

    /// When time is up, how long connections that are still open may take to finish
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = values::duration)]
    pub drain: Duration,

    /// Open loop: how late a connection may be launched before it is counted as missed instead
    #[arg(
        long,
        value_name = "TIME",
        default_value = "100ms",
        value_parser = values::positive_duration,
        conflicts_with = "concurrency"
    )]
    pub max_lateness: Duration,

    /// Failed connections that still let the run succeed: a number, or a share of those started, as in 0.1%
    #[arg(long, value_name = "N|P%", default_value = "0", value_parser = values::allowance)]
    pub max_errors: Allowance,

    /// Missed launches (--hold: requests) that still let the run succeed [default: 0.1% with --rate, any number with --hold]
    ///
    /// Launches are missed for want of a free address and port: give more addresses, a shorter --time-wait or a lower --rate;
    /// or since the generator comes too late: use more --workers or a lower --rate.
    #[arg(long, value_name = "N|P%", value_parser = values::allowance, conflicts_with = "concurrency")]
    pub max_missed: Option<Allowance>,

    /// Latency beyond which the run has failed, as in response.p99=1ms; may be given several times
    ///
    /// Measures: handshake, first_byte, request, response, close, connection. Figures: p50, p90, p95, p99, p99.9, p99.99, max,
    /// mean. What was missed or has failed counts as infinitely slow.
    #[arg(long, value_name = "MEASURE.FIGURE=TIME", value_parser = limit::limit)]
    pub limit: Vec<Limit>,

    /// Open loop: find the highest rate, up to --rate, at which a run succeeds
    ///
    /// One run of --duration after the other, each with its XDP program attached anew: from a sixty-fourth of --rate on the
    /// rate doubles until a run fails by --max-errors, --max-missed or --limit, then the gap is halved until it is below 5 %. A
    /// rate has failed when two runs at it have, and the rate that is found has gone well twice. The report is that of the
    /// last good run at it.
    #[arg(long, requires = "rate", conflicts_with_all = ["concurrency", "hold", "connections", "csv", "pcap"])]
    pub search: bool,

    /// Write all latencies as an HdrHistogram log (V2, compressed), nanoseconds, tagged by measure
    ///
    /// HdrHistogram's own tools read and plot it; logs of several runs or machines can be added up.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub hdr: Option<PathBuf>,

    #[command(flatten)]
    pub net: NetArgs,
}
