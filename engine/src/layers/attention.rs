//! Grouped-query attention (Ainslie et al. 2023) over the bounded cache, without positional encoding.
//!
//! ```text
//! q, k, v  = q_proj(x), k_proj(x), v_proj(x)
//! a[t]     = softmax over cached t of (q · k[t]) / sqrt(head_dim)
//! out      = o_proj(Σ_t a[t]·v[t])
//! ```

use super::norm::{Norm, normalize};
use super::pass::Pass;
use super::rows::{add_to, quantize_rows, row, take_prefix};
use crate::kernels::{HeadRoom, Kernels, Lane, Product, Units, WeightedHead};
use crate::model::AttentionWeights;
use crate::planned::planned;
use crate::state::cache::{Attended, AttendedHead, Cache};
use core::num::NonZeroUsize;

/// Adds the block's output to the residual stream and stores the chunk's keys and values in attention layer `layer`
/// of the sequences' caches. The caller moves these on, once for all layers.
#[inline(never)]
pub(crate) fn attention(
    pass: &mut Pass<'_, '_>,
    norm: &[f32],
    w: &AttentionWeights<'_>,
    cache: &mut Cache<'_>,
    layer: usize,
) {
    let (k, tokens, header) = (pass.kernels, pass.tokens, pass.header);
    let group = header.group as usize;
    let (q_width, kv_width) = (header.heads as usize * cache.head_dim, cache.kv_heads * cache.head_dim);
    let b = &mut *pass.buffers;
    let [queries, mixed, out] = &mut b.wide;
    let (queries, mixed) = (take_prefix(queries, tokens * q_width), take_prefix(mixed, tokens * q_width));
    let (keys, values) = planned(take_prefix(b.narrow, 2 * tokens * kv_width).split_at_mut_checked(tokens * kv_width));
    let residual = take_prefix(b.residual, tokens * norm.len());
    let out = take_prefix(out, residual.len());

    let norm = Norm { weight: norm, eps: header.eps };
    let input = normalize(k, residual, norm, group, out, &mut b.quant_in);
    k.products(&mut [Product::new(&w.q, queries), Product::new(&w.k, keys), Product::new(&w.v, values)], &input);

    let scale = 1.0 / libm::sqrtf(cache.head_dim as f32);
    // The tokens of a sequence, then those of the next one.
    let (mut begin, mut layer) = (0, layer);
    while begin < tokens {
        let each = pass.each.clamp(1, tokens - begin);
        let mut first = 0;
        while first < each {
            // Tokens together that evict none, for all slots to be as if they came one by one, whatever the chunk.
            let count = cache.fitting(first).min(each - first).max(1);
            for ahead in first..first + count {
                let token = begin + ahead;
                cache.push(layer, ahead, row(keys, token, kv_width), row(values, token, kv_width), k);
            }
            if let Some((attended, counts)) = cache.attended(layer, first + count - 1) {
                let of = (begin + first) * q_width..(begin + first + count) * q_width;
                let tokens = Tokens {
                    queries: planned(queries.get(of.clone())),
                    mixed: planned(mixed.get_mut(of)),
                    count,
                    scale,
                    position: pass.position + first as u64,
                };
                all_heads(k, tokens, &attended, counts, b.query, b.scores);
            }
            first += count;
        }
        (begin, layer) = (begin + each, layer + cache.layers);
    }

    let mixed = quantize_rows(k, mixed, q_width, group, &mut b.quant_mid);
    k.matmul(&w.o, &mixed, out);
    add_to(k, residual, out, &[], norm.weight.len());
}

/// Tokens that are stored.
struct Tokens<'a> {
    /// `(count, heads, head_dim)`.
    queries: &'a [f32],
    /// `(count, heads, head_dim)`: for each head the sum of the values it attends to.
    mixed: &'a mut [f32],
    count: usize,
    /// Of scores: `1 / sqrt(head_dim)`.
    scale: f32,
    /// Tokens before the first one.
    position: u64,
}

