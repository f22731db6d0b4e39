//! Sparse mixture of SwiGLU experts (Shazeer et al. 2017, Jiang et al. 2024), as Jamba has it: softmax over all experts,
//! then the top k, **not** renormalised. As Granite has it, all tokens go through an MLP beside the experts, whose output is added
//! first, and the softmax is over the top k alone.
//!
//! Tokens of a chunk that chose the same expert go through it together, so its weights are read once, and several cores share the work of
//! many experts at a time. The experts' outputs are added to a token in order of the experts' numbers, whatever the chunk.

use super::mlp::{matrices, swiglu};
use super::norm::{Norm, normalize};
use super::pass::Pass;
use super::rows::{NUMBER, Rows, add_to, row, take_prefix};
use crate::kernels::{Mlps, TokenRows};
use crate::matrix::padded_cols;
use crate::model::MoeWeights;
use crate::planned::planned;
use crate::state::Buffers;
use heapless::Vec;

/// Adds the block's output to the residual stream.
#[inline(never)]
pub(crate) fn moe(pass: &mut Pass<'_, '_>, norm: &[f32], w: &MoeWeights<'_>) {
    let (k, tokens, header) = (pass.kernels, pass.tokens, pass.header);
    let (group, hidden) = (header.group as usize, norm.len());
    let (experts, top_k) = (header.experts as usize, header.top_k as usize);
    let Buffers { residual, quant_in, quant_mid, quant_routed, wide, scores, routed, routes, .. } = &mut *pass.buffers;
    let residual = take_prefix(residual, tokens * hidden);
    // Rows that there is room for: a whole chunk's.
    let rows = quant_routed.values.len() / padded_cols(hidden).max(8);
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
        let all = Mlps { get: &|_| matrices(&shared), ends: &[tokens] };
        add_to(k, residual, swiglu(k, all, &input, quant_mid, wide), &[], hidden);
    }

    let mut next = 0;
    while next < experts {
        // Experts together, as many as there is room for: the tokens that chose each of them, and their inputs side by side.
        let (mut together, mut ends) = (Vec::<u16, TOGETHER>::new(), Vec::<usize, TOGETHER>::new());
        let mut inputs = Rows::new(rows, hidden, group, quant_routed);
        let mut places = gathered.iter_mut().zip(inputs.iter_mut());
        let mut count = 0;
        while next < experts && !together.is_full() {
            let (expert, mut served) = (next as u16, count);
            for (token, (chosen, (values, scales))) in chosen.chunks_exact(top_k.max(1)).zip(input.rows()).enumerate() {
                #[expect(
                    clippy::manual_contains,
                    reason = "LLVM can't compile `contains` for WebAssembly with vectors"
                )]
                if chosen.iter().any(|&chosen| chosen == expert) {
                    served += 1;
                    if let Some((place, (to, to_scales))) = places.next() {
                        *place = token as u16;
                        to.iter_mut().zip(values).for_each(|(to, value)| *to = *value);
                        to_scales.iter_mut().zip(scales).for_each(|(to, scale)| *to = *scale);
                    }
                }
            }
            // Where it didn't get all of its tokens, it comes with the next ones.
            if served > rows && count > 0 {
                break;
            }
            next += 1;
            if served > count {
                count = served;
                // There is room: the loop's condition.
                let _ = (together.push(expert), ends.push(count));
            }
        }
        drop(places);
        if together.is_empty() {
            continue;
        }
        let inputs = inputs.into_first(count);
        let get = |index: usize| {
            let expert = planned(together.get(index).copied());
            matrices(&w.experts.get(expert.into()))
        };
        let out = swiglu(k, Mlps { get: &get, ends: &ends }, &inputs, quant_mid, wide);
        let (gathered, chosen, routes) = (&*gathered, &*chosen, &**routes);
        let rows = TokenRows { x: &mut *residual, width: hidden, values: &mut [], scales: &mut [] };
        k.tokens(tokens, NUMBER, rows, &|token, to| {
            let choices = chosen.iter().zip(routes).skip(token * top_k).take(top_k);
            let mut begin = 0;
            for (expert, &end) in together.iter().zip(&ends) {
                let served = planned(gathered.get(begin..end)).iter().position(|served| usize::from(*served) == token);
                if let Some(place) = served
                    && let Some((_, weight)) = choices.clone().find(|choice| choice.0 == expert)
                {
                    for (x, y) in to.x.iter_mut().zip(row(out, begin + place, hidden)) {
                        *x += weight * y;
                    }
                }
                begin = end;
            }
        });
    }
}

/// The most experts whose tokens go through them together. Fewer in debug builds, for the small models of tests to have more.
const TOGETHER: usize = if cfg!(debug_assertions) { 4 } else { 16 };

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
