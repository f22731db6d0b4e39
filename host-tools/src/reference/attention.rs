//! Grouped-query attention (Ainslie et al. 2023), causal and without positional encoding.
//!
//! ```text
//! q, k, v = q_proj(x), k_proj(x), v_proj(x)
//! a[j]    = softmax over visible j of (q · k[j]) / sqrt(head_dim)       Granite has a multiplier instead
//! out     = o_proj(Σ_j a[j] v[j])
//! ```

use rayon::prelude::*;

use super::linear::Linear;
use super::loader::Loader;
use super::math::{dot, softmax};
use super::rounding::round_rows;
use crate::hf::{ImportError, WeightId};

/// Which earlier tokens attention sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Visible {
    /// All, as in training.
    #[default]
    All,
    /// What a bounded cache holds: the token at position t sees position j if `j < sinks` or `t - j < window`, so it
    /// counts itself into the window.
    Bounded {
        /// First tokens of the text that are never forgotten.
        sinks: usize,
        /// Most recent tokens, at least 1.
        window: usize,
    },
    /// What a cache of heavy hitters holds, for every layer and key-value head: see `engine/src/state/cache.rs`.
    HeavyHitters {
        /// First tokens of the text that are never forgotten.
        sinks: usize,
        /// Other tokens.
        window: usize,
        /// How many of them are the most recent, at least 1.
        recent: usize,
    },
}

impl Visible {
    /// Whether the token at position `t` sees the one at `j <= t`.
    fn sees(self, t: usize, j: usize) -> bool {
        match self {
            // Heavy hitters are kept by the attention layer itself.
            Self::All | Self::HeavyHitters { .. } => true,
            Self::Bounded { sinks, window } => j < sinks || t - j < window,
        }
    }
}

pub(super) struct Attention {
    query: Linear,  // (heads D, H)
    key: Linear,    // (kv_heads D, H)
    value: Linear,  // (kv_heads D, H)
    output: Linear, // (H, heads D)
    heads: usize,
    kv_heads: usize,
    head_dim: usize, // D
    /// What scores are multiplied by.
    scale: f32,
    /// Whether keys and values are rounded to int8.
    round: bool,
}

/// Keys and values of all tokens so far, each (tokens, kv_heads D).
#[derive(Clone, Debug, Default)]
pub(super) struct Cache {
    keys: Vec<f32>,
    values: Vec<f32>,
    /// Of every key-value head, where heavy hitters are kept: the tokens that are seen, and their counts of attention.
    kept: Vec<Vec<(usize, u32)>>,
}

impl Attention {
    pub(super) fn load(weights: &Loader<'_>, l: usize) -> Result<Self, ImportError> {
        let c = weights.config();
        Ok(Self {
            query: weights.linear(WeightId::Query(l), None)?,
            key: weights.linear(WeightId::Key(l), None)?,
            value: weights.linear(WeightId::Value(l), None)?,
            output: weights.linear(WeightId::Output(l), None)?,
            heads: c.num_attention_heads,
            kv_heads: c.num_key_value_heads,
            head_dim: c.head_dim,
            scale: c.multipliers.attention.unwrap_or(1.0 / (c.head_dim as f32).sqrt()),
            round: weights.cache(),
        })
    }

    /// The matrix of this name.
    pub(super) fn linear_mut(&mut self, id: WeightId) -> Option<&mut Linear> {
        match id {
            WeightId::Query(_) => Some(&mut self.query),
            WeightId::Key(_) => Some(&mut self.key),
            WeightId::Value(_) => Some(&mut self.value),
            WeightId::Output(_) => Some(&mut self.output),
            _ => None,
        }
    }

