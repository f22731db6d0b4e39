//! RMS norm before a block: its output goes straight to int8.

use super::rows::{NUMBER, change_and_quantize, row, take_prefix};
use crate::kernels::{Kernels, Quantized};
use crate::state::QuantBuffer;

/// An RMS norm.
#[derive(Clone, Copy)]
pub(crate) struct Norm<'m> {
    /// `(hidden)`.
    pub weight: &'m [f32],
    pub eps: f32,
}

/// Normalises the rows of the residual stream into `normed`, as many rows, and quantizes them.
///
/// Not part of the blocks, whose matrix products take the most of the stack.
#[inline(never)]
pub(crate) fn normalize<'q>(
    kernels: Kernels<'_>,
    residual: &[f32],
    norm: Norm<'_>,
    group: usize,
    normed: &mut [f32],
    buffer: &'q mut QuantBuffer<'_>,
) -> Quantized<'q> {
    let cols = norm.weight.len();
    let normed = take_prefix(normed, residual.len());
    change_and_quantize(kernels, (normed, cols, cols), group, buffer, 2 * NUMBER, &|token, normed| {
        kernels.rms_norm(row(residual, token, cols), norm.weight, norm.eps, normed);
    })
}
