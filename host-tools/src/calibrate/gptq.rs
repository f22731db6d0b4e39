//! GPTQ (Frantar et al. 2022): a matrix is rounded column by column, and what a column loses is made up for by the columns that
//! are still to be rounded, as far as the inputs that the calibration text gave are correlated.
//!
//! With X (T, in) the inputs, H = XᵀX + λI and H⁻¹ = UᵀU, U upper triangular, rounding column i of a row w to ŵ changes the
//! columns j > i:
//!
//! ```text
//! w[j] −= (w[i] − ŵ[i]) / U[i, i] · U[i, j]
//! ```
//!
//! λ is a hundredth of the mean of the diagonal of XᵀX, as in the paper. The scale of a group is searched when its first column
//! is reached, for the weights as they are then.

use super::Documents;
use super::losses::layer_of;
use crate::hf::{WeightId, Weights};
use crate::pack::{Choice, Fit, Format, Noise, factor, nibble, nibble_scale};
use crate::reference::Reference;
use anyhow::Result;
use jamlet::matrix::{Bits, NIBBLE_GROUP};
use rayon::prelude::*;
use std::collections::HashMap;

/// λ, as a part of the mean of the diagonal.
const DAMPING: f64 = 0.01;

/// Rounds the matrices of layers and head that have 4 bits, in place. A layer's inputs are those that the layers before it give
/// when they are rounded; their memory, beside the reference, is that of one layer. A matrix whose inputs the text doesn't reach,
/// such as that of an expert which no token visits, is left as it is, and so is an embedding. Returns what each matrix lost. `tick` is
/// called after each layer.
///
/// # Errors
/// When a weight can't be read.
pub fn gptq(
    weights: &mut Weights,
    documents: &Documents,
    choice: &Choice,
    mut tick: impl FnMut(),
) -> Result<HashMap<WeightId, Noise>> {
    let mut model = Reference::from_weights(weights)?;
    let mut lost = HashMap::new();
    let tied = weights.config().tie_word_embeddings;
    let four: Vec<WeightId> = weights.ids().iter().copied().filter(|id| choice.bits(*id) == Bits::Four).collect();
    let search = Format { bits: Bits::Four, group: NIBBLE_GROUP, fit: Fit::Search };
    if four.contains(&WeightId::Embedding) {
        model.round(WeightId::Embedding, weights.config().hidden_size, search);
    }
    let mut walks = documents.inputs().map(|tokens| model.enter(tokens)).collect::<Result<Vec<_>, _>>()?;
    for layer in 0..weights.config().num_hidden_layers {
        let here: Vec<WeightId> = four.iter().copied().filter(|id| layer_of(*id) == Some(layer)).collect();
        here.iter().for_each(|id| model.watch(*id));
        for walk in &walks {
            model.pass(&mut walk.clone());
        }
        for id in here {
            lost.extend(round_in(&mut model, weights, id)?.map(|noise| (id, noise)));
        }
        walks.iter_mut().for_each(|walk| model.pass(walk));
        tick();
    }
    if !tied && four.contains(&WeightId::Head) {
        model.watch(WeightId::Head);
        walks.into_iter().for_each(|walk| drop(model.leave(walk)));
        let head = WeightId::Head;
        lost.extend(round_in(&mut model, weights, head)?.map(|noise| (head, noise)));
    }
    Ok(lost)
}

/// Rounds a matrix whose inputs were watched, in the model and in the weights.
fn round_in(model: &mut Reference, weights: &mut Weights, id: WeightId) -> Result<Option<Noise>> {
    let (matrix, factor) = (weights.matrix(id), factor(weights.config(), id));
    let folded: Vec<f32> = matrix.read()?.iter().map(|w| w * factor).collect();
    let Some(rounded) = model.seen(id).and_then(|gram| round(&folded, matrix.cols(), gram)) else { return Ok(None) };
    let noise = |(w, rounded): (&f32, &f32)| {
        let (w, error) = (f64::from(*w), f64::from(w - rounded));
        Noise { signal: w * w, noise: error * error }
    };
    let noise = folded.iter().zip(&rounded).map(noise).fold(Noise::default(), Noise::plus);
    let rounded: Vec<f32> = rounded.into_iter().map(|w| w / factor).collect();
    model.put(id, rounded.clone());
    weights.hold(id, rounded);
    Ok(Some(noise))
}

/// Rounds `weights`, rows of `cols` numbers, to the grids of 4 bits; `gram` is XᵀX (cols, cols). `None` where no input was seen.
pub(super) fn round(weights: &[f32], cols: usize, mut gram: Vec<f64>) -> Option<Vec<f32>> {
    let mean = gram.iter().step_by(cols + 1).sum::<f64>() / cols as f64;
    if mean <= 0.0 || !mean.is_finite() {
        return None;
    }
    gram.iter_mut().step_by(cols + 1).for_each(|x| *x += DAMPING * mean);
    let factor = inverse_factor(gram, cols)?;
    let mut rounded = vec![0.0; weights.len()];
    rounded
        .par_chunks_exact_mut(cols)
        .zip(weights.par_chunks_exact(cols))
        .for_each(|(rounded, row)| round_row(rounded, row, &factor));
    Some(rounded)
}

fn round_row(rounded: &mut [f32], row: &[f32], factor: &[f64]) {
    let cols = row.len();
    let mut row: Vec<f64> = row.iter().map(|w| f64::from(*w)).collect();
    for begin in (0..cols).step_by(NIBBLE_GROUP) {
        let end = (begin + NIBBLE_GROUP).min(cols);
        let group: Vec<f32> = row[begin..end].iter().map(|w| *w as f32).collect();
        let scale = nibble_scale(&group).to_f32();
        for i in begin..end {
            let steps = if scale == 0.0 { 0.0 } else { nibble(row[i] as f32 / scale) };
            rounded[i] = steps * scale;
            let factor = &factor[i * cols..][..cols];
            let lost = (row[i] - f64::from(rounded[i])) / factor[i];
            row[i + 1..].iter_mut().zip(&factor[i + 1..]).for_each(|(w, u)| *w -= lost * u);
        }
    }
}

