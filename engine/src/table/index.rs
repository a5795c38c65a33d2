//! An index of 32-bit values under 32-bit tags (the upper half of a keyed hash): what the flow table and the TIME-WAIT
//! table are made of.
//!
//! One array of words, a tag and a value each, sorted by tag. A tag's *home* is the beginning of a cache line: the tag
//! as a fraction of 2^32, times the number of lines. An entry lies in its home line or, when that is full, in
//! one of those right behind it, with nothing vacant in between; so most look-ups read one line, and lines behind it
//! come with it. The address follows from the tag alone: there is no directory to be read first, and all look-ups of a
//! burst can be fetched at once.
//!
//! It grows without a pause. There are two numbers of lines, one for tags below the *frontier* and a greater one for
//! those above it. Each insertion moves the frontier down a few lines, as far as keeps the density where it should be:
//! the entries of these lines move up to where the greater number puts them. Their order stays the same, so all
//! this happens in place, and a tag's home never gets ahead of another's. When the frontier has come down to 0, the smaller
//! number becomes the greater one, and the next round begins at the top. Removals move the frontier up again once the
//! table is nearly empty, and the memory behind it is given back.
//!
//! The array's address space is set aside for all entries that there will ever be; only what is in use is memory.

use crate::base::Words;
use crate::base::line::{LINE_WORDS, above_tag, with_tag};
use crate::base::words::HUGE_WORDS;
use core::ops::Range;

/// One past the highest tag.
const TAGS: u64 = 1 << 32;
/// The table grows when more of the places are taken, as a fraction of 256: at the end of a round some lines
/// are denser by a quarter, and 0.92 is as dense as neighbouring lines can well make up for.
const DENSE: u64 = 188;
/// The table shrinks when fewer of the places are taken.
const SPARSE: u64 = 64;
/// Up to so many entries, memory does not matter: they have more room, and hardly ever stand in each other's way.
const SMALL: u64 = 1 << 16;
const DENSE_WHILE_SMALL: u64 = 96;
const SPARSE_WHILE_SMALL: u64 = 24;
/// 64 KiB: so many lines are there from the beginning.
const LINES_MIN: u64 = 1024;
/// Lines behind the last home, for what finds no place there.
const SPARE_LINES: u64 = 64;
/// Lines that an insertion or removal moves at the most; less than one would do on average.
const LINES_PER_STEP: usize = 2;
/// Entries that are moved at a time. A line and its neighbours never have as many with the same home.
const BATCH: usize = 64;

pub struct Index {
    words: Words,
    /// Lines that tags below the frontier are spread over, and those for the rest: never fewer.
    lines: [u64; 2],
    /// 0 to 2^32; at 0 or at 2^32 whenever both numbers are the same.
    frontier: u64,
    lines_min: u64,
    lines_max: u64,
    /// Behind this line nothing was written since memory was last given back.
    touched: u64,
    /// The huge page to which entries at the frontier move as the index grows.
    growing_at: usize,
    len: usize,
    /// With no more entries the index need not grow, with no fewer not shrink, as things stand.
    roomy: Range<usize>,
}

const fn word(tag: u32, value: u32) -> u64 {
    (tag as u64) << 32 | value as u64
}

const fn tag_of(word: u64) -> u64 {
    word >> 32
}

/// A word that is zero is vacant: so there is no tag 0.
const fn sound(tag: u32) -> u64 {
    if tag == 0 { 1 } else { tag as u64 }
}

/// What so many lines take, with those behind the last home.
const fn words_of(lines: u64) -> usize {
    (lines + SPARE_LINES) as usize * LINE_WORDS
}

impl Index {
    /// For at most `limit` entries.
    pub fn new(limit: usize) -> Index {
        let lines_for = |entries: u64, density| (entries * 256).div_ceil(density * LINE_WORDS as u64);
        let small = lines_for(SMALL.min(limit as u64), DENSE_WHILE_SMALL);
        let lines_max = lines_for(limit as u64, DENSE).max(small).max(LINES_MIN);
        Index::on(Words::with_limit(words_of(lines_max), words_of(LINES_MIN)), lines_max)
    }

