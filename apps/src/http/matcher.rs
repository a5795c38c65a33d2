//! Recognises one of a few known words, byte by byte, in two bytes of state.

/// Which of up to eight words the bytes so far are a prefix of. The caller hands in the same words each time.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Matcher {
    alive: u8,
    len: u8,
}

impl Matcher {
    pub const fn over(words: &[&[u8]]) -> Matcher {
        Matcher { alive: ((1u16 << words.len()) - 1) as u8, len: 0 }
    }

    /// Takes the next byte (lower-cased by the caller where case does not matter).
    pub fn push(&mut self, words: &[&[u8]], byte: u8) {
        for (i, word) in words.iter().enumerate() {
            if word.get(usize::from(self.len)) != Some(&byte) {
                self.alive &= !(1 << i);
            }
        }
        self.len = self.len.saturating_add(1);
    }

    /// No word can match any more.
    pub const fn is_dead(self) -> bool {
        self.alive == 0
    }

    /// No byte has come yet.
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The word that the bytes so far are, in full.
    pub fn matched(self, words: &[&[u8]]) -> Option<usize> {
        words
            .iter()
            .enumerate()
            .find(|(i, w)| self.alive & (1 << i) != 0 && w.len() == usize::from(self.len))
            .map(|(i, _)| i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [&[u8]; 3] = [b"close", b"closed", b"keep-alive"];

    fn find(text: &str) -> Option<usize> {
        let mut m = Matcher::over(&WORDS);
        text.bytes().for_each(|b| m.push(&WORDS, b));
        m.matched(&WORDS)
    }

    #[test]
    fn finds_exactly_the_word_that_was_said() {
        let table = [
            ("close", Some(0)),
            ("closed", Some(1)),
            ("keep-alive", Some(2)),
            ("clos", None),
            ("closedd", None),
            ("", None),
        ];
        for (text, want) in table {
            assert_eq!(find(text), want, "{text}");
        }
    }

    #[test]
    fn a_word_longer_than_the_counter_matches_nothing() {
        assert_eq!(find(&"close".repeat(1000)), None);
    }
}
