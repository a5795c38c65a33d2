//! What a shard is told.

use super::{Device, Site};
use crate::cli::NetArgs;
use crate::cli::net::{CongestionControl, Cookies, EcnMode, TcpArgs};
use crate::failure::Failure;
use std::io::Read;
use synfin_engine::base::can_set_aside;
use synfin_engine::shard::{Limits, LocalNet, Secrets, ShardConfig};
use synfin_engine::tcp::congestion::Algorithm;
use synfin_engine::tcp::{Ecn, FastOpen, SynCookies, TcpConfig};
use synfin_engine::wire::emit::ChecksumMode;
use synfin_engine::wire::parse::VlanTags;
use synfin_engine::wire::{Addr, Mac};

/// A gibibyte of body and its head are queued at once.
const SEND_QUEUE_BYTES: u32 = (1 << 30) + (1 << 16);

/// Connections of one port that were opened by data and whose handshake is not complete.
const FAST_OPEN_PENDING_MAX: u32 = 65_536;

/// Sixty-four bits from the system.
pub fn random_u64() -> Result<u64, Failure> {
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut f| f.read_exact(&mut bytes))
        .map(|()| u64::from_le_bytes(bytes))
        .map_err(|e| Failure::new(format!("cannot read random numbers from /dev/urandom: {e}"), "Give a --seed."))
}

/// From so many connections on, tables get their memory at once. Fewer lie together in a table that grows with them, and
/// growing it takes no time worth mentioning.
const PREPARED_FROM: u32 = 1 << 20;

/// Configuration of each shard, which holds so many connections at most (`is_exact`: and is expected to). The keys never
/// follow from `--seed`: whoever knows it must not be able to guess sequence numbers.
pub fn config(
    args: &NetArgs,
    site: &Site,
    neighbours: Vec<(Addr, Mac)>,
    device: &Device,
    connections_max: u64,
    is_exact: bool,
) -> Result<ShardConfig, Failure> {
    let local = |o: &super::OwnRange| LocalNet {
        first: o.range.first,
        count: o.range.count,
        prefix_len: o.range.prefix_len,
        exclusive: o.exclusive,
    };
    let mut config = ShardConfig::new(site.interface.mac, site.own.iter().map(local).collect());
    config.vlan = vlan(&args.vlan);
    config.mtu = device.mtu;
    config.gateway_v4 = site.gateway_v4;
    config.gateway_v6 = site.gateway_v6;
    config.static_neighbours = neighbours;
    config.tcp = tcp(&args.tcp);
    let connections = u32::try_from(connections_max).unwrap_or(u32::MAX);
    let flows_prepared = is_exact && connections >= PREPARED_FROM;
    config.limits = Limits { connections, send_queue_bytes: SEND_QUEUE_BYTES, flows_prepared, ..Limits::default() };
    check_addresses(&config.limits, args.machine.workers)?;
    config.verify_checksums = !args.machine.no_verify_checksums;
    config.checksum = if device.offload { ChecksumMode::Offload } else { ChecksumMode::Full };
    config.secrets = Secrets::from_seed(random_u64()?);
    config.trace = args.output.trace;
    Ok(config)
}

/// What the application keeps for each connection is no more than this.
const USER_BYTES_MAX: usize = 64;

/// A limit on the process's addresses (`ulimit -v`) may leave too few for the tables of so many connections.
fn check_addresses(limits: &Limits, workers: u16) -> Result<(), Failure> {
    let bytes = limits.address_bytes(USER_BYTES_MAX).saturating_mul(u64::from(workers));
    if can_set_aside(bytes) {
        return Ok(());
    }
    let (connections, mib) = (limits.connections, bytes >> 20);
    Err(Failure::new(
        format!("{connections} connections on each of {workers} workers need {mib} MiB of addresses: there are fewer"),
        "Choose fewer connections, or raise the limit (ulimit -v).",
    ))
}

fn vlan(ids: &[u16]) -> VlanTags {
    let id = |i: usize| ids.get(i).copied().unwrap_or(0);
    VlanTags { count: ids.len().min(2) as u8, ids: [id(0), id(1)] }
}

fn tcp(args: &TcpArgs) -> TcpConfig {
    let defaults = TcpConfig::default();
    TcpConfig {
        congestion: match args.congestion {
            CongestionControl::Cubic => Algorithm::Cubic,
            CongestionControl::Reno => Algorithm::NewReno,
        },
        syn_cookies: match args.syn_cookies {
            Cookies::Auto => SynCookies::Auto,
            Cookies::Always => SynCookies::Always,
            Cookies::Never => SynCookies::Off,
        },
        pacing: args.pacing.0,
        timestamps: !args.no_timestamps,
        sack: !args.no_sack,
        ecn: match args.ecn {
            EcnMode::Off => Ecn::Off,
            EcnMode::Accept => Ecn::Accept,
            EcnMode::On => Ecn::Request,
        },
        fast_open: FastOpen {
            client: args.fast_open,
            server_pending_max: if args.fast_open { FAST_OPEN_PENDING_MAX } else { 0 },
            ..FastOpen::default()
        },
        time_wait: args.time_wait,
        // Peers that never close their side must not pile up.
        half_closed: Some(defaults.fin_wait_2),
        delayed_ack: args.delayed_ack,
        nodelay: !args.nagle,
        ..args.receive_buffer.map_or(defaults, |bytes| defaults.with_fixed_receive_buffer(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_no_process_has_addresses_for_are_refused_with_a_sentence_and_usual_ones_are_not() {
        let of = |connections| Limits { connections, ..Limits::default() };
        assert!(check_addresses(&of(16_000_000), 8).is_ok());
        let said = check_addresses(&of(u32::MAX), u16::MAX).unwrap_err().to_string();
        assert!(said.contains("4294967295 connections on each of 65535 workers"), "{said}");
    }
}
