//! Bytes to characters.

use super::front::drop_front;
use super::stage::{Context, Found, Item, Stage};
use crate::slot::Slot;

/// A character, or a byte that belongs to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Char(char),
    Byte(u8),
}

/// A character whose bytes are still coming.
#[derive(Clone, Debug)]
pub(super) struct Utf8 {
    bytes: heapless::Vec<u8, 4>,
    /// What comes behind them, which ends a character.
    then: Slot<Item>,
}

impl Utf8 {
    pub const NEW: Self = Self { bytes: heapless::Vec::new(), then: Slot::Empty };

    /// The character of `bytes`; where they are none, and can't become one, the first byte.
    fn take(&mut self) -> Option<Item> {
        let character = match core::str::from_utf8(&self.bytes) {
            Ok(text) => text.chars().next(),
            Err(error) if error.error_len().is_none() && self.then.is_empty() => return None,
            Err(_) => None,
        };
        let Some(c) = character else {
            let first = *self.bytes.first()?;
            drop_front(&mut self.bytes, 1);
            return Some(Item::Unit(Unit::Byte(first)));
        };
        self.bytes.clear();
        Some(Item::Unit(Unit::Char(c)))
    }
}

impl Stage for Utf8 {
    type In = Found;
    type Out = Item;

    #[inline]
    fn put(&mut self, _: &Context<'_>, found: Found) {
        match found {
            Found::Byte(byte) if self.bytes.is_empty() && byte.is_ascii() => {
                self.then = Slot::Full(Item::Unit(Unit::Char(byte.into())));
            }
            // Never full: four bytes are either a character or hold an error.
            Found::Byte(byte) => drop(self.bytes.push(byte)),
            Found::Token(entry) => self.then = Slot::Full(Item::Token(entry)),
            Found::End => self.then = Slot::Full(Item::End),
        }
    }

    #[inline]
    fn next(&mut self, _: &Context<'_>) -> Option<Item> {
        if !self.bytes.is_empty()
            && let Some(item) = self.take()
        {
            return Some(item);
        }
        self.then.take()
    }
}
