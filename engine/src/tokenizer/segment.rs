//! The beginning and the end of what lies between two added tokens.

use super::stage::{Context, Item, Part, Stage};
use super::utf8::Unit;
use super::{Kind, Prefix, flag};
use crate::slot::Slot;

/// Puts spaces before segments, drops those that belong to an added token, and ends the last word before one.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    /// Something of the text was read.
    begun: bool,
    /// Something of this segment was read.
    inside: bool,
    /// White space belongs to the added token before it.
    skip_space: bool,
    /// A space goes out, then an end, then this.
    space: bool,
    end: bool,
    then: Slot<Part>,
}

impl Segment {
    pub const NEW: Self =
        Self { begun: false, inside: false, skip_space: false, space: false, end: false, then: Slot::Empty };

    /// Goes on behind an added token, as in the midst of a text.
    pub fn go_on(&mut self, skip_space: bool) {
        (self.begun, self.skip_space) = (true, skip_space);
    }

    fn wants_space(&self, context: &Context<'_>, first: Unit) -> bool {
        let bare = match first {
            Unit::Char('▁') => context.tokenizer.kind == Kind::ByteLevel,
            first => first != Unit::Char(' '),
        };
        match context.tokenizer.prefix {
            Prefix::Never => false,
            Prefix::Segments => true,
            Prefix::BareSegments => bare,
            Prefix::Text => !self.begun,
            Prefix::BareText => !self.begun && bare,
        }
    }
}

impl Stage for Segment {
    type In = Item;
    type Out = Part;

    #[inline]
    fn put(&mut self, context: &Context<'_>, item: Item) {
        match item {
            Item::Unit(unit) if self.inside => self.then = Slot::Full(Part::Unit(unit)),
            Item::Unit(unit) if self.skip_space && context.program.is_space(unit) => {}
            Item::Unit(unit) => {
                self.space = self.wants_space(context, unit);
                (self.begun, self.inside, self.skip_space) = (true, true, false);
                self.then = Slot::Full(Part::Unit(unit));
            }
            Item::Token(entry) => {
                self.space = !self.begun && context.tokenizer.prefix == Prefix::Text;
                (self.begun, self.inside, self.skip_space) = (true, false, entry & flag::STRIP_RIGHT != 0);
                (self.end, self.then) = (true, Slot::Full(Part::Token(entry & flag::ID)));
            }
            Item::End => *self = Self { end: true, ..Self::NEW },
        }
    }

    #[inline]
    fn next(&mut self, _: &Context<'_>) -> Option<Part> {
        if core::mem::take(&mut self.space) {
            return Some(Part::Unit(Unit::Char(' ')));
        }
        if core::mem::take(&mut self.end) {
            return Some(Part::End);
        }
        self.then.take()
    }
}
