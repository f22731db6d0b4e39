//! A matrix product whose inputs may be rounded.

use super::math::{add, matmul};
use super::rounding::round_rows;
use rayon::prelude::*;
use std::sync::Mutex;

/// A matrix product with an optional bias: `y = x Wᵀ + b`.
pub(super) struct Linear {
    weight: Vec<f32>, // (out, in)
    bias: Vec<f32>,   // (out), or empty
    inputs: usize,
    round: Option<usize>,
    /// XᵀX (in, in) of all inputs X (T, in) since [`Linear::watch`].
    gram: Option<Mutex<Vec<f64>>>,
}

impl Linear {
    /// `round` is the group in which inputs are rounded to int8, if they are.
    pub(super) fn new(weight: Vec<f32>, bias: Vec<f32>, inputs: usize, round: Option<usize>) -> Self {
        Self { weight, bias, inputs, round, gram: None }
    }

    /// (out, in), to be changed.
    pub(super) fn weight_mut(&mut self) -> &mut Vec<f32> {
        &mut self.weight
    }

    /// Begins to add up what is known of the inputs.
    pub(super) fn watch(&mut self) {
        self.gram = Some(Mutex::new(vec![0.0; self.inputs * self.inputs]));
    }

    /// Ends [`Linear::watch`]: XᵀX (in, in).
    pub(super) fn seen(&mut self) -> Option<Vec<f64>> {
        self.gram.take()?.into_inner().ok()
    }

    /// (T, in) to (T, out).
    pub(super) fn forward(&self, x: &[f32]) -> Vec<f32> {
        if let Some(Ok(mut gram)) = self.gram.as_ref().map(Mutex::lock) {
            add_gram(&mut gram, x, self.inputs);
        }
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

/// Adds XᵀX of `x` (T, in) to `gram` (in, in).
fn add_gram(gram: &mut [f64], x: &[f32], inputs: usize) {
    gram.par_chunks_exact_mut(inputs).enumerate().for_each(|(i, sums)| {
        for x in x.chunks_exact(inputs) {
            sums.iter_mut().zip(x).for_each(|(sum, y)| *sum += f64::from(x[i]) * f64::from(*y));
        }
    });
}
