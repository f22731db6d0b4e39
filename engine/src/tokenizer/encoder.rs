//! Text to token ids.

use super::added::{Added, Found};
use super::bpe::Bpe;
use super::class::Class;
use super::split::{Part, Split};
use super::utf8::{Unit, Utf8};
use super::{Kind, Prefix, Tokenizer, flag};

/// Encodes a text that comes in pieces, cut anywhere, in memory that doesn't depend on its length.
///
/// The ids are those of the `tokenizers` library, with two bounds that texts do not reach in practice:
///
/// * a word, which may be the whole text, is merged in a window of `N` symbols (bytes, or characters in the SentencePiece
///   kind). Tokens leave it as soon as nothing that follows can change them; where none can for a whole window, the word
///   is cut there. `N` should be several times [`Tokenizer::longest`];
/// * with [`Words::Tiktoken`](super::Words::Tiktoken), white space after a newline that changes between kinds of space
///   more than 16 times before a letter or another newline ends a word at the newline.
///
/// Bytes that are no UTF-8 are kept: they become the tokens of these bytes, as a word of signs would.
#[derive(Clone, Debug)]
pub struct Encoder<'m, const N: usize = 512> {
    tokenizer: Tokenizer<'m>,
    added: Added,
    utf8: Utf8,
    text: Text<N>,
}

impl<'m, const N: usize> Encoder<'m, N> {
    /// Compiles only where whole words, which have at most 255 bytes, fit the window.
    const CHECK: () = assert!(N >= 256, "the window of an Encoder must have at least 256 symbols");

    /// At the beginning of a text.
    pub fn new(tokenizer: Tokenizer<'m>) -> Self {
        const { Self::CHECK };
        let split = Split::new(tokenizer.words, tokenizer.digits);
        let text =
            Text { split, bpe: Bpe::default(), begun: false, segment: false, skip_space: false, in_number: false };
        Self { tokenizer, added: Added::new(&tokenizer), utf8: Utf8::default(), text }
    }

    /// Reads the next piece of the text and gives the ids that are certain by now to `out`.
    pub fn feed(&mut self, text: &[u8], mut out: impl FnMut(u32)) {
        self.feed_to(text, &mut out);
    }

    /// Ends the text, gives the ids that are left to `out`, and is ready for another text.
    pub fn finish(&mut self, mut out: impl FnMut(u32)) {
        self.finish_to(&mut out);
    }

    // Sinks are `dyn` from here on: callers have many, and flash has room for this code once.
    fn feed_to(&mut self, text: &[u8], out: &mut dyn FnMut(u32)) {
        let Self { tokenizer, added, utf8, text: rest } = self;
        for &byte in text {
            added.push(tokenizer, byte, &mut |found| rest.found(tokenizer, utf8, found, out));
        }
    }

    fn finish_to(&mut self, out: &mut dyn FnMut(u32)) {
        let Self { tokenizer, added, utf8, text: rest } = self;
        added.finish(tokenizer, &mut |found| rest.found(tokenizer, utf8, found, out));
        rest.end_segment(tokenizer, utf8, out);
        rest.begun = false;
        rest.skip_space = false;
    }
}

/// Everything behind the search for added tokens.
#[derive(Clone, Debug)]
struct Text<const N: usize> {
    split: Split,
    bpe: Bpe<N>,
    /// Something of the text was read.
    begun: bool,
    /// Something of this segment was read.
    segment: bool,
    /// White space belongs to the added token before it.
    skip_space: bool,
    /// The last character was a number.
    in_number: bool,
}

impl<const N: usize> Text<N> {
    #[inline]
    fn found(&mut self, tokenizer: &Tokenizer<'_>, utf8: &mut Utf8, found: Found, out: &mut dyn FnMut(u32)) {
        match found {
            Found::Byte(byte) => utf8.push(byte, &mut |unit| self.unit(tokenizer, unit, out)),
            Found::Token(entry) => {
                if !self.begun && tokenizer.prefix == Prefix::Text {
                    self.cut(tokenizer, Unit::Char(' '), out);
                }
                self.end_segment(tokenizer, utf8, out);
                self.begun = true;
                self.skip_space = entry & flag::STRIP_RIGHT != 0;
                out(entry & flag::ID);
            }
        }
    }