/// All heads of some tokens, spread over the cores; `query` and `scores` have room for some at the same time. The last token
/// attends to `attended`. There are no counts where there are several tokens.
///
/// Not part of the block, whose matrix products take the most of the stack.
#[inline(never)]
fn all_heads(
    k: Kernels<'_>,
    tokens: Tokens<'_>,
    attended: &Attended<'_>,
    counts: &mut [u16],
    query: &mut [i16],
    scores: &mut [f32],
) {
    let (dim, slots) = (attended.head_dim, attended.slots);
    let Tokens { queries, mixed, count, scale, position } = tokens;
    let heads = queries.len() / (count * dim).max(1);
    // Query heads that share a key-value head.
    let shared = NonZeroUsize::new(heads / attended.kv_heads.max(1)).unwrap_or(NonZeroUsize::MIN);
    let at_once = if counts.is_empty() { k.heads_at_once(heads, shared.get(), query.len() / dim.max(1)) } else { 1 };
    // Heads whose attention is counted together stay together.
    let unit = if counts.is_empty() { at_once } else { shared.get() };
    let of_token = heads.checked_div(unit).and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN);
    let room = HeadRoom { query, scores, heads: at_once, head_dim: dim, slots };
    let units = Units { out: mixed, width: unit * dim, counts, bytes: 2 * attended.used * queries.len() };
    k.heads(room, units, |index, lane, mixed, counts| {
        let queries = row(queries, index, unit * dim);
        let (token, index) = (index / of_token, index % of_token);
        if let Some(head) = attended.head(index * unit / shared, count - 1 - token) {
            let attention = |weights: &[f32], sum, k| attended.count(weights, sum, position, counts, k);
            some_heads(lane, &head, queries, scale, mixed, attention);
        }
    });
}

/// Query heads `(heads, head_dim)` that share a key-value head, as many at a time as the lane has rows of scores for.
/// `count` gets every head's softmax weights and their sum.
fn some_heads(
    lane: &mut Lane<'_>,
    head: &AttendedHead<'_>,
    queries: &[f32],
    scale: f32,
    mixed: &mut [f32],
    mut count: impl FnMut(&[f32], f32, Kernels<'static>),
) {
    let (k, dim) = (lane.kernels, head.head_dim);
    let (at_once, slots) = (lane.heads * dim, lane.slots);
    for (queries, mixed) in queries.chunks(at_once.max(1)).zip(mixed.chunks_mut(at_once.max(1))) {
        let mut sums = [0.0; Lane::MOST_HEADS];
        let rows = lane.scores.chunks_exact_mut(slots.max(1));
        for ((q, scores), sum) in queries.chunks_exact(dim.max(1)).zip(rows).zip(&mut sums) {
            let scores = take_prefix(scores, head.used());
            *sum = weights(k, head, q, scale, lane.query, scores);
            count(scores, *sum, k);
        }
        let rows = lane.scores.chunks_exact_mut(slots.max(1)).zip(sums).zip(mixed.chunks_exact_mut(dim.max(1)));
        let heads =
            rows.map(|((scores, sum), out)| WeightedHead { weights: take_prefix(scores, head.used()), sum, out });
        k.weighted_values_of_heads(heads, head.values, head.value_scales);
    }
}

/// What one query head `(head_dim)` attends to: leaves `exp(score − max)` of every slot in `scores` and returns their sum.
/// `query (head_dim)` is scratch.
fn weights(
    k: Kernels<'_>,
    head: &AttendedHead<'_>,
    q: &[f32],
    scale: f32,
    query: &mut [i16],
    scores: &mut [f32],
) -> f32 {
    let query = take_prefix(query, q.len());
    let q_scale = k.quantize_query(q, query) * scale;
    k.scores(query, q_scale, head.keys, head.key_scales, scores);
    k.softmax(scores)
}
