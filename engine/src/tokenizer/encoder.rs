//! Text to token ids.

use super::added::{Added, Found};
use super::bpe::Bpe;
use super::hold::Hold;
use super::nfc::{Nfc, Tables};
use super::program::Program;
use super::split::{Part, Split};
use super::table::NONE;
use super::utf8::{Unit, Utf8};
use super::{Kind, Prefix, Tokenizer, flag};

/// Encodes a text that comes in pieces, cut anywhere, in memory that doesn't depend on its length.
///
/// The ids are those of the `tokenizers` library, with these bounds that texts do not reach in practice:
///
/// * a word, which may be the whole text, is merged in a window of `N` symbols (bytes, or characters in the SentencePiece
///   kind). Tokens leave it as soon as nothing that follows can change them; where none can for a whole window, those in
///   its first half leave. `N` should be several times [`Tokenizer::longest`];
/// * where an expression that cuts words has to look ahead further than 4096 characters, or 16 runs of equal ones, the
///   word ends at its last match. White space after a newline is the only such place that usual expressions have;
/// * white space before a token that swallows it, and marks on one character where texts are normalized, are bounded
///   likewise.
///
/// Bytes that are no UTF-8 become the tokens of these bytes, as a word of signs would; bytes without a token become none.
#[derive(Clone, Debug)]
pub struct Encoder<'m, const N: usize = 512> {
    tokenizer: Tokenizer<'m>,
    added: [Added; 2],
    utf8: Utf8,
    text: Text<'m, N>,
}

impl<'m, const N: usize> Encoder<'m, N> {
    /// Compiles only where whole words, which have at most 255 bytes, fit the window.
    const CHECK: () = assert!(N >= 256, "the window of an Encoder must have at least 256 symbols");

    /// At the beginning of a text.
    pub fn new(tokenizer: Tokenizer<'m>) -> Self {
        const { Self::CHECK };
        let added = [0, flag::NORMALIZED].map(|pass| Added::new(&tokenizer, pass));
        let text = Text {
            program: tokenizer.program(),
            split: Split::new(tokenizer.stages),
            bpe: Bpe::default(),
            normal: tokenizer.normal_forms().map(|tables| (tables, Nfc::new())),
            spaces: Hold::NEW,
            flags: added.iter().fold(0, |flags, added| flags | added.flags()),
            waiting: None,
            after_word: false,
            begun: false,
            segment: false,
            skip_space: false,
        };
        Self { tokenizer, added, utf8: Utf8::default(), text }
    }

    /// At the beginning of a text, goes on behind the added token `id` as in the midst of a text: no space comes before what
    /// follows unless one comes before every segment, and the white space that belongs to this token is dropped.
    pub fn go_on_behind(&mut self, id: u32) {
        self.text.begun = true;
        self.text.skip_space = self.tokenizer.strips_right(id);
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
        let Self { tokenizer, added: [first, second], utf8, text: rest } = self;
        for &byte in text {
            first.push(tokenizer, byte, &mut |found| between(tokenizer, second, utf8, rest, found, out));
        }
    }

    fn finish_to(&mut self, out: &mut dyn FnMut(u32)) {
        let Self { tokenizer, added: [first, second], utf8, text: rest } = self;
        first.finish(tokenizer, &mut |found| between(tokenizer, second, utf8, rest, found, out));
        second.finish(tokenizer, &mut |found| rest.found(tokenizer, utf8, found, out));
        utf8.finish(&mut |unit| rest.unit(tokenizer, unit, out));
        rest.decide(tokenizer, false, out);
        rest.end_segment(tokenizer, out);
        rest.begun = false;
        rest.skip_space = false;
        rest.after_word = false;
    }
}

/// Searches for the second kind of added tokens in what lies between those of the first.
#[inline]
fn between<const N: usize>(
    tokenizer: &Tokenizer<'_>,
    second: &mut Added,
    utf8: &mut Utf8,
    rest: &mut Text<'_, N>,
    found: Found,
    out: &mut dyn FnMut(u32),
) {
    match found {
        Found::Byte(byte) => second.push(tokenizer, byte, &mut |found| rest.found(tokenizer, utf8, found, out)),
        Found::Token(_) => {
            second.finish(tokenizer, &mut |found| rest.found(tokenizer, utf8, found, out));
            rest.found(tokenizer, utf8, found, out);
        }
    }
}

