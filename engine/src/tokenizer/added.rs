//! Finds added tokens in bytes: leftmost first, of those the longest, as the `tokenizers` library does. It searches twice:
//! tokens that are "normalized" are found between the others.

use super::front::drop_front;
use super::stage::{Context, Found, Stage};
use super::{MAX_ADDED, Tokenizer, flag};
use crate::slot::Slot;

/// Bytes that may be the beginning of an added token.
#[derive(Clone, Debug)]
pub(super) struct Added {
    /// Bytes at which a token may begin, a bit each.
    first: [u32; 8],
    /// The flags of all tokens together.
    flags: u32,
    /// Which tokens it finds: [`flag::NORMALIZED`], or 0 for those without it.
    pass: u32,
    /// Bytes that are not out.
    held: heapless::Vec<u8, { MAX_ADDED + 1 }>,
    /// So many of `held` are the beginning of tokens: those in `low..high` of the table.
    matched: usize,
    low: usize,
    high: usize,
    /// The longest token that `held` begins with: its length and entry.
    best: Option<(usize, u32)>,
    /// What comes behind `held`, in which no token goes on.
    then: Slot<Found>,
}

impl Added {
    /// Finds nothing.
    pub const EMPTY: Self = Self {
        first: [0; 8],
        flags: 0,
        pass: 0,
        held: heapless::Vec::new(),
        matched: 0,
        low: 0,
        high: 0,
        best: None,
        then: Slot::Empty,
    };

    /// Finds the tokens of a pass.
    pub fn load(&mut self, tokenizer: &Tokenizer<'_>, pass: u32) {
        *self = Self { pass, high: tokenizer.added_len(), ..Self::EMPTY };
        for index in 0..tokenizer.added_len() {
            let entry = tokenizer.added(index).unwrap_or(0);
            if !finds(pass, entry) {
                continue;
            }
            self.flags |= entry & !flag::ID;
            if let Some(byte) = tokenizer.added_byte(index, 0)
                && let Some(bits) = self.first.get_mut(usize::from(byte / 32))
            {
                *bits |= 1 << (byte % 32);
            }
        }
    }

    /// What tokens that are found in texts ask for, all together.
    pub fn flags(&self) -> u32 {
        self.flags
    }

    fn may_begin(&self, byte: u8) -> bool {
        self.first.get(usize::from(byte / 32)).is_some_and(|bits| bits >> (byte % 32) & 1 != 0)
    }

    /// What is held, as far as it is certain: all of it where no more comes.
    fn search(&mut self, tokenizer: &Tokenizer<'_>) -> Option<Found> {
        while let Some(&byte) = self.held.get(self.matched) {
            if self.matched == MAX_ADDED || !self.extend(tokenizer, byte) {
                return self.give_up(tokenizer);
            }
        }
        if self.then.is_empty() { None } else { self.give_up(tokenizer) }
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

    /// No token goes on as the text does: the longest that was found goes out, or else the first byte. What is left has to be
    /// matched again.
    fn give_up(&mut self, tokenizer: &Tokenizer<'_>) -> Option<Found> {
        let (length, found) = match self.best.take() {
            Some((length, entry)) => (length, Found::Token(entry)),
            None => (1, Found::Byte(*self.held.first()?)),
        };
        drop_front(&mut self.held, length);
        (self.matched, self.low, self.high) = (0, 0, tokenizer.added_len());
        Some(found)
    }
}

impl Stage for Added {
    type In = Found;
    type Out = Found;

    #[inline]
    fn put(&mut self, _: &Context<'_>, found: Found) {
        match found {
            // Never full: all is matched when more is wanted, and no token is longer than `MAX_ADDED`.
            Found::Byte(byte) if !self.held.is_empty() || self.may_begin(byte) => drop(self.held.push(byte)),
            found => self.then = Slot::Full(found),
        }
    }

    #[inline]
    fn next(&mut self, context: &Context<'_>) -> Option<Found> {
        if !self.held.is_empty()
            && let Some(found) = self.search(&context.tokenizer)
        {
            return Some(found);
        }
        self.then.take()
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
