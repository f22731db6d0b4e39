//! Finds added tokens in bytes: leftmost first, of those the longest, as the `tokenizers` library does. It searches twice:
//! tokens that are "normalized" are found between the others.

use super::front::drop_front;
use super::{MAX_ADDED, Tokenizer, flag};

/// What a text is cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A byte between tokens.
    Byte(u8),
    /// A token.
    Token(u32),
}

/// Bytes that may be the beginning of an added token.
#[derive(Clone, Debug)]
pub(super) struct Added {
    /// Bytes at which a token may begin, a bit each.
    first: [u32; 8],
    /// The flags of all tokens together.
    flags: u32,
    /// Which tokens it finds: [`flag::NORMALIZED`], or 0 for those without it.
    pass: u32,
    /// All that was read and is not out.
    held: heapless::Vec<u8, { MAX_ADDED + 1 }>,
    /// So many of `held` are the beginning of tokens: those in `low..high` of the table.
    matched: usize,
    low: usize,
    high: usize,
    /// The longest token that `held` begins with: its length and entry.
    best: Option<(usize, u32)>,
}

impl Added {
    pub fn new(tokenizer: &Tokenizer<'_>, pass: u32) -> Self {
        let (mut first, mut flags) = ([0; 8], 0);
        for index in 0..tokenizer.added_len() {
            let entry = tokenizer.added(index).unwrap_or(0);
            if !finds(pass, entry) {
                continue;
            }
            flags |= entry & !flag::ID;
            if let Some(byte) = tokenizer.added_byte(index, 0)
                && let Some(bits) = first.get_mut(usize::from(byte / 32))
            {
                *bits |= 1 << (byte % 32);
            }
        }
        Self {
            first,
            flags,
            pass,
            held: heapless::Vec::new(),
            matched: 0,
            low: 0,
            high: tokenizer.added_len(),
            best: None,
        }
    }

    /// What tokens that are found in texts ask for, all together.
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// The next byte.
    #[inline]
    pub fn push(&mut self, tokenizer: &Tokenizer<'_>, byte: u8, out: &mut dyn FnMut(Found)) {
        if self.held.is_empty() && !self.may_begin(byte) {
            return out(Found::Byte(byte));
        }
        // Never full: between calls all is matched, and no token is longer than `MAX_ADDED`.
        let _ = self.held.push(byte);
        self.scan(tokenizer, out);
    }

    /// The text ends here.
    pub fn finish(&mut self, tokenizer: &Tokenizer<'_>, out: &mut dyn FnMut(Found)) {
        while !self.held.is_empty() {
            self.give_up(tokenizer, out);
            self.scan(tokenizer, out);
        }
    }

    fn may_begin(&self, byte: u8) -> bool {
        self.first.get(usize::from(byte / 32)).is_some_and(|bits| bits >> (byte % 32) & 1 != 0)
    }

    /// Matches all of `held`, or puts it out.
    fn scan(&mut self, tokenizer: &Tokenizer<'_>, out: &mut dyn FnMut(Found)) {
        while let Some(&byte) = self.held.get(self.matched) {
            if self.matched == MAX_ADDED || !self.extend(tokenizer, byte) {
                self.give_up(tokenizer, out);
            }
        }
    }

    /// Whether a token begins with what is matched and `byte`, which then is matched too.
    fn extend(&mut self, tokenizer: &Tokenizer<'_>, byte: u8) -> bool {
        let at = self.matched;
        // A token that ends here comes before those that go on.
        let low = bisect(self.low, self.high, |index| tokenizer.added_byte(index, at) < Some(byte));
        let high = bisect(low, self.high, |index| tokenizer.added_byte(index, at) == Some(byte));
        if low == high {
            return false;
        }
        (self.matched, self.low, self.high) = (at + 1, low, high);
        if let Some(entry) = tokenizer.added(low)
            && finds(self.pass, entry)
            && tokenizer.added_byte(low, at + 1).is_none()
        {
            self.best = Some((at + 1, entry));
        }
        true
    }

    /// No token goes on as the text does: puts out the longest that was found, or else the first byte. What is left has
    /// to be matched again.
    fn give_up(&mut self, tokenizer: &Tokenizer<'_>, out: &mut dyn FnMut(Found)) {
        let used = match self.best.take() {
            Some((length, entry)) => {
                out(Found::Token(entry));
                length
            }
            None => {
                self.held.first().into_iter().for_each(|&byte| out(Found::Byte(byte)));
                1
            }
        };
        drop_front(&mut self.held, used);
        (self.matched, self.low, self.high) = (0, 0, tokenizer.added_len());
    }
}

/// Whether a token is found in texts in a pass.
fn finds(pass: u32, entry: u32) -> bool {
    entry & (flag::IN_TEXT | flag::NORMALIZED) == flag::IN_TEXT | pass
}

/// First index of `low..high` for which `before` is false.
fn bisect(mut low: usize, mut high: usize, before: impl Fn(usize) -> bool) -> usize {
    while low < high {
        let middle = low + (high - low) / 2;
        match before(middle) {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    low
}
