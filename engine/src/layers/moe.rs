//! Sparse mixture of SwiGLU experts (Shazeer et al. 2017, Jiang et al. 2024), as Jamba has it: softmax over all experts,
//! then the top k, **not** renormalised. As Granite has it, all tokens go through an MLP beside the experts, whose output is added
//! first, and the softmax is over the top k alone.
//!
//! Tokens of a chunk that chose the same expert go through it together, so its weights are read once. The experts' outputs
//! are added to a token in order of the experts' numbers, whatever the chunk.

use super::mlp::swiglu;
use super::norm::{Norm, normalize};
use super::pass::Pass;
use super::rows::{NUMBER, Rows, add_to, row, take_prefix};
use crate::kernels::TokenRows;
use crate::model::MoeWeights;
use crate::planned::planned;
use crate::state::Buffers;

/// Adds the block's output to the residual stream.
#[inline(never)]
pub(crate) fn moe(pass: &mut Pass<'_, '_>, norm: &[f32], w: &MoeWeights<'_>) {
    let (k, tokens, header) = (pass.kernels, pass.tokens, pass.header);
    let (group, hidden) = (header.group as usize, norm.len());
    let (experts, top_k) = (header.experts as usize, header.top_k as usize);
    let Buffers { residual, quant_in, quant_mid, quant_routed, wide, scores, routed, routes, .. } = &mut *pass.buffers;
    let residual = take_prefix(residual, tokens * hidden);
    let (chosen, gathered) = planned(routed.split_at_mut_checked(tokens * top_k));
    let normed = take_prefix(wide[2], residual.len());
    let input = normalize(k, residual, Norm { weight: norm, eps: header.eps }, group, normed, quant_in);
    let scores = take_prefix(scores, experts);
    let choices = chosen.chunks_exact_mut(top_k.max(1)).zip(routes.chunks_exact_mut(top_k.max(1)));
    for (normed, (chosen, weights)) in normed.chunks_exact(hidden.max(1)).zip(choices) {
        for (score, row) in scores.iter_mut().zip(w.router.chunks_exact(hidden.max(1))) {
            *score = k.dot(normed, row);
        }
        let sum = k.softmax(scores);
        route(scores, chosen, weights);
        let sum =
            if header.shared_intermediate > 0 { weights.iter().fold(0.0, |sum, weight| sum + weight) } else { sum };
        weights.iter_mut().for_each(|weight| *weight /= sum);
    }
    if let Some(shared) = w.experts.shared() {
        add_to(k, residual, swiglu(k, &shared, &input, quant_mid, wide), &[], hidden);
    }

    for expert in 0..experts as u16 {
        // The tokens that chose this expert, and their inputs side by side.
        let mut shared = Rows::new(tokens, hidden, group, quant_routed);
        let mut count = 0;
        let mut places = gathered.iter_mut().zip(shared.iter_mut());
        for (token, (chosen, (values, scales))) in chosen.chunks_exact(top_k.max(1)).zip(input.rows()).enumerate() {
            #[expect(clippy::manual_contains, reason = "LLVM can't compile `contains` for WebAssembly with vectors")]
            let serves = chosen.iter().any(|&chosen| chosen == expert);
            if serves && let Some((place, (to, to_scales))) = places.next() {
                *place = token as u16;
                to.iter_mut().zip(values).for_each(|(to, value)| *to = *value);
                to_scales.iter_mut().zip(scales).for_each(|(to, scale)| *to = *scale);
                count += 1;
            }
        }
        drop(places);
        if count == 0 {
            continue;
        }
        let input = shared.into_first(count);
        let out = swiglu(k, &w.experts.get(expert.into()), &input, quant_mid, wide);
        let (gathered, chosen, routes) = (&*gathered, &*chosen, &**routes);
        let rows = TokenRows { x: &mut *residual, width: hidden, values: &mut [], scales: &mut [] };
        k.tokens(tokens, NUMBER, rows, &|token, to| {
            let place = gathered.iter().take(count).position(|&served| usize::from(served) == token);
            let choice =
                chosen.iter().zip(routes.iter()).skip(token * top_k).take(top_k).find(|choice| *choice.0 == expert);
            if let (Some(place), Some((_, weight))) = (place, choice) {
                for (x, y) in to.x.iter_mut().zip(row(out, place, hidden)) {
                    *x += weight * y;
                }
            }
        });
    }
}

/// The most probable experts in falling order (the lower number first among equals) and their scores, which are exponentials.
/// Those of the chosen are used up.
fn route(scores: &mut [f32], chosen: &mut [u16], weights: &mut [f32]) {
    for (expert, weight) in chosen.iter_mut().zip(weights) {
        let mut best = (0, -1.0);
        for (index, &score) in scores.iter().enumerate() {
            if score > best.1 {
                best = (index, score);
            }
        }
        *expert = best.0 as u16;
        *weight = best.1;
        if let Some(score) = scores.get_mut(best.0) {
            *score = -1.0;
        }
    }
}
