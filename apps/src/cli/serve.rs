//! `synfin serve`.

use super::net::{NetArgs, OnOff};
use super::values;
use clap::{Args, ValueEnum};
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  Pages of 1 KiB on ports 80 and 8080, IPv4 and IPv6:
      synfin serve -i veth1 -a 198.18.0.2/24 -a 2001:2::2/64 \\
          --listen 80,8080 --body-bytes 1KiB

  One connection per request, whatever the client asks for:
      synfin serve -i veth1 -a 198.18.0.2/24 --listen 80 --keepalive off

  See each segment of a small run:
      synfin serve -i veth1 -a 198.18.0.2/24 --listen 7 --app echo --trace

HTTP: GET and HEAD of /, /index.html and /bytes/N (N bytes, at most 1 GiB). Other paths are answered with 404, other \
methods with 405, what is no HTTP/1.x with 400, more than 8 KiB of header with 431. Stop with Ctrl-C: the report follows.";

/// What is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum ServeApp {
    /// HTTP/1.1
    Http,
    /// Send back what comes (RFC 862)
    Echo,
    /// Take and forget what comes (RFC 863)
    Discard,
    /// Send characters without end (RFC 864)
    Chargen,
}

impl ServeApp {
    pub const fn name(self) -> &'static str {
        match self {
            ServeApp::Http => "http",
            ServeApp::Echo => "echo",
            ServeApp::Discard => "discard",
            ServeApp::Chargen => "chargen",
        }
    }
}

/// Serve HTTP, echo, discard or chargen
#[derive(Args, Debug, Clone)]
#[command(after_help = EXAMPLES)]
pub struct ServeArgs {
    /// Port to listen on; several are separated by commas
    #[arg(short, long, value_name = "PORT", required = true, value_delimiter = ',', value_parser = values::port)]
    pub listen: Vec<u16>,

    /// What is served
    #[arg(long, value_enum, default_value_t = ServeApp::Http)]
    pub app: ServeApp,

    /// Size of the page at / (HTTP) [default: 200]
    #[arg(long, value_name = "BYTES", value_parser = values::bytes)]
    pub body_bytes: Option<u64>,

    /// Let connections stay open after a response if the client wants it (HTTP) [default: on]
    #[arg(long, value_enum, value_name = "WHEN")]
    pub keepalive: Option<OnOff>,

    /// Connections at a time, for each worker; more are refused [default: 16M]. Memory is taken as they come, but for the
    /// table that finds them, which has its own from the start if N is given and at least 1M
    #[arg(long, value_name = "N", value_parser = values::positive_count)]
    pub max_connections: Option<u64>,

    /// Stop after this time [default: run until Ctrl-C]
    #[arg(short, long, value_name = "TIME", value_parser = values::positive_duration)]
    pub duration: Option<Duration>,

    #[command(flatten)]
    pub net: NetArgs,
}
