//! Drops white space around a text, a byte at a time.

use crate::tokenizer::drop_front;

/// White space in a row that is remembered, in bytes: of a longer run at the end of a text, what came first stays.
const MAX_HELD: usize = 128;

/// The longest character that is white space, in bytes.
const LONGEST: usize = 3;

/// Where the text stands. White space is what Python's `str.strip` drops.
#[derive(Clone, Debug)]
pub(super) struct Trim {
    /// White space at the start of the text is dropped, and the text hasn't begun.
    at_start: bool,
    /// White space at the end of the text is dropped.
    at_end: bool,
    /// Bytes that are certain, and behind them white space that may be the end of the text.
    held: heapless::Vec<u8, { MAX_HELD + 2 * LONGEST }>,
    /// So many of `held` are certain, and so many of those are out.
    ready: usize,
    out: usize,
    /// Bytes that may become a character that is white space.
    partial: heapless::Vec<u8, LONGEST>,
}

impl Trim {
    pub const NEW: Self = Self {
        at_start: false,
        at_end: false,
        held: heapless::Vec::new(),
        ready: 0,
        out: 0,
        partial: heapless::Vec::new(),
    };

    /// Begins a text.
    pub fn begin(&mut self, at_start: bool, at_end: bool) {
        *self = Self { at_start, at_end, ..Self::NEW };
    }

    /// The next byte of the text; only after [`Trim::next`] has said that it needs more.
    pub fn put(&mut self, byte: u8) {
        let trims = self.at_start || self.at_end || !self.held.is_empty() || !self.partial.is_empty();
        if self.partial.is_empty() && !(trims && may_begin_space(byte)) {
            return self.release(&[byte]);
        }
        // There is room: what has three bytes is white space or not.
        let _ = self.partial.push(byte);
        match kind(&self.partial) {
            Kind::Partial => {}
            Kind::Space => {
                if !self.at_start {
                    self.hold();
                }
                self.partial.clear();
            }
            Kind::Other => {
                // The last byte may begin a character; those before it are none that is white space.
                let last = (self.partial.len() > 1 && may_begin_space(byte)).then(|| self.partial.pop()).flatten();
                self.release_partial();
                if let Some(last) = last {
                    self.put(last);
                }
            }
        }
    }

    /// The text ends here, likewise.
    pub fn end(&mut self) {
        if !self.partial.is_empty() {
            self.release_partial();
        }
        if self.at_end {
            self.held.truncate(self.ready);
        }
        self.ready = self.held.len();
    }

    /// The next byte that is certain; `None` when more has to come in.
    pub fn next(&mut self) -> Option<u8> {
        let byte = *self.held.get(..self.ready)?.get(self.out)?;
        self.out += 1;
        if self.out == self.ready {
            drop_front(&mut self.held, self.ready);
            (self.ready, self.out) = (0, 0);
        }
        Some(byte)
    }

    /// Holds the character in `partial`.
    fn hold(&mut self) {
        if self.held.len() + self.partial.len() > MAX_HELD {
            self.ready = self.held.len();
        }
        let _ = self.held.extend_from_slice(&self.partial);
    }

    fn release_partial(&mut self) {
        let partial = core::mem::take(&mut self.partial);
        self.release(&partial);
    }

    /// The text goes on with `bytes`: what was held is in the midst of it.
    fn release(&mut self, bytes: &[u8]) {
        self.at_start = false;
        let _ = self.held.extend_from_slice(bytes);
        self.ready = self.held.len();
    }
}

enum Kind {
    Space,
    /// The beginning of what may be white space.
    Partial,
    Other,
}

fn may_begin_space(byte: u8) -> bool {
    is_ascii_space(byte) || matches!(byte, 0xc2 | 0xe1 | 0xe2 | 0xe3)
}

fn is_ascii_space(byte: u8) -> bool {
    matches!(byte, 9..=13 | 28..=32)
}

fn kind(bytes: &[u8]) -> Kind {
    match *bytes {
        [byte] if is_ascii_space(byte) => Kind::Space,
        // U+0085 and U+00A0.
        [0xc2, 0x85 | 0xa0] => Kind::Space,
        // U+1680.
        [0xe1, 0x9a, 0x80] => Kind::Space,
        // U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F.
        [0xe2, 0x80, 0x80..=0x8a | 0xa8 | 0xa9 | 0xaf] | [0xe2, 0x81, 0x9f] => Kind::Space,
        // U+3000.
        [0xe3, 0x80, 0x80] => Kind::Space,
        [0xc2 | 0xe1 | 0xe2 | 0xe3] | [0xe1, 0x9a] | [0xe2, 0x80 | 0x81] | [0xe3, 0x80] => Kind::Partial,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    fn trim(text: &[u8], start: bool, end: bool) -> Vec<u8> {
        let (mut trim, mut out) = (Trim::NEW, Vec::new());
        trim.begin(start, end);
        for &byte in text {
            trim.put(byte);
            out.extend(core::iter::from_fn(|| trim.next()));
        }
        trim.end();
        out.extend(core::iter::from_fn(|| trim.next()));
        out
    }

    #[test]
    fn every_white_space_of_python_goes_and_nothing_else() {
        // `[c for c in range(0x110000) if chr(c).isspace()]`
        let spaces = [
            9, 10, 11, 12, 13, 28, 29, 30, 31, 32, 133, 160, 5760, 8192, 8193, 8194, 8195, 8196, 8197, 8198, 8199,
            8200, 8201, 8202, 8232, 8233, 8239, 8287, 12288,
        ];
        let found: Vec<u32> = (0..0x11_0000)
            .filter(|&code| {
                char::from_u32(code).is_some_and(|c| trim(c.encode_utf8(&mut [0; 4]).as_bytes(), true, true).is_empty())
            })
            .collect();
        assert_eq!(found, spaces);
    }

    #[test]
    fn what_stands_between_stays() {
        let texts = [
            "",
            " ",
            " a ",
            "\n\n a \u{a0}b\u{3000}\n",
            "\u{2003}\u{2004}x\u{2004}",
            "\u{e2}\u{2000}",
            "für \u{1680}日本\u{205f}",
        ];
        for text in texts {
            let show = |bytes| String::from_utf8(bytes).expect("UTF-8");
            assert_eq!(show(trim(text.as_bytes(), true, true)), text.trim(), "{text:?}");
            assert_eq!(show(trim(text.as_bytes(), true, false)), text.trim_start(), "{text:?}");
            assert_eq!(show(trim(text.as_bytes(), false, true)), text.trim_end(), "{text:?}");
            assert_eq!(show(trim(text.as_bytes(), false, false)), text, "{text:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_characters_stay() {
        for text in
            [&b"\xe2"[..], b"\xe2\x80", b"\xe2\xe2\x80\x81", b"\xe2\x80\xe2\x80a", b"\xc2\xc2\xa0a", b"a\xe3\x80"]
        {
            let trimmed = trim(text, true, true);
            let right = if text == b"\xe2\xe2\x80\x81" { &b"\xe2"[..] } else { text };
            assert_eq!(trimmed, right);
        }
    }

    #[test]
    fn a_long_run_keeps_what_is_too_much_at_the_end_only() {
        let run = " ".repeat(MAX_HELD + 5);
        let text = std::format!("{run}a{run}b{run}");
        let trimmed = trim(text.as_bytes(), true, true);
        assert_eq!(trimmed, std::format!("a{run}b{}", " ".repeat(MAX_HELD)).as_bytes());
        assert_eq!(trim(std::format!("a{}", " ".repeat(MAX_HELD)).as_bytes(), true, true), b"a");
    }
}
