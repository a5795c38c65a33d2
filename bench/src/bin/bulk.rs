//! Gbit/s of the engine over one AF_XDP queue: some connections, all sending in one direction as fast as they may.
//!
//! One process for each end of a link, each in its own network namespace, with the addresses of `veth_pair`:
//!
//! ```text
//! ip netns exec B bulk server --interface vb --core 1 &
//! ip netns exec A bulk client --interface va --core 0 --connections 64 --direction up --seconds 5
//! ```
//!
//! *Up* is from client to server. The receiving end counts, after a second in which windows open. Both print one line of
//! JSON.

use clap::{Parser, ValueEnum};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use synfin_bench::device::{CLIENTS, Mode, Place, Role, SERVER};
use synfin_bench::usage::Usage;
use synfin_engine::base::Event;
use synfin_engine::control::Control;
use synfin_engine::io::IoError;
use synfin_engine::io::sys::netlink::{self, Interface};
use synfin_engine::shard::{App, CloseReason, Conn, Connect, Net, Payload, Shard, ShardConfig};
use synfin_engine::worker::Clock;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PORT: u16 = 5001;
const FIRST_LOCAL_PORT: u16 = 20_000;
/// Time in which windows open, before anything is counted.
const WARM_UP: Duration = Duration::from_secs(1);
/// Bytes that a sender keeps queued: enough to fill a window while the next piece is asked for.
const QUEUED_BYTES: u32 = 1 << 20;
const RECEIVE_BUFFER_BYTES: u32 = 1 << 20;
static PIECE: [u8; 1 << 16] = [b'x'; 1 << 16];

/// Which way the bytes go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Direction {
    /// From client to server.
    Up,
    /// From server to client.
    Down,
}

/// Gbit/s of the engine over one AF_XDP queue.
#[derive(Parser, Debug)]
struct Args {
    role: Role,
    #[arg(long)]
    interface: String,
    #[arg(long, default_value_t = 0)]
    queue: u32,
    /// Where the XDP program runs.
    #[arg(long, default_value = "native")]
    mode: Mode,
    /// Which way the bytes go; the same for both ends.
    #[arg(long, default_value = "up")]
    direction: Direction,
    /// Connections of the client.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// Seconds counted.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// CPU to stay on.
    #[arg(long, default_value_t = 0)]
    core: usize,
}

/// Sends without end or takes without end, on every connection.
struct Bulk {
    sends: bool,
    to_open: u16,
    next_port: u16,
    received: Arc<AtomicU64>,
    failed: u64,
}

impl Bulk {
    fn pump(&self, conn: &mut Conn<'_, ()>) {
        if !self.sends {
            return;
        }
        while conn.queued_bytes() < QUEUED_BYTES && conn.send(Payload::Static(&PIECE)).is_ok() {}
        conn.want_writable();
    }
}

impl App for Bulk {
    type Conn = ();

    fn accepted(&mut self, conn: &mut Conn<'_, ()>) {
        self.pump(conn);
    }

    fn connected(&mut self, conn: &mut Conn<'_, ()>) {
        self.pump(conn);
    }

    fn writable(&mut self, conn: &mut Conn<'_, ()>) {
        self.pump(conn);
    }

    fn data(&mut self, _conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        // The only writer: no read-modify-write is needed.
        let received = self.received.load(Ordering::Relaxed) + bytes.len() as u64;
        self.received.store(received, Ordering::Relaxed);
        bytes.len()
    }

    /// At the end of the run the shard aborts them all; nothing else ends a connection that is as it should be.
    fn closed(&mut self, (): (), why: CloseReason, _now: synfin_engine::base::Instant) {
        self.failed += u64::from(why != CloseReason::Aborted);
    }

    fn poll(&mut self, net: &mut Net<'_, ()>) {
        while self.to_open > 0 {
            let to = Connect { local: CLIENTS, local_port: self.next_port, remote: SERVER, remote_port: PORT };
            if net.connect(to, ()).is_err() {
                self.failed += 1;
            }
            self.to_open -= 1;
            self.next_port += 1;
        }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    match netlink::interface(&args.interface).and_then(|interface| run(&args, &interface)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("bulk: {e}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args, interface: &Interface) -> Result<(), IoError> {
    let received = Arc::new(AtomicU64::new(0));
    let is_client = args.role == Role::Client;
    let app = Bulk {
        sends: is_client == (args.direction == Direction::Up),
        to_open: if is_client { args.connections } else { 0 },
        next_port: FIRST_LOCAL_PORT,
        received: received.clone(),
        failed: 0,
    };
    let is_receiver = !app.sends;
    let place = Place { role: args.role, mode: args.mode, queue: args.queue, core: args.core };
    let mut config = place.config(interface);
    config.tcp.receive_buffer_bytes = RECEIVE_BUFFER_BYTES;
    let clock = Clock::start();
    let mut used_mtu = 0;
    let shard = |mtu| {
        used_mtu = mtu;
        let mut shard = Shard::new(ShardConfig { mtu, ..config }, app, clock.now());
        if !is_client {
            shard.listen(PORT);
        }
        shard
    };
    let mut counted = 0;
    let watch = |_: &Control, is_ending: &dyn Fn() -> bool| {
        // The server stays until the client has had its time.
        let more = if is_client { Duration::ZERO } else { Duration::from_secs(1) };
        wait_for_bytes(&received, is_receiver && !is_client);
        pause(WARM_UP, is_ending);
        let (start, usage, before) = (Instant::now(), Usage::of_this_process(), received.load(Ordering::Relaxed));
        pause(Duration::from_secs(args.seconds), is_ending);
        let (elapsed, usage) = (start.elapsed(), Usage::of_this_process() - usage);
        counted = received.load(Ordering::Relaxed) - before;
        pause(more, is_ending);
        (elapsed.as_secs_f64(), usage)
    };
    let end = place.drive(interface, shard, clock, watch)?;
    let resent = end.counters.count(Event::Retransmits);
    println!(
        "{{\"role\":\"{}\",\"io\":\"{}\",\"mtu\":{},\"connections\":{},\"direction\":\"{}\",\"seconds\":{:.3},\
         \"received_bytes\":{counted},\"gbit_per_second\":{:.3},\"failures\":{},\"retransmits\":{resent},\
         \"drops\":{},\"user_seconds\":{:.3},\"system_seconds\":{:.3}}}",
        format!("{:?}", args.role).to_lowercase(),
        end.io,
        used_mtu,
        args.connections,
        format!("{:?}", args.direction).to_lowercase(),
        end.seconds,
        counted as f64 * 8e-9 / end.seconds,
        end.app.failed,
        end.counters.dropped_total(),
        end.usage.user.as_secs_f64(),
        end.usage.system.as_secs_f64(),
    );
    Ok(())
}

/// A server that receives begins to count when something comes.
fn wait_for_bytes(received: &AtomicU64, wanted: bool) {
    let give_up = Instant::now() + Duration::from_secs(10);
    while wanted && received.load(Ordering::Relaxed) == 0 && Instant::now() < give_up {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sleeps, unless the worker ends by itself.
fn pause(length: Duration, is_ending: &dyn Fn() -> bool) {
    let end = Instant::now() + length;
    while Instant::now() < end && !is_ending() {
        std::thread::sleep(Duration::from_millis(5));
    }
}