    /// (T, H) to (T, H); appends T tokens to the cache.
    pub(super) fn forward(&self, x: &[f32], cache: &mut Cache, visible: Visible) -> Vec<f32> {
        let (dim, width) = (self.head_dim, self.kv_heads * self.head_dim);
        let queries = self.query.forward(x); // (T, heads D)
        let before = cache.keys.len() / width;
        let (mut keys, mut values) = (self.key.forward(x), self.value.forward(x));
        if self.round {
            (keys, values) = (round_rows(&keys, dim, dim), round_rows(&values, dim, dim));
        }
        cache.keys.append(&mut keys);
        cache.values.append(&mut values);

        if let Visible::HeavyHitters { sinks, window, recent } = visible {
            return self.output.forward(&self.heavy_hitters(&queries, cache, before, [sinks, window, recent]));
        }
        let mut mixed = vec![0.0; queries.len()]; // (T, heads D)
        let rows = mixed.par_chunks_exact_mut(self.heads * dim).zip(queries.par_chunks_exact(self.heads * dim));
        rows.enumerate().for_each(|(t, (mixed, queries))| {
            let position = before + t;
            let seen: Vec<_> = (0..=position).filter(|&j| visible.sees(position, j)).collect();
            for (head, (out, query)) in mixed.chunks_exact_mut(dim).zip(queries.chunks_exact(dim)).enumerate() {
                // Consecutive query heads share a key-value head.
                let offset = head / (self.heads / self.kv_heads) * dim;
                let key = |j: &usize| &cache.keys[j * width + offset..][..dim];
                let mut scores: Vec<_> = seen.iter().map(|j| dot(query, key(j)) * self.scale).collect();
                softmax(&mut scores);
                for (j, score) in seen.iter().zip(&scores) {
                    let value = &cache.values[j * width + offset..][..dim];
                    out.iter_mut().zip(value).for_each(|(out, v)| *out += score * v);
                }
            }
        });
        self.output.forward(&mixed)
    }

    /// Attention of `queries (T, heads D)` to the tokens that a cache of heavy hitters keeps, in the plainest way: lists of
    /// positions. Counts are rounded as the engine rounds them, because which token has the least is a matter of one.
    fn heavy_hitters(&self, queries: &[f32], cache: &mut Cache, before: usize, bounds: [usize; 3]) -> Vec<f32> {
        let ([sinks, window, recent], dim) = (bounds, self.head_dim);
        let (group, width) = (self.heads / self.kv_heads, self.kv_heads * dim);
        cache.kept.resize(self.kv_heads, Vec::new());
        let mut mixed = vec![0.0; queries.len()];
        for (t, (mixed, queries)) in
            mixed.chunks_exact_mut(self.heads * dim).zip(queries.chunks_exact(self.heads * dim)).enumerate()
        {
            let position = before + t;
            let dither = f64::from(((position as u32).wrapping_mul(0x9E37_79B9)) >> 9) / 8_388_608.0;
            for (head, (out, query)) in mixed.chunks_exact_mut(dim).zip(queries.chunks_exact(dim)).enumerate() {
                let kept = &mut cache.kept[head / group];
                if head % group == 0 {
                    let (filled, ring) = (position + 1 > sinks + window - recent, sinks + window - recent);
                    if filled && (position - ring).is_multiple_of(recent) {
                        // The ring of recent tokens begins another turn.
                        kept.iter_mut().for_each(|(_, count)| *count /= 2);
                    }
                    if kept.len() == sinks + window {
                        // The token that is no longer recent, and the heavy hitter with the least attention.
                        let leaves = kept.iter().position(|(p, _)| p + recent == position).expect("it was recent");
                        let heavy = kept.iter().enumerate().filter(|(_, (p, _))| *p >= sinks && p + recent < position);
                        // The first among equals: a token takes another's place.
                        let least = heavy.min_by_key(|(_, (_, count))| *count).map(|(place, _)| place);
                        if let Some(least) = least.filter(|&least| kept[least].1 < kept[leaves].1) {
                            kept[least] = kept[leaves];
                        }
                        kept.remove(leaves);
                    }
                    kept.push((position, 0));
                }
                let offset = head / group * dim;
                let row = |j: usize| j * width + offset..j * width + offset + dim;
                let mut scores: Vec<_> =
                    kept.iter().map(|(j, _)| dot(query, &cache.keys[row(*j)]) * self.scale).collect();
                softmax(&mut scores);
                for ((j, count), score) in kept.iter_mut().zip(&scores) {
                    out.iter_mut().zip(&cache.values[row(*j)]).for_each(|(out, v)| *out += score * v);
                    *count += (f64::from(*score) * 256.0 + dither) as u32;
                }
                if kept.iter().any(|(p, count)| *p >= sinks && *count >= 1 << 15) {
                    kept.iter_mut().for_each(|(_, count)| *count /= 2);
                }
            }
        }
        mixed
    }
}
