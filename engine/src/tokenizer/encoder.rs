//! Text to token ids.

use super::added::Added;
use super::bpe::Bpe;
use super::nfc::Nfc;
use super::segment::Segment;
use super::split::Split;
use super::stage::{Context, Found, pull};
use super::strip::Strip;
use super::symbols::Symbols;
use super::utf8::Utf8;
use super::whole_words::WholeWords;
use super::{Tokenizer, flag};
use crate::slot::Slot;

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
///
/// [`Encoder::feed`] and [`Encoder::finish`] give ids to a function. Where that needs much of the stack, take them with
/// [`Encoder::pop`] instead:
///
/// ```
/// # use jamlet::tokenizer::Encoder;
/// # fn read(encoder: &mut Encoder<'_>, text: &[u8], mut compute: impl FnMut(u32)) {
/// for &byte in text {
///     encoder.push(byte);
///     while let Some(id) = encoder.pop() {
///         compute(id);
///     }
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Encoder<'m, const N: usize = 512> {
    context: Slot<Context<'m>>,
    /// What comes next.
    coming: Slot<Found>,
    added: [Added; 2],
    utf8: Utf8,
    whole_words: WholeWords,
    strip: Strip,
    nfc: Nfc,
    segment: Segment,
    split: Split,
    symbols: Symbols,
    bpe: Bpe<N>,
}

impl<'m, const N: usize> Encoder<'m, N> {
    /// Compiles only where whole words, which have at most 255 bytes, fit the window.
    const CHECK: () = assert!(N >= 256, "the window of an Encoder must have at least 256 symbols");

    /// Of no tokenizer: there are no ids. All zeros, see [`Slot`].
    pub(crate) const EMPTY: Self = Self {
        context: Slot::Empty,
        coming: Slot::Empty,
        added: [Added::EMPTY; 2],
        utf8: Utf8::NEW,
        whole_words: WholeWords::NEW,
        strip: Strip::NEW,
        nfc: Nfc::NEW,
        segment: Segment::NEW,
        split: Split::EMPTY,
        symbols: Symbols::NEW,
        bpe: Bpe::NEW,
    };

    /// At the beginning of a text.
    pub fn new(tokenizer: Tokenizer<'m>) -> Self {
        let mut encoder = Self::EMPTY;
        encoder.load(tokenizer);
        encoder
    }

    /// As new, in place: it is large for a stack.
    pub(crate) fn load(&mut self, tokenizer: Tokenizer<'m>) {
        const { Self::CHECK };
        let [first, second] = &mut self.added;
        first.load(&tokenizer, 0);
        second.load(&tokenizer, flag::NORMALIZED);
        let flags = first.flags() | second.flags();
        self.coming = Slot::Empty;
        self.utf8 = Utf8::NEW;
        self.whole_words = WholeWords::NEW;
        self.whole_words.wanted = flags & flag::SINGLE_WORD != 0;
        self.strip = Strip::NEW;
        self.strip.wanted = flags & flag::STRIP_LEFT != 0;
        self.nfc = Nfc::NEW;
        self.segment = Segment::NEW;
        self.split.load(tokenizer.stages);
        self.symbols = Symbols::NEW;
        self.bpe = Bpe::NEW;
        self.context = Slot::Full(Context::new(tokenizer));
    }

    /// At the beginning of a text, goes on behind the added token `id` as in the midst of a text: no space comes before what
    /// follows unless one comes before every segment, and the white space that belongs to this token is dropped.
    pub fn go_on_behind(&mut self, id: u32) {
        let strips = self.context.as_ref().is_some_and(|context| context.tokenizer.strips_right(id));
        self.segment.go_on(strips);
    }

    /// Reads the next byte of the text. Only after [`Encoder::pop`] has said that no id is left.
    #[inline]
    pub fn push(&mut self, byte: u8) {
        debug_assert!(self.coming.is_empty(), "ids are left");
        self.coming = Slot::Full(Found::Byte(byte));
    }

    /// Ends the text, likewise. When the ids that were left are taken, another text may begin.
    pub fn end(&mut self) {
        debug_assert!(self.coming.is_empty(), "ids are left");
        self.coming = Slot::Full(Found::End);
    }

    /// Takes the next id that is certain by now.
    pub fn pop(&mut self) -> Option<u32> {
        let Self {
            context,
            coming,
            added: [first, second],
            utf8,
            whole_words,
            strip,
            nfc,
            segment,
            split,
            symbols,
            bpe,
        } = self;
        let context = context.as_ref()?;
        let mut bytes = || coming.take();
        let mut found = || pull(first, context, &mut bytes);
        let mut found = || pull(second, context, &mut found);
        let mut items = || pull(utf8, context, &mut found);
        let mut items = || pull(whole_words, context, &mut items);
        let mut items = || pull(strip, context, &mut items);
        let mut items = || pull(nfc, context, &mut items);
        let mut parts = || pull(segment, context, &mut items);
        let mut parts = || pull(split, context, &mut parts);
        let mut symbols = || pull(symbols, context, &mut parts);
        pull(bpe, context, &mut symbols)
    }

    /// Reads the next piece of the text and gives the ids that are certain by now to `out`.
    pub fn feed(&mut self, text: &[u8], mut out: impl FnMut(u32)) {
        for &byte in text {
            self.push(byte);
            while let Some(id) = self.pop() {
                out(id);
            }
        }
    }

    /// Ends the text, gives the ids that are left to `out`, and is ready for another text.
    pub fn finish(&mut self, mut out: impl FnMut(u32)) {
        self.end();
        while let Some(id) = self.pop() {
            out(id);
        }
    }
}
