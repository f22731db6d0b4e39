//! Grouped-query attention (Ainslie et al. 2023) over the bounded cache, without positional encoding.
//!
//! ```text
//! q, k, v  = q_proj(x), k_proj(x), v_proj(x)
//! a[t]     = softmax over cached t of (q · k[t]) / sqrt(head_dim)
//! out      = o_proj(Σ_t a[t]·v[t])
//! ```

use super::{Pass, add_rows, normalize, quantize_rows, take_prefix};
use crate::kernels::{Kernels, Lanes};
use crate::model::AttentionWeights;
use crate::state::cache::{Cache, Head};
use core::num::NonZeroUsize;

/// Adds the block's output to the residual stream and stores the chunk's keys and values in attention layer `layer`
/// of the cache. The cache is moved on by the caller, once for all layers.
#[inline(never)]
pub(crate) fn attention(
    pass: &mut Pass<'_, '_>,
    norm: &[f32],
    w: &AttentionWeights<'_>,
    cache: &mut Cache<'_>,
    layer: usize,
) {
    let (k, tokens, header) = (pass.kernels, pass.tokens, pass.header);
    #[cfg(feature = "heavy-hitters")]
    let position = pass.position;
    let group = header.group as usize;
    let (dim, kv_heads) = (cache.head_dim, cache.kv_heads);
    let heads = header.heads as usize;
    let (q_width, kv_width) = (heads * dim, kv_heads * dim);
    // Query heads that share a key-value head.
    let shared = NonZeroUsize::new(heads / kv_heads.max(1)).unwrap_or(NonZeroUsize::MIN);
    let b = &mut *pass.buffers;
    let [queries, mixed, _] = &mut b.wide;
    let (queries, mixed) = (take_prefix(queries, tokens * q_width), take_prefix(mixed, tokens * q_width));
    let (keys, values) =
        take_prefix(b.narrow, 2 * tokens * kv_width).split_at_mut_checked(tokens * kv_width).unwrap_or_default();
    let residual = take_prefix(b.residual, tokens * norm.len());

    let input = normalize(k, residual, (norm, header.eps), group, b.normed, (&mut *b.quant_in.0, &mut *b.quant_in.1));
    k.matmul(&w.q, &input, queries);
    k.matmul(&w.k, &input, keys);
    k.matmul(&w.v, &input, values);

    let scale = 1.0 / libm::sqrtf(dim as f32);
    let rows = queries.chunks_exact(q_width.max(1)).zip(mixed.chunks_exact_mut(q_width.max(1)));
    let rows = rows.zip(keys.chunks_exact(kv_width.max(1)).zip(values.chunks_exact(kv_width.max(1))));
    // Token by token, so that a token sees the same slots in the same order whatever its chunk.
    for (ahead, ((queries, mixed), (keys, values))) in rows.enumerate() {
        let (slot, used) = cache.slot(ahead);
        #[cfg(feature = "heavy-hitters")]
        let (full, heavy) = (cache.filled + ahead >= cache.slots, cache.sinks..cache.ring);
        for (kv_head, (key, value)) in keys.chunks_exact(dim.max(1)).zip(values.chunks_exact(dim.max(1))).enumerate() {
            let Some(mut head) = cache.head(layer, kv_head) else { continue };
            #[cfg(feature = "heavy-hitters")]
            {
                if slot == heavy.end {
                    head.age();
                }
                if full {
                    head.retire(slot, heavy.clone());
                }
            }
            store(&mut head, slot, key, value, k);
        }
        let slots = cache.slots;
        let Some((attended, counts)) = cache.attended(layer, used) else { continue };
        let pairs = counts.is_empty() && k.pairs_heads(heads, shared.get(), b.query.len() / dim.max(1));
        let rows = 1 + usize::from(pairs);
        // Heads that are counted together stay together.
        let unit = if counts.is_empty() { rows } else { shared.get() };
        let lanes = Lanes { query: &mut *b.query, scores: &mut *b.scores, heads: rows, head_dim: dim, slots };
        let bytes = 2 * used * q_width;
        k.heads(lanes, bytes, (mixed, unit * dim), counts, |index, lane, mixed, counts| {
            let Some([(keys, key_scales), (values, value_scales)]) = attended.head(index * unit / shared) else {
                return;
            };
            #[cfg(not(feature = "heavy-hitters"))]
            let _ = counts;
            let k = lane.kernels;
            let query = take_prefix(lane.query, dim);
            // Leaves exp(score − max) in `scores`, and returns their sum.
            let mut attend = |q: &[f32], scores: &mut [f32]| {
                let q_scale = k.quantize_query(q, query) * scale;
                k.scores(query, q_scale, keys, key_scales, scores);
                k.softmax(scores)
            };
            let queries = queries.get(index * unit * dim..).unwrap_or(&[]);
            let mut outputs = queries.chunks_exact(dim.max(1)).zip(mixed.chunks_exact_mut(dim.max(1)));
            let (scores, others) = lane.scores.split_at_mut_checked(slots).unwrap_or_default();
            let scores = take_prefix(scores, used);
            if pairs && let (Some((q, out)), Some((other_q, other))) = (outputs.next(), outputs.next()) {
                let others = take_prefix(others, used);
                let (sum, other_sum) = (attend(q, scores), attend(other_q, others));
                let two = [(scores, sum, out), (others, other_sum, other)];
                return k.weighted_values_of_two(two, values, value_scales);
            }
            for (q, out) in outputs {
                let sum = attend(q, scores);
                #[cfg(feature = "heavy-hitters")]
                if let Some(counts) = counts.get_mut(heavy.start..used) {
                    let scores = scores.get(heavy.start..).unwrap_or(&[]);
                    k.count_attention(scores, sum, position + ahead as u64, counts);
                }
                k.weighted_values(scores, sum, values, value_scales, out);
            }
        });
    }

    let mixed = quantize_rows(k, mixed, q_width, q_width, group, (&mut *b.quant_mid.0, &mut *b.quant_mid.1));
    let out = take_prefix(b.wide[2], residual.len());
    k.matmul(&w.o, &mixed, out);
    add_rows(residual, out);
}

/// Quantizes one token's key and value into its slot.
fn store(head: &mut Head<'_>, slot: usize, key: &[f32], value: &[f32], k: Kernels<'_>) {
    let dim = key.len();
    if let Some(count) = head.counts.get_mut(slot) {
        *count = 0;
    }
    let place = slot * dim..(slot + 1) * dim;
    if let (Some(to), Some(scale)) = (head.keys.get_mut(place.clone()), head.key_scales.get_mut(slot)) {
        *scale = k.quantize_head(key, to);
    }
    if let (Some(to), Some(scale)) = (head.values.get_mut(place), head.value_scales.get_mut(slot)) {
        *scale = k.quantize_head(value, to);
    }
}
