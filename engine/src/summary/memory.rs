//! The large parts of a summarizer, where the caller puts them.

use super::digest::Digest;
use super::quotes::Quotes;
use super::sentences::Splitter;
use crate::beams::Beams;
use crate::prompt_encoder::PromptEncoder;
use crate::sampler::Grounding;

/// Memory for a [`Summarizer`](super::Summarizer): for a `static`, because it is large for a stack. `B` is
/// [`Options::beams`](crate::Options::beams), `W` the symbols of a word that are merged together, at least 256.
///
/// All zeros when new, so that a `static` lies in `.bss` and takes no flash.
pub struct Memory<'m, const B: usize, const W: usize> {
    pub(super) encoder: PromptEncoder<'m, W>,
    pub(super) beams: Beams<B>,
    pub(super) grounding: Grounding,
    pub(super) splitter: Splitter,
    pub(super) quotes: Quotes,
    pub(super) digest: Digest,
}

impl<const B: usize, const W: usize> Memory<'_, B, W> {
    /// Of no text.
    pub const fn new() -> Self {
        Self {
            encoder: PromptEncoder::EMPTY,
            beams: Beams::new(0),
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
