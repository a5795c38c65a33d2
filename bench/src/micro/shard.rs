//! What a whole shard makes of segments, from frame to frame: data and ACKs of well-behaved connections, a flood of SYNs,
//! and what connections leave behind.

use super::puppet::{Peer, Puppet, TIME_WAIT};
use super::{Case, Work, each, measured};
use std::time::Duration;
use synfin_engine::shard::BURST;
use synfin_engine::wire::TcpFlags;

static DATA: [u8; 100] = [b'd'; 100];
/// Peers that sent a SYN and are never heard of again.
const FLOOD_PEERS: u32 = 60_000 * 1_000;
/// Time between two bursts.
const TURN: Duration = Duration::from_micros(64);
/// TIME-WAIT records that expire together.
const RECORDS: u32 = 65_536;

pub fn cases() -> Vec<Case> {
    let burst = |name: &str, build: fn() -> Work| Case::new("shard", name, build).of(BURST as u64).counted(Some(200));
    vec![
        burst("data segment of 100 B", || well_behaved(&DATA)),
        burst("bare ACK", || well_behaved(&[])),
        burst("SYN flood", syn_flood),
        burst("enter TIME-WAIT", enter_time_wait),
        Case::new("shard", "leave TIME-WAIT", leave_time_wait).of(u64::from(RECORDS)).counted(Some(1)),
    ]
}

/// A burst of 64 segments, each on a connection of its own, with the ACKs that become due.
fn well_behaved(payload: &'static [u8]) -> Work {
    let mut puppet = Puppet::new(false);
    let mut peers: Vec<Peer> = (0..BURST as u32).map(Puppet::peer).collect();
    puppet.open(&mut peers);
    each(move || {
        puppet.answers(|_| {});
        puppet.now = puppet.now + TURN;
        for peer in &mut peers {
            puppet.say(peer, TcpFlags::ACK | TcpFlags::PSH, payload);
            peer.seq += payload.len() as u32;
        }
        measured(&mut || puppet.turn())
    })
}

/// Every SYN from somebody else, at a million a second: half-open records run out, and whatever the shard does then
/// is measured.
fn syn_flood() -> Work {
    let mut puppet = Puppet::new(false);
    let mut next = 0;
    let mut prepare = move |puppet: &mut Puppet| {
        puppet.answers(|_| {});
        puppet.now = puppet.now + TURN;
        for _ in 0..BURST {
            puppet.say(&Puppet::peer(next), TcpFlags::SYN, &[]);
            next = (next + 1) % FLOOD_PEERS;
        }
    };
    let turn = |puppet: &mut Puppet| {
        puppet.turn();
        puppet.expire();
    };
    // Until the half-open records are used up.
    for _ in 0..300_000 / BURST {
        prepare(&mut puppet);
        turn(&mut puppet);
    }
    each(move || {
        prepare(&mut puppet);
        measured(&mut || turn(&mut puppet))
    })
}

/// Opens and closes connections up to the peers' FIN, which it prepares. The shard closes first.
fn up_to_the_last_fin(puppet: &mut Puppet, first: u32) {
    let mut peers: Vec<Peer> = (first..first + BURST as u32).map(Puppet::peer).collect();
    puppet.open(&mut peers);
    puppet.note_answers(&mut peers);
    peers.iter().for_each(|peer| puppet.say(peer, TcpFlags::FIN | TcpFlags::ACK, &[]));
}

/// The FIN that ends a connection, with its ACK: the control block goes, a TIME-WAIT record comes.
fn enter_time_wait() -> Work {
    let mut puppet = Puppet::new(true);
    let mut first = 0;
    each(move || {
        up_to_the_last_fin(&mut puppet, first);
        first = (first + BURST as u32) % (60_000 * 64);
        let took = measured(&mut || puppet.turn());
        puppet.answers(|_| {});
        // As many records go as come: about a thousand stay.
        puppet.now = puppet.now + TIME_WAIT / 16;
        puppet.expire();
        took
    })
}

/// Many records expire at once.
fn leave_time_wait() -> Work {
    let mut puppet = Puppet::new(true);
    let mut first = 0;
    each(move || {
        for _ in 0..RECORDS / BURST as u32 {
            up_to_the_last_fin(&mut puppet, first);
            first = (first + BURST as u32) % (60_000 * 64);
            puppet.turn();
            puppet.answers(|_| {});
        }
        assert_eq!(puppet.shard.live().2, RECORDS, "TIME-WAIT records");
        puppet.now = puppet.now + TIME_WAIT * 2;
        measured(&mut || {
            while puppet.shard.live().2 > 0 {
                puppet.expire();
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_puppet_opens_connections_and_brings_them_to_time_wait() {
        let mut puppet = Puppet::new(true);
        up_to_the_last_fin(&mut puppet, 0);
        assert_eq!(puppet.shard.live(), (BURST as u32, 0, 0));
        puppet.turn();
        assert_eq!(puppet.shard.live(), (0, 0, BURST as u32));
    }

    #[test]
    fn data_of_well_behaved_connections_is_taken_without_a_drop() {
        let mut puppet = Puppet::new(false);
        let mut peers: Vec<Peer> = (0..BURST as u32).map(Puppet::peer).collect();
        puppet.open(&mut peers);
        for _ in 0..10 {
            for peer in &mut peers {
                puppet.say(peer, TcpFlags::ACK | TcpFlags::PSH, &DATA);
                peer.seq += DATA.len() as u32;
            }
            puppet.turn();
            puppet.answers(|_| {});
        }
        assert_eq!(puppet.shard.counters().dropped_total(), 0);
        assert_eq!(puppet.shard.live().0, BURST as u32);
    }
}
