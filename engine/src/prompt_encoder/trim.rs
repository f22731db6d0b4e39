//! Drops white space around a text that comes in pieces.

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
    /// White space that may be the end of the text.
    held: heapless::Vec<u8, MAX_HELD>,
    /// Bytes that may become a character that is white space.
    partial: heapless::Vec<u8, LONGEST>,
}

impl Trim {
    pub fn new() -> Self {
        Self { at_start: false, at_end: false, held: heapless::Vec::new(), partial: heapless::Vec::new() }
    }

    /// Begins a text.
    pub fn begin(&mut self, at_start: bool, at_end: bool) {
        self.held.clear();
        self.partial.clear();
        (self.at_start, self.at_end) = (at_start, at_end);
    }

    pub fn feed(&mut self, text: &[u8], out: &mut dyn FnMut(&[u8])) {
        let waits = !self.partial.is_empty() || !self.held.is_empty();
        if !self.at_start && !self.at_end && !waits {
            return out(text);
        }
        // Up to `from`, all is out or held.
        let mut from = 0;
        for (at, &byte) in text.iter().enumerate() {
            if self.partial.is_empty() && !may_begin_space(byte) {
                // The usual byte: it goes out with those around it.
                self.release(out);
                continue;
            }
            if self.partial.is_empty() {
                out(text.get(from..at).unwrap_or(&[]));
            }
            from = at + 1;
            self.push(byte, out);
        }
        out(text.get(from..).unwrap_or(&[]));
    }

    /// The text ends here.
    pub fn finish(&mut self, out: &mut dyn FnMut(&[u8])) {
        if !self.partial.is_empty() {
            self.release(out);
            out(&self.partial);
            self.partial.clear();
        }
        if !self.at_end {
            self.release(out);
        }
        self.held.clear();
    }

    fn push(&mut self, byte: u8, out: &mut dyn FnMut(&[u8])) {
        // There is room: what has three bytes is white space or not.
        let _ = self.partial.push(byte);
        match kind(&self.partial) {
            Kind::Partial => {}
            Kind::Space => {
                if !self.at_start {
                    self.hold(out);
                }
                self.partial.clear();
            }
            Kind::Other => {
                // The last byte may begin a character; those before it are none that is white space.
                let last = (self.partial.len() > 1 && may_begin_space(byte)).then(|| self.partial.pop()).flatten();
                self.release(out);
                out(&self.partial);
                self.partial.clear();
                if let Some(last) = last {
                    self.push(last, out);
                }
            }
        }
    }

    /// Holds the character in `partial`.
    fn hold(&mut self, out: &mut dyn FnMut(&[u8])) {
        if self.held.len() + self.partial.len() > MAX_HELD {
            out(&self.held);
            self.held.clear();
        }
        // There is room now.
        let _ = self.held.extend_from_slice(&self.partial);
    }

    /// The text goes on: what was held is in the midst of it.
    fn release(&mut self, out: &mut dyn FnMut(&[u8])) {
        self.at_start = false;
        if !self.held.is_empty() {
            out(&self.held);
            self.held.clear();
        }
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

    fn trim(text: &[u8], piece: usize, start: bool, end: bool) -> Vec<u8> {
        let (mut trim, mut out) = (Trim::new(), Vec::new());
        trim.begin(start, end);
        for part in text.chunks(piece) {
            trim.feed(part, &mut |bytes| out.extend_from_slice(bytes));
        }
        trim.finish(&mut |bytes| out.extend_from_slice(bytes));
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
                char::from_u32(code)
                    .is_some_and(|c| trim(c.encode_utf8(&mut [0; 4]).as_bytes(), 1, true, true).is_empty())
            })
            .collect();
        assert_eq!(found, spaces);
    }

    #[test]
    fn what_stands_between_stays_however_the_text_is_cut() {
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
            for piece in 1..5 {
                let show = |bytes| String::from_utf8(bytes).expect("UTF-8");
                assert_eq!(show(trim(text.as_bytes(), piece, true, true)), text.trim(), "{text:?}");
                assert_eq!(show(trim(text.as_bytes(), piece, true, false)), text.trim_start(), "{text:?}");
                assert_eq!(show(trim(text.as_bytes(), piece, false, true)), text.trim_end(), "{text:?}");
                assert_eq!(show(trim(text.as_bytes(), piece, false, false)), text, "{text:?}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_characters_stay() {
        for text in
            [&b"\xe2"[..], b"\xe2\x80", b"\xe2\xe2\x80\x81", b"\xe2\x80\xe2\x80a", b"\xc2\xc2\xa0a", b"a\xe3\x80"]
        {
            let trimmed = trim(text, 1, true, true);
            assert_eq!(trimmed, trim(text, 9, true, true));
            let right = if text == b"\xe2\xe2\x80\x81" { &b"\xe2"[..] } else { text };
            assert_eq!(trimmed, right);
        }
    }

    #[test]
    fn a_long_run_keeps_what_is_too_much_at_the_end_only() {
        let run = " ".repeat(MAX_HELD + 5);
        let text = std::format!("{run}a{run}b{run}");
        let trimmed = trim(text.as_bytes(), 7, true, true);
        assert_eq!(trimmed, std::format!("a{run}b{}", " ".repeat(MAX_HELD)).as_bytes());
        assert_eq!(trim(std::format!("a{}", " ".repeat(MAX_HELD)).as_bytes(), 7, true, true), b"a");
    }
}
