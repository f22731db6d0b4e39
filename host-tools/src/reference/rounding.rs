//! What quantization does, in floats: the reference can round where the engine rounds, which tells a wrong formula from a
//! coarse one, and shows what a tensor would gain from staying wide.

use crate::hf::{ImportError, JambaConfig, Matrix, WeightId, Weights};
use crate::pack::round_trip;

use super::math::Linear;

/// Which numbers are rounded to int8, and how finely.
#[derive(Clone, Copy, Debug)]
pub struct Rounding {
    /// Numbers that share a scale, in weights and in activations.
    pub group: usize,
    /// Whether the embedding and the weights of matrix products are rounded.
    pub weights: bool,
    /// Whether the inputs of these products are.
    pub activations: bool,
    /// Whether keys and values in the attention cache are, with a scale each a head and token.
    pub cache: bool,
    /// Weights that stay f32, and their inputs with them.
    pub wide: fn(WeightId) -> bool,
}

impl Rounding {
    /// As the engine rounds.
    pub fn engine(group: usize) -> Self {
        Self { group, weights: true, activations: true, cache: true, wide: |_| false }
    }
}

/// A checkpoint, and what becomes of its weights on the way in.
pub(super) struct Loader<'a> {
    pub weights: &'a Weights,
    pub rounding: Option<Rounding>,
}

impl Loader<'_> {
    pub fn config(&self) -> &JambaConfig {
        self.weights.config()
    }

    pub fn matrix(&self, id: WeightId) -> &Matrix {
        self.weights.matrix(id)
    }

    pub fn get(&self, id: WeightId) -> Option<&Matrix> {
        self.weights.get(id)
    }

    /// The embedding.
    pub fn embedding(&self) -> Result<Vec<f32>, ImportError> {
        self.rounded(WeightId::Embedding)
    }

    /// A weight that the engine has in int8, and its bias where the model has it.
    pub fn linear(&self, id: WeightId, bias: Option<WeightId>) -> Result<Linear, ImportError> {
        let bias = match bias.and_then(|id| self.get(id)) {
            Some(bias) => bias.read()?,
            None => vec![],
        };
        Ok(Linear::new(self.rounded(id)?, bias, self.matrix(id).cols(), self.activations(id)))
    }

    /// Group of the input of a product, where it is rounded.
    pub fn activations(&self, id: WeightId) -> Option<usize> {
        self.rounding.filter(|r| r.activations && !(r.wide)(id)).map(|r| r.group)
    }

    /// Whether the attention cache is rounded.
    pub fn cache(&self) -> bool {
        self.rounding.is_some_and(|r| r.cache)
    }

    fn rounded(&self, id: WeightId) -> Result<Vec<f32>, ImportError> {
        let matrix = self.matrix(id);
        let weights = matrix.read()?;
        Ok(match self.rounding.filter(|r| r.weights && !(r.wide)(id)) {
            Some(r) => round_trip(&weights, matrix.cols(), r.group),
            None => weights,
        })
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
