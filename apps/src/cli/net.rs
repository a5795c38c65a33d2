//! What both subcommands are told about the network, the machine and TCP.

use super::values::{self, AddressRange, Cores, Pace};
use clap::{ArgGroup, Args, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use synfin_engine::io::tap::FaultSpec;
use synfin_engine::wire::Addr;

#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Network")]
pub struct NetArgs {
    /// Network interface whose frames are taken
    #[arg(short, long, value_name = "IF")]
    pub interface: String,

    /// Own address with the prefix length of its subnet; may be given several times
    ///
    /// A range is written A-B/LEN, for example 198.18.0.10-198.18.0.99/24. An address that the kernel does not have
    /// on this interface is synfin's alone: synfin answers ARP, neighbour solicitations and pings for it. An address
    /// that the kernel has too is shared: the kernel goes on answering those and keeps all of its own connections.
    #[arg(short, long, value_name = "ADDR/LEN", required = true, value_parser = values::address_range)]
    pub address: Vec<AddressRange>,

    /// Router for addresses outside the subnet, at most one per family [default: that of the kernel]
    #[arg(long, value_name = "IP", value_parser = values::address)]
    pub gateway: Vec<Addr>,

    /// VLAN id of all frames; two ids separated by a comma for QinQ, the outer one first
    #[arg(long, value_name = "ID[,ID]", value_delimiter = ',', value_parser = values::vlan_id)]
    pub vlan: Vec<u16>,

    /// IP MTU in bytes [default: that of the interface, as far as its frames can be taken]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(576..))]
    pub mtu: Option<u16>,

    #[command(flatten)]
    pub machine: MachineArgs,

    #[command(flatten)]
    pub tcp: TcpArgs,

    #[command(flatten)]
    pub output: OutputArgs,
}

/// Where frames come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Backend {
    /// synfin's own AF_XDP rings
    Xsk,
    /// The afxdp crate (only when built with it)
    Afxdp,
}

/// How the XDP program is attached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Mode {
    /// What suits the device and the number of workers
    Auto,
    /// In the driver
    Native,
    /// In the kernel's generic path: works everywhere, one queue only on veth
    Skb,
}

/// How frames get from the kernel to synfin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Bind {
    /// Zero-copy where the driver can, else copy
    Auto,
    Zerocopy,
    Copy,
}

/// How frames find the worker that owns their connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Steering {
    /// What suits the device: queue or rss on a network card with RSS, else hash
    Auto,
    /// A connection belongs to the queue it arrives on; wrong where frames of one connection may change queues
    Queue,
    /// Connections are begun from ports whose answers the device's hash brings to the right queue
    Rss,
    /// By a hash of both ends; what arrives elsewhere is handed over
    Hash,
}

/// Three-way switch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum AutoOnOff {
    Auto,
    On,
    Off,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum OnOff {
    On,
    Off,
}

#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Machine")]
pub struct MachineArgs {
    /// Worker threads, each with a queue of the interface and a core of its own
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: u16,

    /// First queue of the interface to use; worker K uses queue N+K
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub queue: u16,

    /// Cores that the workers are pinned to, in order, for example 2,4-6 [default: serve takes the first cores, load the last]
    #[arg(long, value_name = "LIST", value_parser = values::cores)]
    pub cores: Option<Cores>,

    /// Where frames come from
    #[arg(long, value_enum, default_value_t = Backend::Xsk)]
    pub backend: Backend,

    /// How the XDP program is attached
    #[arg(long, value_enum, default_value_t = Mode::Auto)]
    pub mode: Mode,

    /// How frames get from the kernel to synfin
    #[arg(long, value_enum, default_value_t = Bind::Auto)]
    pub bind: Bind,

    /// How several workers share the connections
    ///
    /// On a veth pair, a frame arrives at the queue of the number that it was sent on. So synfin with as many workers on
    /// both ends hands nothing over; a kernel sends on queues as it likes, and may change them. A server with more workers
    /// than the synfin that calls it needs --steering queue, since it is called on some of its queues only.
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Steering::Auto)]
    pub steering: Steering,

    /// Sleep while there is nothing to do, instead of polling all the time
    ///
    /// Only after 50 µs without a frame, so that a busy run polls on. Leaves the machine usable for others when cores are
    /// few; whoever wakes up costs some microseconds of latency.
    #[arg(long)]
    pub sleep: bool,

    /// Do not verify TCP and ICMP checksums of received segments
    ///
    /// For peers whose checksums are never filled in because they expect a device to do it: a kernel at the other
    /// end of a veth pair, unless `ethtool -K PEER tx off`.
    #[arg(long)]
    pub no_verify_checksums: bool,

    /// Let the device compute the checksums of sent segments (TX metadata)
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = AutoOnOff::Auto)]
    pub checksum_offload: AutoOnOff,
}

/// Congestion controllers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum CongestionControl {
    /// RFC 9438, with HyStart++ (RFC 9406)
    Cubic,
    /// RFC 5681 and 6582
    #[value(alias = "newreno")]
    Reno,
}

