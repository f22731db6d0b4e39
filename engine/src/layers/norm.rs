//! RMS norm before a block: its output goes straight to int8.

use super::rows::Rows;
use crate::kernels::{Kernels, Quantized};
use crate::state::QuantBuffer;

/// An RMS norm.
#[derive(Clone, Copy)]
pub(crate) struct Norm<'m> {
    /// `(hidden)`.
    pub weight: &'m [f32],
    pub eps: f32,
}

/// Normalises and quantizes the rows of the residual stream. `normed (hidden)` is scratch.
pub(crate) fn normalize<'q>(
    kernels: Kernels<'_>,
    residual: &[f32],
    norm: Norm<'_>,
    group: usize,
    normed: &mut [f32],
    buffer: &'q mut QuantBuffer<'_>,
) -> Quantized<'q> {
    let cols = norm.weight.len();
    let mut rows = Rows::new(residual.len() / cols.max(1), cols, group, buffer);
    for (x, (values, scales)) in residual.chunks_exact(cols.max(1)).zip(rows.iter_mut()) {
        kernels.rms_norm(x, norm.weight, norm.eps, normed);
        kernels.quantize(normed, group, values, scales);
    }
    rows.into_all()
}
