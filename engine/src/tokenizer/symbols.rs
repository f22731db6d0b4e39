//! Characters to the symbols that are merged: bytes, or characters where the vocabulary has them.

use super::Kind;
use super::stage::{Context, Part, Stage};
use super::table::NONE;
use super::utf8::Unit;
use crate::slot::Slot;

/// What merges take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Symbol {
    /// The next symbol of a word.
    Id(u32),
    /// The word has ended. May come twice.
    End,
    /// The id of an added token, between words.
    Token(u32),
}

/// A character that becomes symbols.
#[derive(Clone, Debug)]
pub(super) struct Symbols {
    /// Bytes that become symbols, the last one first. A byte without a token is left out.
    bytes: heapless::Vec<u8, 4>,
    then: Slot<Symbol>,
}

impl Symbols {
    pub const NEW: Self = Self { bytes: heapless::Vec::new(), then: Slot::Empty };

    fn put_byte(&mut self, byte: u8) {
        // Never full: a character has at most four bytes.
        let _ = self.bytes.push(byte);
    }
}

impl Stage for Symbols {
    type In = Part;
    type Out = Symbol;

    #[inline]
    fn put(&mut self, context: &Context<'_>, part: Part) {
        match part {
            Part::End => self.then = Slot::Full(Symbol::End),
            Part::Token(id) => self.then = Slot::Full(Symbol::Token(id)),
            Part::Unit(Unit::Byte(byte)) => self.put_byte(byte),
            Part::Unit(Unit::Char(c)) => {
                let sentence_piece = context.tokenizer.kind == Kind::SentencePiece;
                let c = if sentence_piece && c == '▁' { ' ' } else { c };
                let symbol = if sentence_piece { context.tokenizer.character(c) } else { None };
                match symbol {
                    Some(symbol) => self.then = Slot::Full(Symbol::Id(symbol)),
                    None => c.encode_utf8(&mut [0; 4]).bytes().rev().for_each(|byte| self.put_byte(byte)),
                }
            }
        }
    }

    #[inline]
    fn next(&mut self, context: &Context<'_>) -> Option<Symbol> {
        while let Some(byte) = self.bytes.pop() {
            match context.tokenizer.byte(byte) {
                NONE => {}
                symbol => return Some(Symbol::Id(symbol)),
            }
        }
        self.then.take()
    }
}
