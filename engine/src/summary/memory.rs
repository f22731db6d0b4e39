//! The large parts of a summarizer, where the caller puts them.

use super::digest::Digest;
use super::quotes::Quotes;
use super::sentences::Splitter;
use crate::beams::Beams;
use crate::sampler::Grounding;
use crate::tokenizer::Encoder;

/// Memory for a [`Summarizer`](super::Summarizer): for a `static`, because it is large for a stack. `B` is
/// [`Options::beams`](crate::Options::beams), `W` the symbols of a word that are merged together, at least 256.
///
/// All zeros when new, so that a `static` lies in `.bss` and takes no flash.
pub struct Memory<'m, const B: usize, const W: usize> {
    pub(super) encoder: Place<Encoder<'m, W>>,
    pub(super) beams: Place<Beams<B>>,
    pub(super) grounding: Grounding,
    pub(super) splitter: Splitter,
    pub(super) quotes: Quotes,
    pub(super) digest: Digest,
}

impl<const B: usize, const W: usize> Memory<'_, B, W> {
    /// Of no text.
    pub const fn new() -> Self {
        Self {
            encoder: Place::Empty,
            beams: Place::Empty,
            grounding: Grounding::new(),
            splitter: Splitter::NEW,
            quotes: Quotes::NONE,
            digest: Digest::NONE,
        }
    }
}

impl<const B: usize, const W: usize> Default for Memory<'_, B, W> {
    fn default() -> Self {
        Self::new()
    }
}

/// An `Option` whose `None` is all zeros.
#[repr(u8)]
pub(super) enum Place<T> {
    Empty,
    Taken(T),
}

impl<T> Place<T> {
    /// Makes something where it stays. Not inlined, so that what it needs of the stack is free again afterwards.
    #[inline(never)]
    pub fn fill(&mut self, make: impl FnOnce() -> T) -> Option<&mut T> {
        *self = Self::Taken(make());
        match self {
            Self::Empty => None,
            Self::Taken(made) => Some(made),
        }
    }
}
