//! Grouped-query attention (Ainslie et al. 2023) over the bounded cache, without positional encoding.
//!
//! ```text
//! q, k, v  = q_proj(x), k_proj(x), v_proj(x)
//! a[t]     = softmax over cached t of (q · k[t]) / sqrt(head_dim)
//! out      = o_proj(Σ_t a[t]·v[t])
//! ```

use super::{Pass, add_rows, first, normalize, quantize_rows};
use crate::model::AttentionWeights;
use crate::state::cache::{Cache, Head};

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
    let group = header.group as usize;
    let (dim, kv_heads) = (cache.head_dim, cache.kv_heads);
    let (q_width, kv_width) = (header.heads as usize * dim, kv_heads * dim);
    // Query heads that share a key-value head.
    let shared_width = (header.heads as usize / kv_heads.max(1) * dim).max(1);
    let b = &mut *pass.buffers;
    let [queries, mixed, _] = &mut b.wide;
    let (queries, mixed) = (first(queries, tokens * q_width), first(mixed, tokens * q_width));
    let (keys, values) =
        first(b.narrow, 2 * tokens * kv_width).split_at_mut_checked(tokens * kv_width).unwrap_or_default();
    let residual = first(b.residual, tokens * norm.len());

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
        let shared = queries.chunks_exact(shared_width).zip(mixed.chunks_exact_mut(shared_width));
        let shared = shared.zip(keys.chunks_exact(dim.max(1)).zip(values.chunks_exact(dim.max(1))));
        for (kv_head, ((queries, mixed), (key, value))) in shared.enumerate() {
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
            let (Some(keys), Some(values), Some(key_scales), Some(value_scales)) = (
                head.keys.get(..used * dim),
                head.values.get(..used * dim),
                head.key_scales.get(..used),
                head.value_scales.get(..used),
            ) else {
                continue;
            };
            for (q, out) in queries.chunks_exact(dim.max(1)).zip(mixed.chunks_exact_mut(dim.max(1))) {
                let q_scale = k.quantize_query(q, b.query) * scale;
                let scores = first(b.scores, used);
                k.scores(b.query, q_scale, keys, key_scales, scores);
                let sum = k.softmax(scores);
                #[cfg(feature = "heavy-hitters")]
                if let Some(counts) = head.counts.get_mut(heavy.start..used) {
                    let scores = scores.get(heavy.start..).unwrap_or(&[]);
                    k.count_attention(scores, sum, pass.position + ahead as u64, counts);
                }
                k.weighted_values(scores, sum, values, value_scales, out);
            }
        }
    }

    let mixed = quantize_rows(k, mixed, q_width, q_width, group, (&mut *b.quant_mid.0, &mut *b.quant_mid.1));
    let out = first(b.wide[2], residual.len());
    k.matmul(&w.o, &mixed, out);
    add_rows(residual, out);
}

/// Quantizes one token's key and value into its slot.
fn store(head: &mut Head<'_>, slot: usize, key: &[f32], value: &[f32], k: crate::kernels::Kernels<'_>) {
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
