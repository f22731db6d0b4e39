//! A line that can be edited while it is typed.

use heapless::Vec;

/// Bytes of a line that can still be edited. A longer line is no error: its beginning is handed on.
pub const LINE: usize = 256;

/// What a byte led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The line goes on.
    Typed,
    /// The line is complete.
    Enter,
    /// The line is as long as can be edited, and goes on.
    Full,
    /// The end of the text: Ctrl-D or form feed. What is in the line belongs to it.
    End,
}

/// Where in an escape sequence, such as an arrow key's, the input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    Outside,
    /// After ESC.
    Begun,
    /// After ESC `[` or ESC `O`, up to a byte from `@` to `~`.
    Inside,
}

/// The line and how far its editing got.
#[derive(Debug)]
pub struct Line {
    bytes: Vec<u8, LINE>,
    escape: Escape,
    /// The byte before was a carriage return: a line feed right after it belongs to it.
    returned: bool,
}

impl Line {
    /// An empty line.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), escape: Escape::Outside, returned: false }
    }

    /// What was typed. Nothing says that it is UTF-8.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Begins anew.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.escape = Escape::Outside;
    }

    /// Takes a byte, and says through `echo` what the terminal must show for it. After anything but [`Key::Typed`] the
    /// caller reads the line and clears it.
    ///
    /// # Errors
    /// Those of `echo`.
    pub fn push<E>(&mut self, byte: u8, mut echo: impl FnMut(&[u8]) -> Result<(), E>) -> Result<Key, E> {
        let returned = core::mem::replace(&mut self.returned, byte == b'\r');
        match (self.escape, byte) {
            (Escape::Begun, b'[' | b'O') => self.escape = Escape::Inside,
            (Escape::Begun, _) | (Escape::Inside, b'@'..=b'~') => self.escape = Escape::Outside,
            (Escape::Inside, b' '..=b'?') => {}
            // A control byte ends a sequence that was cut off, and means what it always means.
            (_, 0x1B) => self.escape = Escape::Begun,
            (_, b'\n') if returned => {}
            (_, b'\r' | b'\n') => {
                echo(b"\r\n")?;
                return Ok(Key::Enter);
            }
            (_, 0x04 | 0x0C) => return Ok(Key::End),
            (_, 0x08 | 0x7F) => self.erase_char(&mut echo)?,
            (_, 0x15) => while self.erase_char(&mut echo).map(|()| !self.bytes.is_empty())? {},
            (_, 0x17) => self.erase_word(&mut echo)?,
            (_, b'\t' | b' '..) => {
                self.escape = Escape::Outside;
                // There is room: a full line was handed on and cleared.
                let _ = self.bytes.push(byte);
                echo(&[byte])?;
                if self.bytes.is_full() {
                    return Ok(Key::Full);
                }
            }
            (_, _) => {}
        }
        Ok(Key::Typed)
    }

    /// Erases the last character: a byte, and in UTF-8 those that lead to it.
    fn erase_char<E>(&mut self, echo: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        while self.bytes.pop().is_some_and(|byte| byte & 0xC0 == 0x80) {}
        echo(b"\x08 \x08")
    }

    /// Erases the last word and the blanks after it.
    fn erase_word<E>(&mut self, echo: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        while self.bytes.last() == Some(&b' ') {
            self.erase_char(echo)?;
        }
        while self.bytes.last().is_some_and(|&byte| byte != b' ') {
            self.erase_char(echo)?;
        }
        Ok(())
    }
}

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use core::convert::Infallible;
    use std::vec::Vec;

    /// What a terminal would show, and the keys that mattered.
    fn type_in(line: &mut Line, input: &[u8]) -> (Vec<u8>, Vec<(Key, Vec<u8>)>) {
        let (mut shown, mut keys) = (Vec::new(), Vec::new());
        for &byte in input {
            let echo = |bytes: &[u8]| {
                shown.extend(bytes);
                Ok::<_, Infallible>(())
            };
            match line.push(byte, echo) {
                Ok(Key::Typed) => {}
                Ok(key) => {
                    keys.push((key, line.bytes().to_vec()));
                    line.clear();
                }
            }
        }
        (shown, keys)
    }

    #[test]
    fn lines_end_with_cr_lf_or_both() {
        let (shown, keys) = type_in(&mut Line::new(), b"a\rb\nc\r\nd\n\n");
        let lines: Vec<&[u8]> = keys.iter().map(|(_, line)| &line[..]).collect();
        assert_eq!(lines, [&b"a"[..], b"b", b"c", b"d", b""]);
        assert_eq!(shown, b"a\r\nb\r\nc\r\nd\r\n\r\n");
    }

    #[test]
    fn characters_words_and_lines_are_erased() {
        let line = |input: &[u8]| type_in(&mut Line::new(), input).1.remove(0).1;
        assert_eq!(line("caf\u{e9}\u{7f}e\r".as_bytes()), b"cafe");
        assert_eq!(line("\u{1F600}\u{8}\u{8}\u{8}x\r".as_bytes()), b"x");
        assert_eq!(line(b"one two  \x17three\r"), b"one three");
        assert_eq!(line(b"forget this\x15new\r"), b"new");
        assert_eq!(line(b"\x15\x17\x08ok\r"), b"ok");
    }

    #[test]
    fn escape_sequences_and_control_bytes_are_no_text() {
        let line = |input: &[u8]| type_in(&mut Line::new(), input).1.remove(0).1;
        assert_eq!(line(b"a\x1b[A\x1b[1;5D\x1bOPb\x00\x01\x1f\r"), b"ab");
        assert_eq!(line(b"cut off\x1b[12\r"), b"cut off");
        assert_eq!(line(b"\xff\xc3(\t\r"), b"\xff\xc3(\t", "garbage is kept: whoever decodes it replaces it");
    }

    #[test]
    fn a_long_line_is_handed_on_in_parts() {
        let text: Vec<u8> = (0..LINE * 2 + 10).map(|i| b'a' + (i % 26) as u8).collect();
        let mut line = Line::new();
        let (_, keys) = type_in(&mut line, &[&text[..], b"\x04"].concat());
        assert_eq!(keys.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [Key::Full, Key::Full, Key::End]);
        assert_eq!(keys.into_iter().flat_map(|(_, bytes)| bytes).collect::<Vec<_>>(), text);
    }
}
