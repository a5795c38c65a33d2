//! Any frames at all into a live shard. The input is a list of frames, each led by its length (two bytes, big-endian) and
//! a byte that says how much time passes before it; what cannot be read any more is left out.

#![no_main]

use libfuzzer_sys::fuzz_target;
use synfin_tests::frames::{Corpus, accounted};

fuzz_target!(|data: &[u8]| {
    let mut host = Corpus::target();
    let mut rest = data;
    let mut fed = 0;
    while let Some((head, tail)) = rest.split_first_chunk::<3>() {
        let len = usize::from(u16::from_be_bytes([head[0], head[1]])).min(tail.len()).min(2000);
        let (bytes, behind) = tail.split_at(len);
        rest = behind;
        let mut frame = host.pool.alloc().expect("no frame is lost");
        assert!(frame.set_len(bytes.len()));
        frame.bytes_mut().copy_from_slice(bytes);
        host.turn_unchecked(vec![frame]);
        // Up to a minute: every timer has its turn.
        host.now = host.now.plus_nanos(u64::from(head[2]).pow(4) * 14);
        fed += 1;
    }
    assert_eq!(accounted(host.shard.counters()), fed, "each frame is taken or dropped for one reason");
});
