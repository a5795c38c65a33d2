//! The header section (RFC 9112 section 5): from the line after the start line to the empty line.
//!
//! Knows three fields: Content-Length, Connection and Transfer-Encoding. All others are checked for form and skipped.
//! A lone LF ends a line like CRLF does (RFC 9112 2.2); folded lines are refused (5.2).

use super::is_token_byte;
use super::matcher::Matcher;

const NAMES: [&[u8]; 3] = [b"content-length", b"connection", b"transfer-encoding"];
const CONTENT_LENGTH: usize = 0;
const CONNECTION: usize = 1;

const TOKENS: [&[u8]; 3] = [b"close", b"keep-alive", b"chunked"];

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Phase {
    #[default]
    LineStart,
    Name,
    /// The value of a field that does not matter here.
    Skip,
    /// Content-Length: before, in and after the digits.
    NumberStart,
    Number,
    NumberEnd,
    /// Connection or Transfer-Encoding: in a list element, and in what follows its first word.
    Element,
    ElementEnd,
    /// A CR has been seen, LF must follow: at the end of a field, at the end of the section.
    FieldCr,
    SectionCr,
}

/// What the bytes so far amount to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    More,
    End,
    Bad,
}

/// The state of the parser, and what it has found.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Fields {
    length: u64,
    number: u64,
    phase: Phase,
    word: Matcher,
    in_connection: bool,
    has_length: bool,
    /// `Connection: close` was said.
    pub close: bool,
    /// `Connection: keep-alive` was said.
    pub keep_alive: bool,
    /// The last transfer coding named is `chunked`.
    pub chunked: bool,
    /// Some transfer coding was named.
    pub coded: bool,
}

impl Fields {
    pub fn content_length(&self) -> Option<u64> {
        self.has_length.then_some(self.length)
    }

    /// Reads until the section ends or the bytes do; returns how many it took.
    pub fn feed(&mut self, bytes: &[u8]) -> (usize, Step) {
        let mut i = 0;
        while let Some(&b) = bytes.get(i) {
            if self.phase == Phase::Skip {
                i += bytes[i..].iter().take_while(|&&b| b >= b' ' && b != 0x7f).count();
                let Some(&b) = bytes.get(i) else { break };
                i += 1;
                match b {
                    b'\n' => self.phase = Phase::LineStart,
                    b'\r' => self.phase = Phase::FieldCr,
                    b'\t' => {}
                    _ => return (i, Step::Bad),
                }
                continue;
            }
            i += 1;
            match self.byte(b) {
                Step::More => {}
                done => return (i, done),
            }
        }
        (i, Step::More)
    }

    fn byte(&mut self, b: u8) -> Step {
        match self.phase {
            Phase::LineStart => return self.line_start(b),
            Phase::Name => return self.name(b),
            Phase::NumberStart | Phase::Number | Phase::NumberEnd => return self.number(b),
            Phase::Element | Phase::ElementEnd => return self.element(b),
            Phase::FieldCr if b == b'\n' => self.phase = Phase::LineStart,
            Phase::SectionCr if b == b'\n' => return Step::End,
            Phase::FieldCr | Phase::SectionCr => return Step::Bad,
            Phase::Skip => {}
        }
        Step::More
    }

    fn line_start(&mut self, b: u8) -> Step {
        match b {
            b'\n' => return Step::End,
            b'\r' => self.phase = Phase::SectionCr,
            _ => {
                self.phase = Phase::Name;
                self.word = Matcher::over(&NAMES);
                return self.name(b);
            }
        }
        Step::More
    }

    fn name(&mut self, b: u8) -> Step {
        if b != b':' {
            if !self.word.is_dead() {
                self.word.push(&NAMES, b.to_ascii_lowercase());
            }
            return if is_token_byte(b) { Step::More } else { Step::Bad };
        }
        if self.word.is_empty() {
            return Step::Bad;
        }
        self.phase = match self.word.matched(&NAMES) {
            None => Phase::Skip,
            Some(CONTENT_LENGTH) => Phase::NumberStart,
            Some(name) => {
                self.in_connection = name == CONNECTION;
                self.word = Matcher::over(&TOKENS);
                Phase::Element
            }
        };
        Step::More
    }

