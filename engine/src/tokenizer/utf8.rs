//! Bytes to characters, one byte at a time.

/// A character, or a byte that belongs to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Char(char),
    Byte(u8),
}

/// A character whose bytes are still coming.
#[derive(Clone, Debug, Default)]
pub(super) struct Utf8 {
    bytes: heapless::Vec<u8, 4>,
}

impl Utf8 {
    #[inline]
    pub fn push(&mut self, byte: u8, out: &mut dyn FnMut(Unit)) {
        if self.bytes.is_empty() && byte.is_ascii() {
            return out(Unit::Char(byte.into()));
        }
        self.push_part(byte, out);
    }

    fn push_part(&mut self, byte: u8, out: &mut dyn FnMut(Unit)) {
        // Never full: four bytes are either a character or hold an error.
        let _ = self.bytes.push(byte);
        match core::str::from_utf8(&self.bytes) {
            Ok(text) => {
                text.chars().for_each(|c| out(Unit::Char(c)));
                self.bytes.clear();
            }
            Err(error) if error.error_len().is_none() => {}
            // Only the last byte can be wrong, or the first if it is alone: what came before it is no character.
            Err(_) if self.bytes.len() > 1 => {
                self.bytes.pop();
                self.finish(out);
                self.push(byte, out);
            }
            Err(_) => self.finish(out),
        }
    }

    /// No more bytes come: what is there is no character.
    pub fn finish(&mut self, out: &mut dyn FnMut(Unit)) {
        self.bytes.iter().for_each(|&byte| out(Unit::Byte(byte)));
        self.bytes.clear();
    }
}
