//! Whose a 4-tuple is, where no device says so (veth, virtio): a fixed hash that is the same for both directions, on
//! both hosts. It has no key: it decides about load, not about memory, and both ends must agree on it.

use crate::wire::Addr;

const M1: u64 = 0x9e37_79b9_7f4a_7c15;
const M2: u64 = 0xd6e8_feb8_6659_fd93;

/// The worker, below `workers` (0 when there are none), that owns the connection between `a` and `b`. Swapping the two
/// ends gives the same.
#[inline]
pub fn owner(a: &Addr, a_port: u16, b: &Addr, b_port: u16, workers: usize) -> usize {
    if workers <= 1 {
        return 0;
    }
    // A sum does not care about the order, and unlike XOR does not vanish for equal ends.
    let h = mix(end(a, a_port).wrapping_add(end(b, b_port)));
    ((u128::from(h) * workers as u128) >> 64) as usize
}

#[inline(always)]
fn end(addr: &Addr, port: u16) -> u64 {
    let v = u128::from_be_bytes(addr.0);
    mix(mix((v >> 64) as u64 ^ M2) ^ v as u64 ^ u64::from(port) << 32)
}

/// Every bit of the input reaches every bit of the output.
#[inline(always)]
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 32)).wrapping_mul(M1);
    z = (z ^ (z >> 29)).wrapping_mul(M2);
    z ^ (z >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;

    #[test]
    fn both_directions_have_the_same_owner() {
        let mut rng = Rng::new(5);
        for _ in 0..10_000 {
            let (mut a, mut b) = (Addr::default(), Addr::default());
            rng.fill(&mut a.0);
            rng.fill(&mut b.0);
            let (p, q) = (rng.next_u32() as u16, rng.next_u32() as u16);
            let workers = 1 + rng.below(64) as usize;
            let it = owner(&a, p, &b, q, workers);
            assert!(it < workers);
            assert_eq!(it, owner(&b, q, &a, p, workers));
        }
    }

    #[test]
    fn consecutive_ports_and_addresses_spread_evenly() {
        let server = Addr::v4([198, 18, 0, 2]);
        for workers in [2, 3, 4, 7, 16] {
            let mut by_port = vec![0u32; workers];
            let mut by_addr = vec![0u32; workers];
            for n in 0..48_000u32 {
                by_port[owner(&Addr::v4([198, 18, 0, 1]), 16_000 + n as u16, &server, 80, workers)] += 1;
                by_addr[owner(&Addr::v4([198, 18, 0, 1]).plus(n), 16_000, &server, 80, workers)] += 1;
            }
            let mean = 48_000.0 / workers as f64;
            for count in by_port.iter().chain(&by_addr) {
                assert!((f64::from(*count) - mean).abs() < mean * 0.08, "{count} of a mean {mean}");
            }
        }
    }

    #[test]
    fn equal_ends_and_no_workers_are_answered() {
        let a = Addr::v4([127, 0, 0, 1]);
        assert!(owner(&a, 80, &a, 80, 4) < 4);
        assert_eq!(owner(&a, 80, &a, 81, 0), 0);
    }
}
