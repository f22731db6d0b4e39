//! A matrix product whose inputs may be rounded.

use super::math::{add, matmul};
use super::rounding::round_rows;

/// A matrix product with an optional bias: `y = x Wᵀ + b`.
pub(super) struct Linear {
    weight: Vec<f32>, // (out, in)
    bias: Vec<f32>,   // (out), or empty
    inputs: usize,
    round: Option<usize>,
}

impl Linear {
    /// `round` is the group in which inputs are rounded to int8, if they are.
    pub(super) fn new(weight: Vec<f32>, bias: Vec<f32>, inputs: usize, round: Option<usize>) -> Self {
        Self { weight, bias, inputs, round }
    }

    /// (out, in), to be changed.
    pub(super) fn weight_mut(&mut self) -> &mut Vec<f32> {
        &mut self.weight
    }

    /// (T, in) to (T, out).
    pub(super) fn forward(&self, x: &[f32]) -> Vec<f32> {
        let mut y = match self.round {
            Some(group) => matmul(&round_rows(x, self.inputs, group), &self.weight, self.inputs),
            None => matmul(x, &self.weight, self.inputs),
        };
        if !self.bias.is_empty() {
            y.chunks_exact_mut(self.bias.len()).for_each(|y| add(y, &self.bias));
        }
        y
    }
}