    fn on(words: Words, lines_max: u64) -> Index {
        let lines = [LINES_MIN; 2];
        let mut index = Index {
            words,
            lines,
            frontier: 0,
            lines_min: LINES_MIN,
            lines_max,
            touched: 0,
            growing_at: 0,
            len: 0,
            roomy: 0..0,
        };
        index.note_room();
        index
    }

    /// Makes an empty index as large as it may become, once and for all: it takes all its memory at once.
    pub fn prepare(&mut self) {
        if self.is_empty() && self.words.open(words_of(self.lines_max)) {
            (self.lines, self.lines_min) = ([self.lines_max; 2], self.lines_max);
            self.touched = self.lines_max + SPARE_LINES;
            self.words.touch(self.touched as usize * LINE_WORDS);
            self.note_room();
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The place where the search for a tag begins.
    #[inline(always)]
    fn home(&self, tag: u64) -> usize {
        let lines = self.lines[usize::from(tag >= self.frontier)];
        ((tag * lines) >> 32) as usize * LINE_WORDS
    }

    #[inline(always)]
    fn at(&self, place: usize) -> u64 {
        self.words.get(place).copied().unwrap_or(0)
    }

    /// Fetches what a look-up needs, for one that comes soon; returns where it begins, as long as nothing is added or removed.
    #[inline(always)]
    pub fn prefetch(&self, tag: u32) -> u32 {
        let home = self.home(sound(tag));
        self.words.prefetch_lines(home);
        (home / LINE_WORDS) as u32
    }

    /// The first value under `tag`, whose search begins where [`Index::prefetch`] has said.
    #[inline(always)]
    pub fn first_at(&self, line: u32, tag: u32) -> Option<u32> {
        self.search_from(line as usize * LINE_WORDS, sound(tag), |_| true).map(|(_, value)| value)
    }

    /// The place of the entry under `tag` that `is_it` accepts, and its value.
    #[inline(always)]
    fn search(&self, tag: u32, is_it: impl FnMut(u32) -> bool) -> Option<(usize, u32)> {
        let tag = sound(tag);
        self.search_from(self.home(tag), tag, is_it)
    }

    #[inline(always)]
    fn search_from(&self, mut place: usize, tag: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<(usize, u32)> {
        while let Some(line) = self.words.get(place..).and_then(|rest| rest.first_chunk::<LINE_WORDS>()) {
            let mut matches = with_tag(line, tag as u32);
            while matches != 0 {
                let n = matches.trailing_zeros() as usize;
                let value = line[n % LINE_WORDS] as u32;
                if is_it(value) {
                    return Some((place + n, value));
                }
                matches &= matches - 1;
            }
            let last = line[LINE_WORDS - 1];
            if last == 0 || tag_of(last) > tag {
                return None;
            }
            place += LINE_WORDS;
        }
        None
    }

    /// The value under `tag` that `is_it` accepts; mostly whoever looks hopes that there is none.
    #[inline(always)]
    pub fn find(&self, tag: u32, is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        if self.is_surely_absent(tag) { None } else { self.find_anywhere(tag, is_it) }
    }

    #[inline(never)]
    fn find_anywhere(&self, tag: u32, is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        self.search(tag, is_it).map(|(_, value)| value)
    }

    /// The home line has no entry under `tag`, and room for one.
    #[inline(always)]
    fn is_surely_absent(&self, tag: u32) -> bool {
        let tag = sound(tag);
        let line = self.words.get(self.home(tag)..).and_then(|rest| rest.first_chunk::<LINE_WORDS>());
        line.is_some_and(|line| line[LINE_WORDS - 1] == 0 && with_tag(line, tag as u32) == 0)
    }

    /// Adds an entry. False when there is no room, which takes more entries than the index was made for.
    pub fn insert(&mut self, tag: u32, value: u32) -> bool {
        if !self.put(word(sound(tag) as u32, value)) {
            return false;
        }
        self.len += 1;
        if self.len > self.roomy.end {
            self.step(Index::is_dense, Index::grow);
        }
        true
    }

    /// Takes an entry away; false when there is none.
    #[inline]
    pub fn remove(&mut self, tag: u32, value: u32) -> bool {
        if !self.remove_in_line(tag, value) && !self.remove_anywhere(tag, value) {
            return false;
        }
        self.len -= 1;
        if self.len < self.roomy.start {
            self.step(Index::is_sparse, Index::shrink);
        }
        true
    }

    #[inline(never)]
    fn remove_anywhere(&mut self, tag: u32, value: u32) -> bool {
        let Some((place, _)) = self.search(tag, |v| v == value) else { return false };
        self.clear(place..place + 1);
        true
    }

    /// Moves the frontier by some lines, as long as that is due and possible.
    #[inline(never)]
    fn step(&mut self, is_due: impl Fn(&Index) -> bool, move_on: impl Fn(&mut Index) -> bool) {
        for _ in 0..LINES_PER_STEP {
            if !is_due(self) || !move_on(self) {
                break;
            }
        }
        self.note_room();
    }

    /// Works out between which numbers of entries [`Index::is_dense`] and [`Index::is_sparse`] need not be asked.
    fn note_room(&mut self) {
        let of_places = |density: u64| self.places() * density / 256;
        let most = Some(of_places(DENSE_WHILE_SMALL)).filter(|most| *most < SMALL && self.is_small());
        let most = most.unwrap_or(of_places(DENSE).max(SMALL));
        let least = Some(of_places(SPARSE)).filter(|least| *least > SMALL).unwrap_or(of_places(SPARSE_WHILE_SMALL));
        let is_least = self.lines == [self.lines_min; 2] && self.touched <= self.lines_min + SPARE_LINES;
        self.roomy = if is_least { 0 } else { least as usize + 1 }..most as usize;
    }

    /// Puts `new` in the place of `old`; false when there is none.
    pub fn replace(&mut self, tag: u32, old: u32, new: u32) -> bool {
        let place = self.search(tag, |v| v == old);
        let found = place.and_then(|(place, _)| self.words.get_mut(place));
        found.map(|found| *found = word((*found >> 32) as u32, new)).is_some()
    }

    /// Writes an entry behind all whose tags are no greater; those behind it up to the next vacant place move on by one.
    #[inline]
    fn put(&mut self, entry: u64) -> bool {
        let home = self.home(tag_of(entry));
        self.put_in_line(home, entry) || self.put_behind(home, entry)
    }

    #[inline(never)]
    fn put_behind(&mut self, home: usize, entry: u64) -> bool {
        let tag = tag_of(entry);
        let Some(run) = self.words.get(home..) else { return false };
        let Some(before) = run.iter().position(|&word| word == 0 || tag_of(word) > tag) else { return false };
        let Some(more) = run.get(before..).and_then(|run| run.iter().position(|&word| word == 0)) else { return false };
        let (place, vacant) = (home + before, home + before + more);
        self.words.copy_within(place..vacant, place + 1);
        if let Some(word) = self.words.get_mut(place) {
            *word = entry;
        }
        self.touched = self.touched.max((vacant / LINE_WORDS) as u64 + 1);
        true
    }

    /// The usual case of [`Index::put`]: there is a vacant place in the home line. What is vacant in a line is its end, since
    /// the homes of all entries in it are at its beginning or before.
    #[inline(always)]
    fn put_in_line(&mut self, home: usize, entry: u64) -> bool {
        let Some(line) = self.words.get_mut(home..).and_then(|run| run.first_chunk_mut::<LINE_WORDS>()) else {
            return false;
        };
        if line[LINE_WORDS - 1] != 0 {
            return false;
        }
        let place = (with_tag(line, 0) | above_tag(line, tag_of(entry) as u32)).trailing_zeros() as usize;
        let (mut moved, mut n) = (entry, place);
        while moved != 0 {
            core::mem::swap(&mut moved, &mut line[n % LINE_WORDS]);
            n += 1;
        }
        self.touched = self.touched.max((home / LINE_WORDS) as u64 + 1);
        true
    }

    /// The usual case of [`Index::remove`]: the entry lies in its home line, whose end is vacant, so that nothing behind it is
    /// affected.
    #[inline(always)]
    fn remove_in_line(&mut self, tag: u32, value: u32) -> bool {
        let tag = sound(tag) as u32;
        let home = self.home(tag.into());
        let Some(line) = self.words.get_mut(home..).and_then(|run| run.first_chunk_mut::<LINE_WORDS>()) else {
            return false;
        };
        let mut n = with_tag(line, tag).trailing_zeros() as usize % LINE_WORDS;
        // Another under the same tag takes the long way.
        if line[LINE_WORDS - 1] != 0 || line[n] != word(tag, value) {
            return false;
        }
        while line[n % LINE_WORDS] != 0 {
            line[n % LINE_WORDS] = line[(n + 1) % LINE_WORDS];
            n += 1;
        }
        true
    }

    /// Makes places vacant and lets those behind them move up to their homes, or as near as they can.
    fn clear(&mut self, places: Range<usize>) {
        let (mut vacant, mut place) = (places.start, places.end);
        if let Some(words) = self.words.get_mut(places) {
            words.fill(0);
        }
        loop {
            let word = self.at(place);
            if word == 0 {
                return;
            }
            vacant = vacant.max(self.home(tag_of(word)));
            if vacant == place {
                return;
            }
            self.words.swap(vacant, place);
            (vacant, place) = (vacant + 1, place + 1);
        }
    }

    /// Places that there are as the frontier stands, without the spare ones.
    #[inline(always)]
    fn places(&self) -> u64 {
        let [below, above] = self.lines;
        let lines = (below * self.frontier + above * (TAGS - self.frontier)) >> 32;
        lines * LINE_WORDS as u64
    }

    #[inline(always)]
    fn is_dense(&self) -> bool {
        let (len, density) = (self.len as u64, if self.is_small() { DENSE_WHILE_SMALL } else { DENSE });
        len * 256 > self.places() * density && self.lines[0] < self.lines_max
    }

    #[inline(always)]
    fn is_sparse(&self) -> bool {
        let density = if self.is_small() { SPARSE_WHILE_SMALL } else { SPARSE };
        self.len as u64 * 256 < self.places() * density
    }

    #[inline(always)]
    fn is_small(&self) -> bool {
        self.len as u64 <= SMALL
    }

    /// Moves the frontier down by a line. False when that is not possible.
    fn grow(&mut self) -> bool {
        if self.lines[0] == self.lines[1] {
            let next = self.lines_after(self.lines[1]);
            if !self.words.open(words_of(next)) {
                return false;
            }
            self.lines[1] = next;
            self.frontier = TAGS;
        }
        let below = self.lines[0];
        let line = ((self.frontier - 1) * below) >> 32;
        let moved = self.move_to_frontier(line, (line * TAGS).div_ceil(below), self.frontier, false);
        let page = ((self.frontier * self.lines[1]) >> 32) as usize * LINE_WORDS / HUGE_WORDS;
        if page != self.growing_at {
            self.growing_at = page;
            self.ask_ahead();
        }
        if self.frontier == 0 {
            self.lines[0] = self.lines[1];
        }
        moved
    }

    /// The greater number of lines in the round after one with so many. A round that adds few lines gains too little with each
    /// one that it moves to keep up with insertions: so the last two are equally large.
    fn lines_after(&self, lines: u64) -> u64 {
        let more = |lines: u64| lines + (lines / 4).max(LINES_MIN);
        let next = more(lines);
        match next < self.lines_max && more(next) > self.lines_max {
            true => (lines * self.lines_max).isqrt(),
            false => next.min(self.lines_max),
        }
    }

    /// Asks for the memory that growth will soon come to for the first time: on the way down to where the last round ended,
    /// the next page, and from there on the last one of the next round.
    #[cold]
    fn ask_ahead(&self) {
        let old = self.lines[0] as usize * LINE_WORDS;
        if self.growing_at * HUGE_WORDS > old {
            self.words.ask_for((self.growing_at - 1) * HUGE_WORDS);
        } else if self.growing_at == old / HUGE_WORDS / 2 {
            self.words.ask_for(self.lines_after(self.lines[1]) as usize * LINE_WORDS - 1);
        }
    }

    /// Moves the frontier up by a line; behind the last one, gives memory back. False when there is nothing to be done.
    fn shrink(&mut self) -> bool {
        let [below, above] = self.lines;
        if below == above {
            if self.give_back() || above <= self.lines_min {
                return false;
            }
            self.lines[0] = (above / 2).max(self.lines_min);
            self.frontier = 0;
        }
        let above = self.lines[1];
        let line = (self.frontier * above) >> 32;
        let end = ((line + 1) * TAGS).div_ceil(above).min(TAGS);
        let moved = self.move_to_frontier(line, self.frontier, end, true);
        if self.frontier == TAGS {
            self.lines[1] = self.lines[0];
        }
        moved
    }

    /// Lets the frontier pass the tags from `low` up to `high`, whose entries lie in `line` and behind it: `up` or down.
    /// So many that they cannot be moved at once are left to the next call, and nothing at all can be done about so
    /// many under one tag.
    fn move_to_frontier(&mut self, line: u64, mut low: u64, mut high: u64, up: bool) -> bool {
        let home = line as usize * LINE_WORDS;
        let run = self.words.get(home..).unwrap_or(&[]);
        let place = |tag: u64| home + run.iter().take_while(|&&word| word != 0 && tag_of(word) < tag).count();
        let (mut start, mut end) = (place(low), place(high));
        if end - start > BATCH {
            if up {
                high = tag_of(self.at(start + BATCH));
                end = place(high);
            } else {
                low = tag_of(self.at(end - BATCH)) + 1;
                start = place(low);
            }
        }
        if low >= high || !self.has_spare_places() {
            return false;
        }
        let mut batch = [0; BATCH];
        let entries = batch.iter_mut().zip(self.words.get(start..end).unwrap_or(&[]));
        entries.for_each(|(to, from)| *to = *from);
        self.clear(start..end);
        self.frontier = if up { high } else { low };
        for &entry in batch.iter().take(end - start) {
            self.put(entry);
        }
        // The next lines on this way will be wanted soon.
        let next = if up { high.min(TAGS - 1) } else { low.saturating_sub(1) };
        for lines in self.lines {
            self.words.prefetch_lines(((next * lines) >> 32) as usize * LINE_WORDS);
        }
        true
    }

    /// Whether there is room at the very end for all that may be on its way there.
    fn has_spare_places(&self) -> bool {
        let place = self.words.len() - BATCH;
        // Where nothing was written nothing is read: that would be a first touch, too.
        self.touched as usize * LINE_WORDS <= place || self.at(place) == 0
    }

    /// Gives the memory behind the last line back, a piece at a time. False when there is none.
    #[cold]
    fn give_back(&mut self) -> bool {
        let used = (self.lines[1] + SPARE_LINES) as usize * LINE_WORDS;
        let touched = self.touched as usize * LINE_WORDS;
        if touched <= used || self.at(used - 1) != 0 {
            return false;
        }
        let from = (touched - 1) / HUGE_WORDS * HUGE_WORDS;
        let from = from.max(used);
        self.words.release(from..touched.next_multiple_of(HUGE_WORDS));
        self.touched = (from / LINE_WORDS) as u64;
        true
    }

    /// Bytes that were touched.
    pub fn memory_bytes(&self) -> usize {
        self.touched as usize * LINE_WORDS * size_of::<u64>()
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
