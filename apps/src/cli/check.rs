//! What only shows when several options are looked at together, without asking the system.

use super::load::LoadApp;
use super::net::Steering;
use super::net::{Backend, OutputArgs};
use super::values::{AddressRange, Host};
use super::{ImpairArgs, LoadArgs, NetArgs, ServeArgs};
use crate::failure::Failure;
use crate::http::request::GENERATED_BYTES_MAX;
use crate::load::latency::Measure;
use crate::report::json;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;
use synfin_engine::wire::Addr;

/// More than any machine here could hold, and small enough for 32-bit slots.
pub const CONNECTIONS_MAX: u64 = 50_000_000;
const RATE_MAX: u64 = 100_000_000;
/// How long connections are launched, when nothing is said.
pub const DEFAULT_DURATION: Duration = Duration::from_secs(10);

pub fn serve(args: &ServeArgs) -> Result<(), Failure> {
    net(&args.net)?;
    files(&args.net.output, None)?;
    let unique: BTreeSet<u16> = args.listen.iter().copied().collect();
    if unique.len() != args.listen.len() {
        return Err(Failure::new("the same port is named twice in --listen", "Name each port once."));
    }
    if args.max_connections.is_some_and(|c| c > CONNECTIONS_MAX) {
        return Err(Failure::new("--max-connections is beyond 50M", "Choose fewer."));
    }
    if args.body_bytes > u64::from(GENERATED_BYTES_MAX) {
        return Err(Failure::new("--body-bytes is larger than 1GiB", "Choose a smaller page."));
    }
    Ok(())
}

pub fn load(args: &LoadArgs) -> Result<(), Failure> {
    net(&args.net)?;
    files(&args.net.output, args.hdr.as_deref())?;
    if args.rate.is_some_and(|r| r > RATE_MAX) {
        return Err(Failure::new("--rate is beyond 100M connections per second", "Choose a lower rate."));
    }
    share_out("--concurrency", args.concurrency, args)?;
    share_out("--hold", args.hold.hold, args)?;
    if args.hold.hold_requests > RATE_MAX {
        return Err(Failure::new("--hold-requests is beyond 100M requests per second", "Choose a lower rate."));
    }
    share_out("--at-a-time", args.hold.hold.map(|_| args.hold.at_a_time), args)?;
    if args.message_bytes.is_some_and(|n| n == 0 || n > u64::from(GENERATED_BYTES_MAX)) {
        return Err(Failure::new("--message-bytes must be between 1 and 1GiB", "Choose another size."));
    }
    of_the_other_application(args)?;
    without_effect(args)?;
    args.limit.iter().try_for_each(|limit| is_measured(limit.measure, args))?;
    if args.requests_per_connection > u64::from(u32::MAX) {
        return Err(Failure::new("--requests-per-connection is beyond 4G", "Choose fewer."));
    }
    for target in &args.target {
        if let Host::Ip(ip) = target.host {
            reachable_in_form(ip, &args.net)?;
        }
    }
    Ok(())
}

/// What is said to an application that is not asked for.
fn of_the_other_application(args: &LoadArgs) -> Result<(), Failure> {
    let is_http = args.app == LoadApp::Http;
    if args.expect_body.is_some() && !is_http {
        return Err(Failure::new("--expect-body is for --app http", "Leave it out: echoes are always compared."));
    }
    let shape = &args.request;
    let given = [
        ("--path", shape.path.is_some()),
        ("--header", !shape.header.is_empty()),
        ("--method", shape.method.is_some()),
        ("--body-file", shape.body_file.is_some()),
    ];
    if let Some((option, _)) = given.iter().find(|(_, given)| *given && !is_http) {
        return Err(Failure::new(format!("{option} is for --app http"), "Leave it out."));
    }
    if args.message_bytes.is_some() && is_http {
        return Err(Failure::new("--message-bytes is for --app echo", "Leave it out, or choose --app echo."));
    }
    Ok(())
}

/// What would be taken without a word and change nothing, or everything.
fn without_effect(args: &LoadArgs) -> Result<(), Failure> {
    if args.hold.hold.is_some() {
        if !args.ramp.is_zero() && args.rate.is_none() {
            return Err(Failure::new("--ramp has no rate to grow to", "Give --hold a --rate, or leave out --ramp."));
        }
        if args.net.tcp.fast_open {
            return Err(Failure::new(
                "--fast-open needs a request to send with the SYN, and --hold sends none",
                "Leave out --fast-open.",
            ));
        }
        return Ok(());
    }
    let Some(launching) = args.duration.or(args.connections.is_none().then_some(DEFAULT_DURATION)) else {
        return Ok(());
    };
    let whole = [
        ("--ramp", args.ramp, "what it grows to is never reached"),
        ("--warmup", args.warmup, "nothing is left to be measured"),
    ];
    match whole.iter().find(|(_, part, _)| !part.is_zero() && *part >= launching) {
        Some((option, part, so)) => Err(Failure::new(
            format!(
                "{option} {} s takes all of the {} s of --duration, and {so}",
                part.as_secs_f64(),
                launching.as_secs_f64()
            ),
            format!("Give a longer --duration, or a shorter {option}."),
        )),
        None => Ok(()),
    }
}

