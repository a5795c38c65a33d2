use super::*;
use crate::base::Rng;
use std::collections::BTreeSet;

/// Everything that must hold between two calls.
fn check(index: &Index) {
    let entries: Vec<(usize, u64)> = index.words.iter().copied().enumerate().filter(|(_, word)| *word != 0).collect();
    assert_eq!(entries.len(), index.len);
    assert!(entries.is_sorted_by_key(|(_, word)| tag_of(*word)), "sorted by tag");
    for &(place, word) in &entries {
        let home = index.home(tag_of(word));
        assert!(home <= place, "{word:x} lies before its home");
        assert!(index.words[home..place].iter().all(|before| *before != 0), "{word:x} is cut off from its home");
        assert!(place < index.touched as usize * LINE_WORDS);
    }
    assert!(index.lines[0] <= index.lines[1] && index.lines[1] <= index.lines_max);
}

/// Insertions and removals, with tags from `tag`, compared with a set; `grows` tells whether to insert, by step.
fn compare(limit: usize, steps: u32, tag: impl Fn(&mut Rng) -> u32, grows: impl Fn(u32, &mut Rng) -> bool) -> Index {
    compare_on(Index::new(limit), limit, steps, tag, grows)
}

fn compare_on(
    mut index: Index,
    limit: usize,
    steps: u32,
    tag: impl Fn(&mut Rng) -> u32,
    grows: impl Fn(u32, &mut Rng) -> bool,
) -> Index {
    let mut rng = Rng::new(u64::from(steps) ^ 5);
    let (mut oracle, mut known) = (BTreeSet::new(), Vec::new());
    for step in 0..steps {
        if grows(step, &mut rng) && oracle.len() < limit {
            let (tag, value) = (tag(&mut rng), rng.next_u64() as u32);
            if oracle.insert((tag, value)) {
                assert!(index.insert(tag, value));
                known.push((tag, value));
            }
        } else if !known.is_empty() {
            let (tag, value) = known.swap_remove(rng.below(known.len() as u64) as usize);
            assert_eq!(index.find(tag, |v| v == value), Some(value));
            let other = value ^ 1;
            if rng.chance(0.3) && oracle.insert((tag, other)) {
                assert!(index.replace(tag, value, other));
                known.push((tag, other));
                assert!(!index.replace(tag, value, other));
            } else {
                assert!(index.remove(tag, value));
                assert!(!index.remove(tag, value));
            }
            oracle.remove(&(tag, value));
        }
        if step.is_multiple_of(1 + steps / 200) {
            check(&index);
        }
    }
    check(&index);
    assert_eq!(index.len(), oracle.len());
    assert!(oracle.iter().all(|&(tag, value)| index.find(tag, |v| v == value) == Some(value)));
    index
}

#[test]
fn agrees_with_a_set_where_memory_has_to_be_opened_before_it_is_used() {
    let limit = 50_000;
    let lines = Index::new(limit).lines_max;
    let index = Index::on(Words::closed(words_of(lines), words_of(LINES_MIN)), lines);
    assert!(index.words.len() < words_of(lines));
    let turn = 2 * limit as u32;
    compare_on(index, limit, 3 * turn, any, |step, rng| {
        rng.chance(if (step / turn).is_multiple_of(2) { 0.9 } else { 0.1 })
    });
}

fn any(rng: &mut Rng) -> u32 {
    rng.next_u64() as u32
}

#[test]
fn agrees_with_a_set_while_it_grows_and_shrinks_in_turns() {
    for limit in [1, 60, 3_000, 50_000] {
        let turn = 4 * limit as u32;
        compare(limit, 6 * turn, any, |step, rng| rng.chance(if (step / turn).is_multiple_of(2) { 0.9 } else { 0.1 }));
    }
}

#[test]
fn agrees_with_a_set_when_the_frontier_goes_to_and_fro() {
    compare(20_000, 400_000, any, |step, rng| rng.chance(if (step / 1_000).is_multiple_of(2) { 0.95 } else { 0.1 }));
}

#[test]
fn many_entries_may_have_the_same_tag_or_neighbouring_ones() {
    let few = |rng: &mut Rng| 0x8000_0000 + rng.below(40) as u32;
    let index = compare(600, 10_000, few, |step, rng| rng.chance(if step < 5_000 { 0.9 } else { 0.2 }));
    assert!(index.len() < 600);
    let ends = |rng: &mut Rng| if rng.chance(0.5) { rng.below(3) as u32 } else { u32::MAX - rng.below(3) as u32 };
    compare(100, 5_000, ends, |_, rng| rng.chance(0.6));
}