/// When a SYN is answered with a cookie.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Cookies {
    /// While the table of half-open connections is filling up
    Auto,
    Always,
    Never,
}

/// When to use explicit congestion notification.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum EcnMode {
    Off,
    /// Agree to it if the peer asks for it
    Accept,
    /// Ask for it too
    On,
}

#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "TCP")]
pub struct TcpArgs {
    /// Congestion control
    #[arg(long, alias = "cc", value_enum, value_name = "NAME", default_value_t = CongestionControl::Cubic)]
    pub congestion: CongestionControl,

    /// When a SYN is answered with a cookie, so that nothing has to be kept until the handshake is complete (RFC 4987)
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Cookies::Auto)]
    pub syn_cookies: Cookies,

    /// Spread segments over the round trip: off, on, or a rate that no connection exceeds, for example 100mbit
    #[arg(long, value_name = "off|on|RATE", default_value = "off", value_parser = values::pace)]
    pub pacing: Pace,

    /// Receive buffer of each connection, which is its largest window [default: 256 KiB, and up to 6 MiB as needed]
    #[arg(long, value_name = "BYTES", value_parser = values::buffer_bytes)]
    pub receive_buffer: Option<u32>,

    /// How long the side that closes first remembers a connection (2MSL)
    ///
    /// A client that closes first cannot use the same addresses and ports again before. Shorter than 60 s only where
    /// no old segments can wander about: on a lab link.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = values::duration)]
    pub time_wait: Duration,

    /// How long an ACK may wait for data to travel with
    #[arg(long, value_name = "TIME", default_value = "40ms", value_parser = values::duration)]
    pub delayed_ack: Duration,

    /// Neither offer nor accept timestamps (RFC 7323)
    #[arg(long)]
    pub no_timestamps: bool,

    /// Neither offer nor accept selective acknowledgements (RFC 2018)
    #[arg(long)]
    pub no_sack: bool,

    /// TCP Fast Open (RFC 7413): load sends its requests with the SYN, serve takes them
    ///
    /// The first connection from an address to a server asks for a cookie, those that follow bring it. A server may get
    /// such a request twice.
    #[arg(long)]
    pub fast_open: bool,

    /// Explicit congestion notification (RFC 3168): routers mark packets instead of dropping them
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = EcnMode::Off)]
    pub ecn: EcnMode,

    /// Hold back small segments while others are unacknowledged (Nagle's algorithm)
    #[arg(long)]
    pub nagle: bool,
}

/// The line that shows how a run is going.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Progress {
    /// A line that rewrites itself, if standard error is a terminal
    Auto,
    /// A new line every second
    Plain,
    /// The whole terminal: rates and latencies over the last minutes, and of the last second
    Screen,
    Off,
}

#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Output")]
#[command(group = ArgGroup::new("files over time").multiple(true).args(["json", "html", "csv"]))]
pub struct OutputArgs {
    /// Write the report as JSON too ('-': to standard output, instead of the text)
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Write the report as a page with charts too: rates and latencies over time
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// Write a line for each --interval as the run goes on: what came, and percentiles of the latencies
    ///
    /// Each line is in the file as soon as its time is over, so that a run that is killed keeps what it has measured.
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,

    /// Distance of the rows of --csv and of those in --json and --html
    #[arg(long, value_name = "TIME", default_value = "1s", requires = "files over time", value_parser = values::interval)]
    pub interval: Duration,

    /// Answer Prometheus at http://ADDR:PORT/metrics as the run goes on; ADDR is the kernel's, for example 127.0.0.1:9100
    #[arg(long, value_name = "ADDR:PORT")]
    pub metrics: Option<SocketAddr>,

    /// Record every frame, sent and received, in a pcap file with nanosecond times
    ///
    /// It ends at 64 GiB; the report says how many frames are missing. With several workers, frames of different workers may
    /// be out of order by up to a second (reordercap sorts them).
    #[arg(long, value_name = "FILE")]
    pub pcap: Option<PathBuf>,

    /// Print each segment to standard error, with the connection's state before and after; for small runs
    #[arg(long)]
    pub trace: bool,

    /// Harm the traffic on purpose, for example loss=1%,dup=0.5%,delay=2ms
    ///
    /// A list of name=value. Shares, from 0 to 1 or 0% to 100%: loss, dup, reorder, corrupt, mark (congestion marks, for --ecn). Times: delay, jitter,
    /// reorder-delay. A rate such as 100mbit: rate. A size such as 64k: queue. Numbers: reorder-frames, corrupt-bits,
    /// seed. Each counts for both directions; with rx. or tx. before the name for that one only.
    #[arg(long, value_name = "SPEC", value_parser = values::fault)]
    pub fault: Option<FaultSpec>,

    /// Show how the run is going, on standard error
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Progress::Auto)]
    pub progress: Progress,

    /// Seed of everything that is chosen at random [default: drawn from the system]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}
