//! How several workers share connections on this device: asked of the device, or as the command line says.

use super::Site;
use crate::cli::net::{MachineArgs, Steering as Asked};
use crate::failure::Failure;
use synfin_engine::io::sys::ethtool::{self, HashFields};
use synfin_engine::steering::{Policy, Rss};

/// Who begins connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Load,
    Serve,
}

/// A policy, and why it is this one.
#[derive(Clone, Debug)]
pub struct Steering {
    pub policy: Policy,
    pub reason: String,
}

/// What is known about how a device spreads frames over its queues.
struct Told {
    /// Not made of software, such as veth.
    is_hardware: bool,
    /// `None`: it does not tell.
    rss: Option<ethtool::Rss>,
    /// Of TCP over IPv4 and IPv6, as far as it tells.
    fields: Vec<HashFields>,
}

/// `None` for one worker, whose all frames are.
pub fn choose(machine: &MachineArgs, site: &Site, role: Role) -> Result<Option<Steering>, Failure> {
    if machine.workers == 1 {
        return Ok(None);
    }
    let name = &site.interface.name;
    let told = Told {
        is_hardware: site.interface.kind.is_none(),
        rss: ethtool::rss(name).ok().filter(|rss| !rss.indirection.is_empty()),
        fields: [true, false].iter().filter_map(|v4| ethtool::tcp_hash_fields(name, *v4).ok()).collect(),
    };
    decide(machine, &told, role).map(Some).map_err(|why| {
        Failure::new(
            format!("--steering rss needs to know which queue of {name} a connection's frames arrive on, but {why}"),
            "Leave out --steering.",
        )
    })
}

/// The error says why the device's hash cannot be used, when nothing else was asked for.
fn decide(machine: &MachineArgs, told: &Told, role: Role) -> Result<Steering, String> {
    let first_queue = machine.queue;
    let by_rss = |rss| Policy::Rss { rss, first_queue };
    let known = "the device tells its hash";
    let chosen = |policy, reason: &str| Steering { policy, reason: reason.to_owned() };
    match (machine.steering, role) {
        (Asked::Queue, _) => Ok(chosen(Policy::Queue, "asked for")),
        (Asked::Hash, _) => Ok(chosen(Policy::Hash, "asked for")),
        (Asked::Rss, _) => hash_of(told, machine).map(|rss| chosen(by_rss(rss), known)),
        (Asked::Auto, Role::Serve) if told.is_hardware && told.rss.is_some() => {
            Ok(chosen(Policy::Queue, "the device's RSS keeps a connection on one queue"))
        }
        (Asked::Auto, Role::Serve) => Ok(chosen(Policy::Hash, "the device has no RSS")),
        (Asked::Auto, Role::Load) => Ok(match hash_of(told, machine) {
            Ok(rss) => chosen(by_rss(rss), known),
            Err(why) => chosen(Policy::Hash, &why),
        }),
    }
}

/// The device's way from a segment to a queue, if every worker's queue is among those that it uses.
fn hash_of(told: &Told, machine: &MachineArgs) -> Result<Rss, String> {
    let rss = told.rss.as_ref().ok_or("the device does not tell its RSS key and table")?;
    if rss.hash_function != 0 && rss.hash_function & ethtool::TOEPLITZ == 0 {
        return Err("the device hashes by another function than Toeplitz".into());
    }
    if rss.input_transform != 0 {
        return Err("the device changes what it hashes".into());
    }
    if told.fields.iter().any(|fields| *fields != HashFields::FOUR_TUPLE) {
        return Err("the device does not hash both addresses and both ports of TCP".into());
    }
    let served = u32::from(machine.queue)..u32::from(machine.queue) + u32::from(machine.workers);
    if let Some(queue) = served.clone().find(|queue| !rss.indirection.contains(queue)) {
        return Err(format!("the device's table leaves out queue {queue}"));
    }
    let table = rss.indirection.iter().map(|&queue| u16::try_from(queue).unwrap_or(u16::MAX)).collect();
    Rss::new(&rss.key, table).ok_or_else(|| "the device tells no RSS key that is long enough".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;
    use synfin_engine::steering::toeplitz::MICROSOFT_KEY;

    fn machine(more: &str) -> MachineArgs {
        let line = format!("synfin serve -i v -a 198.18.0.1/24 --listen 80 --workers 2 {more}");
        match Cli::try_parse_from(line.split_whitespace()).unwrap().command {
            Command::Serve(args) => args.net.machine,
            _ => unreachable!("the line says serve"),
        }
    }

    /// A network card that tells all.
    fn card() -> Told {
        let rss = ethtool::Rss {
            key: MICROSOFT_KEY.to_vec(),
            indirection: (0..128).map(|i| i % 4).collect(),
            hash_function: ethtool::TOEPLITZ,
            input_transform: 0,
        };
        Told { is_hardware: true, rss: Some(rss), fields: vec![HashFields::FOUR_TUPLE; 2] }
    }

    fn with_rss(change: impl Fn(&mut ethtool::Rss)) -> Told {
        let mut told = card();
        told.rss.iter_mut().for_each(change);
        told
    }

    fn decided(told: &Told, more: &str, role: Role) -> Result<&'static str, String> {
        decide(&machine(more), told, role).map(|s| s.policy.name())
    }

    #[test]
    fn a_card_that_tells_its_hash_serves_by_queue_and_calls_by_rss() {
        assert_eq!(decided(&card(), "", Role::Serve), Ok("queue"));
        assert_eq!(decided(&card(), "", Role::Load), Ok("rss"));
        assert_eq!(decided(&card(), "--queue 2", Role::Load), Ok("rss"));
        let fields_unknown = Told { fields: Vec::new(), ..card() };
        assert_eq!(decided(&fields_unknown, "", Role::Load), Ok("rss"));
    }

    #[test]
    fn what_cannot_be_computed_is_handed_over_and_refused_if_asked_for() {
        let veth = Told { is_hardware: false, rss: None, fields: Vec::new() };
        assert_eq!(decided(&veth, "", Role::Serve), Ok("hash"));
        for (told, why) in [
            (veth, "does not tell"),
            (with_rss(|r| r.hash_function = 2), "another function"),
            (with_rss(|r| r.input_transform = 1), "changes"),
            (with_rss(|r| r.key.truncate(39)), "long enough"),
            (with_rss(|r| r.indirection.retain(|&q| q != 1)), "leaves out queue 1"),
            (Told { fields: vec![HashFields::FOUR_TUPLE, HashFields(0x30)], ..card() }, "both ports"),
        ] {
            let chosen = decide(&machine(""), &told, Role::Load).unwrap();
            assert!(matches!(chosen.policy, Policy::Hash) && chosen.reason.contains(why), "{}", chosen.reason);
            let refused = decided(&told, "--steering rss", Role::Load).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }

    #[test]
    fn what_is_asked_for_is_done() {
        for role in [Role::Load, Role::Serve] {
            for policy in ["queue", "rss", "hash"] {
                assert_eq!(decided(&card(), &format!("--steering {policy}"), role), Ok(policy));
            }
        }
    }
}