/// A limit on what a run like this does not measure could only fail.
fn is_measured(measure: Measure, args: &LoadArgs) -> Result<(), Failure> {
    let is_hold = args.hold.hold.is_some();
    let why_not = match measure {
        Measure::Connection if is_hold => "--hold does not measure connections as a whole",
        Measure::FirstByte | Measure::Request | Measure::Response if is_hold && args.hold.hold_requests == 0 => {
            "there are no requests with --hold-requests 0"
        }
        Measure::Close if !is_hold && args.close.is_abrupt() => {
            "there is no close to measure with --close rst or abandon"
        }
        _ => return Ok(()),
    };
    let what = format!("--limit asks for {}, and {why_not}", measure.name());
    Err(Failure::new(what, "Leave that limit out."))
}

/// Each report has a file of its own.
fn files(args: &OutputArgs, hdr: Option<&Path>) -> Result<(), Failure> {
    let all = [("--json", &args.json), ("--html", &args.html), ("--csv", &args.csv), ("--pcap", &args.pcap)];
    let named = all.into_iter().filter_map(|(option, path)| Some((option, path.as_deref()?)));
    let named: Vec<_> = named.chain(hdr.map(|path| ("--hdr", path))).collect();
    for (i, (option, path)) in named.iter().enumerate() {
        if json::is_stdout(path) && *option != "--json" {
            return Err(Failure::new(
                format!("{option} cannot be written to standard output"),
                format!("Name a file with {option}; only --json takes '-'."),
            ));
        }
        if let Some((other, _)) = named[..i].iter().find(|(_, p)| p == path) {
            return Err(Failure::new(
                format!("{other} and {option} name the same file, {}", path.display()),
                "Give each a file of its own.",
            ));
        }
    }
    Ok(())
}

pub fn impair(args: &ImpairArgs) -> Result<(), Failure> {
    if args.a == args.b {
        return Err(Failure::new(
            format!("{} cannot be joined with itself", args.a),
            "Name two interfaces with -a and -b.",
        ));
    }
    Ok(())
}

/// A number of connections, each of them one worker's.
fn share_out(option: &str, connections: Option<u64>, args: &LoadArgs) -> Result<(), Failure> {
    if connections.is_some_and(|c| c > CONNECTIONS_MAX) {
        return Err(Failure::new(format!("{option} is beyond 50M connections"), "Choose fewer."));
    }
    let workers = u64::from(args.net.machine.workers);
    match connections.filter(|c| *c < workers) {
        Some(c) => Err(Failure::new(
            format!("{c} connections cannot be shared out among {workers} workers"),
            format!("Give {option} at least the number of --workers."),
        )),
        None => Ok(()),
    }
}

/// The target is not ourselves, and there is an own address of its family.
pub fn reachable_in_form(ip: IpAddr, net: &NetArgs) -> Result<(), Failure> {
    let target = Addr::from(ip);
    if net.address.iter().any(|r| r.contains(target)) {
        return Err(Failure::new(
            format!("target {ip} is one of our own addresses"),
            "Give --address an address that the target does not have.",
        ));
    }
    if !net.address.iter().any(|r| r.first.is_v4() == target.is_v4()) {
        let family = if target.is_v4() { "IPv4" } else { "IPv6" };
        return Err(Failure::new(
            format!("target {ip} is {family}, but no --address is"),
            format!("Add an {family} --address."),
        ));
    }
    Ok(())
}

/// What a build without the afxdp crate says when it is asked for.
pub fn without_afxdp() -> Failure {
    Failure::new(
        "this synfin was built without the afxdp backend",
        "Build it with: cargo build --release --features afxdp, or leave out --backend.",
    )
}

pub fn net(args: &NetArgs) -> Result<(), Failure> {
    if args.machine.backend == Backend::Afxdp && !cfg!(feature = "afxdp") {
        return Err(without_afxdp());
    }
    if args.machine.workers == 1 && args.machine.steering != Steering::Auto {
        return Err(Failure::new("--steering is for several workers", "Give --workers, or leave it out."));
    }
    if args.vlan.len() > 2 {
        return Err(Failure::new("more than two VLAN ids", "Give one, or two for QinQ."));
    }
    for family_v4 in [true, false] {
        if args.gateway.iter().filter(|g| g.is_v4() == family_v4).count() > 1 {
            return Err(Failure::new("more than one --gateway of the same family", "Give at most one of each."));
        }
    }
    for (i, a) in args.address.iter().enumerate() {
        if let Some(b) = args.address.iter().take(i).find(|b| overlap(a, b)) {
            return Err(Failure::new(format!("addresses {b} and {a} overlap"), "Name each address once."));
        }
    }
    for g in &args.gateway {
        if !args.address.iter().any(|a| g.in_prefix(&a.first, a.prefix_len)) {
            return Err(Failure::new(
                format!("gateway {g} lies in the subnet of no --address"),
                "Check the prefix length of --address.",
            ));
        }
        if args.address.iter().any(|a| a.contains(*g)) {
            return Err(Failure::new(format!("gateway {g} is one of our own addresses"), "Name another --gateway."));
        }
    }
    if let Some(cores) = &args.machine.cores
        && cores.0.len() < usize::from(args.machine.workers)
    {
        let (n, w) = (cores.0.len(), args.machine.workers);
        return Err(Failure::new(
            format!("{w} workers cannot be pinned to {n} cores"),
            "Name at least as many --cores as --workers.",
        ));
    }
    if args.mtu.is_some_and(|m| m < 1280) && args.address.iter().any(|a| !a.first.is_v4()) {
        return Err(Failure::new("IPv6 needs an MTU of at least 1280", "Raise --mtu, or give IPv4 addresses only."));
    }
    Ok(())
}

fn overlap(a: &AddressRange, b: &AddressRange) -> bool {
    a.contains(b.first) || b.contains(a.first)
}
