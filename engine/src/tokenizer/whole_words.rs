//! Added tokens that are found only where no character of a word stands beside them.

use super::flag;
use super::stage::{Context, Found, Item, Stage, pull};
use super::utf8::Utf8;
use crate::slot::Slot;

/// Decides which added tokens are tokens, and which are text like any other.
#[derive(Clone, Debug)]
pub(super) struct WholeWords {
    /// Whether any token asks for it.
    pub wanted: bool,
    /// The last character was one of a word.
    after_word: bool,
    /// A token that is one unless a word's character follows.
    waiting: Option<u32>,
    /// What goes out, in this order: what has waited, and what decided it.
    first: Slot<Decided>,
    then: Slot<Decided>,
    /// A token that is text, and so many of its bytes that are out.
    text: Option<(u32, usize)>,
    utf8: Utf8,
}

#[derive(Clone, Copy, Debug)]
enum Decided {
    Item(Item),
    /// The entry of a token that is text.
    Text(u32),
}

impl WholeWords {
    pub const NEW: Self = Self {
        wanted: false,
        after_word: false,
        waiting: None,
        first: Slot::Empty,
        then: Slot::Empty,
        text: None,
        utf8: Utf8::NEW,
    };

    /// Decides what the token that waits is, now that it is known whether a word's character follows.
    fn decide(&mut self, word: bool) {
        let Some(entry) = self.waiting.take() else { return };
        self.first = Slot::Full(match word {
            true => Decided::Text(entry),
            false => Decided::Item(Item::Token(entry)),
        });
    }

    fn put_token(&mut self, context: &Context<'_>, entry: u32) {
        let (mut first, mut last) = (None, None);
        let mut utf8 = Utf8::NEW;
        let mut bytes = bytes(context, entry).map(Found::Byte);
        while let Some(item) = pull(&mut utf8, context, &mut || bytes.next()) {
            first = first.or(Some(item));
            last = Some(item);
        }
        let is_word = |item| matches!(item, Some(Item::Unit(unit)) if context.program.is_word(unit));
        self.decide(is_word(first));
        match (entry & flag::SINGLE_WORD != 0, self.after_word) {
            (false, _) => self.then = Slot::Full(Decided::Item(Item::Token(entry))),
            (true, false) => self.waiting = Some(entry),
            (true, true) => self.then = Slot::Full(Decided::Text(entry)),
        }
        self.after_word = is_word(last);
    }
}

/// The text of an added token.
fn bytes(context: &Context<'_>, entry: u32) -> impl Iterator<Item = u8> {
    context.tokenizer.piece(entry & flag::ID).into_iter().flatten()
}

impl Stage for WholeWords {
    type In = Item;
    type Out = Item;

    #[inline]
    fn put(&mut self, context: &Context<'_>, item: Item) {
        if !self.wanted {
            self.then = Slot::Full(Decided::Item(item));
            return;
        }
        match item {
            Item::Token(entry) => self.put_token(context, entry),
            Item::Unit(unit) => {
                let word = context.program.is_word(unit);
                self.decide(word);
                self.after_word = word;
                self.then = Slot::Full(Decided::Item(item));
            }
            Item::End => {
                self.decide(false);
                self.after_word = false;
                self.then = Slot::Full(Decided::Item(item));
            }
        }
    }

    #[inline]
    fn next(&mut self, context: &Context<'_>) -> Option<Item> {
        loop {
            if let Some((entry, out)) = &mut self.text {
                let mut more = || {
                    let byte = bytes(context, *entry).nth(*out)?;
                    *out += 1;
                    Some(Found::Byte(byte))
                };
                if let Some(item) = pull(&mut self.utf8, context, &mut more) {
                    return Some(item);
                }
                (self.text, self.utf8) = (None, Utf8::NEW);
            }
            match self.first.take().or_else(|| self.then.take())? {
                Decided::Item(item) => return Some(item),
                Decided::Text(entry) => self.text = Some((entry, 0)),
            }
        }
    }
}
