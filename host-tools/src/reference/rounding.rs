//! What quantization does, in floats: the reference can round where the engine rounds, which tells a wrong formula from a
//! coarse one, and shows what a tensor would gain from staying wide.

use crate::hf::WeightId;
use crate::pack::Fit;
use jamlet::matrix::Bits;

/// Which numbers are rounded, and how finely.
#[derive(Clone, Copy)]
pub struct Rounding<'a> {
    /// Numbers that share a scale, in weights and in activations.
    pub group: usize,
    /// Whether the embedding and the weights of matrix products are rounded.
    pub weights: bool,
    /// Whether the inputs of these products are.
    pub activations: bool,
    /// Whether keys and values in the attention cache are, with a scale each a head and token.
    pub cache: bool,
    /// Bits of a matrix' weights.
    pub bits: &'a dyn Fn(WeightId) -> Bits,
    /// How their scales are chosen.
    pub fit: Fit,
    /// Weights that stay f32, and their inputs with them.
    pub wide: fn(WeightId) -> bool,
}

impl Rounding<'_> {
    /// As the engine rounds with 8 bits a weight.
    pub fn engine(group: usize) -> Self {
        Self {
            group,
            weights: true,
            activations: true,
            cache: true,
            bits: &|_| Bits::Eight,
            fit: Fit::Search,
            wide: |_| false,
        }
    }
}

/// Rounds every group of every row of `x (T, cols)` to 127 steps on either side of zero.
pub(super) fn round_rows(x: &[f32], cols: usize, group: usize) -> Vec<f32> {
    let mut out = x.to_vec();
    for group in out.chunks_exact_mut(cols).flat_map(|row| row.chunks_mut(group)) {
        let max = group.iter().fold(0f32, |max, x| max.max(x.abs()));
        let steps = if max > 0.0 { 127.0 / max } else { 0.0 };
        group.iter_mut().for_each(|x| *x = (*x * steps).round_ties_even() * (max / 127.0));
    }
    out
}