/// Everything behind the search for added tokens.
#[derive(Clone, Debug)]
struct Text<'m, const N: usize> {
    program: Program<'m>,
    split: Split,
    bpe: Bpe<N>,
    /// Where texts are normalized.
    normal: Option<(Tables<'m>, Nfc)>,
    /// White space that the next token may swallow.
    spaces: Hold,
    /// What added tokens ask for, all together.
    flags: u32,
    /// An added token that must be a word of its own waits for what follows.
    waiting: Option<u32>,
    /// The last character was one of a word.
    after_word: bool,
    /// Something of the text was read.
    begun: bool,
    /// Something of this segment was read.
    segment: bool,
    /// White space belongs to the added token before it.
    skip_space: bool,
}

impl<const N: usize> Text<'_, N> {
    #[inline]
    fn found(&mut self, tokenizer: &Tokenizer<'_>, utf8: &mut Utf8, found: Found, out: &mut dyn FnMut(u32)) {
        match found {
            Found::Byte(byte) => utf8.push(byte, &mut |unit| self.unit(tokenizer, unit, out)),
            Found::Token(entry) => {
                utf8.finish(&mut |unit| self.unit(tokenizer, unit, out));
                if self.flags & flag::SINGLE_WORD != 0 {
                    return self.token_in_words(tokenizer, entry, out);
                }
                self.token(tokenizer, entry, out);
            }
        }
    }

    /// As [`Self::token`], where tokens may have to be words of their own.
    fn token_in_words(&mut self, tokenizer: &Tokenizer<'_>, entry: u32, out: &mut dyn FnMut(u32)) {
        let (mut first, mut last, mut utf8) = (None, None, Utf8::default());
        for byte in tokenizer.piece(entry & flag::ID).into_iter().flatten() {
            utf8.push(byte, &mut |unit| {
                first = first.or(Some(unit));
                last = Some(unit);
            });
        }
        self.decide(tokenizer, first.is_some_and(|unit| self.program.is_word(unit)), out);
        match (entry & flag::SINGLE_WORD != 0, self.after_word) {
            (false, _) => self.token(tokenizer, entry, out),
            (true, false) => self.waiting = Some(entry),
            (true, true) => self.as_text(tokenizer, entry, out),
        }
        self.after_word = last.is_some_and(|unit| self.program.is_word(unit));
    }

    /// Decides what the token that waits is, now that it is known whether a word's character follows.
    fn decide(&mut self, tokenizer: &Tokenizer<'_>, word: bool, out: &mut dyn FnMut(u32)) {
        match self.waiting.take() {
            Some(entry) if word => self.as_text(tokenizer, entry, out),
            Some(entry) => self.token(tokenizer, entry, out),
            None => {}
        }
    }

    /// A token's text is text like any other here.
    fn as_text(&mut self, tokenizer: &Tokenizer<'_>, entry: u32, out: &mut dyn FnMut(u32)) {
        let mut utf8 = Utf8::default();
        for byte in tokenizer.piece(entry & flag::ID).into_iter().flatten() {
            utf8.push(byte, &mut |unit| self.plain(tokenizer, unit, out));
        }
    }

    fn token(&mut self, tokenizer: &Tokenizer<'_>, entry: u32, out: &mut dyn FnMut(u32)) {
        if entry & flag::STRIP_LEFT != 0 {
            self.spaces = Hold::NEW;
        }
        self.give_spaces(tokenizer, out);
        if !self.begun && tokenizer.prefix == Prefix::Text {
            self.cut(tokenizer, Unit::Char(' '), out);
        }
        self.end_segment(tokenizer, out);
        self.begun = true;
        self.skip_space = entry & flag::STRIP_RIGHT != 0;
        out(entry & flag::ID);
    }

    fn end_segment(&mut self, tokenizer: &Tokenizer<'_>, out: &mut dyn FnMut(u32)) {
        self.give_spaces(tokenizer, out);
        self.end_characters(tokenizer, out);
        let Self { program, split, bpe, .. } = self;
        split.push(program, Part::End, &mut |part| put(bpe, tokenizer, part, out));
        self.segment = false;
    }

    /// The next character of the text between tokens.
    #[inline]
    fn unit(&mut self, tokenizer: &Tokenizer<'_>, unit: Unit, out: &mut dyn FnMut(u32)) {
        if self.flags & flag::SINGLE_WORD != 0 {
            let word = self.program.is_word(unit);
            self.decide(tokenizer, word, out);
            self.after_word = word;
        }
        self.plain(tokenizer, unit, out);
    }

    #[inline]
    fn plain(&mut self, tokenizer: &Tokenizer<'_>, unit: Unit, out: &mut dyn FnMut(u32)) {
        if self.skip_space && !self.segment && self.program.is_space(unit) {
            return;
        }
        if self.flags & flag::STRIP_LEFT != 0 {
            if self.program.is_space(unit) {
                if self.spaces.is_full()
                    && let Some(first) = self.spaces.pop()
                {
                    self.normalize(tokenizer, first, out);
                }
                return self.spaces.push(unit);
            }
            self.give_spaces(tokenizer, out);
        }
        self.normalize(tokenizer, unit, out);
    }

    /// No token swallows the white space that waited.
    fn give_spaces(&mut self, tokenizer: &Tokenizer<'_>, out: &mut dyn FnMut(u32)) {
        while let Some(unit) = self.spaces.pop() {
            self.normalize(tokenizer, unit, out);
        }
    }

    #[inline]
    fn normalize(&mut self, tokenizer: &Tokenizer<'_>, unit: Unit, out: &mut dyn FnMut(u32)) {
        let Unit::Char(c) = unit else {
            self.end_characters(tokenizer, out);
            return self.character(tokenizer, unit, out);
        };
        match self.normal.take() {
            Some((tables, mut normal)) => {
                normal.push(&tables, c, &mut |c| self.character(tokenizer, Unit::Char(c), out));
                self.normal = Some((tables, normal));
            }
            None => self.character(tokenizer, unit, out),
        }
    }

    /// No mark belongs to the last character any more.
    fn end_characters(&mut self, tokenizer: &Tokenizer<'_>, out: &mut dyn FnMut(u32)) {
        if let Some((tables, mut normal)) = self.normal.take() {
            normal.finish(&tables, &mut |c| self.character(tokenizer, Unit::Char(c), out));
            self.normal = Some((tables, normal));
        }
    }

    /// The next character as it is cut.
    #[inline]
    fn character(&mut self, tokenizer: &Tokenizer<'_>, unit: Unit, out: &mut dyn FnMut(u32)) {
        if !self.segment {
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

    #[inline]
    fn cut(&mut self, tokenizer: &Tokenizer<'_>, unit: Unit, out: &mut dyn FnMut(u32)) {
        let Self { program, split, bpe, .. } = self;
        split.push(program, Part::Unit(unit), &mut |part| put(bpe, tokenizer, part, out));
    }
}

/// Gives a part of a word to the merges.
#[inline]
fn put<const N: usize>(bpe: &mut Bpe<N>, tokenizer: &Tokenizer<'_>, part: Part, out: &mut dyn FnMut(u32)) {
    match (part, tokenizer.kind) {
        (Part::End, _) => bpe.finish(tokenizer, out),
        (Part::Unit(Unit::Byte(byte)), _) => put_byte(bpe, tokenizer, byte, out),
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
        put_byte(bpe, tokenizer, byte, out);
    }
}

/// A byte without a token is left out.
#[inline]
fn put_byte<const N: usize>(bpe: &mut Bpe<N>, tokenizer: &Tokenizer<'_>, byte: u8, out: &mut dyn FnMut(u32)) {
    let symbol = tokenizer.byte(byte);
    if symbol != NONE {
        bpe.push(tokenizer, symbol, out);
    }
}
