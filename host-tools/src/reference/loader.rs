//! Weights on their way into the reference.

use super::linear::Linear;
use super::rounding::Rounding;
use crate::hf::{ImportError, JambaConfig, Matrix, WeightId, Weights};
use crate::pack::{Format, factor, round_trip};

/// A checkpoint, and what becomes of its weights on the way in.
pub(super) struct Loader<'a> {
    pub weights: &'a Weights,
    pub rounding: Option<Rounding<'a>>,
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
            Some(r) => as_in_an_image(
                self.config(),
                (id, matrix.cols()),
                &weights,
                Format { bits: (r.bits)(id), group: r.group, fit: r.fit },
            ),
            None => weights,
        })
    }
}

/// A matrix' weights, rows of so many columns, rounded as an image has them.
pub(super) fn as_in_an_image(
    c: &JambaConfig,
    (id, cols): (WeightId, usize),
    weights: &[f32],
    format: Format,
) -> Vec<f32> {
    let factor = factor(c, id);
    let folded: Vec<f32> = weights.iter().map(|w| w * factor).collect();
    round_trip(&folded, cols, format).into_iter().map(|w| w / factor).collect()
}
