//! Tokens to the rows of the residual stream.

use super::rows::NUMBER;
use crate::kernels::{Kernels, TokenRows};
use crate::matrix::QMatrix;

/// Every token's row of `embedding (vocabulary, hidden)` into `residual (tokens, hidden)`.
pub(crate) fn embed(kernels: Kernels<'_>, tokens: &[u32], embedding: &QMatrix<'_>, residual: &mut [f32]) {
    let rows = TokenRows { x: residual, width: embedding.cols(), values: &mut [], scales: &mut [] };
    kernels.tokens(tokens.len(), NUMBER, rows, &|index, row| {
        if let Some(&token) = tokens.get(index) {
            embedding.dequantize_row(token as usize, row.x);
        }
    });
}