#[test]
fn what_finds_no_room_is_refused_and_everything_else_stays() {
    let mut index = Index::new(100);
    let taken = (0..).take_while(|&value| index.insert(u32::MAX, value)).count() as u32;
    assert!(taken >= 100);
    check(&index);
    assert!(index.insert(5, 5), "there is room elsewhere");
    for value in 0..taken {
        assert!(index.remove(u32::MAX, value));
    }
    assert_eq!((index.len(), index.find(5, |_| true)), (1, Some(5)));
}

#[test]
fn the_entries_lie_densely_enough_and_near_their_homes_at_every_size() {
    const LIMIT: usize = 300_000;
    let (mut rng, mut index) = (Rng::new(1), Index::new(LIMIT));
    for n in 1..=LIMIT {
        assert!(index.insert(any(&mut rng), n as u32));
        if n.is_multiple_of(9_973) || n == LIMIT {
            // The first ones have more room.
            let bytes = index.memory_bytes().saturating_sub(1 << 20) as f64 / n as f64;
            assert!(bytes < 14.0, "{bytes} bytes for each of {n}");
            let entries = index.words.iter().enumerate().filter(|(_, word)| **word != 0);
            let lines = entries.map(|(place, word)| (place - index.home(tag_of(*word))) / LINE_WORDS);
            let (sum, most) = lines.fold((0, 0), |(sum, most), lines| (sum + lines, lines.max(most)));
            assert!((sum as f64) < 0.4 * n as f64, "{sum} lines beyond their homes for {n} entries");
            assert!(most < SPARE_LINES as usize / 2, "{most} lines from home among {n}");
        }
    }
    let bytes = index.memory_bytes() as f64 / LIMIT as f64;
    assert!(bytes < 11.0, "{bytes} bytes for each when all are there");
}

#[test]
fn no_insertion_moves_more_than_a_few_lines() {
    const LIMIT: usize = 100_000;
    let (mut rng, mut index) = (Rng::new(2), Index::new(LIMIT));
    let entries: Vec<(u32, u32)> = (0..LIMIT as u32).map(|n| (any(&mut rng), n)).collect();
    let mut furthest = 0;
    for &(tag, value) in &entries {
        let lines = index.lines;
        let before = if lines[0] == lines[1] { TAGS } else { index.frontier };
        assert!(index.insert(tag, value));
        if index.lines == lines && lines[0] == lines[1] {
            continue;
        }
        // A round may have ended and the next one begun.
        let next_round = if index.frontier > before { TAGS } else { 0 };
        furthest = furthest.max(((before + next_round - index.frontier) * lines[0]) >> 32);
    }
    assert!((1..=LINES_PER_STEP as u64).contains(&furthest), "{furthest} lines");
}

#[test]
fn memory_goes_back_when_the_entries_are_gone() {
    const LIMIT: usize = 2_000_000;
    let (mut rng, mut index) = (Rng::new(3), Index::new(LIMIT));
    let entries: Vec<(u32, u32)> = (0..LIMIT as u32).map(|n| (any(&mut rng), n)).collect();
    entries.iter().for_each(|&(tag, value)| assert!(index.insert(tag, value)));
    let full = index.memory_bytes();
    entries.iter().for_each(|&(tag, value)| assert!(index.remove(tag, value)));
    assert!(index.memory_bytes() < full / 25, "{} of {full}", index.memory_bytes());
    assert!(index.words.iter().all(|word| *word == 0));
}

#[test]
fn a_prepared_index_neither_grows_nor_shrinks() {
    let (mut rng, mut index) = (Rng::new(4), Index::new(10_000));
    index.prepare();
    let (lines, bytes) = (index.lines, index.memory_bytes());
    let entries: Vec<(u32, u32)> = (0..10_000).map(|n| (any(&mut rng), n)).collect();
    entries.iter().for_each(|&(tag, value)| assert!(index.insert(tag, value)));
    check(&index);
    entries.iter().for_each(|&(tag, value)| assert!(index.remove(tag, value)));
    assert_eq!((index.lines, index.memory_bytes()), (lines, bytes));
    assert!(index.is_empty() && index.words.iter().all(|word| *word == 0));
}

#[test]
fn growth_keeps_up_with_insertions_up_to_the_limit_whatever_it_is() {
    let mut rng = Rng::new(41);
    for limit in (200_000..320_000).step_by(9_973) {
        let mut index = Index::new(limit);
        for n in 0..limit as u32 {
            assert!(index.insert(rng.next_u64() as u32, n));
            let behind = index.len.saturating_sub(index.roomy.end);
            assert!(behind < 200, "{behind} entries too many at {n} of {limit}, {:?}", index.lines);
        }
    }
}
