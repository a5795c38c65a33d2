//! The interface: link, queues, rings, offloads.

use super::Finding;
use crate::setup::site;
use std::fs::read_to_string;
use synfin_engine::io::sys::Interface;
use synfin_engine::io::sys::ethtool::{self, Channels, Feature, Rings, TOEPLITZ};
use synfin_engine::io::xsk::MTU_MAX;

pub fn look(interface: &Interface, workers: u16) -> Vec<Finding> {
    let name = &interface.name;
    let link = match site::usable(interface) {
        Ok(()) => Finding::ok("interface", describe(interface)),
        Err(e) => Finding::fail("interface", e.what, e.next),
    };
    let rss = ethtool::rss(name).is_ok_and(|r| !r.key.is_empty() && r.hash_function == TOEPLITZ);
    let gro = ethtool::feature(name, Feature::Gro).unwrap_or(false);
    let findings = [
        Some(link),
        programs(interface),
        Some(queues(interface, ethtool::channels(name).unwrap_or_default(), workers)),
        ethtool::rings(name).ok().and_then(|r| rings(name, r)),
        (workers > 1).then(|| steering(rss)),
        merging(name, gro),
        large_frames(interface.mtu),
        nodes(&read_to_string(format!("/sys/class/net/{name}/device/local_cpulist")).unwrap_or_default()),
    ];
    findings.into_iter().flatten().collect()
}

fn describe(interface: &Interface) -> String {
    let driver = interface.driver.as_deref().or(interface.kind.as_deref()).unwrap_or("unknown driver");
    let speed = read_to_string(format!("/sys/class/net/{}/speed", interface.name)).unwrap_or_default();
    let speed = speed.trim().parse::<u32>().ok().filter(|n| *n > 0);
    let speed = speed.map_or(String::new(), |mbit| format!(", {mbit} Mbit/s"));
    format!("{} ({driver}){speed}, MTU {}", interface.name, interface.mtu)
}

fn programs(interface: &Interface) -> Option<Finding> {
    let ids: Vec<String> = interface.xdp_program_ids.iter().map(u32::to_string).collect();
    (!ids.is_empty()).then(|| {
        Finding::fail(
            "XDP",
            format!("{} has an XDP program already (id {})", interface.name, ids.join(", ")),
            format!(
                "End the program whose it is (bpftool net show), or take it off: ip link set dev {} xdp off",
                interface.name
            ),
        )
    })
}

fn queues(interface: &Interface, told: Channels, workers: u16) -> Finding {
    let (name, there, workers) = (&interface.name, interface.queues_in_use(), u32::from(workers));
    let is_veth = interface.kind.as_deref() == Some("veth");
    let change = |n: u32| match told.combined_max > 0 || !is_veth {
        true => format!("ethtool -L {name} combined {n}"),
        false => format!("ethtool -L {name} rx {n} tx {n}"),
    };
    let what = format!("{there} for {workers} {}", if workers == 1 { "worker" } else { "workers" });
    if there < workers {
        return Finding::fail("queues", what, format!("{} (or fewer --workers)", change(workers)));
    }
    if there > workers && is_veth && workers == 1 {
        return Finding::ok("queues", format!("{what}: SKB mode, which suits one worker here, brings them together"));
    }
    if there > workers {
        let why = "what the device puts on the others goes to the kernel in native mode";
        return Finding::warn("queues", format!("{what}: {why}"), change(workers));
    }
    Finding::ok("queues", what)
}

fn rings(name: &str, r: Rings) -> Option<Finding> {
    if r.rx_max == 0 {
        return None;
    }
    let what = format!("{} to receive (of {}), {} to send (of {})", r.rx, r.rx_max, r.tx, r.tx_max);
    if r.rx < r.rx_max || r.tx < r.tx_max {
        let mend = format!("ethtool -G {name} rx {} tx {}", r.rx_max, r.tx_max);
        return Some(Finding::warn("rings", format!("{what}: a burst may not fit"), mend));
    }
    Some(Finding::ok("rings", what))
}

fn steering(rss: bool) -> Finding {
    match rss {
        true => Finding::ok("steering", "the card's hash is known: load calls from ports that suit it"),
        false => Finding::ok("steering", "the device tells no hash: frames on another worker's queue are handed over"),
    }
}

/// The generic path sees frames after they have been merged.
fn merging(name: &str, gro: bool) -> Option<Finding> {
    gro.then(|| {
        Finding::warn(
            "offloads",
            "GRO is on: in SKB mode frames may be merged beyond what a piece of packet memory takes",
            format!("ethtool -K {name} gro off (not needed in native mode)"),
        )
    })
}

fn large_frames(mtu: u32) -> Option<Finding> {
    (mtu > MTU_MAX).then(|| {
        Finding::warn(
            "MTU",
            format!("{mtu} is beyond {MTU_MAX}: frames take several chunks, where kernel (6.6) and driver can"),
            "Segments are kept to one chunk elsewhere; the report says so.",
        )
    })
}

/// `list`: the processors near the device.
fn nodes(list: &str) -> Option<Finding> {
    let list = list.trim();
    let all = read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    (!list.is_empty() && list != all.trim()).then(|| {
        Finding::warn(
            "NUMA",
            format!("the device is near processors {list} only"),
            format!("Choose --cores from {list}."),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;
    use synfin_engine::wire::Mac;

    fn veth(rx_queues: u32) -> Interface {
        Interface {
            name: "no-such-0".into(),
            ifindex: 1,
            mac: Mac([2; 6]),
            mtu: 1500,
            up: true,
            running: true,
            loopback: false,
            kind: Some("veth".into()),
            driver: Some("veth".into()),
            rx_queues,
            tx_queues: rx_queues,
            addresses: Vec::new(),
            xdp_program_ids: Vec::new(),
        }
    }

    #[test]
    fn queues_and_workers_should_be_as_many() {
        let of = |there, workers| queues(&veth(there), Channels::default(), workers);
        let levels = [of(2, 2), of(4, 2), of(1, 2), of(4, 1)].map(|f| f.level);
        assert_eq!(levels, [Level::Ok, Level::Warn, Level::Fail, Level::Ok]);
        assert!(of(4, 2).mend.contains("rx 2 tx 2"), "{:?}", of(4, 2));
        let card = Channels { combined_max: 8, ..Channels::default() };
        let hardware = Interface { kind: None, ..veth(4) };
        assert!(queues(&hardware, card, 1).mend.contains("combined 1"));
    }

    #[test]
    fn a_program_of_somebody_else_and_a_link_that_is_down_stand_in_the_way() {
        assert_eq!(programs(&veth(1)), None);
        let taken = Interface { xdp_program_ids: vec![7], ..veth(1) };
        assert!(programs(&taken).is_some_and(|f| f.level == Level::Fail && f.what.contains("id 7")));
        let down = Interface { up: false, ..veth(1) };
        assert!(look(&down, 1).iter().any(|f| f.level == Level::Fail && f.mend.contains("ip link set")));
    }

    #[test]
    fn small_rings_merged_frames_and_large_ones_are_warned_of() {
        let half = Rings { rx: 512, tx: 1024, rx_max: 1024, tx_max: 1024 };
        assert!(rings("e0", half).is_some_and(|f| f.mend == "ethtool -G e0 rx 1024 tx 1024"));
        assert_eq!(rings("e0", Rings { rx: 1024, ..half }).map(|f| f.level), Some(Level::Ok));
        assert_eq!(rings("e0", Rings::default()), None);
        assert!(merging("e0", true).is_some() && merging("e0", false).is_none());
        assert!(large_frames(9000).is_some() && large_frames(1500).is_none());
    }
}