/// U, upper triangular, with H⁻¹ = UᵀU, of H (n, n). `None` where H isn't positive definite.
///
/// H = R Rᵀ with R upper triangular is Cholesky's factorization from the last row to the first; then U is the inverse of R.
fn inverse_factor(mut h: Vec<f64>, n: usize) -> Option<Vec<f64>> {
    // R takes the place of H's upper triangle, column by column from the right.
    for j in (0..n).rev() {
        let (above, rest) = h.split_at_mut(j * n);
        let row = &mut rest[..n];
        let pivot = row[j] - row[j + 1..].iter().map(|x| x * x).sum::<f64>();
        if !(pivot.is_finite() && pivot > 0.0) {
            return None;
        }
        row[j] = pivot.sqrt();
        let row = &*row;
        above.par_chunks_exact_mut(n).for_each(|other| {
            let product: f64 = other[j + 1..].iter().zip(&row[j + 1..]).map(|(a, b)| a * b).sum();
            other[j] = (other[j] - product) / row[j];
        });
    }
    let mut inverse = vec![0.0; n * n];
    inverse.par_chunks_exact_mut(n).enumerate().for_each(|(i, u)| {
        // u R is the row i of the identity.
        u[i] = 1.0;
        for j in i..n {
            u[j] /= h[j * n + j];
            let (solved, left) = u.split_at_mut(j + 1);
            left.iter_mut().zip(&h[j * n + j + 1..]).for_each(|(x, r)| *x -= solved[j] * r);
        }
    });
    Some(inverse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::round_trip;

    fn random(count: usize, seed: &mut u64) -> Vec<f64> {
        let mut next = || {
            *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (*seed >> 40) as f64 / 8_388_608.0 - 1.0
        };
        (0..count).map(|_| next() + next() + next()).collect()
    }

    fn gram(inputs: &[f64], n: usize) -> Vec<f64> {
        let mut gram = vec![0.0; n * n];
        for x in inputs.chunks_exact(n) {
            for (i, row) in gram.chunks_exact_mut(n).enumerate() {
                row.iter_mut().zip(x).for_each(|(sum, y)| *sum += x[i] * y);
            }
        }
        gram
    }

    const SEARCH: Format = Format { bits: Bits::Four, group: NIBBLE_GROUP, fit: Fit::Search };

    #[test]
    fn the_factor_is_that_of_the_inverse() {
        let mut seed = 3;
        for n in [1, 2, 7, 40] {
            let h = gram(&random(3 * n * n, &mut seed), n);
            let u = inverse_factor(h.clone(), n).expect("positive definite");
            // UᵀU H is the identity.
            for i in 0..n {
                for j in 0..n {
                    let inverse = |k: usize| (0..n).map(|l| u[l * n + i] * u[l * n + k]).sum::<f64>();
                    let product: f64 = (0..n).map(|k| inverse(k) * h[k * n + j]).sum();
                    assert!((product - f64::from(u8::from(i == j))).abs() < 1e-8, "{n} {i} {j}: {product}");
                    assert!(i <= j || u[i * n + j] == 0.0, "upper triangular");
                }
            }
        }
        assert!(inverse_factor(vec![1.0, 2.0, 2.0, 1.0], 2).is_none());
    }

    #[test]
    fn inputs_without_correlation_change_nothing() {
        let mut seed = 5;
        let weights: Vec<f32> = random(6 * 72, &mut seed).iter().map(|w| *w as f32).collect();
        let mut identity = vec![0.0; 72 * 72];
        identity.iter_mut().step_by(73).for_each(|x| *x = 2.0);
        assert_eq!(round(&weights, 72, identity), Some(round_trip(&weights, 72, SEARCH)));
        assert_eq!(round(&weights, 72, vec![0.0; 72 * 72]), None);
    }

    #[test]
    fn outputs_lose_less_than_by_rounding_each_weight() {
        let (mut seed, n) = (7, 96);
        let weights: Vec<f32> = random(16 * n, &mut seed).iter().map(|w| *w as f32).collect();
        // Inputs with a few directions in common.
        let (common, own) = (random(200 * 8, &mut seed), random(200 * n, &mut seed));
        let mixture = random(8 * n, &mut seed);
        let inputs: Vec<f64> = (0..200 * n)
            .map(|i| {
                let shared = common[i / n * 8..][..8].iter().enumerate().map(|(k, c)| c * mixture[k * n + i % n]);
                shared.sum::<f64>() + 0.3 * own[i]
            })
            .collect();
        let lost = |rounded: &[f32]| -> f64 {
            let rows = weights.chunks_exact(n).zip(rounded.chunks_exact(n));
            let outputs = rows.flat_map(|(w, r)| {
                inputs.chunks_exact(n).map(move |x| {
                    let error = x.iter().zip(w.iter().zip(r)).map(|(x, (w, r))| x * f64::from(w - r)).sum::<f64>();
                    error * error
                })
            });
            outputs.sum()
        };
        let rounded = round(&weights, n, gram(&inputs, n)).expect("inputs");
        let (ours, plain) = (lost(&rounded), lost(&round_trip(&weights, n, SEARCH)));
        assert!(ours < 0.5 * plain, "{ours} {plain}");
        // What was rounded stays what it is in an image.
        assert_eq!(round_trip(&rounded, n, SEARCH), rounded);
    }
}
