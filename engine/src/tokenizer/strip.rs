//! White space that the added token behind it may swallow.

use super::flag;
use super::hold::Hold;
use super::stage::{Context, Item, Stage};
use crate::slot::Slot;

/// Holds white space back where an added token may swallow it.
#[derive(Clone, Debug)]
pub(super) struct Strip {
    /// Whether any token does.
    pub wanted: bool,
    held: Hold,
    /// What comes behind the white space, which goes out before it.
    then: Slot<Item>,
    /// White space that has no room any more.
    first: Slot<Item>,
}

impl Strip {
    pub const NEW: Self = Self { wanted: false, held: Hold::NEW, then: Slot::Empty, first: Slot::Empty };
}

impl Stage for Strip {
    type In = Item;
    type Out = Item;

    #[inline]
    fn put(&mut self, context: &Context<'_>, item: Item) {
        match item {
            Item::Unit(unit) if self.wanted && context.program.is_space(unit) => {
                if self.held.is_full()
                    && let Some(unit) = self.held.pop()
                {
                    self.first = Slot::Full(Item::Unit(unit));
                }
                return self.held.push(unit);
            }
            Item::Token(entry) if entry & flag::STRIP_LEFT != 0 => self.held = Hold::NEW,
            _ => {}
        }
        self.then = Slot::Full(item);
    }

    #[inline]
    fn next(&mut self, _: &Context<'_>) -> Option<Item> {
        if self.then.is_empty() {
            return self.first.take();
        }
        match self.held.pop() {
            Some(unit) => Some(Item::Unit(unit)),
            None => self.then.take(),
        }
    }
}