    fn end_segment(&mut self, tokenizer: &Tokenizer<'_>, utf8: &mut Utf8, out: &mut dyn FnMut(u32)) {
        utf8.finish(&mut |unit| self.unit(tokenizer, unit, out));
        self.end_words(tokenizer, out);
        self.segment = false;
        self.in_number = false;
    }

    fn end_words(&mut self, tokenizer: &Tokenizer<'_>, out: &mut dyn FnMut(u32)) {
        let Self { split, bpe, .. } = self;
        split.finish(&mut |part| put(bpe, tokenizer, part, out));
    }

    #[inline]
    fn unit(&mut self, tokenizer: &Tokenizer<'_>, unit: Unit, out: &mut dyn FnMut(u32)) {
        if !self.segment {
            if self.skip_space && Class::of(unit).is_space() {
                return;
            }
            self.begin_segment(tokenizer, unit, out);
        }
        self.cut(tokenizer, unit, out);
    }

    fn begin_segment(&mut self, tokenizer: &Tokenizer<'_>, unit: Unit, out: &mut dyn FnMut(u32)) {
        let bare = match unit {
            Unit::Char('▁') => tokenizer.kind == Kind::ByteLevel,
            unit => unit != Unit::Char(' '),
        };
        let prefix = match tokenizer.prefix {
            Prefix::Never => false,
            Prefix::Segments => true,
            Prefix::BareSegments => bare,
            Prefix::Text => !self.begun,
            Prefix::BareText => !self.begun && bare,
        };
        (self.begun, self.segment, self.skip_space) = (true, true, false);
        if prefix {
            self.cut(tokenizer, Unit::Char(' '), out);
        }
    }

    /// Cuts digits off, then words.
    #[inline]
    fn cut(&mut self, tokenizer: &Tokenizer<'_>, unit: Unit, out: &mut dyn FnMut(u32)) {
        if tokenizer.cut_digits != 0 {
            let number = Class::of(unit) == Class::Number;
            if number != self.in_number || (number && tokenizer.cut_digits == 2) {
                self.end_words(tokenizer, out);
            }
            self.in_number = number;
        }
        let Self { split, bpe, .. } = self;
        split.push(unit, &mut |part| put(bpe, tokenizer, part, out));
    }
}

/// Gives a part of a word to the merges.
#[inline]
fn put<const N: usize>(bpe: &mut Bpe<N>, tokenizer: &Tokenizer<'_>, part: Part, out: &mut dyn FnMut(u32)) {
    match (part, tokenizer.kind) {
        (Part::End, _) => bpe.finish(tokenizer, out),
        (Part::Unit(Unit::Byte(byte)), _) => bpe.push(tokenizer, tokenizer.byte(byte), out),
        (Part::Unit(Unit::Char(c)), Kind::SentencePiece) => {
            let c = if c == '▁' { ' ' } else { c };
            match tokenizer.character(c) {
                Some(symbol) => bpe.push(tokenizer, symbol, out),
                None => put_bytes(bpe, tokenizer, c, out),
            }
        }
        (Part::Unit(Unit::Char(c)), Kind::ByteLevel) => put_bytes(bpe, tokenizer, c, out),
    }
}

#[inline]
fn put_bytes<const N: usize>(bpe: &mut Bpe<N>, tokenizer: &Tokenizer<'_>, c: char, out: &mut dyn FnMut(u32)) {
    for &byte in c.encode_utf8(&mut [0; 4]).as_bytes() {
        bpe.push(tokenizer, tokenizer.byte(byte), out);
    }
}