    /// RFC 9110 8.6: digits only; a repeated field must repeat the value.
    fn number(&mut self, b: u8) -> Step {
        match (self.phase, b) {
            (Phase::NumberStart, b' ' | b'\t') => {}
            (Phase::NumberStart, b'0'..=b'9') => {
                self.number = u64::from(b - b'0');
                self.phase = Phase::Number;
            }
            (Phase::Number, b'0'..=b'9') => {
                match self.number.checked_mul(10).and_then(|n| n.checked_add(u64::from(b - b'0'))) {
                    Some(n) => self.number = n,
                    None => return Step::Bad,
                }
            }
            (Phase::Number | Phase::NumberEnd, b' ' | b'\t') => self.phase = Phase::NumberEnd,
            (Phase::Number | Phase::NumberEnd, b'\r' | b'\n') => {
                if self.has_length && self.length != self.number {
                    return Step::Bad;
                }
                self.has_length = true;
                self.length = self.number;
                self.phase = if b == b'\r' { Phase::FieldCr } else { Phase::LineStart };
            }
            _ => return Step::Bad,
        }
        Step::More
    }

    /// A comma-separated list; of each element only the first word counts.
    fn element(&mut self, b: u8) -> Step {
        match b {
            b',' | b'\r' | b'\n' => {
                self.take_word();
                self.phase = match b {
                    b',' => Phase::Element,
                    b'\r' => Phase::FieldCr,
                    _ => Phase::LineStart,
                };
            }
            b' ' | b'\t' if self.word.is_empty() => {}
            b' ' | b'\t' | b';' => self.phase = Phase::ElementEnd,
            0..=0x1f | 0x7f => return Step::Bad,
            _ if self.phase == Phase::Element => self.word.push(&TOKENS, b.to_ascii_lowercase()),
            _ => {}
        }
        Step::More
    }

    fn take_word(&mut self) {
        let word = std::mem::replace(&mut self.word, Matcher::over(&TOKENS));
        if word.is_empty() {
            return;
        }
        match (self.in_connection, word.matched(&TOKENS)) {
            (true, Some(0)) => self.close = true,
            (true, Some(1)) => self.keep_alive = true,
            (true, _) => {}
            (false, token) => {
                self.coded = true;
                self.chunked = token == Some(2);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Step, Fields) {
        let mut f = Fields::default();
        let (n, step) = f.feed(text.as_bytes());
        assert!(n <= text.len());
        (step, f)
    }

    #[test]
    fn finds_length_connection_and_coding_whatever_the_case_and_spacing() {
        let (step, f) = read("Host: a\r\nCONTENT-length:\t 42 \r\nConnection: foo, Close\r\nX-Y: z\r\n\r\n");
        assert_eq!((step, f.content_length(), f.close, f.keep_alive), (Step::End, Some(42), true, false));
        let (step, f) = read("transfer-encoding: gzip , chunked\nconnection:Keep-Alive\n\n");
        assert_eq!((step, f.chunked, f.coded, f.keep_alive), (Step::End, true, true, true));
        let (_, f) = read("Transfer-Encoding: chunked, gzip;q=1\r\n\r\n");
        assert_eq!((f.chunked, f.coded), (false, true));
    }

    #[test]
    fn names_that_only_begin_alike_are_other_fields() {
        let (step, f) = read("Content-Lengthy: x\r\nContent: y\r\nConnections: close\r\n\r\n");
        assert_eq!((step, f.content_length(), f.close), (Step::End, None, false));
    }

    #[test]
    fn refuses_what_could_be_read_in_two_ways() {
        let bad = [
            "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "Content-Length: -1\r\n\r\n",
            "Content-Length: 1,1\r\n\r\n",
            "Content-Length:\r\n\r\n",
            "Content-Length: 1 1\r\n\r\n",
            "Content-Length: 18446744073709551616\r\n\r\n",
            "Host : a\r\n\r\n",
            ": a\r\n\r\n",
            " folded\r\n\r\n",
            "Host: a\rb\r\n\r\n",
            "Host: a\0\r\n\r\n",
            "\rx",
        ];
        for text in bad {
            assert_eq!(read(text).0, Step::Bad, "{text:?}");
        }
        assert_eq!(read("Content-Length: 7\r\nContent-Length: 7\r\n\r\n").0, Step::End);
    }
}
