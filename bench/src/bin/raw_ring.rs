//! Raw frames over one AF_XDP queue, without TCP: the ceiling that the engine's figures are compared with.
//!
//! It drives a backend (`xsk`; `afxdp` with the cargo feature of that name) through the same `PacketIo` calls, in the same order and with the same burst size as a worker:
//! receive a burst, treat it in place, send it, reclaim, kick. So what TCP costs is the difference.
//!
//! One process for each end of a link, each in its own network namespace:
//!
//! ```text
//! ip netns exec A raw_ring --interface va --role pong --core 1 --seconds 5 &
//! ip netns exec B raw_ring --interface vb --role ping --core 0 --seconds 5 --frames-in-flight 64
//! ```
//!
//! Frames are TCP segments between 198.18.0.1 and 198.18.0.2 with no meaning; the XDP program takes everything to
//! and from these two, so use them nowhere else on the link. Left out on purpose: latency of single frames (with one
//! in flight it is the rate's inverse).

use clap::{Parser, ValueEnum};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use synfin_bench::usage::Usage;
use synfin_engine::base::Frame;
use synfin_engine::base::frame::chain::PARTS_MAX;
use synfin_engine::io::bpf::{FilterAddr, FilterSpec, XdpLink, XdpMode};
use synfin_engine::io::sys::netlink;
use synfin_engine::io::xsk::{BindMode, MTU_MAX, XskConfig, XskSet};
use synfin_engine::io::{IoError, IoStats, PacketIo};
use synfin_engine::wire::Addr;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Send frames and send each again that comes back.
    Ping,
    /// Send back every frame with its MAC addresses exchanged.
    Pong,
    /// Send as fast as the ring takes frames; the other end drops or is `rx`.
    Tx,
    /// Take frames and free them.
    Rx,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    Auto,
    Native,
    Skb,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Bind {
    Auto,
    Copy,
    ZeroCopy,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Backend {
    /// The engine's own rings.
    Xsk,
    /// The `afxdp` crate.
    #[cfg(feature = "afxdp")]
    Afxdp,
}

/// Frames per second of one AF_XDP queue, without TCP.
#[derive(Parser, Debug)]
struct Args {
    #[arg(long)]
    interface: String,
    #[arg(long)]
    role: Role,
    /// Frames that `ping` keeps under way.
    #[arg(long, default_value_t = 64)]
    frames_in_flight: usize,
    /// Seconds measured, from the first frame on.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    #[arg(long, default_value_t = 0)]
    queue: u32,
    /// Where the XDP program runs.
    #[arg(long, default_value = "auto")]
    mode: Mode,
    #[arg(long, default_value = "auto")]
    bind: Bind,
    #[arg(long, default_value = "xsk")]
    backend: Backend,
    /// Frames received and treated at a time, as in a worker.
    #[arg(long, default_value_t = 64)]
    burst: usize,
    /// Frames that one wake-up may send in copy mode; 0 leaves the kernel's 32.
    #[arg(long, default_value_t = 256)]
    tx_budget: u32,
    /// Frames of the pool.
    #[arg(long, default_value_t = 12288)]
    frames: u32,
    /// Entries of the fill ring: frames that wait for reception.
    #[arg(long, default_value_t = 8192)]
    fill: u32,
    /// Bytes of a frame, without checksum.
    #[arg(long, default_value_t = 64)]
    frame_bytes: usize,
    #[arg(long)]
    huge_pages: bool,
    /// CPU to stay on.
    #[arg(long)]
    core: Option<usize>,
    /// Print JSON alone.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("raw_ring: {e}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<(), IoError> {
    if let Some(id) = args.core
        && !core_affinity::set_for_current(core_affinity::CoreId { id })
    {
        return Err(IoError::new(format!("cannot stay on CPU {id}"), "nproc tells how many there are"));
    }
    let interface = netlink::interface(&args.interface)?;
    let link = attach(args, interface.ifindex)?;
    let config = config(args, interface.ifindex, link.mode());
    match args.backend {
        Backend::Xsk => {
            let io = XskSet::open(&config)?.remove(0);
            link.set_socket(args.queue, io.fd())?;
            run_on(args, io);
        }
        #[cfg(feature = "afxdp")]
        Backend::Afxdp => run_on(args, synfin_engine::io::afxdp::AfxdpSet::open(&config, &link)?.remove(0)),
    }
    Ok(())
}

fn run_on(args: &Args, io: impl PacketIo) {
    let mut bench = Bench::new(args, io);
    let report = bench.measure(Duration::from_secs(args.seconds));
    report.print(args, &bench.io);
}

fn attach(args: &Args, ifindex: u32) -> Result<XdpLink, IoError> {
    let ours = FilterSpec { addresses: vec![FilterAddr::exclusive(Addr::v4([198, 18, 0, 1]), 2)] };
    let queues = args.queue + 1;
    match args.mode {
        Mode::Auto => XdpLink::attach_auto(ifindex, &ours, queues),
        Mode::Native => XdpLink::attach(ifindex, XdpMode::Native, &ours, queues),
        Mode::Skb => XdpLink::attach(ifindex, XdpMode::Skb, &ours, queues),
    }
}

fn config(args: &Args, ifindex: u32, mode: XdpMode) -> XskConfig {
    XskConfig {
        first_queue: args.queue,
        attach_mode: Some(mode),
        bind: match args.bind {
            Bind::Auto => BindMode::Auto,
            Bind::Copy => BindMode::Copy,
            Bind::ZeroCopy => BindMode::ZeroCopy,
        },
        tx_budget: args.tx_budget,
        frames_per_queue: args.frames,
        fill_size: args.fill,
        huge_pages: args.huge_pages,
        large_frames: args.frame_bytes > MTU_MAX as usize + 14,
        ..XskConfig::new(&args.interface, ifindex, 1)
    }
}

/// One end of the link at work.
struct Bench<I> {
    role: Role,
    io: I,
    rx: Vec<Frame>,
    tx: Vec<Frame>,
    /// The frames of one packet.
    parts: Vec<Frame>,
    burst: usize,
    frame_bytes: usize,
    /// Frames that `ping` wants under way, and those that are.
    wanted: usize,
    under_way: usize,
    /// Frames of `ping` that did not come back in time, and the generation of those under way: stragglers of an
    /// older one are put aside, or there would be more under way than wanted.
    lost: u64,
    generation: u8,
    bursts: Bursts,
}

/// Rounds of the loop that moved something.
#[derive(Clone, Copy, Default)]
struct Bursts {
    rounds: u64,
    rx: u64,
    tx: u64,
}

/// How long `ping` waits for frames before it takes them for lost.
const LOST_AFTER: Duration = Duration::from_millis(250);

/// How long an end waits for the other one to start.
const START_PATIENCE: Duration = Duration::from_secs(20);

impl<I: PacketIo> Bench<I> {
    fn new(args: &Args, io: I) -> Bench<I> {
        let capacity = args.burst.max(args.frames_in_flight).max(1);
        Bench {
            role: args.role,
            io,
            rx: Vec::with_capacity(args.burst.max(1)),
            tx: Vec::with_capacity(capacity + args.burst),
            parts: Vec::with_capacity(PARTS_MAX + 1),
            burst: args.burst.max(1),
            frame_bytes: args.frame_bytes.max(GENERATION_AT + 1),
            wanted: args.frames_in_flight,
            under_way: 0,
            lost: 0,
            generation: 0,
            bursts: Bursts::default(),
        }
    }

    /// Runs until `length` has passed since the first received frame (`Tx`: since now).
    fn measure(&mut self, length: Duration) -> Report {
        let give_up = Instant::now() + START_PATIENCE;
        let mut resend = Instant::now() + LOST_AFTER;
        while self.role != Role::Tx && self.round() == 0 && Instant::now() < give_up {
            if Instant::now() > resend {
                self.resend_lost();
                resend += LOST_AFTER;
            }
        }
        self.bursts = Bursts::default();
        self.lost = 0;
        let (before, usage, start) = (self.io.stats(), Usage::of_this_thread(), Instant::now());
        let mut last_frame = start;
        while start.elapsed() < length {
            let moved = (0..64).map(|_| self.round()).sum::<usize>();
            let now = Instant::now();
            if moved > 0 {
                last_frame = now;
            } else if now - last_frame > LOST_AFTER {
                self.resend_lost();
                last_frame = now;
            }
        }
        let (elapsed, usage) = (start.elapsed(), Usage::of_this_thread() - usage);
        Report { before, after: self.io.stats(), usage, elapsed, bursts: self.bursts, lost: self.lost }
    }

    /// One turn of the loop, as a worker's. Returns how many frames came.
    fn round(&mut self) -> usize {
        let came = self.io.rx_burst(&mut self.rx);
        match self.role {
            Role::Ping => {
                self.put_stragglers_aside();
                self.under_way = self.under_way.saturating_sub(self.rx.len());
                self.echo();
                self.generate(self.wanted.saturating_sub(self.under_way + self.tx.len()));
            }
            Role::Pong => self.echo(),
            Role::Tx => self.generate(self.burst.saturating_sub(self.tx.len())),
            Role::Rx => self.rx.drain(..).for_each(|f| self.io.pool().free(f)),
        }
        let sent = if self.tx.is_empty() { 0 } else { self.io.tx_burst(&mut self.tx) };
        self.under_way += sent;
        self.io.reclaim();
        self.io.kick();
        self.bursts.rounds += 1;
        self.bursts.rx += u64::from(came > 0);
        self.bursts.tx += u64::from(sent > 0);
        came
    }

    /// Received frames become frames to send, MAC addresses exchanged in place.
    fn echo(&mut self) {
        for mut frame in self.rx.drain(..) {
            let bytes = frame.bytes_mut();
            if bytes.len() < 12 || self.tx.len() == self.tx.capacity() {
                self.io.pool().free(frame);
                continue;
            }
            let (destination, source) = bytes[..12].split_at_mut(6);
            destination.swap_with_slice(source);
            self.tx.push(frame);
        }
    }

    fn put_stragglers_aside(&mut self) {
        let current = self.generation;
        let straggler = |f: &mut Frame| f.bytes().get(GENERATION_AT) != Some(&current);
        self.rx.extract_if(.., straggler).for_each(|f| self.io.pool().free(f));
    }

    fn generate(&mut self, count: usize) {
        let room = self.tx.capacity() - self.tx.len();
        for _ in 0..count.min(room) {
            let Some(mut frame) = self.packet() else { break };
            frame.bytes_mut()[..HEADERS.len()].copy_from_slice(&HEADERS);
            frame.bytes_mut()[GENERATION_AT] = self.generation;
            self.tx.push(frame);
        }
    }

    /// A packet of the wanted length, in as many frames as it takes.
    fn packet(&mut self) -> Option<Frame> {
        let pool = self.io.pool();
        let mut left = self.frame_bytes;
        while left > 0 {
            let Some(mut frame) = pool.alloc() else {
                self.parts.drain(..).for_each(|frame| pool.free(frame));
                return None;
            };
            let len = left.min(frame.room_bytes());
            let fits = frame.set_len(len);
            assert!(fits, "the length was cut to the room");
            left -= len;
            self.parts.push(frame);
        }
        pool.chain(&mut self.parts)
    }

    fn resend_lost(&mut self) {
        if self.role == Role::Ping {
            self.lost += self.under_way as u64;
            self.generation = self.generation.wrapping_add(1);
        }
        self.under_way = 0;
    }
}

/// Ethernet (broadcast: any peer takes it), IPv4 198.18.0.1 → 198.18.0.2, TCP.
const HEADERS: [u8; 54] = {
    let mut h = [0; 54];
    let mut i = 0;
    while i < 6 {
        h[i] = 0xff;
        i += 1;
    }
    (h[6], h[11], h[12]) = (2, 1, 8);
    (h[14], h[17], h[22], h[23]) = (0x45, 50, 64, 6);
    (h[26], h[27], h[29]) = (198, 18, 1);
    (h[30], h[31], h[33]) = (198, 18, 2);
    (h[35], h[37], h[46]) = (9, 9, 0x50);
    h
};

/// Where `ping` writes a frame's generation: behind the headers.
const GENERATION_AT: usize = HEADERS.len();

struct Report {
    before: IoStats,
    after: IoStats,
    usage: Usage,
    elapsed: Duration,
    bursts: Bursts,
    lost: u64,
}

impl Report {
    fn print(&self, args: &Args, io: &impl PacketIo) {
        let seconds = self.elapsed.as_secs_f64();
        let rx = self.after.rx_frames - self.before.rx_frames;
        let tx = self.after.tx_frames - self.before.tx_frames;
        let kicks = self.after.kicks - self.before.kicks;
        let (rx_rate, tx_rate) = (rx as f64 / seconds, tx as f64 / seconds);
        let (user, system) = (self.usage.user.as_secs_f64(), self.usage.system.as_secs_f64());
        let per = |a: u64, b: u64| a as f64 / b.max(1) as f64;
        let (rx_burst, tx_burst) = (per(rx, self.bursts.rx), per(tx, self.bursts.tx));
        let kicks_per_burst = per(kicks, self.bursts.tx);
        let role = format!("{:?}", args.role).to_lowercase();
        let describe = io.describe();
        let lost = self.lost;
        if !args.json {
            println!("{role} on {describe}");
            println!("  received {rx_rate:.0}/s, sent {tx_rate:.0}/s over {seconds:.2} s; lost {lost}");
            println!(
                "  frames per burst: rx {rx_burst:.1}, tx {tx_burst:.1}; wake-ups per tx burst {kicks_per_burst:.2}"
            );
            println!("  CPU: user {user:.2} s, system {system:.2} s");
            println!("  {:?}", self.after);
        }
        println!(
            "{{\"role\":\"{role}\",\"io\":\"{describe}\",\"seconds\":{seconds:.3},\"rx_frames\":{rx},\"tx_frames\":{tx},\
             \"rx_per_second\":{rx_rate:.0},\"tx_per_second\":{tx_rate:.0},\"lost\":{lost},\"kicks\":{kicks},\
             \"rounds\":{},\"rx_bursts\":{},\"tx_bursts\":{},\"user_seconds\":{user:.3},\"system_seconds\":{system:.3},\
             \"frame_bytes\":{},\"burst\":{},\"in_flight\":{}}}",
            self.bursts.rounds, self.bursts.rx, self.bursts.tx, args.frame_bytes, args.burst, args.frames_in_flight
        );
    }
}
