//! One chunk on its way through the layers.

use crate::kernels::Kernels;
use crate::model::Header;
use crate::state::Buffers;

/// A chunk's tokens, and what they are computed with.
pub(crate) struct Pass<'a, 'w> {
    pub kernels: Kernels<'a>,
    pub header: &'a Header,
    pub buffers: &'a mut Buffers<'w>,
    /// Tokens in this chunk.
    pub tokens: usize,
    /// Tokens before it.
    pub position: u64,
}
