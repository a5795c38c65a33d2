//! How the frames of a connection find the worker that owns it, when several share a device.
//!
//! A device that brings every frame of a connection to the same queue makes that queue's worker the owner, and nobody
//! has to hand anything over. Whoever answers calls needs no more than that. Whoever calls has to know beforehand
//! which queue the answers will come to, so it needs the device's hash. Where nothing is known about the device, all
//! workers agree on a hash of their own, and frames that arrive elsewhere are handed over.

use super::{Rss, owner};
use crate::wire::Addr;

/// Address and port of one end of a connection.
pub type End<'a> = (&'a Addr, u16);

#[derive(Clone, Debug)]
pub enum Policy {
    /// The device keeps a connection on one queue: it belongs to the worker whose queue the SYN arrived on.
    Queue,
    /// The device's hash is known: a connection belongs to the worker whose queue the peer's frames will arrive on.
    Rss {
        rss: Rss,
        /// The queue of worker 0; the others' follow.
        first_queue: u16,
    },
    /// Nothing is known: [`owner()`] decides. It is the same hash in both directions and on both hosts, so where the device
    /// brings a frame to the queue of the number it was sent on (veth), and the peer is an engine with as many
    /// workers, every frame arrives where it belongs.
    Hash,
}

impl Policy {
    /// The name under which it is chosen and reported.
    pub const fn name(&self) -> &'static str {
        match self {
            Policy::Queue => "queue",
            Policy::Rss { .. } => "rss",
            Policy::Hash => "hash",
        }
    }

    /// The worker that owns the connection of a segment from `src` to `dst`; `None`: the one on whose queue the segment
    /// has arrived.
    #[inline]
    pub fn receiver(&self, src: End<'_>, dst: End<'_>, workers: usize) -> Option<usize> {
        match self {
            Policy::Queue => None,
            Policy::Rss { rss, first_queue } => {
                let queue = rss.queue(src.0, dst.0, src.1, dst.1);
                Some(usize::from(queue.checked_sub(*first_queue)?)).filter(|&worker| worker < workers)
            }
            Policy::Hash => Some(owner(src.0, src.1, dst.0, dst.1, workers)),
        }
    }

    /// Whether this worker, and no other, may begin a connection from `local` to `remote`.
    pub fn may_connect(&self, worker: usize, workers: usize, local: End<'_>, remote: End<'_>) -> bool {
        match self {
            // Answers come to whoever asks, so the tuples only have to be shared out.
            Policy::Queue => owner(local.0, local.1, remote.0, remote.1, workers) == worker,
            Policy::Rss { .. } | Policy::Hash => self.receiver(remote, local, workers) == Some(worker),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;
    use crate::steering::Ports;
    use crate::steering::toeplitz::MICROSOFT_KEY;

    const CLIENT: Addr = Addr::v4([198, 18, 0, 1]);
    const SERVER: Addr = Addr::v4([198, 18, 0, 2]);

    fn rss(table: &[u16]) -> Rss {
        Rss::new(&MICROSOFT_KEY, table.to_vec()).unwrap()
    }

    fn random_addr(rng: &mut Rng) -> Addr {
        let mut bytes = [0; 16];
        rng.fill(&mut bytes);
        if rng.below(2) == 0 { Addr::v4([bytes[0], bytes[1], bytes[2], bytes[3]]) } else { Addr(bytes) }
    }

    #[test]
    fn every_tuple_may_be_used_by_exactly_one_worker_and_its_answers_go_there() {
        let mut rng = Rng::new(11);
        for _ in 0..2_000 {
            let workers = 1 + rng.below(8) as usize;
            let table: Vec<u16> = (0..128).map(|_| 3 + rng.below(workers as u64) as u16).collect();
            let policies = [Policy::Queue, Policy::Hash, Policy::Rss { rss: rss(&table), first_queue: 3 }];
            let (a, b) = (random_addr(&mut rng), random_addr(&mut rng));
            let (local, remote) = ((&a, rng.next_u32() as u16), (&b, rng.next_u32() as u16));
            for policy in policies {
                let users: Vec<usize> =
                    (0..workers).filter(|&w| policy.may_connect(w, workers, local, remote)).collect();
                assert_eq!(users.len(), 1, "{}", policy.name());
                let receiver = policy.receiver(remote, local, workers);
                assert!(receiver.is_none_or(|w| w == users[0]), "{}", policy.name());
            }
        }
    }

    #[test]
    fn ports_chosen_for_a_worker_are_those_whose_answers_the_device_brings_to_its_queue() {
        let rss = rss(&[4, 5, 6, 4, 5, 6, 6]);
        let policy = Policy::Rss { rss: rss.clone(), first_queue: 4 };
        for worker in 0..3 {
            let mut walk = Ports::new(7, 1, 1024..=u16::MAX);
            for _ in 0..2_000 {
                let accept = |_, port| policy.may_connect(worker, 3, (&CLIENT, port), (&SERVER, 80));
                let (_, port) = walk.next(u32::MAX, accept).unwrap();
                assert_eq!(usize::from(rss.queue(&SERVER, &CLIENT, 80, port)), 4 + worker);
            }
        }
    }

    #[test]
    fn tuples_whose_answers_go_to_a_queue_without_a_worker_are_used_by_nobody() {
        let policy = Policy::Rss { rss: rss(&[0, 1, 2, 3]), first_queue: 1 };
        let (mut unused, ports) = (0, 1024..3072u16);
        for port in ports.clone() {
            let used = (0..2).any(|w| policy.may_connect(w, 2, (&CLIENT, port), (&SERVER, 80)));
            assert_eq!(used, policy.receiver((&SERVER, 80), (&CLIENT, port), 2).is_some());
            unused += usize::from(!used);
        }
        assert!((ports.len() / 3..ports.len() * 2 / 3).contains(&unused), "{unused}");
    }

    #[test]
    fn two_engines_with_as_many_workers_agree_by_hash_on_who_talks_to_whom() {
        for port in 1024..2048 {
            let owner = |src, dst| Policy::Hash.receiver(src, dst, 2);
            assert_eq!(owner((&CLIENT, port), (&SERVER, 80)), owner((&SERVER, 80), (&CLIENT, port)));
        }
    }
}
