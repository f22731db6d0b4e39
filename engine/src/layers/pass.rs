//! One chunk on its way through the layers.
//!
//! A chunk has some tokens of one sequence, or one token of each of some sequences that are written side by side. Layers do not
//! tell them apart, so that weights are read once for all of them, but where something has a state: that goes through it sequence
//! by sequence.

use crate::kernels::Kernels;
use crate::model::Header;
use crate::state::Buffers;

/// A chunk's tokens, and what they are computed with.
pub(crate) struct Pass<'a, 'w> {
    pub kernels: Kernels<'a>,
    pub header: &'a Header,
    pub buffers: &'a mut Buffers<'w>,
    /// Tokens in this chunk: those of the first sequence, then those of the next one.
    pub tokens: usize,
    /// Those of each sequence.
    pub each: usize,
    /// Tokens before them.
    pub position: u64,
}
