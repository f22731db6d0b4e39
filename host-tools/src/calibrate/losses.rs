//! What 4 bits cost, matrix by matrix.

use super::Documents;
use crate::eval::divergence;
use crate::hf::{Projection, WeightId, Weights};
use crate::pack::{Choice, Fit, Format, MatrixSize, Widths, bits_of};
use crate::reference::{Reference, Rounding, Walk};
use anyhow::Result;
use jamlet::matrix::{Bits, NIBBLE_GROUP};
use rayon::prelude::*;

/// Matrices that are chosen together: one, or those of one role of all experts of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// What they are.
    pub name: String,
    /// Which. A head that is the embedding is listed with it.
    pub ids: Vec<WeightId>,
    /// What they cost in 4 bits: mean divergence of the model's predictions, in nat.
    pub loss: f64,
}

/// What is to be chosen for `matrices`, without losses: those that may have 4 bits.
pub fn candidates(weights: &Weights, matrices: &[MatrixSize]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for id in matrices.iter().map(|matrix| matrix.id).filter(|id| bits_of(*id, Widths::FOUR) == Bits::Four) {
        let name = name(weights, id);
        // Experts follow each other with their three matrices.
        let role = |other: &WeightId| match (id, *other) {
            (WeightId::Expert(l, _, which), WeightId::Expert(other, _, role)) => (l, which) == (other, role),
            _ => false,
        };
        if let Some(part) = parts.iter_mut().rev().take(3).find(|part| part.ids.iter().take(1).any(role)) {
            part.ids.push(id);
            continue;
        }
        let tied = id == WeightId::Embedding && weights.config().tie_word_embeddings;
        let ids = if tied { vec![id, WeightId::Head] } else { vec![id] };
        parts.push(Part { name, ids, loss: 0.0 });
    }
    parts.sort_by_key(layer);
    parts
}

fn name(weights: &Weights, id: WeightId) -> String {
    let which = |which| match which {
        Projection::Gate => "gate",
        Projection::Up => "up",
        Projection::Down => "down",
    };
    let name = weights.matrix(id).tensor().name();
    match id {
        WeightId::Expert(l, _, role) => format!("{} of all experts of layer {l}", which(role)),
        // Fused tensors hold more than one matrix.
        WeightId::Mlp(_, role) | WeightId::Shared(_, role) if !name.ends_with("_proj.weight") => {
            format!("{name} ({})", which(role))
        }
        _ => name.to_owned(),
    }
}

/// What the exact model says of the text: logits, (T, V) each document.
#[derive(Debug)]
pub struct Exact(Vec<Vec<f32>>);

/// Measures the loss of every part. `tick` is called after each.
///
/// # Errors
/// When a weight can't be read.
pub fn measure(
    weights: &Weights,
    documents: &Documents,
    fit: Fit,
    parts: &mut [Part],
    mut tick: impl FnMut(),
) -> Result<Exact> {
    let mut model = Reference::from_weights(weights)?;
    let enter = |model: &Reference| documents.inputs().map(|tokens| model.enter(tokens)).collect::<Result<Vec<_>, _>>();
    let mut walks = enter(&model)?;
    let exact = Exact(walks.iter().map(|walk| model.leave(walk.clone())).collect());
    for part in parts {
        // Parts come in the order of the layers; behind the last, a text stays where it is.
        let layer = layer(part).min(weights.config().num_hidden_layers);
        for walk in &mut walks {
            while walk.passed() < layer {
                model.pass(walk);
            }
        }
        let format = Format { bits: Bits::Four, group: NIBBLE_GROUP, fit };
        let round = |id: &WeightId| Some((*id, model.round(*id, weights.matrix(*id).cols(), format)?));
        let before: Vec<_> = part.ids.iter().filter_map(round).collect();
        part.loss = match part.ids.contains(&WeightId::Embedding) {
            true => exact.divergence(&model, enter(&model)?),
            false => exact.divergence(&model, walks.clone()),
        };
        before.into_iter().for_each(|(id, weights)| model.put(id, weights));
        tick();
    }
    Ok(exact)
}

impl Exact {
    /// Mean divergence of what `model` makes of texts on their way through it, in nat.
    fn divergence(&self, model: &Reference, walks: Vec<Walk>) -> f64 {
        let vocab = model.config().vocab_size;
        let (mut sum, mut count) = (0.0, 0);
        for (walk, exact) in walks.into_iter().zip(&self.0) {
            let ours = model.leave(walk);
            let rows = ours.par_chunks_exact(vocab).zip(exact.par_chunks_exact(vocab));
            // Added one after the other: the same sum on any number of cores.
            let divergences: Vec<f64> = rows.map(|(ours, exact)| divergence(ours, exact)).collect();
            sum += divergences.iter().sum::<f64>();
            count += divergences.len();
        }
        sum / count.max(1) as f64
    }

    /// Mean divergence of the model with this choice of bits and scales, where everything else is rounded as the engine rounds, in nat.
    ///
    /// # Errors
    /// When a weight can't be read.
    pub fn of_choice(&self, weights: &Weights, documents: &Documents, choice: &Choice, fit: Fit) -> Result<f64> {
        let bits = &|id| choice.bits(id);
        let model = Reference::rounded(weights, Rounding { bits, fit, ..Rounding::engine(NIBBLE_GROUP) })?;
        let walks = documents.inputs().map(|tokens| model.enter(tokens)).collect::<Result<_, _>>()?;
        Ok(self.divergence(&model, walks))
    }
}

/// The layer of a part; the embedding is before the first, the head behind the last.
fn layer(part: &Part) -> usize {
    match part.ids.first() {
        Some(WeightId::Head) => usize::MAX,
        Some(id) => layer_of(*id).unwrap_or(0),
        None => 0,
    }
}

/// The layer of a matrix that may have 4 bits; embedding and head are in none.
pub(super) fn layer_of(id: WeightId) -> Option<usize> {
    use WeightId::*;
    match id {
        InProj(l)
        | OutProj(l)
        | Query(l)
        | Key(l)
        | Value(l)
        | Output(l)
        | Mlp(l, _)
        | Expert(l, ..)
        | Shared(l, _) => Some(l),
        _ => None,
    }
}
