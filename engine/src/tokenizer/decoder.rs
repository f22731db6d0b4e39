//! Token ids to text.

use super::front::drop_front;
use super::{Strip, Tokenizer};

/// Bytes that are gathered before they go out.
const BUFFER: usize = 64;
/// What stands for bytes that are no UTF-8.
const REPLACEMENT: &str = "\u{fffd}";

/// Decodes ids one at a time. A character whose bytes come from several tokens goes out when it is whole.
///
/// The text is that of the `tokenizers` library, but for byte tokens of the SentencePiece kind that are no UTF-8: there a
/// run of them as a whole becomes one U+FFFD a byte, here only what is wrong in it does.
#[derive(Clone, Debug)]
pub struct Decoder<'m> {
    tokenizer: Tokenizer<'m>,
    skip_special: bool,
    start: Start,
    buffer: heapless::Vec<u8, BUFFER>,
}

/// Whether something is to be stripped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// Nothing of the text is out.
    Text,
    /// Nothing is stripped any more.
    Over,
}

impl<'m> Decoder<'m> {
    /// At the beginning of a text. With `skip_special`, special tokens have no text.
    pub fn new(tokenizer: Tokenizer<'m>, skip_special: bool) -> Self {
        Self { tokenizer, skip_special, start: Start::Text, buffer: heapless::Vec::new() }
    }

    /// In the midst of a text: nothing is stripped at its start.
    pub fn resume(tokenizer: Tokenizer<'m>, skip_special: bool) -> Self {
        Self { start: Start::Over, ..Self::new(tokenizer, skip_special) }
    }

    /// Gives the bytes of the next token's text to `out`, as they are: together they may or may not be UTF-8.
    pub fn push_bytes(&mut self, id: u32, mut out: impl FnMut(u8)) {
        if self.skip_special && self.tokenizer.is_special(id) {
            return;
        }
        let Some(piece) = self.tokenizer.piece(id) else { return };
        let mut first = self.start == Start::Text;
        let strip_all = first && self.tokenizer.strip == Strip::FirstToken;
        for byte in piece {
            let strip = byte == b' ' && (strip_all || (first && self.tokenizer.strip == Strip::Space));
            first = false;
            self.start = Start::Over;
            if !strip {
                out(byte);
            }
        }
    }

    /// Gives what the next token adds to the text to `out`: the characters that are whole now, and U+FFFD for bytes that
    /// are none.
    pub fn push(&mut self, id: u32, mut out: impl FnMut(&str)) {
        let mut buffer = core::mem::take(&mut self.buffer);
        self.push_bytes(id, |byte| {
            if buffer.is_full() {
                flush(&mut buffer, &mut out);
            }
            // Never full: at most three bytes of a character are left.
            let _ = buffer.push(byte);
        });
        flush(&mut buffer, &mut out);
        self.buffer = buffer;
    }

    /// Ends the text: a character that is not whole becomes U+FFFD. Ready for another text.
    pub fn finish(&mut self, mut out: impl FnMut(&str)) {
        if !self.buffer.is_empty() {
            out(REPLACEMENT);
        }
        self.buffer.clear();
        self.start = Start::Text;
    }
}

/// Puts out what is whole or wrong.
fn flush(buffer: &mut heapless::Vec<u8, BUFFER>, out: &mut impl FnMut(&str)) {
    let mut left = 0;
    let mut chunks = buffer.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        if !chunk.valid().is_empty() {
            out(chunk.valid());
        }
        let invalid = chunk.invalid();
        // At the end it may be the beginning of a character.
        let begun = chunks.peek().is_none() && core::str::from_utf8(invalid).is_err_and(|e| e.error_len().is_none());
        match begun {
            true => left = invalid.len(),
            false if !invalid.is_empty() => out(REPLACEMENT),
            false => {}
        }
    }
    let done = buffer.len().saturating_sub(left);
    drop_front(buffer, done);
}
