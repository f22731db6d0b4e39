//! RMS norm before a block: its output goes straight to int8.

use super::Rows;
use crate::kernels::{Kernels, Quantized};

/// Normalises and quantizes the rows of the residual stream.
pub(crate) fn normalize<'q>(
    kernels: Kernels<'_>,
    residual: &[f32],
    (weight, eps): (&[f32], f32),
    group: usize,
    normed: &mut [f32],
    buffer: (&'q mut [i8], &'q mut [f32]),
) -> Quantized<'q> {
    let cols = weight.len();
    let mut rows = Rows::new(residual.len() / cols.max(1), cols, group, buffer);
    for (x, (values, scales)) in residual.chunks_exact(cols.max(1)).zip(rows.iter_mut()) {
        kernels.rms_norm(x, weight, eps, normed);
        kernels.quantize(normed, group, values, scales);
    }
    rows.done()
}
