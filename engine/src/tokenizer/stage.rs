//! The steps that a text passes through: small state machines in a row, each of which asks the one before it for more.
//!
//! Ids are pulled from the last one, so that no step's frame lies on the stack while an id is used, and no step calls what it
//! doesn't know.

use super::Tokenizer;
use super::nfc::Tables;
use super::program::Program;
use super::utf8::Unit;

/// What the steps read in the image.
#[derive(Clone, Debug)]
pub(super) struct Context<'m> {
    pub tokenizer: Tokenizer<'m>,
    pub program: Program<'m>,
    /// Where texts are normalized.
    pub normal_forms: Option<Tables<'m>>,
}

impl<'m> Context<'m> {
    pub fn new(tokenizer: Tokenizer<'m>) -> Self {
        Self { program: tokenizer.program(), normal_forms: tokenizer.normal_forms(), tokenizer }
    }
}

/// A step.
pub(super) trait Stage {
    type In;
    type Out;

    /// Takes what comes next. Only after [`Stage::next`] has said that there is no more.
    fn put(&mut self, context: &Context<'_>, input: Self::In);

    /// What goes out next; `None` when more has to come in.
    fn next(&mut self, context: &Context<'_>) -> Option<Self::Out>;
}

/// What a step puts out next, with what it needs for it from the one before.
#[inline]
pub(super) fn pull<S: Stage>(
    stage: &mut S,
    context: &Context<'_>,
    more: &mut impl FnMut() -> Option<S::In>,
) -> Option<S::Out> {
    loop {
        if let Some(out) = stage.next(context) {
            return Some(out);
        }
        stage.put(context, more()?);
    }
}

/// Bytes, and the added tokens between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Byte(u8),
    /// The entry of an added token.
    Token(u32),
    /// The text is over.
    End,
}

/// Characters, and the added tokens between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Unit(Unit),
    /// The entry of an added token.
    Token(u32),
    /// The text is over.
    End,
}

/// The characters of words, and the added tokens between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The next character of a word.
    Unit(Unit),
    /// The word has ended. May come twice.
    End,
    /// The id of an added token, between words.
    Token(u32),
}
